"""The service as an administrator starts it: C{twistd -n twistedmilter --config FILE}, and the log it writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.integration.sandbox import end, wait_for_port

ROOT = Path(__file__).parents[2]
MILTERS = {"inbound": 8890, "submission": 8891, "reinjection": 8892}  # 8890 is what README shows


def session_config(text: str) -> dict[str, object]:
    """The configuration of a session: its CONFIG merged over the default of all tests.

    Nobody is internal unless the session says so, because its clients have addresses of the test networks, and nobody
    is asked for an identity, because few of them have any.
    """
    config: dict[str, object] = {
        "server": {"authserv_id": "mx.test.invalid"},
        "milter": {
            "listen": [{"address": f"inet:{port}@127.0.0.1", "role": role} for role, port in MILTERS.items()],
            "grace": 10.0,
        },
        "networks": {"internal": []},
        "three_strikes": {"mode": "off"},
        "resolver": {"nameservers": ["127.0.0.1:53"], "timeout": 2.0},
        "control": {"listen": "off"},
        "log": {"format": "json", "to": "stderr"},
    }
    return merged(config, tomllib.loads(text))


def merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """Tables are merged key by key, anything else is replaced."""
    result = dict(below)
    for key, value in above.items():
        mine = result.get(key)
        result[key] = merged(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return result


def to_toml(value: object) -> str:
    """A value in TOML's inline form; JSON's texts, numbers and booleans are TOML's."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {to_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(to_toml(item) for item in value) + "]"
    return json.dumps(value)


class Daemon:
    """The running service with one configuration.

    @ivar config: what it was started with. @ivar files: name and text of each file beside its configuration.
    """

    def __init__(self, work: Path, config: dict[str, object], files: Sequence[tuple[str, str]] = ()) -> None:
        """Start it and wait until it listens."""
        self.config = config
        self.files = tuple(files)
        self._seen = 0
        work.mkdir(parents=True)
        log, state = work / "log.json", work / "state"
        full = merged(config, {"log": {"to": str(log)}, "server": {"state_dir": str(state)}})
        file = work / "twistedmilter.toml"
        file.write_text("".join(f"{key} = {to_toml(value)}\n" for key, value in full.items()))
        for name, text in files:
            (work / name).write_text(text)
        self._log = log
        self._output = work / "output"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [Path(sys.executable).parent / "twistd", "-n", "--pidfile=", "twistedmilter", "--config", str(file)],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=output,
                stderr=output,
            )
        for port in MILTERS.values():
            wait_for_port("127.0.0.1", port, self._process, self._output)

    def events(self) -> list[dict[str, object]]:
        """Every event of the log so far."""
        if not self._log.exists():
            return []
        text = self._log.read_text("utf-8")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def mark(self) -> None:
        """Forget the records so far: those of the next session follow."""
        self._seen = len(self._messages())

    def records(self, count: int, seconds: float = 5.0) -> list[Mapping[str, object]]:
        """The records since L{mark}; waits for C{count} of them, and no longer than that time."""
        deadline = time.monotonic() + seconds
        while len(found := self._messages()[self._seen :]) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def _messages(self) -> list[Mapping[str, object]]:
        return [event for event in self.events() if event["event"] == "message"]

    def output(self) -> str:
        """What it wrote to its terminal: nothing but a start and a stop, if all is well."""
        return self._output.read_text(errors="replace")

    def begin_shutdown(self) -> None:
        """SIGTERM; the service lets open sessions finish within its grace, and comes back when it listens no more."""
        self._process.terminate()
        while _listens(MILTERS["inbound"]) and self._process.poll() is None:
            time.sleep(0.02)

    def ended_well(self, seconds: float = 20.0) -> bool:
        """Whether it ended by itself in that time after L{begin_shutdown}; twistd then ends by its signal."""
        try:
            return self._process.wait(seconds) in (0, -signal.SIGTERM)
        except subprocess.TimeoutExpired:
            return False

    def stop(self) -> None:
        """End it."""
        end(self._process, 15)


def _listens(port: int) -> bool:
    wanted = f"0100007F:{port:04X}"  # 127.0.0.1 as the kernel writes it
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[1] == wanted and line.split()[3] == "0A" for line in lines)

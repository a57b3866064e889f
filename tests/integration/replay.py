"""Replays sessions through a real MTA, inside the sandbox; run by L{tests.integration.corpus.Replayer}.

    unshare --net --mount --uts ... -- python -m tests.integration.replay postfix|sendmail DIRECTORY

The name of a session comes on each line of standard input; its problems go out as one JSON list a line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from tests.integration.certificates import make_certificates
from tests.integration.corpus import SESSIONS, whole_zone
from tests.integration.daemon import MILTERS, Daemon, session_config
from tests.integration.documented import README, documented_lines
from tests.integration.exchanger import EXCHANGER_PORT, Exchanger
from tests.integration.player import Player
from tests.integration.postfix_mta import PostfixMta
from tests.integration.sandbox import HOST, HOST6, add_address, end, set_up, wait_for_port
from tests.integration.sendmail_mta import SendmailMta
from tests.integration.session_file import Session, read_sessions
from tests.integration.smtp_dialogue import Reply, SmtpDialogue
from tests.integration.smtp_sink import Delivered, SmtpSink
from tests.integration.surroundings import Surroundings

PORTS = {"inbound": 25, "submission": 587, "reinjection": 10025}
SINK = 2525
# checks that judge a message by earlier ones: their sessions would disturb each other in one service
_REMEMBERING = frozenset({"callback", "demerits", "dsn", "greylist", "known_sender", "outgoing"})
_MTAS: dict[str, type[PostfixMta | SendmailMta]] = {"postfix": PostfixMta, "sendmail": SendmailMta}


def start_name_server(directory: Path, zone: str) -> subprocess.Popen[bytes]:
    """The name server of all sessions, where resolv.conf says it is."""
    file, log = directory / "zone", directory / "names.log"
    file.write_text(zone)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.nameserver", str(file), "53"], stdout=output, stderr=output
        )
    wait_for_port("127.0.0.1", 53, process, log)
    return process


class RealMailServer:
    """An MTA, the service behind it, a name server and a sink: all that one session needs."""

    def __init__(self, runner: str, directory: Path, zone: str) -> None:
        """Start what all sessions share."""
        self.runner = runner
        self._directory = directory
        self._daemon: Daemon | None = None
        self._daemons = 0
        self._names = start_name_server(directory, zone)
        self._sink = SmtpSink("127.0.0.1", SINK)
        self._exchanger = Exchanger("127.0.0.1", EXCHANGER_PORT)
        lines = documented_lines(README.read_text("utf-8"))
        self._certificates = make_certificates(directory / "certificates")
        around = Surroundings(lines, PORTS, MILTERS, SINK, self._certificates)
        self._mta = _MTAS[runner](directory / runner, around)

    def prepare(self, session: Session) -> None:
        """A service with the configuration of this session: the running one if it has it and remembers nothing."""
        config = session_config(session.config)
        remembers = not _REMEMBERING.isdisjoint(config)
        if self._daemon is None or remembers or (self._daemon.config, self._daemon.files) != (config, session.files):
            self._end_daemon()
            self._daemons += 1
            self._daemon = Daemon(self._directory / f"daemon-{self._daemons}", config, session.files)
        self._daemon.mark()
        while self._sink.next_message(0) is not None:
            continue

    def connect(self, address: str, name: str, role: str) -> SmtpDialogue:
        """A connection from that address; its name comes from the DNS."""
        add_address(address)
        host = HOST6 if ip_address(address).version == 6 else HOST
        return SmtpDialogue(address, (host, PORTS[role]), self._certificates.client)

    def submit(self, sender: str, recipient: str, content: bytes) -> Reply:
        """Hand a message to the MTA's own sendmail command."""
        taken = self._mta.submit(sender, recipient, content)
        return Reply(250, "", "taken") if taken else Reply(550, "", "the sendmail command failed")

    def next_message(self, timeout: float) -> Delivered | None:
        """The next message in the sink."""
        return self._sink.next_message(timeout)

    def holds(self) -> bool:
        """Whether the MTA's quarantine grew."""
        return self._mta.holds()

    def kill(self) -> None:
        """Kill the MTA's process of this session."""
        self._mta.kill_session()

    def shutdown(self) -> None:
        """SIGTERM to the service; the next session gets another one."""
        assert self._daemon is not None
        self._daemon.begin_shutdown()

    def wait(self, seconds: int) -> None:
        """Sleep: everybody has a clock of its own."""
        time.sleep(seconds)

    def records(self, count: int) -> list[Mapping[str, object]]:
        """The records of this session."""
        assert self._daemon is not None
        return self._daemon.records(count)

    def faults(self, session: Session) -> list[str]:
        """Tracebacks of the service, and how it ended if the session ended it."""
        assert self._daemon is not None
        daemon, problems = self._daemon, []
        if any(step.verb == "SHUTDOWN" for step in session.steps):
            self._daemon = None
            if not daemon.ended_well():
                problems.append("the service did not end by itself after SIGTERM")
            daemon.stop()
        if "Traceback" in daemon.output() and "bug" not in session.config:
            problems.append(f"the service wrote a traceback: {daemon.output()[-3000:]}")
        return problems

    def log_tail(self) -> str:
        """The end of the MTA's log, for a problem that is hard to understand."""
        return self._mta.log()[-3000:]

    def _end_daemon(self) -> None:
        if self._daemon is not None:
            self._daemon.stop()
            self._daemon = None

    def stop(self) -> None:
        """End all of it."""
        self._mta.stop()
        self._end_daemon()
        self._sink.close()
        self._exchanger.close()
        end(self._names)


def compile_once(directory: Path) -> None:
    """Let the services that are started one after the other share compiled code, outside the checkout."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(directory / "compiled")


def replay(server: RealMailServer, session: Session) -> list[str]:
    """Play one session; its problems."""
    try:
        server.prepare(session)
    except RuntimeError as problem:
        return [f"{session.name}.session: {problem}"]
    problems = Player(session, server).play() + server.faults(session)
    return [*problems, server.log_tail()] if problems else []


def main() -> None:
    """Serve standard input."""
    runner, directory = sys.argv[1], set_up(Path(sys.argv[2]))
    compile_once(directory)
    sessions = {session.name: session for session in read_sessions(SESSIONS)}
    server = RealMailServer(runner, directory, whole_zone(list(sessions.values())))
    try:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for line in sys.stdin:
            sys.stdout.write(json.dumps(replay(server, sessions[line.strip()])) + "\n")
            sys.stdout.flush()
    finally:
        server.stop()


if __name__ == "__main__":
    main()

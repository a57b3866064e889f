"""The corpus of sessions: where it is, the names its clients and domains have, and the tests made of it."""

from __future__ import annotations

import atexit
import json
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar

import dns.reversename
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.integration import postfix_mta, sandbox, sendmail_mta
from tests.integration.session_file import Session, SessionFileError, read_sessions

ROOT = Path(__file__).parents[2]
SESSIONS = ROOT / "tests" / "sessions"
_PATIENCE = 120.0  # seconds for one session, starts and stops of servers included
_LACKING = {"postfix": postfix_mta.lacking, "sendmail": sendmail_mta.lacking}

ZoneData = dict[tuple[str, str], tuple[str, ...]]


def zone_of(session: Session) -> ZoneData:
    """The zone lines of a session, by name and type."""
    found: ZoneData = {}
    for line in session.zone.splitlines():
        if line.strip() and not line.lstrip().startswith(";"):
            name, rdtype, data = line.split(None, 2)
            key = (name.lower(), rdtype.upper())
            found[key] = (*found.get(key, ()), data.strip())
    return found


def client_zone(session: Session) -> list[str]:
    """What makes C{CONNECT ADDRESS NAME} true: PTR and address records."""
    lines = []
    for step in session.steps:
        address, _, name = step.argument.partition(" ")
        if step.verb == "CONNECT" and name:
            rdtype = "A" if ip_address(address).version == 4 else "AAAA"
            lines.append(f"{dns.reversename.from_address(address)} PTR {name}.")
            lines.append(f"{name} {rdtype} {address}")
    return lines


def whole_zone(sessions: list[Session]) -> str:
    """The zones of all sessions in one: one name server and one cache serve them all.

    @raise SessionFileError: two sessions say different things of one name and type.
    """
    known: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {}
    for session in sessions:
        for key, data in zone_of(session).items():
            where, before = known.setdefault(key, (session.name, data))
            if before != data:
                raise SessionFileError(f"{session.name} and {where} differ on {' '.join(key)}")
    lines = [f"{name} {rdtype} {item}" for (name, rdtype), (_, data) in known.items() for item in data]
    for session in sessions:
        own = zone_of(session)
        for line in client_zone(session):
            name, rdtype, _ = line.split(None, 2)
            if (name.lower(), rdtype) not in known and line not in lines and (name, rdtype) not in own:
                lines.append(line)
    return "\n".join(lines) + "\n"


class Replayer:
    """The process in the sandbox that plays sessions through one MTA (L{tests.integration.replay})."""

    def __init__(self, runner: str) -> None:
        """Start it and wait until MTA and name server are ready."""
        self._directory = Path(tempfile.mkdtemp(prefix=f"twistedmilter-{runner}-", dir="/tmp"))
        self._directory.chmod(0o755)  # Postfix's own user looks into it
        self._errors = (self._directory / "replay.err").open("w+b")
        self._process = subprocess.Popen(
            sandbox.inside("tests.integration.replay", runner, str(self._directory)),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._answer()

    def play(self, name: str) -> list[str]:
        """Play one session; its problems."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n".encode())
        self._process.stdin.flush()
        problems: list[str] = json.loads(self._answer())
        return problems

    def _answer(self) -> bytes:
        output = self._process.stdout
        assert output is not None
        ready, _, _ = select.select([output], [], [], _PATIENCE)
        line = output.readline() if ready else b""
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"the replayer gave no answer: {self._errors.read()[-4000:].decode(errors='replace')}")
        return line

    def stop(self) -> None:
        """End it, unless it has ended; it ends its servers."""
        if self._process.returncode is not None:
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()
        shutil.rmtree(self._directory, ignore_errors=True)


class RealMtaTests(SynchronousTestCase):
    """One test a session, through one MTA that all share.

    trial has no class fixtures: the MTA starts with the first session, and ends when another one is needed or when
    the process ends.
    """

    runner = ""
    shared: ClassVar[dict[str, Replayer]] = {}

    def setUp(self) -> None:
        """Start the MTA with the first session."""
        lacking = sandbox.lacking() or _LACKING[self.runner]()
        if lacking:
            sys.stderr.write(f"\n*** sessions through {self.runner} are not played: {lacking}\n")
            raise SkipTest(lacking)
        if self.runner not in self.shared:
            while self.shared:
                self.shared.popitem()[1].stop()
            self.shared[self.runner] = replayer = Replayer(self.runner)
            atexit.register(replayer.stop)

    def play(self, session: Session) -> list[str]:
        """Play one session; its problems."""
        return self.shared[self.runner].play(session.name)


def one_test_a_session(runner: str) -> Callable[[type[Any]], type[Any]]:
    """Give a test case with a method C{play} one test for each session that this runner can play."""

    def decorate(case: type[Any]) -> type[Any]:
        for session in read_sessions(SESSIONS):
            if runner in session.only:
                setattr(case, f"test_{session.name}", _test(session))
        return case

    return decorate


def _test(session: Session) -> Callable[[Any], None]:
    """A test; those whose sessions have one configuration stay together, and need one start of the service."""

    def test(self: Any) -> None:
        problems = self.play(session)
        if problems:
            self.fail("\n".join(problems))

    test.__doc__ = session.title
    test.group = (session.config, session.files)  # type: ignore[attr-defined]
    return test

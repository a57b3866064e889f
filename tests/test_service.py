"""The whole service: what it opens, in which order it stops, and what it says when it cannot start."""

from __future__ import annotations

import errno
import json
import shutil
import socket
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IReactorUNIX
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.test_milter_proto import CONNECT, END, HEADER, HELO, MAIL, OFFER, RCPT
from twistedmilter.cli import main
from twistedmilter.configfile import load_settings
from twistedmilter.errors import ConfigError, ConfigProblem
from twistedmilter.service import TwistedMilterService
from twistedmilter.state_dir import state_dir_of
from twistedmilter.store import database_file
from twistedmilter.wire.frames import encode_frame


class OneSession(Protocol):
    """Sends frames and collects the answers until the service closes."""

    def __init__(self, *frames: bytes) -> None:
        self.frames = frames
        self.received = b""
        self.done: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        """Say everything at once."""
        assert self.transport is not None
        self.transport.write(b"".join(self.frames))

    def dataReceived(self, data: bytes) -> None:
        """Collect."""
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand over what was collected."""
        self.done.callback(self.received)


class ServiceTests(TestCase):
    """Started as twistd starts it."""

    def setUp(self) -> None:
        """A configuration with unix sockets in a directory of our own."""
        # trial's own are too deep for a unix path
        self.directory = Path(tempfile.mkdtemp(prefix="twistedmilter-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.socket = str(self.directory / "m")

    def load(self, more: str = "", listen: str | None = None, log: str = "json") -> TwistedMilterService:
        """The service of a configuration file with these lines."""
        config = self.directory / "c.toml"
        text = f"""
            [server]
            state_dir = "state"
            [milter]
            listen = {listen or '["unix:m"]'}
            grace = 0.5
            [resolver]
            nameservers = ["127.0.0.1:1"]
            [control]
            listen = "unix:k"
            [log]
            format = "{log}"
            to = "./log"
            {more}
        """
        config.write_text("\n".join(line.strip() for line in text.splitlines()))
        return TwistedMilterService(load_settings(str(config.resolve())), reactor, lambda: 1_795_525_200.0, {})

    def start(self, more: str = "", log: str = "json") -> TwistedMilterService:
        """A running service, stopped after the test."""
        service = self.load(more, log=log)
        service.startService()
        self.addCleanup(lambda: service.stopService() if service.running else None)
        return service

    def session(self, *frames: bytes) -> Deferred[bytes]:
        """One MTA session with a running service."""
        protocol = OneSession(*frames)
        factory = Factory.forProtocol(lambda: protocol)
        factory.noisy = False
        UNIXClientEndpoint(IReactorUNIX(reactor), self.socket).connect(factory)
        return protocol.done

    def log(self) -> list[dict[str, object]]:
        """The log so far."""
        return [json.loads(line) for line in self.lines()]

    def lines(self) -> list[str]:
        """The lines of the log so far."""
        return (self.directory / "log").read_text().splitlines()

    async def test_a_message_through_the_socket(self) -> None:
        """Judged, answered, and one record in the log with a start line before it."""
        self.start('[policy]\nchecks = ["trusted_client", "helo"]')
        numeric = encode_frame(ord("H"), b"192.0.2.9\0")
        answers = await self.session(OFFER, CONNECT, numeric, MAIL, RCPT, encode_frame(ord("Q")))
        self.assertIn(b"550 5.7.1", answers)
        events = self.log()
        self.assertEqual([event["event"] for event in events], ["start", "message"])
        self.assertIn("'check': 'helo'", str(events[-1]["decision"]))

    async def test_the_tag_of_the_classic_log(self) -> None:
        """B05: DYN behind a name that looks dynamic, as long as three_strikes is asked at all."""
        for mode, tag in (("observe", " DYN"), ("off", "")):
            with self.subTest(mode):
                more = f'[policy]\nchecks = ["three_strikes"]\n[three_strikes]\nmode = "{mode}"'
                service = self.start(more, log="classic")
                connect = encode_frame(ord("C"), b"x192-0-2-9.dyn.example.net\0004\x10\xe1192.0.2.9\0")
                await self.session(OFFER, connect, encode_frame(ord("Q")))
                await service.stopService()
                *_, line = filter(lambda each: "connect from" in each, self.lines())
                self.assertTrue(line.endswith(f" EXTERNAL{tag}"), line)

    async def test_an_access_map(self) -> None:
        """What is odd about policies is told at the start, and the map is followed until the stop."""
        access = self.directory / "access"
        access.write_text("spf-none: CBV\nspf-fail: PERHAPS\n")
        with capturedLogs() as events:
            service = self.start('[policy]\naccess = "access"\nchecks = ["trusted_client"]')
        told = [str(event["told"]) for event in events if "told" in event]
        self.assertTrue(any("'PERHAPS' is no policy word" in each for each in told), told)
        self.assertTrue(any("spf-none: says CBV, which marks only" in each for each in told), told)
        await service.stopService()  # trial finds a timer that is left

    async def test_decisions_are_kept(self) -> None:
        """The record of a message is in the file once the service has stopped; that of a test is not."""
        service = self.start("[policy]\nchecks = []")
        marked = encode_frame(ord("D"), b"C{twistedmilter_test}\0001\0")
        await self.session(OFFER, CONNECT, HELO, MAIL, RCPT, HEADER, END, encode_frame(ord("Q")))
        await self.session(OFFER, marked, CONNECT, HELO, MAIL, RCPT, HEADER, END, encode_frame(ord("Q")))
        await service.stopService()
        with closing(sqlite3.connect(self.directory / "state" / "state.db")) as connection:
            kept = [row[0] for row in connection.execute("SELECT id FROM decision")]
        messages = [event for event in self.log() if event["event"] == "message"]
        self.assertEqual(kept, [event["id"] for event in messages if not event["is_test"]])
        self.assertEqual((len(messages), len(kept)), (2, 1))

    async def test_a_bad_store_is_moved_aside(self) -> None:
        """It is told, and service goes on (B5)."""
        (self.directory / "state").mkdir()
        (self.directory / "state" / "state.db").write_text("this is no database" * 100)
        service = self.start("[policy]\nchecks = []")
        self.assertIsNone(await service.stores.decisions.find("1"))
        self.assertEqual(len(list((self.directory / "state").glob("state.db.bad-*"))), 1)

    async def test_a_store_that_cannot_be_opened(self) -> None:
        """One line names the key; nothing is left open (G13)."""
        (self.directory / "state" / "state.db").mkdir(parents=True)
        error = self.assertRaises(SystemExit, self.load().startService)
        self.assertRegex(str(error), r"store\.url: it cannot be opened: .*state\.db")
        self.assertNotIn("m", [path.name for path in self.directory.iterdir()])

    async def test_a_disk_that_cannot_be_written(self) -> None:
        """Mail is judged all the same, the log and C{status} say what is wrong, and it heals (B6)."""
        is_full = [True]

        def connect(path: Path) -> sqlite3.Connection:
            if is_full[0]:
                raise OSError(errno.EROFS, "Read-only file system")
            return real(path)

        real = database_file._connect
        self.patch(database_file, "_connect", connect)
        service = self.start("[policy]\nchecks = []")
        self.assertIn("Read-only file system", str(service.status()["stores"]))
        await self.session(OFFER, CONNECT, HELO, MAIL, RCPT, HEADER, END, encode_frame(ord("Q")))
        is_full[0] = False
        await service.stores.purge(1_795_525_200.0)
        self.assertEqual(service.status()["stores"], "well")
        self.assertIsNotNone(await service.stores.decisions.find(str(self.log()[-1]["id"])))

    def test_no_place_for_the_control_socket(self) -> None:
        """It is told, and the service starts, if the state directory cannot be written; else it does not start."""
        for trouble in ("it is full", ""):
            service = self.load()
            real = service._listeners.open

            def fail(key: str, *arguments: Any, real: Any = real, **more: Any) -> Any:
                if key == "control.listen":
                    raise ConfigError("c.toml", [ConfigProblem(key, "No space left")])
                return real(key, *arguments, **more)

            self.patch(service._listeners, "open", fail)
            self.patch(service._state, "take", lambda trouble=trouble: trouble)
            if trouble:
                with capturedLogs() as told:
                    service.startService()
                self.addCleanup(service.stopService)
                self.assertIn("commands cannot reach this service", str(told))
            else:
                self.assertRaises(SystemExit, service.startService)

    async def test_nothing_on_disk(self) -> None:
        """With C{memory} no file is made."""
        service = self.start('[policy]\nchecks = []\n[store]\nurl = "memory"')
        await self.session(OFFER, CONNECT, HELO, MAIL, RCPT, HEADER, END, encode_frame(ord("Q")))
        self.assertIsNotNone(await service.stores.decisions.find(str(self.log()[-1]["id"])))
        self.assertEqual(list((self.directory / "state").glob("*.db")), [])

    async def test_a_test_transaction_over_a_unix_socket(self) -> None:
        """A peer of our own user may mark a transaction as a test; the record says so."""
        service = self.start("[policy]\nchecks = []")
        marked = encode_frame(ord("D"), b"C{twistedmilter_test}\0001\0")
        await self.session(OFFER, marked, CONNECT, HELO, MAIL, RCPT, HEADER, END, encode_frame(ord("Q")))
        self.assertTrue(self.log()[-1]["is_test"])
        self.assertEqual(service.counters.snapshot()["tests"], 1)

    async def test_sigterm_waits_for_a_message_in_flight(self) -> None:
        """After the grace period it is closed; the record says that it was lost."""
        service = self.start("[policy]\nchecks = []")
        session = self.session(OFFER, CONNECT, HELO, MAIL, RCPT)
        while not any(connection.in_transaction for connection in service.sessions._open):  # type: ignore[attr-defined]
            await _soon()
        await service.stopService()
        await session
        self.assertEqual([event["event"] for event in self.log()][-2:], ["message", "stop"])
        self.assertNotIn("m", [path.name for path in self.directory.iterdir()])

    def test_a_second_instance_is_kept_out(self) -> None:
        """The state directory has one owner; the error names the key."""
        self.start()
        second = self.load(listen='["unix:n"]')
        error = self.assertRaises(SystemExit, second.startService)
        self.assertRegex(str(error), r"server\.state_dir: another twistedmilter runs with")

    def test_a_port_in_use_is_one_line(self) -> None:
        """G13: it names key and address, and nothing is left open."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            service = self.load(listen=f'["unix:m", "inet:{port}@127.0.0.1"]')
            error = self.assertRaises(SystemExit, service.startService)
        self.assertTrue(str(error).startswith(f"{self.directory.resolve()}/c.toml: "), str(error))
        self.assertRegex(str(error), rf"milter\.listen\[1\]: cannot listen on inet:{port}@127.0.0.1: .*in use")
        self.assertEqual(len(str(error).splitlines()), 1)

    def test_status(self) -> None:
        """What the control socket tells of a running service."""
        status = self.start().status()
        self.assertEqual((status["sessions"], status["listeners"]), (0, [f"unix:{self.socket}"]))

    async def test_a_scan_is_told_of_each_check(self) -> None:
        """The command asks both sockets of a running service; what it prints is what the log has."""
        self.start('[policy]\nchecks = ["trusted_client", "helo"]')
        message = self.directory / "a.eml"
        message.write_text("From: a@b.example\nTo: joe@example.org\n\nHello\n")
        told = ["--config", str(self.directory / "c.toml"), "--milter", self.socket, "--json"]
        command = ["scan", *told, "--client-ip", "192.0.2.9", "--helo", "10.0.0.1", str(message)]
        result = await deferToThread(CliRunner().invoke, main, command)
        self.assertEqual((1, ""), (result.exit_code, result.stderr))
        scanned = json.loads(result.stdout)
        self.assertEqual((str(message), f"unix:{self.socket}"), (scanned.pop("message"), scanned.pop("milter")))
        self.assertEqual({"trusted_client", "helo"}, {each["check"] for each in scanned["outcomes"]})
        self.assertEqual({"event": "message", **scanned}, self.log()[-1])


class StateDirTests(TestCase):
    """Where state is kept."""

    def test_order(self) -> None:
        """The setting, then systemd's directory, then the home of the user."""
        loaded = load_settings(None, default_path="/nonexistent")
        settings = loaded.settings
        self.assertEqual(state_dir_of(settings, Path("/etc"), {"STATE_DIRECTORY": "/var/lib/t:/x"}), Path("/var/lib/t"))
        self.assertIn("twistedmilter", str(state_dir_of(settings, Path("/etc"), {})))


def _soon() -> Deferred[None]:
    done: Deferred[None] = Deferred()
    reactor.callLater(0.01, done.callback, None)
    return done

"""Opening sockets: modes, stale sockets, and errors that name the key."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from twistedmilter import listening
from twistedmilter.errors import ConfigError
from twistedmilter.listening import Listeners, remove_stale_socket
from twistedmilter.model.listen import parse_listen


class ListenersTests(TestCase):
    """Everything is bound, or one error says why not."""

    def setUp(self) -> None:
        """A directory of our own."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        # a unix path must be short
        self.path = Path(os.path.relpath(self.directory / "s"))
        self.listeners = Listeners(reactor, Path(), {})
        self.factory = Factory.forProtocol(Protocol)

    def open(self, text: str, **options: object) -> IListeningPort:
        """Open one listener and close it after the test."""
        port = self.listeners.open("milter.listen[0]", parse_listen(text), self.factory, **options)  # type: ignore[arg-type]
        self.addCleanup(lambda: maybeDeferred(port.stopListening))
        return port

    def test_a_unix_socket_has_its_mode(self) -> None:
        """The mode of the configuration, not of the umask."""
        self.open(f"unix:{self.path}", mode=0o640)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o640)

    async def test_a_start_that_fails_leaves_nothing(self) -> None:
        """Neither the name of a socket nor the socket itself."""
        port = self.open(f"unix:{self.path}")
        self.listeners.abandon()
        self.assertFalse(self.path.exists())
        await deferLater(reactor, 0.01)
        self.assertFalse(hasattr(port, "socket"))

    def test_a_stale_socket_is_replaced(self) -> None:
        """A socket that nobody listens on is left over from a crash (row 61)."""
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(self.path))
        self.open(f"unix:{self.path}")

    def test_a_living_socket_is_an_error(self) -> None:
        """Somebody else's socket is not taken over; the error names key and address."""
        with socket.socket(socket.AF_UNIX) as alive:
            alive.bind(str(self.path))
            alive.listen()
            error = self.assertRaises(ConfigError, self.open, f"unix:{self.path}")
        self.assertRegex(str(error), r"milter\.listen\[0\]: cannot listen on unix:.*: somebody is listening there")

    def test_a_file_is_not_removed(self) -> None:
        """What is no socket stays."""
        self.path.write_text("precious")
        self.assertRaises(OSError, remove_stale_socket, self.path)
        self.assertEqual(self.path.read_text(), "precious")

    def test_a_symbolic_link_is_not_followed(self) -> None:
        """A link at the path is not a socket of ours (O7)."""
        self.path.symlink_to("/dev/null")
        self.assertRaises(OSError, remove_stale_socket, self.path)

    def test_an_unknown_group(self) -> None:
        """The error names the group."""
        error = self.assertRaises(ConfigError, self.open, f"unix:{self.path}", group="no-such-group")
        self.assertIn("no-such-group", str(error))

    def test_a_port_in_use(self) -> None:
        """The error says so and names the key (G13)."""
        port = self.open("inet:0@127.0.0.1")
        number = port.getHost().port  # type: ignore[attr-defined]
        error = self.assertRaises(ConfigError, self.open, f"inet:{number}@127.0.0.1")
        self.assertRegex(str(error), "milter.listen.*in use")

    def test_systemd_handed_over_nothing(self) -> None:
        """Without LISTEN_PID there is nothing to adopt."""
        error = self.assertRaises(ConfigError, self.open, "systemd:milter")
        self.assertIn("systemd handed over no sockets", str(error))

    async def test_a_socket_of_systemd_stays_as_it_is(self) -> None:
        """Its mode and its name are systemd's, also when we stop; whoever connects is served, several at a time."""
        handed = socket.socket(socket.AF_UNIX)
        handed.bind(str(self.path))
        handed.listen()
        self.path.chmod(0o620)
        self.patch(listening, "_FIRST_SYSTEMD_FD", handed.fileno())
        environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "milter"}
        self.listeners = Listeners(reactor, Path(), environ)
        port = self.open("systemd:milter")
        for _ in range(2):
            client = UNIXClientEndpoint(reactor, str(self.path))
            connected = await client.connect(Factory.forProtocol(Protocol))
            connected.transport.loseConnection()
        await maybeDeferred(port.stopListening)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o620)
        self.listeners.abandon()
        self.assertTrue(self.path.exists())
        handed.close()

    def test_a_socket_of_systemd_by_name(self) -> None:
        """LISTEN_FDNAMES says which descriptor it is; one that is not there is an error that lists them."""
        environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "control"}
        self.listeners = Listeners(reactor, Path(), environ)
        error = self.assertRaises(ConfigError, self.open, "systemd:milter")
        self.assertIn("control", str(error))

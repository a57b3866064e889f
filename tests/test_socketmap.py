"""What listens for lookups, and when it does not (abuse cases 28, 33 and 37)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from msgspec import convert
from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.errors import ConfigError
from twistedmilter.listening import Listeners
from twistedmilter.lookup_protocol import LookupFactory
from twistedmilter.model.settings import Settings
from twistedmilter.model.signing_settings import SocketmapListenSettings
from twistedmilter.socketmap import SocketmapFace, users_of

NOW = 1_700_000_000.0
SRS = {"secret_file": "srs.secret", "forward_domain": "fwd.example"}


class HandedOver:
    """A port that was opened by somebody else."""

    def __init__(self, host: str) -> None:
        self._host = host

    def getHost(self) -> IPv4Address:
        """Where it listens."""
        return IPv4Address("TCP", self._host, 10003)


class FaceTests(SynchronousTestCase):
    """From settings to listeners."""

    def setUp(self) -> None:
        """A directory with a secret."""
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        secret = self.directory / "srs.secret"
        secret.write_text("correct horse battery\n")
        secret.chmod(0o600)
        self.reactor = MemoryReactorClock()

    def open(
        self, listen: list[object], srs: Mapping[str, str] = SRS, own_uid: int = 1000
    ) -> tuple[SocketmapFace, Listeners]:
        """A face that was told to listen."""
        settings = convert({"socketmap": {"listen": listen}, "srs": srs}, Settings)
        face = SocketmapFace(settings, self.reactor, lambda: NOW, base_dir=self.directory, state_dir=self.directory)
        listeners = Listeners(self.reactor, self.directory, {})
        face.open(listeners, own_uid=own_uid, peer_uid=lambda _transport: own_uid)
        return face, listeners

    def test_off(self) -> None:
        """By default nothing listens, no secret is looked for, and nothing is said."""
        face, listeners = self.open([], {"forward_domain": "fwd.example", "secret_file": "none"})
        self.assertEqual((listeners.ports, list(face.warnings()), face.snapshot()), ([], [], {}))

    def test_no_secret(self) -> None:
        """Without a secret it stays off and says so, and which is missing."""
        face, listeners = self.open(["inet:1"], {**SRS, "secret_file": "none"})
        self.assertEqual((listeners.ports, face.snapshot()), ([], {}))
        missing, off = face.warnings()
        self.assertIn("secret new", missing)
        self.assertIn("socketmap is off", off)

    def test_nothing_to_do(self) -> None:
        """A listener without any domain is off, too."""
        face, listeners = self.open(["inet:1"], {})
        self.assertEqual((listeners.ports, len(list(face.warnings()))), ([], 1))

    def test_tcp(self) -> None:
        """On loopback, with a protocol for each listener."""
        face, listeners = self.open(["inet:10003", {"address": "inet:10001", "protocol": "tcp_table"}])
        self.assertEqual([server[0] for server in self.reactor.tcpServers], [10003, 10001])
        for server, request, reply in zip(
            self.reactor.tcpServers, (b"9:forward x,", b"get x\n"), (b"NOTFOUND", b"500 "), strict=True
        ):
            factory = server[1]
            assert isinstance(factory, LookupFactory)
            self.assertIn(reply, factory.reply(request.removeprefix(b"9:").rstrip(b",\n")))
        self.assertEqual(len(listeners.ports), 2)
        told = face.snapshot()["socketmap"]
        assert isinstance(told, dict)
        self.assertEqual((told["connections"], told["replies"]), (0, {"NOTFOUND": 2}))

    def test_refused(self) -> None:
        """As root for others than this host, with a user that there is not, or where anybody can take our place."""
        open_to_all = self.directory / "open"
        open_to_all.mkdir()
        open_to_all.chmod(0o777)
        for listen, own_uid, words in (
            ({"address": "inet:1@192.0.2.1", "anywhere": True}, 0, "not opened as root"),
            ({"address": "unix:s", "users": ["nobody-of-that-name"]}, 1000, "no user"),
            ({"address": "unix:open/s"}, 1000, "in the place of ours"),
        ):
            error = self.assertRaises(ConfigError, self.open, [listen], own_uid=own_uid)
            [problem] = error.problems
            self.assertEqual(problem.where, "socketmap.listen[0]")
            self.assertIn(words, problem.wrong)

    def test_handed_over(self) -> None:
        """A socket that systemd hands over is looked at: nobody has seen its address before."""
        for host, is_allowed in (("127.0.0.1", True), ("192.0.2.1", False)):
            self.patch(Listeners, "open", lambda *_args, host=host, **_options: HandedOver(host))
            if is_allowed:
                self.open(["systemd:lookups"])
            else:
                error = self.assertRaises(ConfigError, self.open, ["systemd:lookups"])
                self.assertIn("anywhere = true", str(error))
            self.open([{"address": "systemd:lookups", "anywhere": True}])

    def test_bad_secret(self) -> None:
        """Case 28: a secret that others can read stops the start."""
        (self.directory / "srs.secret").chmod(0o644)
        self.assertRaises(ConfigError, self.open, ["inet:1"])

    def test_users(self) -> None:
        """By name or number, root and we among them; no list is no limit."""
        self.assertIsNone(users_of(SocketmapListenSettings(address="x"), 1000))
        table = SocketmapListenSettings(address="x", users=["root", "1234"])
        self.assertEqual(users_of(table, os.geteuid()), {0, 1234, os.geteuid()})

"""Tests of access maps in files (F01, F05)."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import SkipTest, mock

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.sendmail_mta import ROOT, lacking, libraries
from tests.threads import ThreadlessReactor
from tests.wire.test_cdb import make_cdb
from twistedmilter.access_files import AccessFile, AccessSpec, UnreadableMapError, open_access, read_map
from twistedmilter.errors import ConfigError
from twistedmilter.policy.access import AccessMap

TEXT = "# ours\nspf-fail:a.example\tOK\nConnect:192.0.2.1 RELAY\nspf-none: CBV\n"
TOOL = """\
#!{python}
import sys
with open({log!r}, "a") as log:
    log.write(" ".join(sys.argv[1:]) + chr(10))
sys.stdout.write({output!r})
sys.stderr.write({error!r})
sys.exit({code})
"""


class AccessFilesTestCase(SynchronousTestCase):
    """A directory of its own, where the tools of MTAs are what a test puts there."""

    def setUp(self) -> None:
        """An empty directory; no tools."""
        self.dir = Path(self.mktemp()).absolute()
        self.bin = self.dir / "bin"
        self.bin.mkdir(parents=True)
        self.log = self.dir / "log"
        for patched in (
            mock.patch.dict(os.environ, {"PATH": str(self.bin)}),
            mock.patch("twistedmilter.access_files._SBIN", str(self.bin)),
        ):
            patched.start()
            self.addCleanup(patched.stop)

    def write(self, name: str, text: str | bytes = TEXT) -> Path:
        """A file with that content."""
        path = self.dir / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def tool(self, name: str, output: str = "", error: str = "", code: int = 0) -> None:
        """A program that says what it is told to, and keeps its arguments."""
        path = self.bin / name
        path.write_text(TOOL.format(python=sys.executable, log=str(self.log), output=output, error=error, code=code))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def read(self, text: str) -> AccessMap:
        """The map of that setting."""
        return read_map(AccessSpec.parse(text, self.dir))

    def keys(self, text: str) -> list[str]:
        """The keys of that map."""
        return sorted(self.read(text).entries)


class SpecTests(SynchronousTestCase):
    """Which file a setting names."""

    def test_kinds(self) -> None:
        """The suffix tells the kind, or a word before it; relative paths begin at the configuration."""
        for text, kind, path in (
            ("access", "text", "/etc/x/access"),
            ("/etc/mail/access.db", "hash", "/etc/mail/access.db"),
            ("access.cdb", "cdb", "/etc/x/access.cdb"),
            ("hash:/etc/mail/access", "hash", "/etc/mail/access.db"),
            ("hash:/etc/mail/access.db", "hash", "/etc/mail/access.db"),
            ("cdb:access", "cdb", "/etc/x/access.cdb"),
            ("text:access.db", "text", "/etc/x/access.db"),
            ("odd:name", "text", "/etc/x/odd:name"),
        ):
            self.assertEqual(AccessSpec.parse(text, Path("/etc/x")), AccessSpec(kind, Path(path)), text)


class ReadTests(AccessFilesTestCase):
    """Every kind of file gives the same entries."""

    EXPECTED = ("spf-fail:a.example", "spf-none:")

    def test_text(self) -> None:
        """The text form tells lines."""
        self.write("access")
        self.assertEqual(self.keys("access"), list(self.EXPECTED))
        self.assertEqual(str(self.read("access").find("spf-none", "")), f"{self.dir}/access:4: spf-none:")

    def test_cdb(self) -> None:
        """A constant database, with and without NUL at the ends (F05)."""
        for end in (b"", b"\0"):
            pairs = [(b"spf-fail!a.example", b"OK"), (b"spf-none:", b"CBV"), (b"connect:192.0.2.1", b"RELAY")]
            self.write("access.cdb", make_cdb([(key + end, word + end) for key, word in pairs]))
            self.assertEqual(self.keys("access.cdb"), list(self.EXPECTED))
        self.write("access.cdb", "short")
        with self.assertRaisesRegex(UnreadableMapError, "access.cdb: no constant database"):
            self.read("access.cdb")

    def test_makemap_comes_first(self) -> None:
        """A hash file is told by makemap, without reading sendmail's configuration."""
        self.write("access.db")
        self.tool("makemap", "spf-fail:a.example\tOK\nspf-none:\tCBV\n")
        self.tool("postmap", "spf-fail:b.example\tOK\n")
        self.assertEqual(self.keys("access.db"), list(self.EXPECTED))
        self.assertEqual(self.log.read_text(), f"-C /dev/null -u hash {self.dir}/access\n")

    def test_postmap_is_next(self) -> None:
        """Where there is no sendmail, postmap tells it; keys may end in NUL."""
        self.write("access.db")
        self.tool("postmap", "spf-fail:a.example\0\tOK\0\nspf-none:\tCBV\n")
        self.assertEqual(self.keys("hash:access"), list(self.EXPECTED))
        self.assertEqual(self.log.read_text(), f"-s hash:{self.dir}/access\n")

    def test_the_module_is_last(self) -> None:
        """Without both, the module berkeleydb reads it, if it is there."""
        self.write("access.db")
        with (
            mock.patch.dict(sys.modules, {"berkeleydb": None}),
            self.assertRaisesRegex(UnreadableMapError, r"needs makemap of sendmail, postmap .*twistedmilter\[bdb"),
        ):
            self.read("access.db")
        database = mock.Mock()
        database.items.return_value = [(b"spf-fail:a.example\0", b"OK\0"), (b"spf-none:", b"CBV")]
        db = SimpleNamespace(DB=lambda: database, DB_HASH=2, DB_RDONLY=1024, DBError=RuntimeError)
        with mock.patch.dict(sys.modules, {"berkeleydb": SimpleNamespace(db=db)}):
            self.assertEqual(self.keys("access.db"), list(self.EXPECTED))
            database.open.side_effect = RuntimeError("bad magic")
            with self.assertRaisesRegex(UnreadableMapError, "access.db: bad magic"):
                self.read("access.db")
        self.assertEqual(database.close.call_count, 2)

    def test_a_tool_that_fails(self) -> None:
        """What the tool says is told in one line, and a half map is none."""
        self.write("access.db")
        self.tool("makemap", "spf-fail:a.example\tOK\n", "makemap: error\n opening map\n", 78)
        with self.assertRaisesRegex(UnreadableMapError, "failed with 78: makemap: error opening map"):
            self.read("access.db")

    def test_no_file(self) -> None:
        """A pipe, whose reader would wait for ever, and a directory are told in our own words."""
        path = Path(self.mktemp())
        os.mkfifo(path)
        for each in (path, path.parent):
            with self.assertRaisesRegex(UnreadableMapError, "cannot be read: it is no file"):
                read_map(AccessSpec("text", each))

    def test_not_there(self) -> None:
        """A file that is not there is told by its name, whatever its kind."""
        for name in ("access", "access.db", "access.cdb"):
            with self.assertRaisesRegex(UnreadableMapError, f"{name} cannot be read: No such file"):
                self.read(name)

    def test_octets_that_are_no_text(self) -> None:
        """An octet that is not UTF-8 spoils its own line at most."""
        self.write("access", b"spf-fail:\xff.example OK\nspf-none: OK\n")
        self.assertIn("spf-none:", self.keys("access"))


class RealToolTests(AccessFilesTestCase):
    """The tools of the MTAs themselves, where they are."""

    MAP = "spf-fail:a.example OK\nspf-none:x.example CBV\n"
    EXPECTED = ("spf-fail:a.example", "spf-none:x.example")

    def make(self, name: str, program: str, *arguments: str, text: str = "") -> None:
        """Make a map with a real tool, which is then found on the path."""
        done = subprocess.run([program, *arguments], input=text, text=True, capture_output=True, check=False)
        if done.returncode:
            raise SkipTest(f"{name} cannot make a hash here: {done.stderr:.100}")
        (self.bin / name).symlink_to(program)

    def test_postmap(self) -> None:
        """A map that postmap has made is read."""
        postmap = shutil.which("postmap", path="/usr/sbin:/usr/bin")
        if postmap is None:
            raise SkipTest("Postfix is not installed")
        path = self.write("access", self.MAP)
        self.make("postmap", postmap, f"hash:{path}")
        self.assertEqual(self.keys("access.db"), list(self.EXPECTED))

    def test_makemap(self) -> None:
        """A map that makemap has made is read."""
        makemap = ROOT / "usr/libexec/sendmail/makemap"
        if not makemap.exists():
            raise SkipTest(lacking() or "there is no makemap beside it")
        with mock.patch.dict(os.environ, {"LD_LIBRARY_PATH": libraries()}):
            path = str(self.dir / "access")
            self.make("makemap", str(makemap), "-C", "/dev/null", "hash", path, text=self.MAP)
            self.assertEqual(self.keys("access.db"), list(self.EXPECTED))


class FollowTests(AccessFilesTestCase):
    """A map is read again when its file changes."""

    def setUp(self) -> None:
        """A file that was read and is followed."""
        super().setUp()
        self.path = self.write("access", "spf-fail: OK\n")
        self.reactor = ThreadlessReactor()
        access = open_access("access", self.dir, self.reactor, "test")
        assert access is not None
        self.access = access
        self.access.start()
        self.addCleanup(self.access.stop)

    def word(self) -> str:
        """What is said of a fail now."""
        entry = self.access.current().find("spf-fail", "")
        return str(entry.keyword) if entry is not None else ""

    def test_a_change_is_seen(self) -> None:
        """Within ten seconds of a change the new map is there."""
        self.assertEqual(self.word(), "OK")
        self.path.write_text("spf-fail: HOLD\n")
        self.reactor.advance(9.9)
        self.assertEqual(self.word(), "OK")
        self.reactor.advance(0.1)
        self.assertEqual(self.word(), "HOLD")

    def test_without_a_change_nothing_is_read(self) -> None:
        """A look at an unchanged file reads nothing."""
        self.reactor.advance(100)
        self.assertEqual(self.reactor.in_threads, 0)

    def test_a_file_that_cannot_be_read_keeps_the_old_map(self) -> None:
        """F01: the map stays, one error says so however long it lasts, and the next good file counts."""
        self.path.unlink()
        with capturedLogs() as events:
            for _ in range(3):
                self.reactor.advance(10)
        self.assertEqual(self.word(), "OK")
        [event] = [each for each in events if "trouble" in each]
        self.assertIn("No such file", event["trouble"])
        self.path.write_text("spf-fail: MARK\n")
        self.reactor.advance(10)
        self.assertEqual(self.word(), "MARK")

    def test_a_bad_line_is_told(self) -> None:
        """LL-09: an unknown word in a new file is logged with its line, and refuses."""
        self.path.write_text("spf-fail: PERHAPS\n")
        with capturedLogs() as events:
            self.reactor.advance(10)
        [event] = [each for each in events if "problem" in each]
        self.assertIn(f"{self.path}:1: 'spf-fail:': 'PERHAPS' is no policy word", event["problem"])
        self.assertEqual(self.word(), "REJECT")

    def test_a_change_while_it_is_read(self) -> None:
        """A file that changes under the reader is read once more."""
        held: Deferred[AccessMap] = Deferred()
        self.path.write_text("spf-fail: MARK\n")
        with mock.patch("twistedmilter.policy.followed_files.deferToThreadPool", return_value=held):
            self.reactor.advance(10)
            self.path.write_text("spf-fail: HOLD, too\n")
            self.reactor.advance(100)
            held.callback(AccessMap.parse("spf-fail: MARK\n", "access"))
        self.assertEqual(self.word(), "MARK")
        self.path.write_text("spf-fail: HOLD\n")
        self.reactor.advance(10)
        self.assertEqual(self.word(), "HOLD")

    def test_stop(self) -> None:
        """Once stopped, nothing is left to happen."""
        self.access.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_open(self) -> None:
        """Without a setting there is none; one that cannot be read names its key."""
        self.assertIsNone(open_access(" ", self.dir, self.reactor, "test"))
        error = self.assertRaises(ConfigError, open_access, "none", self.dir, self.reactor, "test")
        self.assertIn("policy.access: ", str(error))
        self.assertIsInstance(self.access, AccessFile)

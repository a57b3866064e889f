"""Tests of C{twistedmilter dsn show} (G08)."""

from __future__ import annotations

import json
from email import message_from_string
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from tests.cli.commands import CommandTestCase
from tests.contracts import NOW
from twistedmilter.interfaces.notices import NoticeState, StoredNotice
from twistedmilter.model.store_settings import StoreSettings
from twistedmilter.store.opening import make_stores
from twistedmilter.store.without_service import CallQueue
from twistedmilter.templates import NAMES


class ShowTests(CommandTestCase):
    """Prints what would be sent."""

    def test_all(self) -> None:
        """Each packaged text as a whole report, to the sender, or to postmaster@HELO (G24)."""
        for name in NAMES:
            done = self.run_command("dsn", "show", name, "--sender", "bob@example.com", "--helo", "mx.example.com")
            self.assertEqual(done.exit_code, 0, done.stderr)
            report: Any = message_from_string(done.stdout)
            self.assertEqual(report["To"], "postmaster@mx.example.com" if name == "heloerror" else "bob@example.com")
            self.assertEqual(report.get_content_type(), "multipart/report")
            self.assertIn("you@mx.example.org", report.get_payload()[0].get_payload())

    def test_site(self) -> None:
        """The text of the configuration; a wrong one is told with its key, and an unknown name with all names."""
        place = Path(self.mktemp())
        place.mkdir()
        (place / "config.toml").write_text('[dsn]\ntemplates = "texts"\n')
        (place / "texts").mkdir()
        (place / "texts" / "fail.txt").write_text("Subject: ours %(sender_domain)s\n\nbody\n")
        config = ("--config", str(place / "config.toml"))
        self.assertIn("Subject: ours example.com\n", self.run_command("dsn", "show", "fail", *config).stdout)
        done = self.run_command("dsn", "show", "nothing", *config)
        self.assertEqual(done.exit_code, 3)
        self.assertIn("there are fail, heloerror", done.stderr)
        (place / "texts" / "fail.txt").write_text("Subject: %(nothing)s\n\nbody\n")
        done = self.run_command("dsn", "show", "softfail", *config)
        self.assertEqual(done.exit_code, 3)
        self.assertIn("dsn.templates", done.stderr)


class StoredTests(CommandTestCase):
    """Shows what waits and what went out, here out of the file of a service that does not run."""

    def setUp(self) -> None:
        """A state directory with one that waits and one that was sent."""
        self.state = self.mktemp_directory()
        (self.state / "lock").touch()
        self.path = self.config(f'[server]\nstate_dir = "{self.state}"\n')
        calls = CallQueue()
        stores = make_stores(StoreSettings(), self.state, calls, lambda: NOW)
        stores.open()
        whom = ("bob@b.ex", "postmaster@b.ex")
        notice = StoredNotice("bob@b.ex", "permerror", whom, b"Subject: x\r\n\r\ntext\r\n", NOW, NOW + 1e9)
        calls.wait(stores.notices.keep_last(replace(notice, state=NoticeState.DONE, outcome="250 ok")))
        calls.wait(stores.notices.reserve(notice))
        calls.wait(stores.notices.defer("bob@b.ex", NOW, "451 later", 5))
        calls.wait(stores.close())

    def test_queue(self) -> None:
        """Without a text: whom each is for, its next try, what was said; and what went out last."""
        done = self.run_command("dsn", "show", "--config", self.path)
        self.assertEqual(done.exit_code, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual([lines[0], lines[2]], ["1 waiting", "last sent:"])
        self.assertIn("permerror to bob@b.ex, postmaster@b.ex, try 2 at 20", lines[1])
        self.assertTrue(lines[1].endswith(": 451 later"))
        self.assertTrue(lines[3].endswith(": 250 ok"))
        told = json.loads(self.run_command("dsn", "show", "--json", "--config", self.path).stdout)
        self.assertEqual(told["waiting"][0]["to"], ["bob@b.ex", "postmaster@b.ex"])

    def test_last(self) -> None:
        """The message itself, as it was sent."""
        done = self.run_command("dsn", "show", "permerror", "--last", "--config", self.path)
        self.assertTrue(done.stdout.endswith(": 250 ok\n\nSubject: x\n\ntext\n"), done.stdout)
        done = self.run_command("dsn", "show", "fail", "--last", "--config", self.path)
        self.assert_one_line(done, "no notification 'fail' was sent yet")
        self.assertEqual(self.run_command("dsn", "show", "--last", "--config", self.path).exit_code, 3)

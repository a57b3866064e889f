"""Tests of the check that knows families of throwaway names (V04; gossip-srs-dns-spec 6.3)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import make_connection, make_transaction
from tests.threads import ThreadlessReactor
from twistedmilter.interfaces.checks import IMailCheck, IRunningCheck
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.throwaway_settings import ThrowawaySettings
from twistedmilter.model.verdict import Refuse
from twistedmilter.policy.checks.throwaway import ThrowawayCheck
from twistedmilter.policy.followed_files import INTERVAL
from twistedmilter.policy.name_rules import follow_rules, read_rules

RULES = """\
serial:ded{300-399}.com :127.0.0.3:Throwaway domain $
.spam.example :127.0.0.4:
!good.spam.example
plain.example
glob:cheap-*.biz :127.0.0.5:Cheap
"""


class ThrowawayTests(SynchronousTestCase):
    """Which names are listed, and what becomes of their mail."""

    def setUp(self) -> None:
        """A directory with a zone file."""
        self.dir = Path(self.mktemp())
        self.dir.mkdir()
        self.file = self.dir / "throwaway.zone"
        self.file.write_text(RULES)
        self.told: list[str] = []
        self.reactor = ThreadlessReactor()

    def make(self, **settings: Any) -> ThrowawayCheck:
        """The check with these settings."""
        section = ThrowawaySettings(files=["throwaway.zone"], **settings)
        return ThrowawayCheck(section, follow_rules(section.files, self.dir, lambda: 1e9, self.told.append))

    def ask(self, check: ThrowawayCheck, sender: str = "<a@ded307.com>", known: str = "", **client: Any) -> str:
        """The verdict in one word; it and the transaction are kept."""
        self.transaction = make_transaction(sender, make_connection(**client))
        self.transaction.known_sender = known
        self.verdict = self.successResultOf(Deferred.fromCoroutine(check.check_mail(self.transaction)))
        return self.verdict.word if self.verdict is not None else ""

    def evidence(self) -> dict[str, str]:
        """What was recorded of the last transaction."""
        return {fact.name: fact.value for fact in self.transaction.evidence}

    def test_interface(self) -> None:
        """It is asked at MAIL, waits for nobody, and follows its files."""
        check = self.make()
        verifyObject(IMailCheck, check)
        verifyObject(IRunningCheck, check)
        self.assertTrue(check.local)

    def test_senders(self) -> None:
        """6.3: serial, suffix, exclusion, exact, glob; whatever the case, and nothing that only looks like it."""
        check = self.make()
        for sender, word in (
            ("<a@ded307.com>", "refuse"),
            ("<a@DED399.com>", "refuse"),
            ("<a@ded400.com>", ""),
            ("<a@xded304.com>", ""),
            ("<a@ded304.com.br>", ""),
            ("<a@mail.spam.example>", "refuse"),
            ("<a@good.spam.example>", ""),
            ("<a@plain.example>", "refuse"),
            ("<a@cheap-pills.biz>", "refuse"),
            ("<a@example.org>", ""),
            ("<>", ""),
            ("<a@[192.0.2.1]>", ""),
            ("<ded307.com>", ""),
        ):
            self.assertEqual(self.ask(check, sender), word, sender)

    def test_reply(self) -> None:
        """550 5.7.1 with the text of the rule, or one of ours; the record names the rule."""
        check = self.make()
        self.ask(check)
        assert isinstance(self.verdict, Refuse)
        self.assertEqual((self.verdict.code, self.verdict.status), (550, "5.7.1"))
        self.assertEqual(self.verdict.reason.code, "throwaway-name")
        self.assertEqual(self.verdict.reason.text, "Throwaway domain ded307.com")
        self.assertEqual(self.evidence(), {"listed": "sender ded307.com by throwaway.zone:1: 127.0.0.3, REJECT"})
        self.ask(check, "<a@plain.example>")
        assert self.verdict is not None
        self.assertEqual(self.verdict.reason.text, "mail from plain.example is not wanted here")

    def test_names(self) -> None:
        """HELO and PTR names are looked at if they are asked for."""
        for names, client, word in (
            (["sender"], {"helo": "ded307.com", "name": "ded307.com"}, ""),
            (["helo"], {"helo": "DED307.com."}, "refuse"),
            (["ptr"], {"name": "ded307.com"}, "refuse"),
            (["helo", "ptr"], {"helo": "[192.0.2.9]", "name": "unknown"}, ""),
        ):
            self.assertEqual(self.ask(self.make(names=names), "<a@example.org>", **client), word, names)

    def test_codes(self) -> None:
        """What a code means is the administrator's; the first entry that matches decides, the rest is nothing."""
        check = self.make(codes={"127.0.0.3": "MARK", "127.0.0.[2..4]": "HOLD"})
        for sender, word in (("<a@ded307.com>", "mark"), ("<a@plain.example>", "hold"), ("<a@cheap-x.biz>", "")):
            self.assertEqual(self.ask(check, sender), word)

    def test_who_is_judged(self) -> None:
        """Strangers; behind a relay the sender marks, since a refusal would be a bounce; clients of ours are exempt."""
        check = self.make(names=["sender", "helo"])
        for client_class, sender, word in (
            (ClientClass.EXTERNAL, "<a@ded307.com>", "refuse"),
            (ClientClass.TRUSTED_RELAY, "<a@ded307.com>", "mark"),
            (ClientClass.TRUSTED_RELAY, "<a@example.org>", ""),
            (ClientClass.INTERNAL, "<a@ded307.com>", ""),
            (ClientClass.AUTHENTICATED, "<a@ded307.com>", ""),
        ):
            self.assertEqual(self.ask(check, sender, helo="ded308.com", client_class=client_class), word, client_class)

    def test_known_senders(self) -> None:
        """F14: a known sender is spared, but not by REJECT!."""
        self.assertEqual(self.ask(self.make(), known="we wrote to it"), "")
        self.assertEqual(self.evidence()["spared"], "we wrote to it")
        self.assertEqual(self.ask(self.make(codes={"127.0.0.3": "REJECT!"}), known="we wrote to it"), "refuse")

    def test_files_are_followed(self) -> None:
        """A changed file counts within ten seconds; a bad one is told once, and the rules stay."""
        check = self.make()
        check.start(self.reactor)
        self.addCleanup(check.stop)
        self.change("ded1.example\n")
        self.reactor.advance(INTERVAL)
        self.assertEqual(self.ask(check, "<a@ded1.example>"), "refuse")
        self.assertEqual(self.ask(check), "")
        self.change("regex:ded(\n")
        for _ in range(3):
            self.reactor.advance(INTERVAL)
        self.assertEqual(self.ask(check, "<a@ded1.example>"), "refuse")
        [line] = self.told
        self.assertRegex(line, "^throwaway.zone:1.*the rules stay as they were$")
        self.assertIn("throwaway.zone:1", str(check.status()["files"]))
        self.assertEqual(check.status()["rules"], 1)
        self.assertGreater(self.reactor.in_threads, 1)

    def change(self, text: str) -> None:
        """Write the file so that it looks changed, however fast the test is."""
        self.file.write_text(text)
        seen = self.file.stat()
        os.utime(self.file, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1_000_000_000))

    def test_wrong(self) -> None:
        """A file that cannot be read, or would list the world, and codes that are none."""
        with self.assertRaisesRegex(ValueError, "none.zone cannot be read: No such file"):
            read_rules(["none.zone"], self.dir, lambda: 0.0)
        for text in (".com\n", "regex:[\n", ""):
            self.file.write_text(text)
            with self.assertRaisesRegex(ValueError, "throwaway.zone"):
                read_rules(["throwaway.zone"], self.dir, lambda: 0.0)
        self.file.write_text(RULES)
        with self.assertRaisesRegex(ValueError, "codes: '10.0.0.1' is no return code"):
            self.make(codes={"10.0.0.1": "REJECT"})

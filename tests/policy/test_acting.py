"""Tests of what a policy word makes a check do (seed-spec 3.6)."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import make_connection, make_transaction
from twistedmilter.model.settings import Settings
from twistedmilter.model.spf import SPFResult
from twistedmilter.model.transaction import Evidence, SenderInquiry, Transaction
from twistedmilter.model.verdict import Mark, Reason, Refuse, TempFail, Verdict
from twistedmilter.policy.acting import Case, Means, act, template_of
from twistedmilter.policy.keywords import Word, parse_keyword

WHY = Reason("spf-softfail", "because")
ALL = Means(callback=True, dsn=True)
NONE = Means()


class ActTests(SynchronousTestCase):
    """A word, a message, and what is switched on."""

    def act(self, word: str, means: Means = ALL, sender: str = "<bob@a.example>") -> tuple[Verdict | None, Transaction]:
        """What comes of a word of the spf check; the notification of its result is C{softfail}."""
        transaction = make_transaction(sender, make_connection(helo="Mail.A.example"))
        case = Case("spf", WHY, "softfail", "5.7.23", "4.7.24")
        return act(parse_keyword(word), transaction, case, means), transaction

    def test_verdicts(self) -> None:
        """3.6: words that ask nobody are verdicts, whatever is switched on."""
        for means in (ALL, NONE):
            for word, expected in (
                ("OK", None),
                ("MARK", Mark(WHY)),
                ("REJECT", Refuse(WHY, 550, "5.7.23")),
                ("REJECT!", Refuse(WHY, 550, "5.7.23")),
                ("BAN", Refuse(WHY, 550, "5.7.23")),
                ("TEMPFAIL", TempFail(WHY, 451, "4.7.24")),
                ("WHITELIST", None),
            ):
                verdict, transaction = self.act(word, means)
                self.assertEqual((verdict, transaction.inquiries), (expected, []), word)

    def test_inquiries(self) -> None:
        """3.6: CBV and DSN leave an inquiry and no verdict; DSN has its own notification or that of the result."""
        for word, means, template in (
            ("CBV", ALL, ""),
            ("DSN", ALL, "softfail"),
            ("DSN:ours", ALL, "ours"),
            ("DSN", Means(dsn=True), "softfail"),
            ("DSN", Means(callback=True), ""),
        ):
            verdict, transaction = self.act(word, means)
            self.assertIsNone(verdict)
            expected = SenderInquiry("spf", transaction.mail_from, WHY, template)
            self.assertEqual(transaction.inquiries, [expected], word)

    def test_without_means(self) -> None:
        """A word that would ask marks where that is off, and where the reverse-path names nobody (G01, D13)."""
        for word, means, sender in (
            ("CBV", NONE, "<bob@a.example>"),
            ("CBV", Means(dsn=True), "<bob@a.example>"),
            ("DSN", NONE, "<bob@a.example>"),
            ("CBV", ALL, "<>"),
            ("DSN", ALL, "<>"),
            ("CBV", ALL, "<bob>"),
        ):
            verdict, transaction = self.act(word, means, sender)
            self.assertEqual((verdict, transaction.inquiries), (Mark(WHY), []), (word, sender))

    def test_helo_notifications_go_to_its_postmaster(self) -> None:
        """G24: a notification whose name begins with helo is about the host, not about the sender."""
        _, transaction = self.act("DSN:heloerror")
        [inquiry] = transaction.inquiries
        self.assertEqual((inquiry.mailbox.canonical, inquiry.template), ("postmaster@mail.a.example", "heloerror"))

    def test_whitelist(self) -> None:
        """3.6: WHITELIST makes the sender a known one, and says by whom; what was known before stays."""
        _, transaction = self.act("WHITELIST")
        self.assertEqual(transaction.known_sender, "WHITELIST by the policy of spf")
        transaction.known_sender = "we wrote to bob@a.example"
        act(parse_keyword("WHITELIST"), transaction, Case("spf", WHY), ALL)
        self.assertEqual(transaction.known_sender, "we wrote to bob@a.example")
        for word in ("OK", "REJECT", "CBV"):
            self.assertEqual(self.act(word)[1].known_sender, "", word)

    def test_ban(self) -> None:
        """3.6: BAN leaves evidence for the demerits of the client; REJECT does not."""
        _, transaction = self.act("BAN")
        self.assertEqual(transaction.evidence, [Evidence("spf", "ban", "spf-softfail")])
        self.assertEqual(self.act("REJECT")[1].evidence, [])

    def test_a_check_that_observes(self) -> None:
        """What is only observed makes nobody known, and is held against nobody; the verdict is recorded."""
        observing = Means(callback=True, dsn=True, counts=False)
        verdict, transaction = self.act("BAN", observing)
        self.assertEqual((verdict, transaction.evidence), (Refuse(WHY, 550, "5.7.23"), []))
        self.assertEqual(self.act("WHITELIST", observing)[1].known_sender, "")


class MeansTests(SynchronousTestCase):
    """What is switched on."""

    def test_stock(self) -> None:
        """Nothing is sent to anybody unless the administrator asks for it."""
        self.assertEqual(Means.of(Settings()), NONE)

    def test_the_section_and_the_chain(self) -> None:
        """A section that is on counts when its check is in the chain."""
        settings = Settings()
        dsn_on = replace(settings, dsn=replace(settings.dsn, mode="observe"))
        without, with_dsn = (replace(settings.policy, checks=checks) for checks in (["spf"], ["spf", "dsn"]))
        self.assertEqual(Means.of(replace(dsn_on, policy=without)), NONE)
        self.assertEqual(Means.of(replace(dsn_on, policy=with_dsn)), Means(dsn=True))
        self.assertEqual(Means.of(replace(settings, policy=with_dsn)), NONE)

    def test_a_check_that_observes(self) -> None:
        """The mode of the check whose policy it is says whether it counts."""
        settings = Settings()
        observing = replace(settings, spf=replace(settings.spf, mode="observe"))
        for each, check, expected in ((settings, "spf", True), (observing, "spf", False), (observing, "", True)):
            self.assertEqual(Means.of(each, check).counts, expected)

    def test_possible(self) -> None:
        """DSN falls back to CBV, and CBV to MARK (G04)."""
        self.assertEqual(Means(callback=True).possible(Word.DSN), Word.CBV)
        self.assertEqual(NONE.possible(Word.DSN), Word.MARK)
        self.assertEqual(NONE.possible(Word.REJECT), Word.REJECT)

    def test_templates(self) -> None:
        """3.6: one notification for each result; a pass has none."""
        expected = {SPFResult.NONE: "strike3", SPFResult.PASS: ""}
        for result in SPFResult:
            self.assertEqual(template_of(result), expected.get(result, result.value))
            self.assertEqual(template_of(result, is_helo=True), "heloerror")

"""Tests of bounces that have to prove themselves (K03 to K10, D15, abuse cases 22, 24 and 26)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import make_connection, make_transaction
from tests.signing.test_maps import NOW, maps
from twistedmilter.interfaces.checks import IHeaderCheck, IMailCheck, IRcptCheck, IRunningCheck
from twistedmilter.model.address import parse_path
from twistedmilter.model.signing_settings import BounceSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Recipient, Transaction
from twistedmilter.model.verdict import Refuse, Verdict
from twistedmilter.policy.checks.bounce import HOSTS, BounceCheck
from twistedmilter.policy.networks import NetworkSet

MAPS = maps(legacy=False)
SIGNED = ("ses.example", "sign.example", "batv.example")


def signed(sender: str) -> str:
    """The address that a sender of ours leaves with."""
    return MAPS.answer(b"forward", sender.encode(), NOW).text.decode()


def check(**settings: object) -> BounceCheck:
    """A check of domains that sign everything."""
    section = BounceSettings(mode="enforce", **settings)  # type: ignore[arg-type]
    exempt = NetworkSet.parse(section.exempt)
    return BounceCheck(section, MAPS._rewriter, lambda: NOW, frozenset(SIGNED), exempt)


class BounceTestCase(SynchronousTestCase):
    """Plays a transaction up to the end of its headers."""

    def judge(
        self,
        asked: BounceCheck,
        sender: str,
        *recipients: str,
        client_class: ClientClass = ClientClass.EXTERNAL,
        known: str = "",
    ) -> tuple[str, str]:
        """Where it was refused, and the code of the reason; empty texts if it was not."""
        transaction = make_transaction(f"<{sender}>", make_connection("192.0.2.9", client_class=client_class))
        transaction.known_sender = known
        self.transaction = transaction
        if code := self.code(asked.check_mail(transaction)):
            return "MAIL", code
        for address in recipients:
            recipient = Recipient(parse_path(f"<{address}>"))
            transaction.recipients.append(recipient)
            verdict = self.successResultOf(Deferred.fromCoroutine(asked.check_rcpt(transaction, recipient)))
            recipient.verdict = verdict
            if isinstance(verdict, Refuse):
                return "RCPT", verdict.reason.code
        code = self.code(asked.check_headers(transaction))
        return ("HEADERS", code) if code else ("", "")

    def code(self, coroutine: object) -> str:
        """The code of a refusal; empty without one."""
        verdict: Verdict | None = self.successResultOf(Deferred.fromCoroutine(coroutine))  # type: ignore[arg-type]
        if verdict is None:
            return ""
        assert isinstance(verdict, Refuse)
        self.assertEqual((verdict.code, verdict.status), (550, "5.7.1"))
        return verdict.reason.code

    def evidence(self, transaction: Transaction) -> dict[str, str]:
        """What was noted."""
        return {each.name: each.value for each in transaction.evidence}


class SignedTests(BounceTestCase):
    """Addresses that claim a signature of ours."""

    def test_interfaces(self) -> None:
        """It speaks at three stages, without the network, and has a status."""
        for interface in (IMailCheck, IRcptCheck, IHeaderCheck, IRunningCheck):
            verifyObject(interface, check())
        self.assertTrue(check().local)

    def test_bounces_to_what_we_signed(self) -> None:
        """K04: every kind of signature is known again, and the sender behind it noted."""
        for domain in (*SIGNED, "gathman.org"):
            address = signed(f"joe@{domain}")
            self.assertEqual(self.judge(check(require_signature=True), "", address), ("", ""))
            self.assertEqual(self.evidence(self.transaction), {"signed_recipient": f"joe@{domain}"})

    def test_forged_recipients(self) -> None:
        """K05: a forged signature, an expired one and a broken one are refused at RCPT, in the same words (22)."""
        texts = set()
        for address in (
            "SES=FE68Q8Y4XOT6ZW5XZ=joe@ses.example",
            "SRS0=AAAAAAAA=G3==joe@sign.example",
            "SRS0=AAAAAAAA=G3=a.example=joe@fwd.example",
            "SRS0=AAAAAAAA@fwd.example",
            "SRS1=AAAAAAAA=a.example==joe@fwd.example",
            "prvs=0682000000=joe@batv.example",
        ):
            asked = check()
            self.assertEqual(self.judge(asked, "", address), ("RCPT", "bounce-forged"), address)
            verdict = self.transaction.recipients[0].verdict
            assert verdict is not None
            texts.add(verdict.reason.text.replace(address, "X"))
            self.assertEqual(self.judge(asked, "eve@evil.example", address), ("RCPT", "bounce-forged"))
        self.assertEqual(len(texts), 1)
        expired = BounceCheck(BounceSettings(), MAPS._rewriter, lambda: NOW + 1e7)
        self.assertEqual(self.judge(expired, "", signed("joe@ses.example")), ("RCPT", "bounce-forged"))

    def test_addresses_of_others(self) -> None:
        """What others signed is theirs to judge."""
        for address in (
            "SRS0=AAAAAAAA=G3=a.example=joe@other.example",
            "prvs=0682000000=joe@ses.example",
            "joe@x.example",
        ):
            self.assertEqual(self.judge(check(), "", address), ("", ""))

    def test_senders(self) -> None:
        """D15: a sender of ours that claims to be signed is; whose it is is noted."""
        self.assertEqual(self.judge(check(), signed("joe@ses.example"), "bob@local.example"), ("", ""))
        self.assertEqual(self.evidence(self.transaction), {"signed_sender": "joe@ses.example"})
        for sender in ("SRS0=AAAAAAAA=G3==joe@sign.example", "SES=FE68Q8Y4XOT6ZW5XZ=joe@ses.example"):
            self.assertEqual(self.judge(check(), sender, "bob@local.example"), ("MAIL", "signed-sender-forged"))

    def test_bounces_only(self) -> None:
        """Cases 24 and 26: if it is configured, nobody writes to the one behind a signed address through us."""
        address = signed("joe@gathman.org")
        asked = check(bounces_only=True, bounce_users=["Mailer-Daemon"])
        self.assertEqual(self.judge(asked, "eve@evil.example", address), ("RCPT", "signed-address-misused"))
        for sender in ("", "MAILER-DAEMON@other.example"):
            self.assertEqual(self.judge(asked, sender, address), ("", ""))
        self.assertEqual(self.judge(check(), "eve@evil.example", address), ("", ""))

    def test_our_own(self) -> None:
        """Our own clients, relays and users are not judged."""
        for client_class in (ClientClass.INTERNAL, ClientClass.TRUSTED_RELAY, ClientClass.AUTHENTICATED):
            answer = self.judge(
                check(require_signature=True),
                "",
                "SES=FE68Q8Y4XOT6ZW5XZ=joe@ses.example",
                "joe@ses.example",
                client_class=client_class,
            )
            self.assertEqual(answer, ("", ""))


class UnsignedTests(BounceTestCase):
    """Bounces to addresses without a signature."""

    def test_after_rcpt(self) -> None:
        """K06, K09: refused at the end of the headers, so that a callback that stops at RCPT hears that we exist."""
        for domain in SIGNED:
            answer = self.judge(check(require_signature=True), "", f"joe@{domain}")
            self.assertEqual(answer, ("HEADERS", "bounce-unsigned"))
        self.assertEqual(self.judge(check(), "", "joe@ses.example"), ("", ""))
        self.assertEqual(self.judge(check(require_signature=True), "", "joe@fwd.example"), ("", ""))
        self.assertEqual(self.judge(check(require_signature=True), "bob@b.example", "joe@ses.example"), ("", ""))

    def test_pseudo_bounces(self) -> None:
        """K06, K07: senders that are machines are bounces, unless they are known."""
        asked = check(require_signature=True, bounce_users=["clamav"])
        self.assertEqual(self.judge(asked, "ClamAV@b.example", "joe@ses.example"), ("HEADERS", "bounce-unsigned"))
        self.assertEqual(self.judge(asked, "ClamAV@b.example", "joe@ses.example", known="whitelist"), ("", ""))
        self.assertEqual(self.judge(asked, "", "joe@ses.example", known="whitelist")[1], "bounce-unsigned")

    def test_exempt(self) -> None:
        """K10: some hosts send bounces without knowing better."""
        asked = check(require_signature=True, exempt=["192.0.2.0/28"])
        self.assertEqual(self.judge(asked, "", "joe@ses.example"), ("", ""))

    def test_several_recipients(self) -> None:
        """K08: a bounce has one; those that the MTA refused are not counted."""
        recipients = (signed("joe@ses.example"), "bob@local.example")
        self.assertEqual(self.judge(check(), "", *recipients), ("HEADERS", "bounce-recipients"))
        self.assertEqual(self.judge(check(single_recipient=False), "", *recipients), ("", ""))
        self.assertEqual(self.judge(check(), "eve@evil.example", *recipients), ("", ""))
        self.judge(check(), "", "bob@local.example")
        self.transaction.recipients.append(Recipient(parse_path("<x@local.example>"), refused_by_mta=True))
        self.assertEqual(self.code(check().check_headers(self.transaction)), "")

    def test_nothing_signed(self) -> None:
        """Without secrets it has no opinion."""
        asked = BounceCheck(BounceSettings(require_signature=True), None, lambda: NOW, frozenset(SIGNED))
        for recipient in ("joe@ses.example", "SES=FE68Q8Y4XOT6ZW5XZ=joe@ses.example"):
            self.assertEqual(self.judge(asked, "", recipient), ("", ""))

    def test_statistics(self) -> None:
        """Who claims to be the client is counted, and of not too many."""
        asked = check()
        self.assertEqual(asked.status(), {})
        for _ in range(3):
            self.judge(asked, "", "SES=FE68Q8Y4XOT6ZW5XZ=joe@ses.example")
        self.assertEqual(asked.status(), {"refused_by_host": {"mail.example.net": 3}})
        for number in range(HOSTS + 5):
            self.transaction.connection.helo = f"host{number}.example"
            self.code(asked.check_rcpt(self.transaction, self.transaction.recipients[0]))
        self.assertEqual(len(asked._hosts), HOSTS)

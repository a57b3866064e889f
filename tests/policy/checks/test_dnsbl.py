"""Tests of the check that asks DNS lists of others (RFC 5782; competitors 63)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import FakeResolver, make_connection, make_transaction
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.checks import IMailCheck, IRunningCheck
from twistedmilter.model.dnsbl_settings import DnsblSettings, DnsListSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Refuse, Verdict
from twistedmilter.policy.acting import Means
from twistedmilter.policy.checks.dnsbl import DnsblCheck, parse_lists
from twistedmilter.policy.dns_list_health import PROBE_INTERVAL

BL, RHSBL, HELO, GOOD = "bl.example.net", "rhsbl.example.net", "helo.example.net", "good.example.net"
PROBES = (
    f"2.0.0.127.{BL} A 127.0.0.2\ntest.{RHSBL} A 127.0.0.2\ntest.{HELO} A 127.0.0.2\n2.0.0.127.{GOOD} A 127.0.0.2\n"
)
LISTED = f'9.2.0.192.{BL} A 127.0.0.2\n9.2.0.192.{BL} TXT "sent spam on Monday; see https://{BL}/9"\n'
SENDER = f'ded307.com.{RHSBL} A 127.0.0.3\nded307.com.{RHSBL} TXT "Throwaway domain ded307.com"\n'


class DnsblTestCase(SynchronousTestCase):
    """Lists and a stranger."""

    def make(self, *lists: dict[str, Any], zone: str = "", means: Means | None = None) -> DnsblCheck:
        """The check with these lists."""
        self.clock = Clock()
        self.told: list[str] = []
        self.resolver = FakeResolver(PROBES + zone)
        section = DnsblSettings(lists=[DnsListSettings(**each) for each in lists])
        return DnsblCheck(section, self.resolver, means or Means(), self.clock.seconds, self.told.append)

    def ask(self, check: DnsblCheck, sender: str = "<a@example.com>", **client: Any) -> Verdict | None:
        """The verdict; the transaction is kept."""
        self.transaction = make_transaction(sender, make_connection(**client))
        return self.successResultOf(Deferred.fromCoroutine(check.check_mail(self.transaction)))

    def words(self, check: DnsblCheck, sender: str = "<a@example.com>", **client: Any) -> str:
        """The verdict in one word."""
        verdict = self.ask(check, sender, **client)
        return verdict.word if verdict is not None else ""

    def evidence(self, transaction: Transaction | None = None) -> dict[str, str]:
        """What was recorded."""
        return {fact.name: fact.value for fact in (transaction or self.transaction).evidence}


class ListedTests(DnsblTestCase):
    """What a listing leads to."""

    def test_interface(self) -> None:
        """It is asked at MAIL, and has something to do between messages."""
        check = self.make({"zone": BL})
        verifyObject(IMailCheck, check)
        verifyObject(IRunningCheck, check)
        self.assertFalse(check.local)

    def test_client(self) -> None:
        """550 5.7.1 with who lists what, and the list's own words as its own."""
        verdict = self.ask(self.make({"zone": BL}, zone=LISTED))
        assert isinstance(verdict, Refuse)
        self.assertEqual((verdict.code, verdict.status, verdict.reason.code), (550, "5.7.1", "dnsbl-listed"))
        self.assertEqual(verdict.reason.text, f"192.0.2.9 is listed by {BL}")
        self.assertEqual(verdict.reason.details, (f"{BL} says: sent spam on Monday; see https://{BL}/9",))
        self.assertEqual(
            self.evidence()["listed"], f"192.0.2.9 by {BL}: 127.0.0.2, REJECT: sent spam on Monday; see https://{BL}/9"
        )

    def test_not_listed(self) -> None:
        """Nothing is said, recorded or asked beyond the address."""
        self.assertIsNone(self.ask(self.make({"zone": BL})))
        self.assertEqual(self.resolver.asked[2:], [f"A 9.2.0.192.{BL}"])
        self.assertEqual(self.evidence(), {})

    def test_ipv6(self) -> None:
        """RFC 5782 section 2.4: nibbles."""
        nibbles = "1." + "0." * 23 + "8.b.d.0.1.0.0.2"
        check = self.make({"zone": BL}, zone=f"{nibbles}.{BL} A 127.0.0.2\n")
        self.assertEqual(self.words(check, ip="2001:db8::1"), "refuse")
        self.assertEqual(self.words(check, ip="2001:db8::2"), "")
        self.assertEqual(self.words(check, ip="::ffff:192.0.2.9"), "")
        self.assertEqual(self.resolver.asked[-1], f"A 9.2.0.192.{BL}")

    def test_sender_and_helo(self) -> None:
        """Lists of domains are asked about the sender's, those of HELO names about that."""
        rhsbl = {"zone": RHSBL, "kind": "sender", "codes": {"127.0.0.[2..5]": "REJECT"}}
        check = self.make(rhsbl, {"zone": HELO, "kind": "helo"}, zone=f"{SENDER}bad.example.{HELO} A 127.0.0.2\n")
        verdict = self.ask(check, "<a@DED307.com>")
        assert verdict is not None
        self.assertEqual(
            (verdict.reason.text, *verdict.reason.details),
            (f"ded307.com is listed by {RHSBL}", f"{RHSBL} says: Throwaway domain ded307.com"),
        )
        self.assertEqual(self.words(check, "<a@example.org>"), "")
        self.assertEqual(self.words(check, "<>", helo="bad.example"), "refuse")
        self.assertEqual(self.words(check, "<>", helo="good.example"), "")

    def test_test_entries_meet_nobody(self) -> None:
        """127.0.0.2 and the name TEST are listed by every list: neither loopback nor one label is asked about."""
        check = self.make({"zone": BL}, {"zone": RHSBL, "kind": "sender"}, {"zone": HELO, "kind": "helo"})
        self.assertEqual(self.words(check, "<a@test>", ip="127.0.0.2", helo="test"), "")
        self.assertEqual(self.words(check, "<a@test>", helo="test"), "")
        self.assertEqual(self.words(check, "<a@[127.0.0.2]>", helo="[127.0.0.2]"), "")

    def test_words(self) -> None:
        """What a code means is the administrator's; one that no entry names is recorded, and counted."""
        zone = "".join(f"{n}.2.0.192.{BL} A 127.0.0.{n}\n" for n in (2, 4, 5, 6, 9))
        codes = {"127.0.0.2": 'ERROR:"554 5.7.1 no"', "127.0.0.4": "MARK", "127.0.0.5": "HOLD", "127.0.0.6": "TEMPFAIL"}
        check = self.make({"zone": BL, "codes": codes}, zone=zone)
        for last, word in ((2, "refuse"), (4, "mark"), (5, "hold"), (6, "tempfail"), (9, "")):
            self.assertEqual(self.words(check, ip=f"192.0.2.{last}"), word)
        self.assertEqual(self.evidence(), {"unknown_code": f"192.0.2.9 by {BL}: 127.0.0.9"})
        self.assertEqual(check.status()[f"{BL} (client)"]["unknown_codes"], 1)  # type: ignore[index]

    def test_the_first_that_decides(self) -> None:
        """A list that marks does not hide one that refuses, wherever it stands."""
        marks = {"zone": BL, "codes": {"127.0.0.2": "MARK"}}
        check = self.make(
            marks, {"zone": RHSBL, "kind": "sender", "codes": {"127.0.0.3": "REJECT"}}, zone=LISTED + SENDER
        )
        self.assertEqual(self.words(check, "<a@example.com>"), "mark")
        self.assertEqual(self.words(check, "<a@ded307.com>"), "refuse")

    def test_known_senders(self) -> None:
        """F14: a known sender is spared, but not by REJECT!; a list of good ones makes the sender known."""
        for word, expected in (("REJECT", ""), ("MARK", ""), ("REJECT!", "refuse")):
            good = {"zone": GOOD, "codes": {"127.0.10.0/24": "WHITELIST"}}
            check = self.make(
                {"zone": BL, "codes": {"127.0.0.2": word}}, good, zone=f"{LISTED}9.2.0.192.{GOOD} A 127.0.10.3\n"
            )
            self.assertEqual(self.words(check), expected, word)
            self.assertEqual(self.transaction.known_sender, "WHITELIST by the policy of dnsbl")
        self.assertNotIn("spared", self.evidence())


class NotAskedTests(DnsblTestCase):
    """Who is never asked about, and which lists never are."""

    def test_ours(self) -> None:
        """Trusted relays, our own clients and authenticated ones cost no question."""
        check = self.make({"zone": BL}, {"zone": RHSBL, "kind": "sender"}, zone=LISTED + SENDER)
        for client_class in set(ClientClass) - {ClientClass.EXTERNAL}:
            self.assertEqual(self.words(check, "<a@ded307.com>", client_class=client_class), "")
        self.assertEqual(self.words(check, "<>", ip=None, helo=""), "")
        self.assertEqual(self.resolver.asked, [])

    def test_a_list_that_blocks_us(self) -> None:
        """63: 127.255.255.254 for everything refuses nobody, is alarmed once, and is in the record and the status."""
        check = self.make({"zone": "x.example.net"}, zone="*.x.example.net A 127.255.255.254\n")
        for _ in range(3):
            self.assertEqual(self.words(check), "")
        self.assertEqual(len(self.told), 1)
        self.assertRegex(self.evidence()["not_used"], "^x.example.net: it answers 127.255.255.254")
        status = check.status()["x.example.net (client)"]
        self.assertEqual((status["state"], status["asked"]), ("not used", 0))  # type: ignore[index]

    def test_no_answer(self) -> None:
        """A list that is silent is no reason to refuse: the check could not answer, unless another list did."""
        check = self.make({"zone": BL}, zone=f"9.2.0.192.{BL} A TIMEOUT\n")
        transaction = make_transaction()
        failure = self.failureResultOf(Deferred.fromCoroutine(check.check_mail(transaction)), TemporaryFailure)
        self.assertIn(f"{BL}: TIMEOUT", failure.getErrorMessage())
        self.assertEqual(list(self.evidence(transaction)), ["no_answer"])
        rhsbl = {"zone": RHSBL, "kind": "sender", "codes": {"127.0.0.3": "REJECT"}}
        check = self.make({"zone": BL}, rhsbl, zone=f"9.2.0.192.{BL} A TIMEOUT\n{SENDER}")
        self.assertEqual(self.words(check, "<a@ded307.com>"), "refuse")

    def test_no_text(self) -> None:
        """The reason is refused without the list's words when they cannot be had."""
        for text in (f"9.2.0.192.{BL} TXT SERVFAIL\n", ""):
            verdict = self.ask(self.make({"zone": BL}, zone=f"9.2.0.192.{BL} A 127.0.0.2\n{text}"))
            assert verdict is not None
            self.assertEqual(verdict.reason.details, ())

    def test_the_client_goes_away(self) -> None:
        """Cancelling ends every lookup; the next client is answered."""
        check = self.make({"zone": BL}, {"zone": RHSBL, "kind": "sender"}, zone=LISTED)
        self.words(check)
        self.resolver.holding = True
        gone = Deferred.fromCoroutine(check.check_mail(make_transaction()))
        self.assertEqual(self.resolver.waiting, 2)
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.assertEqual(self.resolver.waiting, 0)

    def test_a_bug(self) -> None:
        """A fault of our own comes out as it is."""
        check = self.make({"zone": BL}, zone=LISTED)

        async def fail(_name: str) -> str:
            raise RuntimeError("bug")

        self.patch(check, "_text", fail)
        self.failureResultOf(Deferred.fromCoroutine(check.check_mail(make_transaction())), RuntimeError)


class RunningTests(DnsblTestCase):
    """Between messages."""

    def test_probes(self) -> None:
        """At the start and each hour, without any message; not after the end."""
        check = self.make({"zone": BL}, {"zone": RHSBL, "kind": "sender"})
        check.start(self.clock)
        self.assertEqual(len(self.resolver.asked), 4)
        self.clock.pump([60.0] * int(PROBE_INTERVAL / 60))
        self.assertEqual(len(self.resolver.asked), 8)
        check.stop()
        check.stop()
        self.clock.pump([PROBE_INTERVAL] * 2)
        self.assertEqual(len(self.resolver.asked), 8)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_wrong_lists(self) -> None:
        """The entry is named."""
        pairs: list[tuple[list[dict[str, Any]], str]] = [
            ([{"zone": BL}, {"zone": "x"}], r"lists\[1\]: 'x' is no domain"),
            ([{"zone": BL}, {"zone": BL.upper()}], r"lists\[1\]: bl.example.net stands there twice"),
        ]
        for lists, wrong in pairs:
            with self.assertRaisesRegex(ValueError, wrong):
                parse_lists(DnsblSettings(lists=[DnsListSettings(**each) for each in lists]))
        parse_lists(DnsblSettings(lists=[DnsListSettings(zone=BL), DnsListSettings(zone=BL, kind="helo")]))

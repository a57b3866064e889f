"""Tests of the HELO name (C01 to C05)."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.fakes import make_connection, make_transaction
from twistedmilter.interfaces.checks import IHeloCheck, IMailCheck
from twistedmilter.model.check_settings import HeloSettings
from twistedmilter.model.stage import ClientClass
from twistedmilter.model.verdict import Refuse, Verdict
from twistedmilter.policy.checks.helo import HeloCheck, is_bare_address

OURS = (ClientClass.INTERNAL, ClientClass.TRUSTED_RELAY, ClientClass.AUTHENTICATED)


class HeloCheckTests(SynchronousTestCase):
    """Whose HELO is refused, and why."""

    check = HeloCheck(HeloSettings(our_names=["example.org", ".intern.example.org", "bücher.example"]))

    def helo(self, helo: str, client_class: ClientClass = ClientClass.EXTERNAL) -> Verdict | None:
        """The verdict on one HELO name."""
        connection = make_connection(helo=helo, client_class=client_class)
        return self.successResultOf(Deferred.fromCoroutine(self.check.check_helo(connection)))

    def mail(self, helo: str, client_class: ClientClass = ClientClass.EXTERNAL) -> Verdict | None:
        """The verdict on MAIL after this HELO name; empty for none."""
        transaction = make_transaction(connection=make_connection(helo=helo, client_class=client_class))
        return self.successResultOf(Deferred.fromCoroutine(self.check.check_mail(transaction)))

    def assertRefused(self, verdict: Verdict | None, code: str) -> None:
        """It is 550 5.7.1 with this reason (seed-spec 8.2)."""
        assert isinstance(verdict, Refuse)
        self.assertEqual((verdict.reason.code, verdict.code, verdict.status), (code, 550, "5.7.1"))

    def test_interfaces(self) -> None:
        """It is asked at HELO and at MAIL."""
        verifyObject(IHeloCheck, self.check)
        verifyObject(IMailCheck, self.check)

    def test_bare_address(self) -> None:
        """C02: a real quad is an address, octets 0 to 255 (LL-22); brackets make a literal of it."""
        for helo in ("10.0.0.1", "192.0.2.9", "0.0.0.0", "255.255.255.255", "192.0.2.9.", "2001:db8::1"):
            self.assertTrue(is_bare_address(helo), helo)
        for helo in (
            "999.1.1.1",
            "1.2.3",
            "1.2.3.4.5",
            "[192.0.2.9]",
            "[IPv6:2001:db8::1]",
            "a1.2.3.4",
            "1.2.3.4.example",
            ":",
            "",
            "\u0661.2.3.4",
        ):
            self.assertFalse(is_bare_address(helo), helo)

    def test_numeric(self) -> None:
        """C02: a stranger with a bare address is refused; the reply quotes it."""
        self.assertRefused(self.helo("10.0.0.1"), "helo-numeric")
        verdict = self.helo("10.0.0.1")
        assert verdict is not None
        self.assertIn("[10.0.0.1]", verdict.reason.text)

    def test_numeric_from_inside(self) -> None:
        """C03: broken copiers of ours may say their address."""
        self.assertEqual([self.helo("10.0.0.1", each) for each in OURS], [None] * 3)

    def test_numeric_switched_off(self) -> None:
        """The administrator may let addresses pass."""
        check = HeloCheck(HeloSettings(refuse_numeric=False))
        connection = make_connection(helo="10.0.0.1")
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(check.check_helo(connection))))

    def test_own_name(self) -> None:
        """C04: a stranger may not use a name of ours, in any case, with any spelling."""
        for helo in (
            "example.org",
            "EXAMPLE.org",
            "example.org.",
            "mx.example.org",
            "MX.Example.Org",
            "pc7.intern.example.org",
            "a.b.intern.example.org",
            "xn--bcher-kva.example",
        ):
            self.assertRefused(self.helo(helo), "helo-own-name")

    def test_other_names(self) -> None:
        """C04: the name is compared whole."""
        for helo in (
            "mail.example.net",
            "www.example.org",
            "intern.example.org",
            "xexample.org",
            "example.org.example.net",
            "localhost",
            "\udcff",
        ):
            self.assertIsNone(self.helo(helo), helo)

    def test_own_name_from_inside(self) -> None:
        """C04: our own machines, relays and users may use our names."""
        self.assertEqual([self.helo("mx.example.org", each) for each in OURS], [None] * 3)

    def test_missing(self) -> None:
        """C05: MAIL without HELO is refused."""
        self.assertRefused(self.mail(""), "helo-missing")
        self.assertIsNone(self.mail("mail.example.net"))
        self.assertEqual([self.mail("", each) for each in OURS], [None] * 3)

    def test_missing_is_allowed(self) -> None:
        """C05: require = false lets it pass."""
        check = HeloCheck(HeloSettings(require=False))
        transaction = make_transaction(connection=make_connection(helo=""))
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(check.check_mail(transaction))))

    def test_unknown_own_name_matches_nobody(self) -> None:
        """An MTA that does not tell its name makes no empty name ours (LL-10)."""
        check = HeloCheck(HeloSettings(our_names=["", " "]))
        connection = make_connection(helo="")
        connection.own_name = ""
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(check.check_helo(connection))))

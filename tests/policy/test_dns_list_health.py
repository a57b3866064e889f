"""Tests of whether a DNS list can be believed (RFC 5782 section 5)."""

from __future__ import annotations

from dns.rdatatype import RdataType
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeResolver
from tests.zonetext import Zone
from twistedmilter.errors import TemporaryFailure
from twistedmilter.model.dnsbl_settings import DnsListSettings
from twistedmilter.policy.dns_list_health import MAX_FAILURES, PROBE_INTERVAL, RETRY, ListHealth
from twistedmilter.policy.dns_lists import DnsList

GOOD = "2.0.0.127.bl.example.net A 127.0.0.2\n9.2.0.192.bl.example.net A 127.0.0.4"
WORLD = "*.bl.example.net A 127.0.0.2"
LISTED = "9.2.0.192.bl.example.net"


class ListHealthTests(SynchronousTestCase):
    """One list of addresses, and a clock."""

    def setUp(self) -> None:
        """Nothing is known of the list."""
        self.now = 1000.0
        self.told: list[str] = []
        self.resolver = FakeResolver(GOOD)
        dns_list = DnsList.parse(DnsListSettings(zone="bl.example.net"))
        self.health = ListHealth(dns_list, self.resolver, lambda: self.now, self.told.append)

    def zone(self, text: str) -> None:
        """The list changes."""
        self.resolver.zone = Zone.parse(text)

    def is_usable(self) -> bool:
        """Whether it may be asked now."""
        return self.successResultOf(Deferred.fromCoroutine(self.health.is_usable()))

    def ask(self) -> list[str]:
        """The codes of an entry."""
        return [str(code) for code in self.successResultOf(Deferred.fromCoroutine(self.health.ask(LISTED)))]

    def fails(self) -> None:
        """A lookup of an entry that is not answered."""
        self.failureResultOf(Deferred.fromCoroutine(self.health.ask(LISTED)), TemporaryFailure)

    def test_good(self) -> None:
        """127.0.0.2 is listed and 127.0.0.1 is not: it is used, and probed again after an hour, not before."""
        self.assertTrue(self.is_usable())
        self.assertEqual(self.resolver.asked, ["A 2.0.0.127.bl.example.net", "A 1.0.0.127.bl.example.net"])
        self.now += PROBE_INTERVAL - 1
        self.assertTrue(self.is_usable())
        self.assertEqual(len(self.resolver.asked), 2)
        self.now += 1
        self.health.refresh()
        self.assertEqual(len(self.resolver.asked), 4)
        self.assertEqual((self.ask(), self.told), (["127.0.0.4"], []))

    def test_bad(self) -> None:
        """What lists the world, nothing, an error or a foreign address is not used, and is alarmed once."""
        for text, wrong in (
            ("", "it does not list 2.0.0.127.bl.example.net"),
            (WORLD, "it lists 1.0.0.127.bl.example.net"),
            ("*.bl.example.net A 127.255.255.254", "it answers 127.255.255.254"),
            ("2.0.0.127.bl.example.net A 198.51.100.7", "it answers 198.51.100.7"),
            ("2.0.0.127.bl.example.net A SERVFAIL", "its probe cannot be looked up"),
        ):
            self.setUp()
            self.zone(text)
            self.assertFalse(self.is_usable(), text)
            self.now += PROBE_INTERVAL
            self.assertFalse(self.is_usable(), text)
            [line] = self.told
            self.assertIn(f"bl.example.net is not used: {wrong}", line)
            self.assertIn(wrong, str(self.health.status()["problem"]))

    def test_comes_back(self) -> None:
        """A list that did not answer is probed after five minutes; that it is used again is told once."""
        self.zone("2.0.0.127.bl.example.net A TIMEOUT")
        self.assertFalse(self.is_usable())
        self.zone(GOOD)
        self.assertFalse(self.is_usable())
        self.now += RETRY
        self.health.refresh()
        self.assertTrue(self.is_usable())
        self.assertEqual(self.told[1:], ["bl.example.net is used again"])
        self.assertEqual(self.health.status()["state"], "used")
        self.assertNotIn("problem", self.health.status())

    def test_an_error_is_no_listing(self) -> None:
        """63: 127.255.255.254 for a client lists nobody, and stops the use of the list."""
        self.assertTrue(self.is_usable())
        self.zone(f"2.0.0.127.bl.example.net A 127.0.0.2\n{LISTED} A 127.255.255.254\n{LISTED} A 127.0.0.2")
        self.assertEqual(self.ask(), [])
        self.assertFalse(self.is_usable())
        self.assertEqual(len(self.told), 1)

    def test_silence(self) -> None:
        """A list that has stopped to answer delays five messages, not all of them."""
        self.assertTrue(self.is_usable())
        self.zone(f"{LISTED} A TIMEOUT")
        for _ in range(MAX_FAILURES):
            self.assertTrue(self.is_usable())
            self.fails()
        self.assertFalse(self.is_usable())
        self.assertIn("5 lookups in a row failed", self.told[0])

    def test_one_failure_is_forgotten(self) -> None:
        """Only failures in a row count."""
        self.assertTrue(self.is_usable())
        for _ in range(MAX_FAILURES):
            self.zone(f"{LISTED} A TIMEOUT")
            self.fails()
            self.zone(GOOD)
            self.ask()
        self.assertTrue(self.is_usable())
        self.assertEqual(self.health.status()["failed"], MAX_FAILURES)

    def test_all_wait_for_one_probe(self) -> None:
        """Whoever asks first waits; one who goes away takes nobody along."""
        self.resolver.holding = True
        asking = [Deferred.fromCoroutine(self.health.is_usable()) for _ in range(3)]
        asking[0].cancel()
        self.failureResultOf(asking[0])
        for _ in range(2):
            self.resolver.release()
        self.assertEqual([self.successResultOf(each) for each in asking[1:]], [True, True])
        self.assertEqual(len(self.resolver.asked), 2)

    def test_a_probe_that_is_given_up(self) -> None:
        """At the end of the service nothing is alarmed, and nobody waits any more."""
        self.resolver.holding = True
        asking = Deferred.fromCoroutine(self.health.is_usable())
        self.health.stop()
        self.assertFalse(self.successResultOf(asking))
        self.assertEqual(self.told, [])

    def test_a_bug(self) -> None:
        """A fault of our own stops the use of the list, and is logged."""

        async def fail(_name: str, _rdtype: RdataType) -> None:
            raise RuntimeError("bug")

        self.patch(self.resolver, "lookup", fail)
        self.assertFalse(self.is_usable())
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

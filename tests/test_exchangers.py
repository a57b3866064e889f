"""Tests of the walk from a domain to the addresses that take its mail."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeResolver
from twistedmilter.errors import TemporaryFailure
from twistedmilter.exchangers import MAX_ADDRESSES, Guard, Route, find_route

ZONE = """
    example.com        MX    20 backup.example.com
    example.com        MX    10 a.example.com
    example.com        MX    10 b.example.com
    a.example.com      A     8.8.8.1
    a.example.com      AAAA  2a00:1450::1
    b.example.com      A     8.8.8.2
    backup.example.com A     8.8.8.3
    implicit.example   A     8.8.8.4
    null.example       MX    0 .
    null.example       A     8.8.8.5
    mixed.example      MX    0 .
    mixed.example      MX    5 b.example.com
    odd.example        MX    5 a\\000b.example
    nowhere.example    MX    5 missing.example
    loop.example       MX    5 localhost.example
    localhost.example  A     127.0.0.1
    ours.example       MX    5 mx.example.org
    mx.example.org     A     8.8.4.4
    broken.example     MX    SERVFAIL
    half.example       MX    5 dead.example
    half.example       MX    9 b.example.com
    dead.example       A     TIMEOUT
    dead.example       AAAA  TIMEOUT
    dead-mx.example    MX    5 dead.example
"""
OURS = Guard(frozenset({"mx.example.org"}), frozenset({ip_address("8.8.4.9")}))


class RouteTests(SynchronousTestCase):
    """RFC 5321 section 5.1, RFC 7505 and the guard."""

    def route(
        self, domain: str, guard: Guard = OURS, chance: Callable[[], float] = lambda: 0.5, zone: str = ZONE
    ) -> Route:
        """The route for a domain."""
        found: Route = self.successResultOf(
            Deferred.fromCoroutine(find_route(FakeResolver(zone), domain, guard, chance))
        )
        return found

    def names(self, route: Route) -> list[str]:
        """The addresses of a route."""
        return [str(target.ip) for target in route.targets]

    def test_preference(self) -> None:
        """G09: the smallest preference first, IPv6 and IPv4 of each."""
        self.assertEqual(self.names(self.route("example.com")), ["2a00:1450::1", "8.8.8.1", "8.8.8.2", "8.8.8.3"])

    def test_equals_by_chance(self) -> None:
        """Chance orders those of equal preference only."""
        numbers = iter([0.0, 0.9, 0.1])  # of the three records, in the order of the answer
        orders = {tuple(self.names(self.route("example.com", chance=lambda: next(numbers))))}
        numbers = iter([0.0, 0.1, 0.9])
        orders.add(tuple(self.names(self.route("example.com", chance=lambda: next(numbers)))))
        self.assertEqual({order[-1] for order in orders}, {"8.8.8.3"})
        self.assertEqual(len(orders), 2)

    def test_implicit(self) -> None:
        """G09: without MX the domain itself takes its mail."""
        self.assertEqual(self.names(self.route("implicit.example")), ["8.8.8.4"])

    def test_null_mx(self) -> None:
        """LL-04: a null MX takes no mail, whatever address the domain has; among others it is left out."""
        self.assertEqual(self.route("null.example"), Route(takes_no_mail="it publishes a null MX"))
        self.assertEqual(self.names(self.route("mixed.example")), ["8.8.8.2"])
        self.assertEqual(self.route("odd.example"), Route(takes_no_mail="its MX records name no proper host"))

    def test_nothing(self) -> None:
        """A domain that does not exist, and exchangers without address, take no mail."""
        for domain in ("nowhere.example", "absent.example"):
            self.assertIn("has an address", self.route(domain).takes_no_mail)

    def test_trouble(self) -> None:
        """The DNS that fails is nobody's fault; one exchanger that answers is enough."""
        for domain in ("broken.example", "dead-mx.example"):
            coroutine = find_route(FakeResolver(ZONE), domain, OURS, lambda: 0.5)
            self.failureResultOf(Deferred.fromCoroutine(coroutine), TemporaryFailure)
        self.assertEqual(self.names(self.route("half.example")), ["8.8.8.2"])

    def test_leads_to_us(self) -> None:
        """LL-05: our name is not called."""
        route = self.route("ours.example")
        self.assertEqual((route.targets, route.refused), ((), ("mx.example.org [8.8.4.4] is ourselves",)))

    def test_private(self) -> None:
        """C1: an exchanger on loopback is not called, unless permitted."""
        route = self.route("loop.example")
        self.assertEqual(
            (route.targets, route.refused), ((), ("localhost.example [127.0.0.1] is not a public address",))
        )
        self.assertEqual(self.names(self.route("loop.example", Guard(permit_private=True))), ["127.0.0.1"])

    def test_own_domains(self) -> None:
        """G12: a name with a leading dot stands for all below it, and not for itself."""
        ours = Guard(frozenset({".example.com"}))
        self.assertEqual(self.route("example.com", ours).targets, ())
        self.assertEqual(
            self.names(self.route("implicit.example", Guard(frozenset({".implicit.example"})))), ["8.8.8.4"]
        )

    def test_literals(self) -> None:
        """C1: no class of addresses that is not the internet's is called, in whatever form; others are."""
        for text in (
            *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
            *("224.0.0.1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "8.8.4.9"),
            *("ipv6:::1", "ipv6:::", "ipv6:fe80::1", "ipv6:fc00::1", "ipv6:ff02::1", "ipv6:2001:db8::1"),
            *("ipv6:fec0::1", "ipv6:::7f00:1", "ipv6:64:ff9b:1::7f00:1"),
            *("ipv6:::ffff:127.0.0.1", "ipv6:2002:7f00:1::1", "ipv6:64:ff9b::7f00:1", "ipv6:64:ff9b::808:409"),
        ):
            route = self.route(f"[{text}]")
            self.assertEqual((route.targets, len(route.refused)), ((), 1), text)
        self.assertEqual(self.names(self.route("[8.8.8.8]")), ["8.8.8.8"])
        self.assertNotEqual(self.route("[junk]").takes_no_mail, "")

    def test_many(self) -> None:
        """C2: of 200 exchangers a few are looked up and fewer called."""
        zone = "\n".join(f"many.example MX {n} m{n}.example\nm{n}.example A 8.8.8.{n}" for n in range(1, 201))
        self.assertEqual(len(self.route("many.example", zone=zone).targets), MAX_ADDRESSES)

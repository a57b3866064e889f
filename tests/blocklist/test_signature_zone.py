"""Which signed local parts are valid, by name, and what it costs to guess (spec 6.5, abuse cases 22, 44)."""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from twistedmilter.blocklist.signature_zone import (
    Limits,
    SignatureZone,
    local_part_of,
    may_be_part_of_a_signature,
)
from twistedmilter.interfaces.signatures import ISignatureVerifier
from twistedmilter.wire.dns_question import Labels

SIGNED = "ses=fe68q8y4xot6zw5xz=mickey"
NOW = 1_700_000_000.0
RESOLVER = b"\xc0\0\x02"


@implementer(ISignatureVerifier)
@dataclass
class TestVerifier:
    """Knows some signatures by heart.

    @ivar asked: what it was asked, in order.
    """

    valid: dict[str, float] = field(default_factory=lambda: {SIGNED: NOW + 86_400.0})
    domain: str = "mouse.com"
    asked: list[str] = field(default_factory=list)

    def valid_until(self, local_part: str, domain: str, now: float) -> float | None:
        """As its table says."""
        self.asked.append(local_part)
        return self.valid.get(local_part.lower()) if domain == self.domain else None


def labels(text: str) -> Labels:
    """The labels of a name."""
    return tuple(text.lower().encode().split(b"."))


class LocalPartTests(SynchronousTestCase):
    """From a name to a local part."""

    def test_the_table_of_macros(self) -> None:
        """6.5: how SPF macros write one address, and what we make of it."""
        for name, expected in {
            "SES=FE68Q8Y4XOT6ZW5XZ=mickey": SIGNED,
            "SES.FE68Q8Y4XOT6ZW5XZ.mickey": SIGNED,
            "mickey.FE68Q8Y4XOT6ZW5XZ.SES": None,
            "FE68Q8Y4XOT6ZW5XZ.mickey": None,
            "SES%3DFE68Q8Y4XOT6ZW5XZ%3Dmickey": None,
            "3.2.0.192.in-addr.SES.FE68Q8Y4XOT6ZW5XZ.mickey": None,
            "SES=FE68Q8Y4XOT6ZW5XZ=john.doe": "ses=fe68q8y4xot6zw5xz=john.doe",
            "SES.FE68Q8Y4XOT6ZW5XZ.john.doe": "ses=fe68q8y4xot6zw5xz=john.doe",
            "SRS0=Zrsc7fdF=G3==alice": "srs0=zrsc7fdf=g3==alice",
            "prvs=0123abcdef=joe": "prvs=0123abcdef=joe",
            "ses.short.mickey": None,
            "mickey": None,
        }.items():
            with self.subTest(name):
                self.assertEqual(local_part_of(labels(name)), expected)

    def test_what_is_no_local_part(self) -> None:
        """38: one label with a dot in it; odd octets; more than 64 of them; none at all."""
        for odd in (
            (b"ses=a=john.doe",),
            (b"ses=a=b\0",),
            (b"ses=\xc3=b",),
            (b"ses=a=b c",),
            (b"ses=" + b"a" * 61,),
            (),
        ):
            with self.subTest(odd):
                self.assertIsNone(local_part_of(odd))

    def test_names_on_the_way(self) -> None:
        """40: C{doe} and C{mickey} may stand above a signature, C{ses=...} may not."""
        for name, expected in (
            ("doe", True),
            ("fe68q8y4xot6zw5xz.mickey", True),
            ("ses.a.b", False),
            ("x.ses=a=b", False),
        ):
            with self.subTest(name):
                self.assertEqual(may_be_part_of_a_signature(labels(name)), expected)


class SignatureZoneTests(SynchronousTestCase):
    """Validity and budgets."""

    def setUp(self) -> None:
        """A zone with small limits."""
        self.verifier = TestVerifier()
        self.alarms: list[str] = []
        limits = Limits(failures=3, all_failures=5, lookups=4, networks=2, remembered=100)
        self.zone = SignatureZone("mouse.com", self.verifier, self.alarms.append, limits)

    def ask(
        self, name: str = SIGNED, network: bytes = RESOLVER, seconds: float = 100.0, now: float = NOW
    ) -> int | None:
        """One question."""
        return self.zone.time_to_live(labels(name), network, seconds=seconds, now=now)

    def test_time_to_live(self) -> None:
        """At most 60 s, and no longer than the signature."""
        self.assertEqual(self.ask(), 60)
        self.assertEqual(self.ask(now=NOW + 86_390.5), 9)
        self.assertIsNone(self.ask(now=NOW + 86_400))

    def test_forged(self) -> None:
        """Anything else is not valid."""
        self.assertIsNone(self.ask("ses=fe68q8y4xot6zw5xa=mickey"))
        self.assertIsNone(self.ask("mickey"))

    def test_the_budget_of_a_network(self) -> None:
        """After three failures in a minute it gets no more answers, and others do."""
        for number in range(5):
            self.ask(f"ses=guess{number}=mickey")
        self.assertEqual(len(self.verifier.asked), 3)
        self.assertIsNone(self.ask())
        self.assertEqual(self.ask(network=b"\1\2\3"), 60)
        self.assertEqual(self.ask(seconds=160.0), 60)

    def test_the_budget_of_all(self) -> None:
        """Many networks do not help, and our own resolvers are not concerned."""
        for number in range(9):
            self.ask("ses=guess=mickey", network=bytes([number]))
        self.assertEqual(len(self.verifier.asked), 5)
        self.assertIsNone(self.ask(network=b"\xff"))
        self.assertEqual(self.ask(network=b""), 60)

    def test_a_signature_that_everybody_has(self) -> None:
        """44: a few lookups too many, and it is not valid any more; that is told once, without the address."""
        self.assertEqual([self.ask() for _ in range(7)], [60] * 4 + [None] * 3)
        self.assertEqual(len(self.alarms), 1)
        self.assertNotIn("mickey", self.alarms[0])

    def test_too_many_networks(self) -> None:
        """44: the same for networks."""
        self.assertEqual([self.ask(network=bytes([number])) for number in range(4)], [60, 60, None, None])
        self.assertIsNone(self.ask(network=b"\0"))

    def test_memory_is_bounded(self) -> None:
        """Only valid signatures are remembered, and not more than were agreed."""
        for number in range(1000):
            self.verifier.valid[f"ses=a{number}=b"] = NOW + 10
            self.ask(f"ses=a{number}=b")
        self.assertLessEqual(len(self.zone._uses) + len(self.zone._older_uses), 100)

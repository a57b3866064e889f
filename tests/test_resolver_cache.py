"""Tests of what the resolver remembers, and of whom it asks."""

from __future__ import annotations

import dns.rdata
from dns.rdatatype import RdataType
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.errors import ConfigError
from twistedmilter.interfaces.dns import Answer, AnswerStatus
from twistedmilter.model.settings import ResolverSettings
from twistedmilter.resolver import nameservers_of
from twistedmilter.resolver_cache import AnswerCache, KnownFailure, kept_for


class CacheTests(SynchronousTestCase):
    """What is remembered, and for how long (A11)."""

    def test_bounds_of_ttl(self) -> None:
        """30 seconds to an hour, negative answers at most five minutes."""
        for status, ttl, kept in (
            (AnswerStatus.FOUND, 0, 30),
            (AnswerStatus.FOUND, 100, 100),
            (AnswerStatus.FOUND, 86400, 3600),
            (AnswerStatus.NODATA, 0, 30),
            (AnswerStatus.NXDOMAIN, 86400, 300),
        ):
            self.assertEqual(kept_for(status, ttl), kept)

    def test_the_one_not_used_for_longest_goes(self) -> None:
        """A flood of names does not grow it, and what is in use stays."""
        cache = AnswerCache(3)
        for name in ("a", "b", "c"):
            cache.put((name, RdataType.A), KnownFailure(name, 10.0))
        cache.get(("a", RdataType.A), 0.0)
        cache.put(("d", RdataType.A), KnownFailure("d", 10.0))
        self.assertEqual(len(cache), 3)
        self.assertIsNone(cache.get(("b", RdataType.A), 0.0))
        self.assertIsNotNone(cache.get(("a", RdataType.A), 0.0))


class NameserverTests(SynchronousTestCase):
    """Whom to ask, from the configuration and resolv.conf."""

    def test_spellings(self) -> None:
        """Addresses of both families, with a port and without."""
        words = ["192.0.2.1", "192.0.2.1:5353", "2001:DB8::1", "[2001:db8::1]", "[2001:db8::1]:5353"]
        servers = nameservers_of(ResolverSettings(nameservers=words), "nameserver 192.0.2.9")
        host = "2001:db8::1"
        self.assertEqual(servers, [("192.0.2.1", 53), ("192.0.2.1", 5353), (host, 53), (host, 53), (host, 5353)])

    def test_nonsense(self) -> None:
        """All problems at once, each naming its place."""
        words = ["ns.example.com", "192.0.2.1", "192.0.2.1:x", "192.0.2.1:0", "[2001:db8::1]:99999", ""]
        error = self.assertRaises(ConfigError, nameservers_of, ResolverSettings(nameservers=words), "")
        places = [problem.where for problem in error.problems]
        self.assertEqual(places, [f"resolver.nameservers[{index}]" for index in (0, 2, 3, 4, 5)])

    def test_resolv_conf(self) -> None:
        """Without configuration, its name servers; lines that cannot be used are passed over."""
        text = (
            "# nameserver 192.0.2.8\nsearch example.com\nnameserver 192.0.2.9\nnameserver x\nnameserver ::1 # local\n"
        )
        self.assertEqual(nameservers_of(ResolverSettings(), text), [("192.0.2.9", 53), ("::1", 53)])

    def test_nothing_at_all(self) -> None:
        """resolv.conf(5): the local machine."""
        self.assertEqual(nameservers_of(ResolverSettings(), ""), [("127.0.0.1", 53)])


class SizeTests(SynchronousTestCase):
    """What a stranger publishes does not fill our memory."""

    def test_long_text_is_not_kept(self) -> None:
        """A TXT answer over 4,096 octets is used once; others are kept (A11)."""
        cache = AnswerCache(10)
        for octets, is_kept in ((4000, True), (5000, False)):
            text = " ".join(['"' + "x" * 250 + '"'] * (octets // 250))
            record = dns.rdata.from_text("IN", "TXT", text)
            key = (f"t{octets}.example", RdataType.TXT)
            cache.put(key, Answer(key[0], key[1], AnswerStatus.FOUND, (record,), 100.0))
            self.assertEqual(cache.get(key, 0.0) is not None, is_kept)

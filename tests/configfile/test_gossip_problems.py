"""What may be wrong with [gossip], and what the administrator is told."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.configfile.loading import from_raw
from twistedmilter.configfile.reading import RawConfig
from twistedmilter.errors import ConfigError
from twistedmilter.model.gossip_settings import GossipSettings, parse_address, peer_entry, peer_name


class GossipProblemTests(SynchronousTestCase):
    """One key each."""

    def read(self, **keys: object) -> GossipSettings:
        """The section of a file."""
        return from_raw(RawConfig(str(Path("c.toml").resolve()), {"gossip": keys})).settings.gossip

    def problem(self, **keys: object) -> str:
        """The one problem of a file, without its path."""
        [problem] = self.assertRaises(ConfigError, self.read, **keys).problems
        return str(problem)

    def test_addresses(self) -> None:
        """With a port and without, of both families (1.11); the reference kept the brackets."""
        for text, expected in (
            ("127.0.0.1:11900", "inet:11900@127.0.0.1"),
            ("127.0.0.1", "inet:11900@127.0.0.1"),
            ("[::1]:4000", "inet6:4000@[::1]"),
            ("[::1]", "inet6:11900@[::1]"),
            ("::1", "inet6:11900@[::1]"),
            ("peer.example:4000", "inet:4000@peer.example"),
        ):
            self.assertEqual(str(parse_address(text)), expected)

    def test_what_is_no_address(self) -> None:
        """Neither to listen on, nor of a peer."""
        for text in ("127.0.0.1:99999", "a b", "11900@127.0.0.1", "unix:/x", "[::1"):
            self.assertIn("gossip.listen[0]: ", self.problem(listen=[text]))
            self.assertIn("gossip.peers[0]: ", self.problem(peers=[text]))

    def test_a_listener_for_nobody(self) -> None:
        """Open to other hosts, where none of them may ask; with a key or an address they may."""
        self.assertIn("of which none may ask", self.problem(listen=["192.0.2.1:11900"]))
        self.read(listen=["192.0.2.1:11900"], allow_query=["192.0.2.0/24"])
        self.read(listen=["192.0.2.1:11900"], peers=[{"name": "a", "key_file": "a.key"}])
        self.read(listen=["127.0.0.1", "::1"])

    def test_networks(self) -> None:
        """Names are none."""
        self.assertIn("gossip.allow_query[0]", self.problem(allow_query=["example.com"]))
        self.assertIn("gossip.allow_query[0]", self.problem(allow_query=["192.0.2.1/99"]))

    def test_peers(self) -> None:
        """Each once, of some use, and not too many (P3)."""
        self.assertIn("gossip.peers[1]: 192.0.2.1 is gossip.peers[0] too", self.problem(peers=["192.0.2.1"] * 2))
        self.assertIn("is neither asked nor may it ask", self.problem(peers=[{"name": "a"}]))
        self.assertIn("gossip.peers[0]: '' has neither", self.problem(peers=[{"key_file": "a.key"}]))
        self.assertIn("is no name", self.problem(peers=[{"name": "a b", "address": "192.0.2.1"}]))
        self.assertIn("gossip.peers: are 17", self.problem(peers=[f"192.0.2.{number}" for number in range(17)]))

    def test_names_of_peers(self) -> None:
        """The one that was given; else the host, and the port if it is another."""
        for entry, expected in (("192.0.2.1", "192.0.2.1"), ("192.0.2.1:4000", "192.0.2.1-4000"), ("::1", "--1")):
            self.assertEqual(peer_name(peer_entry(entry)), expected)

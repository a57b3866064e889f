"""What may be wrong with [dns], and what the administrator is told."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.configfile.loading import EMBEDDED, from_raw, load_settings
from twistedmilter.configfile.reading import RawConfig
from twistedmilter.errors import ConfigError
from twistedmilter.model.dns_server_settings import DNSServerSettings, domain_of

Zone = dict[str, object]


class DNSProblemTests(SynchronousTestCase):
    """One zone or one listener each."""

    def setUp(self) -> None:
        """A directory with a zone file."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        (self.directory / "a.zone").touch()

    def read(self, zone: Zone | None = None, **keys: object) -> DNSServerSettings:
        """The section of a file."""
        good: Zone = {"name": "rhsbl.example.com", "files": ["a.zone"]}
        tables: dict[str, object] = {"dns": {"zones": [{**good, **(zone or {})}], **keys}}
        return from_raw(RawConfig(str(self.directory / "c.toml"), tables)).settings.dns

    def problem(self, zone: Zone | None = None, **keys: object) -> str:
        """The one problem of a file, without its path."""
        [problem] = self.assertRaises(ConfigError, self.read, zone, **keys).problems
        return str(problem)

    def test_names_that_resolvers_answer(self) -> None:
        """They would list the world, or nobody: below localhost every name has an address."""
        for name in ("rhsbl.localhost", "dnsbl.test", "bl.invalid.", "RHSBL.Invalid"):
            told = self.problem({"name": name})
            self.assertIn(f"dns.zones[0].name: {name!r}: resolvers answer what is below", told)

    def test_names_that_are_none(self) -> None:
        """One label is none of ours either."""
        for name in ("example", "a..b", "-a.example", "x" * 64 + ".example", "a b.example", "a." * 100 + "b"):
            self.assertIn("dns.zones[0].name", self.problem({"name": name}))

    def test_a_name_twice(self) -> None:
        """Whatever its capitals."""
        zone = {"name": "a.example", "files": ["a.zone"]}
        told = self.problem(None, zones=[zone, {**zone, "name": "A.example."}])
        self.assertIn("dns.zones[1].name: 'A.example.' is the name of dns.zones[0] too", told)

    def test_listeners(self) -> None:
        """Addresses alone, each once."""
        for text in ("localhost:53", "127.0.0.1", "53", "127.0.0.1:99999", "::1:53", "53@127.0.0.1"):
            self.assertIn("dns.listen[0]: ", self.problem(listen=[text]))
        self.assertIn("dns.listen[1]: is dns.listen[0] too", self.problem(listen=["127.0.0.1:53", "127.0.0.1:53"]))
        self.assertEqual(self.read(listen=["127.0.0.1:0", "127.0.0.1:0", "[::1]:53"]).listen[2], "[::1]:53")

    def test_files(self) -> None:
        """They are there, and paths begin at the configuration file."""
        self.assertIn("dns.zones[0].files[1]: there is no file 'b.zone'", self.problem({"files": ["a.zone", "b.zone"]}))
        self.assertIn("there is no 'packaged:b.zone'", self.problem({"files": ["packaged:b.zone"]}))
        self.assertIn("there is no 'packaged:../x.zone'", self.problem({"files": ["packaged:../x.zone"]}))
        self.assertIn("is empty", self.problem({"files": []}))
        files = self.read({"files": ["a.zone", {"path": "a.zone", "format": "dnset"}]}).zones[0].files
        self.assertEqual(files[0], str(self.directory / "a.zone"))

    def test_access(self) -> None:
        """Host names, and half the world, are not one's own networks."""
        for entry in ("mail.example.com", "0.0.0.0/0", "128.0.0.0/1", "2000::/3", "*.1.1.1"):
            self.assertIn("dns.zones[0].allow[0]", self.problem({"allow": [entry]}), entry)
        self.read({"allow": ["10.0.0.0/8", "!10.0.0.1", "192.0.2.*", "2001:db8::/32"]})

    def test_names_of_servers_and_people(self) -> None:
        """For the SOA and NS records."""
        self.assertIn("dns.zones[0].name_servers[0]", self.problem({"name_servers": ["a"]}))
        self.assertIn("dns.zones[0].contact", self.problem({"contact": "hostmaster"}))
        self.assertIn("dns.zones[0].domain: has no meaning", self.problem({"domain": "example.com"}))

    def test_signatures(self) -> None:
        """The domain is in the name, or said."""
        ses: Zone = {"kind": "ses", "files": []}
        self.assertEqual(domain_of(self.read({**ses, "name": "_ses.Example.com."}).zones[0]), "example.com")
        self.assertEqual(domain_of(self.read({**ses, "domain": "example.org"}).zones[0]), "example.org")
        self.assertIn("dns.zones[0].domain: cannot be told", self.problem(ses))
        self.assertIn("dns.zones[0].kind", self.problem({**ses, "name": "_ses.example.com"}, processes=1))
        self.assertIn("has no files", self.problem({"kind": "ses", "name": "_ses.example.com"}))

    def test_bans_in_other_processes(self) -> None:
        """They are told there, so that nothing is wrong with that."""
        self.assertEqual(self.read(publish_bans=True, processes=2).processes, 2)


class ShippedZoneTests(SynchronousTestCase):
    """What is served without a configuration."""

    def test_the_example(self) -> None:
        """Where there is no file at all, and only there."""
        loaded = load_settings(None, default_path="/nonexistent")
        self.assertEqual(
            (loaded.source, [zone.name for zone in loaded.settings.dns.zones]), (EMBEDDED, ["rhsbl.example.net"])
        )
        self.assertEqual(from_raw(RawConfig("/c.toml", {})).settings.dns.zones, [])

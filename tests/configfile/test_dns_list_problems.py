"""What is wrong with C{[dnsbl]}, in words."""

from __future__ import annotations

from pathlib import Path

from tests.configfile.files import ConfigFileTestCase

TABLE = "[[dnsbl.lists]]\n"


class DnsListProblemTests(ConfigFileTestCase):
    """Zones, codes, words and probes that cannot be."""

    def test_each(self) -> None:
        """The key is named, and what is allowed."""
        for text, expected in {
            "": "dnsbl.lists[0].zone: is missing",
            'zone = "bl"': "dnsbl.lists[0]: 'bl' is no domain of a list, such as bl.example.net",
            'zone = "bl.example.net"\nkind = "ip"': 'dnsbl.lists[0].kind: is "ip"',
            'zone = "bl.example.net"\ncodes = {"10.0.0.2" = "REJECT"}': 'dnsbl.lists[0].codes."10.0.0.2": ',
            'zone = "bl.example.net"\ncodes = {"127.0.0.2" = "DROP"}': "'DROP' is no policy word; allowed are OK",
            'zone = "bl.example.net"\ncodes = {}': "dnsbl.lists[0]: codes is empty",
            'zone = "bl.example.net"\nprobe = "test"': "dnsbl.lists[0]: probe: 'test' is no address",
            f'zone = "bl.example.net"\n{TABLE}zone = "BL.example.net"': "dnsbl.lists[1].zone: bl.example.net is asked",
        }.items():
            self.assertIn(expected, self.problem(f"{TABLE}{text}"))

    def test_stock(self) -> None:
        """The defaults ask nobody; the shortest list is a list of addresses whose 127.0.0.2 refuses."""
        self.assertEqual(self.load("").settings.dnsbl.lists, [])
        [one] = self.load(f'{TABLE}zone = "bl.example.net"').settings.dnsbl.lists
        self.assertEqual((one.kind, one.codes), ("client", {"127.0.0.2": "REJECT"}))


class ThrowawayProblemTests(ConfigFileTestCase):
    """Codes and zone files that cannot be."""

    def test_each(self) -> None:
        """A file is named with line and column, all of its problems at once."""
        zone = Path(self.mktemp()).absolute()
        zone.write_text("regex:[\nfine.example\n.com\n")
        for text, expected in {
            'files = ["none.zone"]': "throwaway.files[0]: none.zone cannot be read: No such file",
            f'files = ["{zone}"]': f"throwaway.files[0]: {zone}:1",
            "codes = {}": "throwaway.codes: is empty",
            'codes = {"127.0.0.2" = "DROP"}': 'throwaway.codes."127.0.0.2": ',
            'names = ["rcpt"]': "throwaway.names[0]: ",
        }.items():
            self.assertIn(expected, "\n".join(self.problems(f"[throwaway]\n{text}")))

    def test_stock(self) -> None:
        """Without files there is nothing to ask; every code of a rule refuses."""
        section = self.load("").settings.throwaway
        self.assertEqual((section.files, section.names, section.codes), ([], ["sender"], {"127.0.0.0/8": "REJECT"}))

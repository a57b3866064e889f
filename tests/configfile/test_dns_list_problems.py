"""What is wrong with C{[dnsbl]}, in words."""

from __future__ import annotations

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

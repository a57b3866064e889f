"""What is wrong with C{[callback]}, in words."""

from __future__ import annotations

from tests.configfile.files import ConfigFileTestCase


class CallbackProblemTests(ConfigFileTestCase):
    """Names, addresses and times that cannot be."""

    def test_each(self) -> None:
        """The key is named, and what is allowed."""
        for text, expected in {
            'own_name = "no name.example"': "callback.own_name: 'no name.example' is no host name",
            'own_name = "localhost"': "callback.own_name: 'localhost' is no host name; allowed: mail.example.com",
            'own_addresses = ["192.0.2.1", "mail"]': "callback.own_addresses[1]: 'mail' is no address",
            'never_probe = ["a b"]': "callback.never_probe[0]: 'a b' is not an address or domain",
            'mode = "observe"\ntotal_timeout = 60.0': "callback.total_timeout: 60 s would end with the budget",
            "port = 0": "callback.port: is 0",
            "probes_per_hour = 0": "callback.probes_per_hour: is 0",
        }.items():
            self.assertIn(expected, self.problem(f"[callback]\n{text}"))

    def test_stock(self) -> None:
        """The defaults call nobody; what is off may have any time."""
        section = self.load("").settings.callback
        self.assertEqual((section.mode, section.port, section.permit_private), ("off", 25, False))
        self.load("[callback]\ntotal_timeout = 80000.0")

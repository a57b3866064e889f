"""The example of a third party's check runs as the manual shows it (issue item 4)."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from msgspec import convert
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeResolver, make_transaction
from twistedmilter.errors import ConfigError
from twistedmilter.interfaces.checks import IMailCheck
from twistedmilter.model.settings import Settings
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import TempFail, Verdict
from twistedmilter.policy.chain import ChainEntry
from twistedmilter.policy.registry import World, build_entries

DOCS = Path(__file__).resolve().parents[2] / "docs"
MIDNIGHT, NOON = 0.0, 43_200.0


def manual_settings() -> str:
    """The configuration that the manual shows."""
    found = re.search(r"```toml\n(\[policy\].*?)```", (DOCS / "third_party_check.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


class QuietHoursTests(SynchronousTestCase):
    """docs/examples/quiet_hours.py, made by the registry from the manual's configuration."""

    def setUp(self) -> None:
        """The example's directory is where an installed package would be."""
        self.patch(sys, "path", [str(DOCS / "examples"), *sys.path])
        self.addCleanup(sys.modules.pop, "quiet_hours", None)
        self.now = MIDNIGHT

    def entry(self, text: str) -> ChainEntry:
        """The chain's last entry with this configuration."""
        settings = convert(tomllib.loads(text), Settings)
        world = World(FakeResolver(), None, lambda: 0.0, lambda: self.now, settings.networks, DOCS)
        return build_entries(settings, world)[-1]

    def ask(self, transaction: Transaction) -> Verdict | None:
        """The verdict of the example on a transaction."""
        check = self.entry(manual_settings()).check
        verdict: Verdict | None = self.successResultOf(
            Deferred.fromCoroutine(IMailCheck(check).check_mail(transaction))
        )
        return verdict

    def test_common_keys(self) -> None:
        """mode, action and on_temporary_failure are the chain's; the check sees its own keys only."""
        entry = self.entry(manual_settings())
        self.assertEqual((entry.name, entry.mode, entry.action), ("quiet_hours:QuietHours", "observe", "refuse"))

    def test_night(self) -> None:
        """A newsletter at midnight is asked to wait."""
        verdict = self.ask(make_transaction("<news@a.newsletter.example>"))
        assert isinstance(verdict, TempFail)
        self.assertEqual((verdict.reason.code, verdict.code, verdict.status), ("quiet-hours", 450, "4.7.1"))

    def test_day_and_others(self) -> None:
        """By day, and from others, there is no opinion but evidence."""
        transaction = make_transaction("<bob@example.com>")
        self.assertIsNone(self.ask(transaction))
        self.assertEqual([(fact.name, fact.value) for fact in transaction.evidence], [("hour", "0")])
        self.now = NOON
        self.assertIsNone(self.ask(make_transaction("<news@a.newsletter.example>")))

    def test_wrong_settings_are_a_configuration_error(self) -> None:
        """What the check says of its settings reaches the administrator."""
        for wrong, told in (('senders = ["a b@"]', "a b@"), ("sender = []", "sender"), ("", "senders")):
            text = f'[policy]\nchecks = ["quiet_hours:QuietHours"]\n[check."quiet_hours:QuietHours"]\n{wrong}\n'
            with self.assertRaisesRegex(ConfigError, told):
                self.entry(text)

    def test_docstring_shows_the_same_settings(self) -> None:
        """The configuration at the top of the example is that of the manual."""
        text = (DOCS / "examples" / "quiet_hours.py").read_text()
        shown = text[text.index("[policy]") : text.index('"""', text.index("[policy]"))]
        self.assertEqual(tomllib.loads(shown), tomllib.loads(manual_settings()))

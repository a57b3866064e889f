"""From names to checks."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.fakes import FakeResolver, FakeSPFEvaluator
from twistedmilter.errors import ConfigError
from twistedmilter.interfaces.checks import ICheck, IEndOfMessageCheck, IHeaderCheck, IMailCheck
from twistedmilter.model.check_settings import SPFSettings
from twistedmilter.model.known_sender_settings import KnownSenderSettings
from twistedmilter.model.settings import NetworksSettings, PolicySettings, Settings
from twistedmilter.model.stage import Role
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Verdict
from twistedmilter.policy.chain import ChainEntry
from twistedmilter.policy.registry import BUILT_IN, World, build_entries, known_checks


@implementer(IMailCheck)
class ForeignCheck:
    """A third party's check that remembers how it was made."""

    local = True

    def __init__(self, *, name: str, settings: dict[str, object], world: World) -> None:
        self.name = name
        self.settings = settings
        self.world = world

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """No opinion."""


class NoCheck:
    """A class that implements nothing."""

    def __init__(self, **_keys: object) -> None:
        """Take anything."""


def entries(settings: Settings) -> tuple[ChainEntry, ...]:
    """The chain of these settings."""
    resolver = FakeResolver("")
    world = World(
        resolver,
        FakeSPFEvaluator(),
        clock=lambda: 0.0,
        wall=lambda: 0.0,
        networks=settings.networks,
        base_dir=Path("/nonexistent"),
        source="/etc/c.toml",
    )
    return build_entries(settings, world)


FOREIGN = f"{__name__}:ForeignCheck"


class RegistryTests(SynchronousTestCase):
    """Names become checks, or one error says why not."""

    def test_the_default_chain(self) -> None:
        """All built-in checks can be made from the defaults, and are what they say."""
        chain = entries(Settings())
        self.assertEqual([entry.name for entry in chain], PolicySettings().checks)
        for entry in chain:
            verifyObject(ICheck, entry.check)
        self.assertEqual(set(BUILT_IN) - {entry.name for entry in chain}, set())

    def test_a_check_with_nothing_to_look_for_is_not_asked(self) -> None:
        """Without domains of ours, or banned ones, nobody waits for the checks about them."""
        idle = {entry.name for entry in entries(Settings()) if entry.mode == "off"}
        self.assertLessEqual({"own_domain", "infected_client", "banned_domain"}, idle)
        ours = Settings(networks=NetworksSettings(internal_domains=["example.com"]))
        self.assertIn(("own_domain", "observe"), [(entry.name, entry.mode) for entry in entries(ours)])

    def test_the_end_of_headers_is_needed_for_relays_only(self) -> None:
        """Without trusted relays the MTA is not made to wait there."""
        for relays, expected in (([], False), (["192.0.2.1"], True)):
            settings = Settings(networks=NetworksSettings(trusted_relays=relays), policy=PolicySettings(checks=["spf"]))
            self.assertEqual(IHeaderCheck.providedBy(entries(settings)[0].check), expected)

    def test_the_end_of_message_is_needed_to_learn_only(self) -> None:
        """Where nobody's mail teaches, known_sender adds nothing there."""
        for learn_from, expected in (([], False), (["@ours.example"], True)):
            section = KnownSenderSettings(learn_from=learn_from)
            settings = Settings(known_sender=section, policy=PolicySettings(checks=["known_sender"]))
            self.assertEqual(IEndOfMessageCheck.providedBy(entries(settings)[0].check), expected)

    def test_inbound_checks_are_for_inbound_listeners(self) -> None:
        """A submission listener skips them; who is who is asked everywhere."""
        roles = {entry.name: entry.roles for entry in entries(Settings())}
        self.assertEqual(
            {name for name, where in roles.items() if Role.SUBMISSION in where},
            {"trusted_client", "infected_client", "internal_bounce", "sender_login", "known_sender", "outgoing"},
        )

    def test_settings_of_the_section(self) -> None:
        """Mode, action and on_temporary_failure come from the check's own section."""
        spf = SPFSettings(mode="observe", action="hold", on_temporary_failure="skip")
        entry = entries(Settings(spf=spf, policy=PolicySettings(checks=["spf"])))[0]
        self.assertEqual((entry.mode, entry.action, entry.on_temporary_failure), ("observe", "hold", "skip"))

    def test_a_third_party(self) -> None:
        """Its own keys go to it, the common ones are taken by the chain."""
        settings = Settings(
            policy=PolicySettings(checks=[FOREIGN]), check={FOREIGN: {"hours": [22, 6], "mode": "observe"}}
        )
        entry = entries(settings)[0]
        assert isinstance(entry.check, ForeignCheck)
        self.assertEqual(
            (entry.mode, entry.check.settings, entry.roles), ("observe", {"hours": [22, 6]}, frozenset(Role))
        )

    def test_every_check_that_cannot_be_made_is_named(self) -> None:
        """One problem for each, with its place in the list."""
        names = ["no_such", "no.module:Check", f"{__name__}:Missing", f"{__name__}:NoCheck", FOREIGN]
        settings = Settings(policy=PolicySettings(checks=names), check={FOREIGN: {"mode": "sometimes"}})
        error = self.assertRaises(ConfigError, entries, settings)
        self.assertEqual([problem.where for problem in error.problems], [f"policy.checks[{n}]" for n in range(5)])
        self.assertIn("implements none of the stage interfaces", str(error))
        self.assertEqual(error.source, "/etc/c.toml")

    def test_known_names(self) -> None:
        """What the configuration may name."""
        self.assertLessEqual(set(PolicySettings().checks), known_checks())

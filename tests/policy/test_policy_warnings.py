"""Tests of what is said of odd policies."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from twistedmilter.model.check_settings import SPFSettings, ThreeStrikesSettings
from twistedmilter.model.dsn_settings import DsnSettings
from twistedmilter.model.sender_settings import SenderLoginSettings
from twistedmilter.model.settings import Settings
from twistedmilter.policy.access import AccessMap
from twistedmilter.policy.policy_warnings import policy_warnings

OFF = "marks only: [callback] is off, or callback is not in policy.checks"


class PolicyWarningsTests(SynchronousTestCase):
    """One sentence for each oddity."""

    def test_stock(self) -> None:
        """There is nothing odd about the defaults."""
        self.assertEqual(policy_warnings(Settings(), AccessMap({})), [])

    def test_words_that_ask_nobody(self) -> None:
        """A word that would ask is told where that is off, once for each entry."""
        settings = Settings(
            spf=SPFSettings(policy={"softfail:a.example": "CBV", "none": "OK"}, accept_fail=["b.example"]),
            three_strikes=ThreeStrikesSettings(policy="CBV"),
            sender_login=SenderLoginSettings(policy={"ann@a.example": "CBV"}),
        )
        access = AccessMap.parse("spf-none: CBV\nspf-fail: REJECT\n", "access")
        self.assertEqual(
            policy_warnings(settings, access),
            [
                f"[spf.policy] softfail:a.example says CBV, which {OFF}",
                f"[sender_login.policy] smtp-auth:ann@a.example says CBV, which {OFF}",
                f"access:1: spf-none: says CBV, which {OFF}",
                f"three_strikes.policy says CBV, which {OFF}",
                f"spf.accept_fail says CBV, which {OFF}",
            ],
        )

    def test_notifications_that_are_off(self) -> None:
        """DSN, which asks where only notifications are off, and marks where both are."""
        settings = Settings(spf=SPFSettings(policy={"softfail": "DSN"}))
        [warning] = policy_warnings(settings, AccessMap({}))
        self.assertIn("[spf.policy] softfail says DSN, which marks only: [dsn] is off", warning)
        on = replace(
            settings,
            callback=replace(settings.callback, mode="enforce"),
            policy=replace(settings.policy, checks=["spf", "callback", "dsn"]),
        )
        [warning] = policy_warnings(on, AccessMap({}))
        self.assertIn("DSN, which asks only, as CBV does: [dsn] is off", warning)
        self.assertEqual(policy_warnings(replace(on, dsn=replace(on.dsn, mode="enforce")), AccessMap({})), [])

    def test_texts_that_are_not_there(self) -> None:
        """G04: DSN with a text that no directory may have is a plain CBV, and that is told."""
        settings = Settings(
            spf=SPFSettings(policy={"softfail": "DSN:nope", "pass": "DSN:pass", "fail": "DSN:strike3"}),
            dsn=DsnSettings(mode="enforce"),
        )
        [warning] = policy_warnings(settings, AccessMap({}))
        self.assertIn("[spf.policy] softfail says DSN:nope, which asks only, as CBV does: there is no such", warning)

    def test_lines_that_cannot_be_read(self) -> None:
        """LL-09: an unknown word of the map is told."""
        [warning] = policy_warnings(Settings(), AccessMap.parse("spf-fail: PERHAPS", "access"))
        self.assertIn("access map access:1: 'spf-fail:': 'PERHAPS' is no policy word", warning)

    def test_lists_without_effect(self) -> None:
        """F12: an entry for the bare result beats a list, which is told; one for a domain does not."""
        for policy, expected in (
            ({"softfail": "REJECT"}, ["spf.accept_softfail has no effect: spf.policy decides on softfail"]),
            ({"softfail:a.example": "REJECT"}, []),
        ):
            settings = Settings(spf=SPFSettings(policy=policy, accept_softfail=["b.example"]))
            self.assertEqual(policy_warnings(settings, AccessMap({})), expected)

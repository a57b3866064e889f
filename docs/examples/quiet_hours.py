"""A check of a third party: bulk senders wait until the morning.

[policy]
checks = ["trusted_client", "iprev", "helo", "own_domain", "spf", "quiet_hours:QuietHours"]

[check."quiet_hours:QuietHours"]
mode = "observe"                      # mode, action and on_temporary_failure work as for every check
senders = [".newsletter.example"]     # the rest are this check's own keys
from_hour = 22
until_hour = 6
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct, convert
from zope.interface import implementer

from twistedmilter.interfaces.checks import IMailCheck
from twistedmilter.model.transaction import Transaction
from twistedmilter.model.verdict import Reason, TempFail, Verdict
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.registry import World


class QuietHoursSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The keys of our section; msgspec tells the administrator what is wrong with them."""

    senders: list[str]
    from_hour: int = 22
    until_hour: int = 6


@implementer(IMailCheck)
class QuietHours:
    """Asks some senders to come back later when it is night in UTC."""

    local = True  # it never waits for the network

    def __init__(self, *, name: str, settings: Mapping[str, object], world: World) -> None:
        """Read the settings once; an error here is a configuration error with this check's name."""
        self.name = name
        self._hours = convert(settings, QuietHoursSettings)
        self._senders = AddressSet.parse(self._hours.senders, world.base_dir)
        self._wall = world.wall

    async def check_mail(self, transaction: Transaction) -> Verdict | None:
        """Judge the sender; None is "no opinion"."""
        hour = datetime.fromtimestamp(self._wall(), UTC).hour
        transaction.note(self.name, "hour", str(hour))  # evidence is recorded whatever the verdict
        if not self._is_night(hour) or self._senders.match(transaction.mail_from) is None:
            return None
        text = f"we sleep until {self._hours.until_hour}:00 UTC; {transaction.mail_from.canonical} can wait"
        return TempFail(Reason("quiet-hours", text), 450, "4.7.1")

    def _is_night(self, hour: int) -> bool:
        start, end = self._hours.from_hour, self._hours.until_hour
        return start <= hour < end if start <= end else hour >= start or hour < end

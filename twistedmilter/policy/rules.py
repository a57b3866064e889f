"""[[rule]] tables: where checks are exempt, watched only, or enforced more strictly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from twistedmilter.model.section import Action, Mode
from twistedmilter.model.settings import RuleSettings, shipped_rules
from twistedmilter.model.stage import Role
from twistedmilter.model.transaction import Connection, Recipient, Transaction
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.networks import NetworkSet


class Situation(Struct, frozen=True):
    """What a rule is held against; what is not known yet matches no condition about it."""

    connection: Connection
    transaction: Transaction | None = None
    recipient: Recipient | None = None


@dataclass(frozen=True)
class Rule:
    """One [[rule]] table; an absent condition (None, or no roles or checks) holds always."""

    name: str
    recipients: AddressSet | None
    senders: AddressSet | None
    networks: NetworkSet | None
    roles: frozenset[Role]
    checks: frozenset[str]
    mode: Mode | None
    action: Action | None

    def concerns(self, check: str) -> bool:
        """Whether the rule is about this check."""
        return not self.checks or check in self.checks

    def holds(self, situation: Situation) -> bool:
        """Whether all conditions hold."""
        return (
            self._holds_of_session(situation)
            and (self.recipients is None or _is_member(self.recipients, situation.recipient))
            and (
                self.senders is None
                or (
                    situation.transaction is not None
                    and self.senders.match(situation.transaction.mail_from) is not None
                )
            )
        )

    def _holds_of_session(self, situation: Situation) -> bool:
        connection = situation.connection
        ip = connection.client.ip
        return (not self.roles or connection.role in self.roles) and (
            self.networks is None or (ip is not None and self.networks.contains(ip))
        )


def _is_member(addresses: AddressSet, recipient: Recipient | None) -> bool:
    return recipient is not None and addresses.match(recipient.mailbox) is not None


class Rules:
    """All rules in order; the first one that concerns a check and holds decides."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)

    @classmethod
    def from_settings(cls, tables: Iterable[RuleSettings], base_dir: Path) -> Rules:
        """The administrator's rules, then the shipped ones whose names they do not use.

        @param base_dir: where C{file:NAME} entries are looked for.
        @raise ValueError: an entry that is no address or network, naming it.
        """
        own = list(tables)
        names = {table.name for table in own}
        shipped = [table for table in shipped_rules() if table.name not in names]
        return cls(_rule(table, base_dir) for table in own + shipped)

    def find(self, check: str, situation: Situation) -> Rule | None:
        """The rule that decides for this check here; None if no rule does."""
        for rule in self.rules:
            if rule.concerns(check) and rule.holds(situation):
                return rule
        return None

    def depends_on_recipient(self, check: str) -> bool:
        """Whether some recipient may be exempt from this check, yet not from those after it."""
        return any(rule.recipients is not None and rule.checks and rule.concerns(check) for rule in self.rules)

    def depends_on_sender(self, check: str) -> bool:
        """Whether some sender may be exempt from this check, or judged otherwise."""
        return any(rule.senders is not None and rule.concerns(check) for rule in self.rules)


def _rule(table: RuleSettings, base_dir: Path) -> Rule:
    return Rule(
        name=table.name,
        recipients=AddressSet.parse(table.recipients, base_dir) if table.recipients else None,
        senders=AddressSet.parse(table.senders, base_dir) if table.senders else None,
        networks=NetworkSet.parse(table.networks) if table.networks else None,
        roles=frozenset(Role(role) for role in table.roles),
        checks=frozenset(table.checks),
        mode=table.mode,
        action=table.action,
    )

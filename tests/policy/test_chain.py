"""Tests of L{twistedmilter.policy.chain}: what it tells of its checks; how it asks them is tested with the judge."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.observe.records import connection
from twistedmilter.interfaces.checks import IConnectCheck, INameJudge
from twistedmilter.model.section import Mode
from twistedmilter.model.transaction import Connection
from twistedmilter.policy.chain import ChainEntry, CheckChain


@implementer(IConnectCheck)
class SilentCheck:
    """Has no opinion on names."""

    name = "silent"
    local = True

    async def check_connect(self, connection: Connection) -> None:
        """No opinion at all."""


@implementer(INameJudge)
class NamingCheck(SilentCheck):
    """Takes one name for a dynamic one."""

    def __init__(self, dynamic: str) -> None:
        self._dynamic = dynamic

    def looks_dynamic(self, connection: Connection) -> bool:
        """Whether it is that name."""
        return connection.client.name == self._dynamic


class LooksDynamicTests(SynchronousTestCase):
    """B05: any check may know, not one of ours alone."""

    def looks_dynamic(self, *checks: SilentCheck, mode: Mode = "enforce") -> bool:
        """What a chain of these checks says of mail.example.net."""
        entries = tuple(ChainEntry(check=check, name=check.name, mode=mode) for check in checks)
        chain = CheckChain(entries, on_bug="skip", clock=lambda: 0.0, report=lambda *_: None)
        return chain.looks_dynamic(connection())

    def test_one_that_knows(self) -> None:
        """One is enough, wherever it stands."""
        mine, other = NamingCheck("mail.example.net"), NamingCheck("other.example.net")
        self.assertTrue(self.looks_dynamic(SilentCheck(), other, mine))
        self.assertFalse(self.looks_dynamic(SilentCheck(), other))

    def test_nobody_knows(self) -> None:
        """Without a check that can tell no name is dynamic."""
        self.assertFalse(self.looks_dynamic())
        self.assertFalse(self.looks_dynamic(SilentCheck()))

    def test_switched_off(self) -> None:
        """A check that is off is not asked."""
        self.assertFalse(self.looks_dynamic(NamingCheck("mail.example.net"), mode="off"))

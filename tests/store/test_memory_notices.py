"""Notifications in memory."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.contracts import LIMITS
from tests.store.notices_contract import NoticesContract
from twistedmilter.interfaces.stores import IStores
from twistedmilter.store.memory import MemoryStores


class MemoryNoticesTests(NoticesContract, TestCase):
    """They keep the contract."""

    async def make(self) -> IStores:
        """New, empty stores."""
        return MemoryStores(LIMITS)

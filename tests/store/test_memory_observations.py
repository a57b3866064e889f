"""Observations in memory."""

from __future__ import annotations

from typing import cast

from twisted.trial.unittest import TestCase

from tests.store.observation_contract import DAYS, LIMIT, ObservationStoreContract
from twistedmilter.interfaces.stores import IStores
from twistedmilter.store.memory import MemoryStores
from twistedmilter.store.rules import StoreLimits


class MemoryObservationStoreTests(ObservationStoreContract, TestCase):
    """They keep the contract."""

    async def make(self) -> IStores:
        """New, empty stores."""
        return cast(IStores, MemoryStores(StoreLimits(observations=LIMIT, observation_days=DAYS)))

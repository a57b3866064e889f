"""Observations that last as long as the process."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.reputation import Change, Found, IObservationStore, MaybeFound
from twistedmilter.model.durations import DAY
from twistedmilter.model.reputation import PEER, Identity, Observations
from twistedmilter.store.observation_rules import least_sure


@implementer(IObservationStore)
class MemoryObservationStore:
    """Observations in a table.

    @param is_closed: whether nothing may be asked any more.
    @param limit: identities; then the least sure go.
    @param days: after so long without a vote an identity is forgotten.
    """

    def __init__(self, is_closed: Callable[[], bool], limit: int, days: float) -> None:
        self._is_closed = is_closed
        self._limit = limit
        self._retention = days * DAY
        self._known: dict[Identity, Observations] = {}

    def find(self, identity: Identity) -> MaybeFound:
        """See L{IObservationStore}."""
        return self._failed() if self._is_closed() else self._known.get(identity)

    def change(self, identity: Identity, how: Change) -> MaybeFound:
        """See L{IObservationStore}."""
        if self._is_closed():
            return self._failed()
        new = how(self._known.get(identity))
        if new is None:
            self._known.pop(identity, None)
            return None
        self._known[identity] = new
        for each in least_sure(self._known, self._limit, new.last_seen):
            del self._known[each]
        return new

    def of_name(self, name: str) -> Deferred[list[tuple[Identity, Observations]]]:
        """See L{IObservationStore}; they are looked for one by one."""
        found = [(identity, known) for identity, known in self._known.items() if identity.name == name]
        return self._answer(sorted(found, key=_order))

    def page(self, after: Identity | None, most: int) -> Deferred[list[tuple[Identity, Observations]]]:
        """See L{IObservationStore}; they are put in order each time."""
        start = (after.name, after.qualifier) if after is not None else ("", "")
        found = sorted(((identity, known) for identity, known in self._known.items()), key=_order)
        return self._answer([each for each in found if _order(each) > start][:most])

    def purge(self, now: float) -> Deferred[int]:
        """See L{IObservationStore}; what was too much went when it was written."""
        ended = [
            identity
            for identity, known in self._known.items()
            if known.last_seen < now - self._retention and identity.qualifier != PEER
        ]
        for identity in ended:
            del self._known[identity]
        return succeed(len(ended))

    def flush(self) -> Deferred[None]:
        """See L{IObservationStore}: nothing to do."""
        return succeed(None)

    def _answer(self, found: list[tuple[Identity, Observations]]) -> Deferred[list[tuple[Identity, Observations]]]:
        if self._is_closed():
            return fail(TemporaryFailure("the store is closed"))
        return succeed(found)

    def _failed(self) -> Deferred[Found]:
        return fail(TemporaryFailure("the store is closed"))


def _order(record: tuple[Identity, Observations]) -> tuple[str, str]:
    identity, _ = record
    return identity.name, identity.qualifier

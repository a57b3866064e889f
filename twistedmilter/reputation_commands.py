"""Reputation as commands: what C{twistedmilter reputation} asks of a service, or does where none runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from msgspec import Struct, ValidationError, convert, to_builtins
from twisted.internet.defer import Deferred

from twistedmilter.control import Command, CommandError
from twistedmilter.interfaces.reputation import Change, Found, IObservationStore
from twistedmilter.model.reputation import PEER, Assessment, Identity, Observations, Vote
from twistedmilter.reputation.decision import Thresholds, is_bad
from twistedmilter.reputation.opinion import opinion_of
from twistedmilter.reputation.ring import SIZE, begin, cast, repaired

PAGE = 200  # records that are shown at once, so that nobody waits for them
DAY = 86_400.0
T = TypeVar("T")


class Judge(Protocol):
    """The node of a service."""

    def new_umis(self) -> str:
        """See L{IReputation<twistedmilter.interfaces.reputation.IReputation>}."""

    async def ask(self, identity: Identity, umis: str) -> Assessment:
        """Likewise."""

    async def tell(self, umis: str, vote: Vote) -> bool:
        """Likewise."""


class RecordRow(Struct, frozen=True, forbid_unknown_fields=True):
    """A record as it travels: the masks in hexadecimal digits, times in seconds since the epoch."""

    name: str
    qualifier: str
    size: int
    total: int
    ham: str
    null: str
    first_seen: float
    last_seen: float


class _Named(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    qualifier: str = ""
    peers: bool = False


class _Set(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    qualifier: str
    ham: int
    spam: int
    days: float = 30.0


class _Verdict(Struct, frozen=True, forbid_unknown_fields=True):
    umis: str
    spam: bool


class _Page(Struct, frozen=True, forbid_unknown_fields=True):
    after: tuple[str, str] | None = None


class _Import(Struct, frozen=True, forbid_unknown_fields=True):
    records: list[RecordRow]


class ReputationCommands:
    """The commands on the observations of a service.

    @param wall: wall clock. [seconds since the epoch]
    @param node: answers and learns; None where no service runs.
    """

    def __init__(
        self,
        store: IObservationStore,
        wall: Callable[[], float],
        thresholds: Thresholds,
        node: Judge | None = None,
    ) -> None:
        self._store = store
        self._wall = wall
        self._thresholds = thresholds
        self._node = node
        self.commands: Mapping[str, Command] = {
            "reputation-show": self.show,
            "reputation-set": self.set,
            "reputation-reset": self.reset,
            "reputation-verdict": self.verdict,
            "reputation-page": self.page,
            "reputation-import": self.take,
        }

    async def show(self, arguments: Mapping[str, object]) -> object:
        """Everything that is known of C{name}: one row a qualifier; with C{peers}, what they say too.

        @raise CommandError: it is no name.
        """
        asked = _read(arguments, _Named)
        name = _identity(asked.name, "SPF").name
        rows = [self._shown(identity, known) for identity, known in await self._store.of_name(name)]
        if not asked.peers or self._node is None:
            return rows
        return [await self._with_peers(name, row) for row in rows]

    async def _with_peers(self, name: str, row: dict[str, object]) -> dict[str, object]:
        qualifier = str(row["qualifier"])
        if self._node is None or qualifier == PEER:
            return row
        answer = await self._node.ask(Identity(name, qualifier), self._node.new_umis())
        peers = [
            {
                "peer": each.peer,
                "reputation": each.said.reputation,
                "confidence": each.said.confidence,
                "weight": round(each.weight, 3),
            }
            for each in answer.peers
        ]
        together = {
            "reputation": round(answer.opinion.reputation, 3),
            "confidence": round(answer.opinion.confidence, 3),
            "is_bad": answer.is_bad,
        }
        return {**row, "peers": peers, "with_peers": together}

    def _shown(self, identity: Identity, known: Observations) -> dict[str, object]:
        own = opinion_of(known, self._wall())
        return {
            "name": identity.name,
            "qualifier": identity.qualifier,
            "ham": known.hams,
            "spam": known.spams,
            "null": known.nulls,
            "size": known.size,
            "reputation": round(own.reputation, 3),
            "confidence": round(own.confidence, 3),
            "first_seen": known.first_seen,
            "last_seen": known.last_seen,
            "is_bad": is_bad(own, own, self._thresholds),
        }

    async def set(self, arguments: Mapping[str, object]) -> object:
        """Put so many votes in the place of what is known, as if they had come over so many days until now.

        @raise CommandError: it is no identity, or there are too many votes.
        """
        asked = _read(arguments, _Set)
        if min(asked.ham, asked.spam) < 0 or asked.ham + asked.spam > SIZE or not 0 <= asked.days <= 36_600:
            raise CommandError(f"ham and spam are together 0 to {SIZE}, days 0 to 36600")
        now = self._wall()
        observations = begin(now - asked.days * DAY)
        for vote, number in ((Vote.SPAM, asked.spam), (Vote.HAM, asked.ham)):
            for _ in range(number):
                observations = cast(observations, vote, now)
        identity = _identity(asked.name, asked.qualifier)
        await self._change(identity, lambda _: observations)
        return self._shown(identity, observations)

    async def reset(self, arguments: Mapping[str, object]) -> object:
        """Forget C{name} with C{qualifier}, or with all it has.

        @return: how many records there were.
        @raise CommandError: it is no identity.
        """
        asked = _read(arguments, _Named)
        name = _identity(asked.name, asked.qualifier or "SPF")
        known = [identity for identity, _ in await self._store.of_name(name.name)]
        gone = [identity for identity in known if not asked.qualifier or identity == name]
        for identity in gone:
            await self._change(identity, lambda _: None)
        return len(gone)

    async def verdict(self, arguments: Mapping[str, object]) -> object:
        """What the message with this C{umis} was; a second verdict takes the place of the first.

        @return: whether the UMIS was known.
        @raise CommandError: no service runs, which alone knows what was asked.
        """
        asked = _read(arguments, _Verdict)
        if self._node is None:
            raise CommandError("no service runs, and it alone knows which messages there were")
        return await self._node.tell(asked.umis, Vote.SPAM if asked.spam else Vote.HAM)

    async def page(self, arguments: Mapping[str, object]) -> object:
        """The next records in the order of their names, at most L{PAGE}."""
        asked = _read(arguments, _Page)
        after = Identity(*asked.after) if asked.after is not None else None
        return [self._shown(identity, known) for identity, known in await self._store.page(after, PAGE)]

    async def take(self, arguments: Mapping[str, object]) -> object:
        """Put in what was known elsewhere, unless more recent votes are here.

        @return: how many records were put in.
        @raise CommandError: one of them is none.
        """
        records = [_record(row) for row in _read(arguments, _Import).records]
        put = 0
        for identity, observations in records:
            put += await self._change(identity, _newer(observations)) == observations
        return put

    async def _change(self, identity: Identity, how: Change) -> Found:
        changed = self._store.change(identity, how)
        return await changed if isinstance(changed, Deferred) else changed


def row_of(identity: Identity, known: Observations) -> dict[str, object]:
    """A record as it travels."""
    row = RecordRow(
        identity.name,
        identity.qualifier,
        known.size,
        known.total,
        f"{known.ham:x}",
        f"{known.null:x}",
        known.first_seen,
        known.last_seen,
    )
    travelling: dict[str, object] = to_builtins(row)
    return travelling


def _record(row: RecordRow) -> tuple[Identity, Observations]:
    try:
        known = Observations(row.size, row.total, int(row.ham, 16), int(row.null, 16), row.first_seen, row.last_seen)
        return Identity(row.name, PEER) if row.qualifier == PEER else Identity.of(row.name, row.qualifier), repaired(
            known
        )
    except ValueError as error:
        raise CommandError(f"{row.name[:64]!r}: {error}") from error


def _newer(new: Observations) -> Change:
    return lambda known: known if known is not None and known.last_seen > new.last_seen else new


def _identity(name: str, qualifier: str) -> Identity:
    try:
        return Identity(name, PEER) if qualifier == PEER else Identity.of(name, qualifier)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _read(arguments: Mapping[str, object], kind: type[T]) -> T:
    try:
        return convert(arguments, kind)
    except ValidationError as error:
        raise CommandError(str(error)) from error

"""What is known of senders: where observations are kept, and who is asked for an opinion."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from zope.interface import Interface

from twistedmilter.model.reputation import AskedQuestion, Assessment, Identity, Observations, Vote

Change = Callable[[Observations | None], Observations | None]
"""From what is known to what is known then; C{None} is nothing."""

Found = Observations | None
MaybeFound = Found | Deferred[Found]


class IObservationStore(Interface):
    """Keeps observations.

    Most questions are answered at once, from memory; a C{Deferred} comes where the answer has to be fetched, and fails
    with L{TemporaryFailure<twistedmilter.errors.TemporaryFailure>} where it cannot be.  What is written is seen at
    once, and on disk within a second.
    """

    def find(identity: Identity) -> MaybeFound:
        """What is known of an identity."""

    def change(identity: Identity, how: Change) -> MaybeFound:
        """Change what is known, in one step.

        @param how: called once, with what is known; it must not come back to the store.
        @return: what is known now.
        """

    def of_name(name: str) -> Deferred[list[tuple[Identity, Observations]]]:
        """All qualifiers of a name, in their order."""

    def page(after: Identity | None, most: int) -> Deferred[list[tuple[Identity, Observations]]]:
        """So many, in the order of name and qualifier, that come after an identity; None begins."""

    def purge(now: float) -> Deferred[int]:
        """Drop what was not seen for long, and the least sure of what is too much; peers stay.

        @param now: seconds since the epoch. @return: how many were dropped.
        """

    def flush() -> Deferred[None]:
        """Have on disk what was written so far."""


class IQuestionStore(Interface):
    """Keeps what the service asked, so that a verdict may come after a restart."""

    def keep(question: AskedQuestion) -> None:
        """Keep a question, in the place of what was kept of it; nobody waits for that, and a loss costs one verdict."""

    def questions(now: float) -> Deferred[list[AskedQuestion]]:
        """Those that have not ended, the oldest first.

        @param now: seconds since the epoch.
        """


class IReputation(Interface):
    """Knows senders by what their mail was, and asks its peers."""

    def new_umis() -> str:
        """A name for a question that nobody can guess."""

    async def ask(identity: Identity, umis: str) -> Assessment:
        """What is thought of a sender; waits for peers no longer than they are given.

        @raise TemporaryFailure: the store cannot answer now.
        """

    async def tell(umis: str, vote: Vote) -> bool:
        """What a message was; a second verdict takes the place of the first.

        @return: whether the UMIS was known.
        @raise TemporaryFailure: the store cannot answer now.
        """

"""State behind narrow interfaces.

A store answers with a C{Deferred}, which fails with L{TemporaryFailure<twistedmilter.errors.TemporaryFailure>} when the
store cannot answer now: nothing was written, and nothing is known.  A written value is safe when its C{Deferred} fires.
All times are wall clock, in seconds since the epoch, and come in as arguments.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from twistedmilter.interfaces.callbacks import CallbackResult
from twistedmilter.model.record import Record


class CallbackAnswer(Struct, frozen=True):
    """The outcome of a callback, with its own validity (LL-19).

    @ivar address: the sender; case does not matter (I01).
    @ivar reply: the exchanger's words, for people.
    @ivar stored: when it was learnt.
    @ivar expires: from then on it is as if it had never been.
    """

    address: str
    result: CallbackResult
    reply: str
    stored: float
    expires: float


class SenderEntry(Struct, frozen=True):
    """One line of a list of senders.

    @ivar name: a full address; a domain for every address in it (I09); C{*.} and a domain for every address in the
        domains below that (S03).  In lists of clients, an IP address.  Case does not matter.
    @ivar comment: why it is here, for people.
    @ivar stored: when it was entered.
    @ivar expires: None is permanent (I10).
    """

    name: str
    comment: str
    stored: float
    expires: float | None = None


class GreylistTimes(Struct, frozen=True):
    """How long a new sender waits (M02); all in seconds.

    @ivar delay: an attempt sooner than this after the first is refused.
    @ivar expire: a sender that was never accepted starts over after this.
    @ivar retain: a sender that was not seen for this long starts over.
    """

    delay: float
    expire: float
    retain: float


class GreylistEntry(Struct, frozen=True):
    """What is known of one greylisting key after a contact.

    @ivar tries: contacts in all, this one included.
    @ivar accepted: contacts that waited long enough; 0 means this one has to come back.
    """

    first_seen: float
    last_seen: float
    tries: int
    accepted: int


class ICallbackCache(Interface):
    """Remembers what exchangers said, so that each is asked once."""

    def find(address: str, now: float) -> Deferred[CallbackAnswer | None]:
        """The newest answer about an address that is still valid."""

    def keep(answer: CallbackAnswer) -> Deferred[None]:
        """Keep an answer; the newest by its C{stored} wins (LL-19)."""


class ISenderList(Interface):
    """Senders that are known, or unwanted."""

    def find(address: str, now: float) -> Deferred[SenderEntry | None]:
        """The valid entry of the address, else that of its domain (I09), else the longest C{*.} above that (S03)."""

    def add(entry: SenderEntry) -> Deferred[None]:
        """Enter a name; the newest wins, but an entry that expires does not replace a permanent one."""

    def remove(name: str) -> Deferred[bool]:
        """Take a name out.

        @return: whether it was there.
        """

    def entries(now: float) -> Deferred[list[SenderEntry]]:
        """All valid entries, by name."""

    def page(now: float, after: str | None, most: int) -> Deferred[list[SenderEntry]]:
        """The first valid entries whose names come after one, by name; a list may be long.

        @param after: None begins with the first.
        """


class IGreylistStore(Interface):
    """When a sender was first seen, and how often since."""

    def contact(key: str, now: float, times: GreylistTimes) -> Deferred[GreylistEntry]:
        """Count one contact, in one step.

        @param key: of a domain, or of network, sender and recipient (M01), as the caller writes it.
        """

    def keep(key: str, entry: GreylistEntry, times: GreylistTimes) -> Deferred[None]:
        """Put in what was known elsewhere, unless the key was seen later than that (M05)."""


class IAcceptedClients(Interface):
    """Clients whose mail was accepted, so that they are not banned."""

    def note(address: str, expires: float) -> Deferred[None]:
        """Remember a client until then.

        @param address: an IP address or network, as the caller writes it.
        """

    def find(address: str, now: float) -> Deferred[bool]:
        """Whether it is remembered."""


class IDecisionLog(Interface):
    """Keeps the records of transactions."""

    def append(record: Record) -> Deferred[None]:
        """Keep one record; a test record is not kept."""

    def find(reference: str) -> Deferred[Mapping[str, object] | None]:
        """The record with our id, else the newest with this queue id of an MTA; in the shape of the JSON log."""


class IStores(Interface):
    """All of them, in one place."""

    callbacks = Attribute("L{ICallbackCache}")
    whitelist = Attribute("L{ISenderList}")
    blacklist = Attribute("L{ISenderList}")
    bans = Attribute("L{ISenderList} of clients that are banned, by IP address")
    never_banned = Attribute("L{ISenderList} of clients that are not to be banned, by IP address")
    accepted = Attribute("L{IAcceptedClients}")
    greylist = Attribute("L{IGreylistStore}")
    notices = Attribute("L{INoticeStore<twistedmilter.interfaces.notices.INoticeStore>}")
    decisions = Attribute("L{IDecisionLog}")
    questions = Attribute("L{IQuestionStore<twistedmilter.interfaces.reputation.IQuestionStore>}")
    observations = Attribute("L{IObservationStore<twistedmilter.interfaces.reputation.IObservationStore>}")
    trouble = Attribute("what cannot be kept now, and why, in one line; empty when all is well")

    def open() -> None:
        """Get ready; it may block.  What is asked before waits for it.

        @raise TemporaryFailure: that cannot be done now.
        """

    def purge(now: float) -> Deferred[int]:
        """Drop what has expired, and the oldest of what is too much.

        @return: how many entries were dropped.
        """

    def close() -> Deferred[None]:
        """Finish what was asked for, and give everything back; whatever is asked later fails."""

"""What every store does alike: how a key is written, who replaces whom, when a grey sender may pass."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from msgspec.structs import replace

from twistedmilter.interfaces.stores import CallbackAnswer, GreylistEntry, GreylistTimes, SenderEntry

KEY_LENGTH = 512
TEXT_LENGTH = 1_000
PARENTS = 8  # domains above a domain that are looked for


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """How much is kept: entries of each kind, and days of decisions and observations.

    @ivar senders: entries that expire, of both lists together; permanent ones are not counted.
    @ivar observations: identities that are known by their mail.
    """

    callbacks: int = 100_000
    senders: int = 100_000
    accepted: int = 100_000
    greylist: int = 1_000_000
    notices: int = 100_000
    decisions: int = 1_000_000
    retention_days: float = 30.0
    observations: int = 1_000_000
    observation_days: float = 90.0


MEMORY_LIMITS = StoreLimits(
    callbacks=50_000,
    senders=50_000,
    accepted=50_000,
    greylist=100_000,
    notices=20_000,
    decisions=1_000,
    observations=100_000,
)


def clean(text: str, length: int = TEXT_LENGTH) -> str:
    """Text that every store can keep: lone surrogates are escaped, and it ends after C{length} characters."""
    return text.encode("utf-8", "backslashreplace").decode()[:length]


def key_of(name: str) -> str:
    """A name as a key: lower case (I01); what is too long ends in its digest, so that it stays distinct."""
    lower = name.lower().encode("utf-8", "backslashreplace")
    if len(lower) <= KEY_LENGTH:
        return lower.decode()
    return lower[: KEY_LENGTH - 65].decode(errors="ignore") + "#" + sha256(lower).hexdigest()


def names_of(address: str) -> tuple[str, ...]:
    """The keys that an address is found under: itself, its domain (I09), and C{*.} above that, longest first (S03)."""
    domain = address.rpartition("@")[2]
    labels = domain.rsplit(".", PARENTS)
    parents = (".".join(labels[first:]) for first in range(1, len(labels)))
    return (key_of(address), key_of(domain), *(key_of(f"*.{parent}") for parent in parents))


def clean_answer(answer: CallbackAnswer) -> CallbackAnswer:
    """The answer as it is kept."""
    return replace(answer, address=key_of(answer.address), reply=clean(answer.reply))


def clean_entry(entry: SenderEntry) -> SenderEntry:
    """The entry as it is kept."""
    return replace(entry, name=key_of(entry.name), comment=clean(entry.comment))


def replaces(new: SenderEntry, old: SenderEntry | None) -> bool:
    """Whether an entry takes the place of another."""
    if old is None:
        return True
    if old.expires is None and new.expires is not None:
        return False  # what a person entered for good is not taken back by mail that goes out
    return new.stored >= old.stored


def is_valid(expires: float | None, now: float) -> bool:
    """Whether something still holds."""
    return expires is None or now < expires


def after_contact(entry: GreylistEntry | None, now: float, times: GreylistTimes) -> GreylistEntry:
    """What is known of a sender once it came again (M02)."""
    if entry is None or _starts_over(entry, now, times):
        return GreylistEntry(now, now, tries=1, accepted=0)
    passes = entry.accepted > 0 or now - entry.first_seen >= times.delay
    return GreylistEntry(entry.first_seen, now, entry.tries + 1, entry.accepted + passes)


def _starts_over(entry: GreylistEntry, now: float, times: GreylistTimes) -> bool:
    if now - entry.last_seen > times.retain:
        return True
    age = now - entry.first_seen
    # a negative age: the clock was set back, and the sender would wait for it to catch up
    return not entry.accepted and not 0 <= age <= times.expire


def greylist_expiry(entry: GreylistEntry, times: GreylistTimes) -> float:
    """When nothing of an entry matters any more."""
    return entry.last_seen + times.retain if entry.accepted else entry.first_seen + times.expire

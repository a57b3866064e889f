"""What exchangers said before: in memory, and behind that in a store that outlives us (seed-spec G15)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedmilter.callback_limits import CallbackLimits
from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.callbacks import CallbackOutcome, CallbackResult
from twistedmilter.interfaces.stores import CallbackAnswer, ICallbackCache
from twistedmilter.model.address import Mailbox

_log = Logger()


@dataclass
class CallbackAnswers:
    """Outcomes by mailbox; in memory the least recently used is forgotten first.

    An outcome that is about our own limits is not kept.  A store that fails is as good as none.  What is true of all
    mailboxes of a domain (no exchanger can be reached, none may be called, none takes the null reverse-path) is in
    memory only, for C{keep_others}: a domain that tarpits is not asked again for each of its senders.

    @ivar seconds: the monotonic clock. @ivar wall: seconds since the epoch, for the store.
    """

    seconds: Callable[[], float]
    limits: CallbackLimits
    store: ICallbackCache | None = None
    wall: Callable[[], float] = lambda: 0.0
    _entries: OrderedDict[str, tuple[float, CallbackOutcome]] = field(default_factory=OrderedDict)
    _is_failing: bool = False

    def recall(self, mailbox: Mailbox) -> CallbackOutcome | None:
        """What memory has of a mailbox and still holds, marked as remembered."""
        return self._get(mailbox.key)

    def of_domain(self, domain: str) -> CallbackOutcome | None:
        """What memory has of all mailboxes of a domain."""
        return self._get(_of_all(domain))

    def _get(self, key: str) -> CallbackOutcome | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self.seconds():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return replace(entry[1], from_cache=True)

    async def find(self, mailbox: Mailbox) -> CallbackOutcome | None:
        """What memory or the store has; what only the store has goes into memory for the time it still holds."""
        known = self.recall(mailbox)
        if known is not None or self.store is None:
            return known
        now = self.wall()
        try:
            answer = await self.store.find(mailbox.key, now)
        except TemporaryFailure as failure:
            self._tell(str(failure))
            return None
        if answer is None:
            return None
        outcome = CallbackOutcome(answer.result, "cache", text=answer.reply, from_cache=True)
        self._put(mailbox.key, outcome, answer.expires - now)
        return outcome

    def keep(self, mailbox: Mailbox, outcome: CallbackOutcome) -> None:
        """Remember what was learnt; writing to the store is not waited for."""
        if outcome.stage == "limit":
            return
        limits = self.limits
        kept = {CallbackResult.VALID: limits.keep_valid, CallbackResult.INVALID: limits.keep_invalid}
        lasts = kept.get(outcome.result, limits.keep_others)
        self._put(mailbox.key, outcome, lasts)
        if self.store is not None:
            now = self.wall()
            answer = CallbackAnswer(mailbox.key, outcome.result, outcome.explanation, now, now + lasts)
            written: Deferred[None] = self.store.keep(answer)
            written.addCallbacks(self._written, self._not_written)

    def keep_of_domain(self, domain: str, outcome: CallbackOutcome) -> None:
        """Remember what is true of all mailboxes of a domain."""
        if outcome.stage != "limit":
            self._put(_of_all(domain), outcome, self.limits.keep_others)

    def _written(self, _: None) -> None:
        self._is_failing = False

    def _not_written(self, failure: Failure) -> None:
        failure.trap(TemporaryFailure)
        self._tell(failure.getErrorMessage())

    def _tell(self, why: str) -> None:
        """That the store fails is told once, until it works again: a full disk is not to be filled with that."""
        if not self._is_failing:
            self._is_failing = True
            _log.warn("answers to callbacks are in memory only: {why}", why=why)

    def _put(self, key: str, outcome: CallbackOutcome, lasts: float) -> None:
        self._entries[key] = (self.seconds() + lasts, outcome)
        self._entries.move_to_end(key)
        if len(self._entries) > self.limits.remembered:
            self._entries.popitem(last=False)


def _of_all(domain: str) -> str:
    return f"@{domain}"  # no mailbox has an empty local part

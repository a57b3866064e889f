"""Whether a DNS list can be believed: probed at the start and each hour, and by what it answers in between.

A list that is gone, blocks us or lists the world must not decide about mail.  RFC 5782 section 5 has entries that tell.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Final

from dns.rdatatype import RdataType
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedmilter.errors import TemporaryFailure
from twistedmilter.interfaces.dns import Answer, IResolver
from twistedmilter.policy.dns_lists import DnsList, wrong_answer

PROBE_INTERVAL: Final = 3_600.0  # seconds between two probes of a list that works, or answers nonsense
RETRY: Final = 300.0  # seconds until a list that does not answer is probed again
MAX_FAILURES: Final = 5  # lookups in a row without an answer: after these it is not asked until a probe succeeds
_log = Logger()


class ListState(StrEnum):
    """Whether a list is used; C{NEW}: it was not probed yet."""

    NEW = "not probed yet"
    USED = "used"
    UNUSED = "not used"


def codes_of(answer: Answer) -> list[IPv4Address]:
    """The addresses of an answer."""
    return [IPv4Address(record.to_text()) for record in answer.records if record.rdtype == RdataType.A]


class ListHealth:
    """What is known of one list.

    @ivar dns_list: which.
    """

    def __init__(
        self, dns_list: DnsList, resolver: IResolver, clock: Callable[[], float], tell: Callable[[str], None]
    ) -> None:
        """Nothing is known yet.

        @param clock: monotonic seconds. @param tell: told once when the list is no longer used, and when it is again.
        """
        self.dns_list = dns_list
        self._resolver = resolver
        self._clock = clock
        self._tell = tell
        self._state = ListState.NEW
        self._problem = ""
        self._told = ""
        self._due = clock()
        self._failures = 0
        self._counts = {"asked": 0, "listed": 0, "unknown_codes": 0, "failed": 0}
        self._probing: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []

    @property
    def problem(self) -> str:
        """Why it is not used; empty if it is."""
        return self._problem

    def status(self) -> dict[str, object]:
        """What C{twistedmilter status} shows of it."""
        problem = {"problem": self._problem} if self._problem else {}
        return {"kind": self.dns_list.kind, "state": self._state.value, **problem, **self._counts}

    async def is_usable(self) -> bool:
        """Whether it may be asked now; the first to ask waits for the probe."""
        self.refresh()
        if self._state is ListState.NEW:
            gate: Deferred[None] = Deferred()
            self._waiting.append(gate)
            await gate
        return self._state is ListState.USED

    def refresh(self) -> None:
        """Probe the list if it is time to."""
        if self._probing is None and self._clock() >= self._due:
            self._probing = probing = Deferred.fromCoroutine(self._probe())
            probing.addErrback(self._failed_by_own_fault).addBoth(self._probed)

    def stop(self) -> None:
        """Give up a probe that is under way."""
        if self._probing is not None:
            self._probing.cancel()

    def count(self, what: str) -> None:
        """Count C{listed} or C{unknown_codes}."""
        self._counts[what] += 1

    async def ask(self, name: str) -> list[IPv4Address]:
        """The return codes of an entry; none if it is not listed, or if what the list answers is no listing.

        @raise TemporaryFailure: it does not answer now.
        """
        self._counts["asked"] += 1
        try:
            codes = codes_of(await self._resolver.lookup(name, RdataType.A))
        except TemporaryFailure as failure:
            self._counts["failed"] += 1
            self._failures += 1
            if self._failures == MAX_FAILURES:
                self._stop_using(f"{MAX_FAILURES} lookups in a row failed, the last: {failure}", RETRY)
            raise
        self._failures = 0
        wrong = next(filter(None, map(wrong_answer, codes)), "")
        if wrong:
            self._stop_using(wrong, PROBE_INTERVAL)
            return []
        return codes

    async def _probe(self) -> None:
        """Ask for what must be listed and for what must not."""
        must, must_not = self.dns_list.query(self.dns_list.probe), self.dns_list.never_listed
        try:
            listed = codes_of(await self._resolver.lookup(must, RdataType.A))
            unlisted = codes_of(await self._resolver.lookup(must_not, RdataType.A))
        except TemporaryFailure as failure:
            self._stop_using(f"its probe cannot be looked up: {failure}", RETRY)
            return
        wrong = next(filter(None, map(wrong_answer, listed)), "")
        if wrong:
            self._stop_using(wrong, PROBE_INTERVAL)
        elif not listed:
            self._stop_using(f"it does not list {must}, as every list that works does (RFC 5782)", PROBE_INTERVAL)
        elif unlisted:
            self._stop_using(f"it lists {must_not}, as if it listed the world (RFC 5782)", PROBE_INTERVAL)
        else:
            self._use()

    def _use(self) -> None:
        self._state, self._problem, self._failures = ListState.USED, "", 0
        self._due = self._clock() + PROBE_INTERVAL
        if self._told:
            self._told = ""
            self._tell(f"{self.dns_list.zone} is used again")

    def _stop_using(self, problem: str, retry: float) -> None:
        self._state, self._problem = ListState.UNUSED, problem
        self._due = self._clock() + retry
        if not self._told:
            self._told = problem
            self._tell(f"{self.dns_list.zone} is not used: {problem}")

    def _failed_by_own_fault(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            _log.failure("the probe of {zone} failed by its own fault", failure=failure, zone=self.dns_list.zone)
            self._stop_using("its probe failed by our own fault", RETRY)

    def _probed(self, _result: object) -> None:
        """Let those go on who waited."""
        self._probing = None
        waiting, self._waiting = self._waiting, []
        for gate in waiting:
            if not gate.called:
                gate.callback(None)

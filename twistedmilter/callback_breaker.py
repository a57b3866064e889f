"""Destinations that keep failing are left alone for a while (reliability C15)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from twisted.logger import Logger

MAX_PAUSE: Final = 86_400.0  # seconds
MAX_DESTINATIONS: Final = 10_000  # that are known; the one that was not called for the longest time is forgotten

_log = Logger()


@dataclass(slots=True)
class _Circuit:
    """What is known of one destination.

    @ivar failures: one after the other. @ivar pause: how long it is left alone; 0: it is not. [seconds]
    @ivar until: when it may be probed, monotonic. @ivar is_probed: somebody is out to see whether it works again.
    """

    failures: int = 0
    pause: float = 0.0
    until: float = 0.0
    is_probed: bool = False
    why: str = ""


class CircuitBreakers:
    """One for each destination: it opens after so many failures one after the other, and nobody calls there then.

    When the pause is over one caller is let through to probe.  If that works, everybody may call; if not, the pause is
    twice as long, up to a day.  What is a failure is for the caller to say.
    """

    def __init__(self, seconds: Callable[[], float], failures: int, pause: float) -> None:
        """All are closed.

        @param seconds: the monotonic clock. @param failures: 0: none ever opens.
        @param pause: how long one that opens is left alone. [seconds]
        """
        self._seconds = seconds
        self._failures = failures
        self._pause = pause
        self._circuits: OrderedDict[str, _Circuit] = OrderedDict()

    def objection(self, destination: str) -> str:
        """Why this destination is not to be called now; empty if it may be, and then the outcome must be told."""
        circuit = self._circuits.get(destination)
        if circuit is None or not circuit.pause:
            return ""
        left = circuit.until - self._seconds()
        if left <= 0 and not circuit.is_probed:
            circuit.is_probed = True
            return ""
        when = f"for {max(left, 1.0):.0f} s" if left > 0 else "while it is probed"
        return f"{destination} failed {circuit.failures} times and is not called {when}: {circuit.why}"

    def failed(self, destination: str, why: str) -> None:
        """It did not work."""
        circuit = self._circuits.setdefault(destination, _Circuit())
        self._circuits.move_to_end(destination)
        if len(self._circuits) > MAX_DESTINATIONS:
            self._circuits.popitem(last=False)
        circuit.failures += 1
        circuit.why = why
        if circuit.is_probed or (0 < self._failures <= circuit.failures and not circuit.pause):
            circuit.pause = min(2 * circuit.pause, MAX_PAUSE) if circuit.pause else self._pause
            circuit.until = self._seconds() + circuit.pause
            circuit.is_probed = False
            told = "{destination} failed {failures} times and is not called for {pause:.0f} s: {why}"
            _log.warn(told, destination=destination, failures=circuit.failures, pause=circuit.pause, why=why)

    def worked(self, destination: str) -> None:
        """It did."""
        circuit = self._circuits.pop(destination, None)
        if circuit is not None and circuit.pause:
            _log.info("{destination} works again and is called", destination=destination)

    def abandoned(self, destination: str) -> None:
        """Nobody waited for the outcome: whoever comes next may probe."""
        circuit = self._circuits.get(destination)
        if circuit is not None:
            circuit.is_probed = False

    def snapshot(self) -> Mapping[str, str]:
        """Those that are open, and why."""
        now = self._seconds()
        return {
            destination: f"{circuit.failures} failures, probed in {max(circuit.until - now, 0.0):.0f} s: {circuit.why}"
            for destination, circuit in self._circuits.items()
            if circuit.pause
        }

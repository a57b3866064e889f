"""Whose fault it is: theirs, ours, nobody's, or the configuration's."""

from __future__ import annotations

from dataclasses import dataclass


class ProtocolViolation(Exception):  # noqa: N818 - the name says whose fault it is
    """The peer broke its protocol; the connection cannot go on.

    @ivar reason: one sentence for the log, free of raw peer data.
    @ivar offending: at most 64 octets of what was wrong, for the log line.
    """

    def __init__(self, reason: str, offending: bytes = b"") -> None:
        """Keep the reason and the beginning of the offending octets."""
        super().__init__(reason)
        self.reason = reason
        self.offending = bytes(offending[:64])


class LocalProtocolError(Exception):
    """Our own code asked a protocol object for something that is not legal now."""


class TemporaryFailure(Exception):  # noqa: N818 - the name says whose fault it is
    """Nobody's fault: a lookup or a store could not answer now; its text says which and why."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing that is wrong in a configuration.

    @ivar where: the key as written in TOML, e.g. C{spf.policy.fail} or C{milter.listen[1]}.
    @ivar wrong: what is wrong with it, one sentence.
    @ivar allowed: what would be right, one sentence; empty if C{wrong} says it.
    """

    where: str
    wrong: str
    allowed: str = ""

    def __str__(self) -> str:
        """The problem as one line for people."""
        tail = f"; {self.allowed}" if self.allowed else ""
        return f"{self.where}: {self.wrong}{tail}"


class ConfigError(Exception):
    """The configuration cannot be used; carries every problem found, not just the first.

    @ivar source: the file that was read, or a word such as C{defaults}.
    @ivar problems: all of them, in the order of the file.
    """

    def __init__(self, source: str, problems: list[ConfigProblem]) -> None:
        """Keep all problems; the text joins them, one a line."""
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))
        self.source = source
        self.problems = problems

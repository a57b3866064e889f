"""What is wrong in a zone file, and where."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

MAX_PROBLEMS: Final = 100  # that are kept of one zone


class ZoneProblem(Struct, frozen=True, gc=False):
    """One thing that is wrong.

    @ivar source: the file as the configuration names it. @ivar line: from 1; 0: it is about the whole file.
    @ivar column: from 1, in octets; 0: it is about the whole line.
    @ivar wrong: what is wrong, one sentence. @ivar allowed: what would be right; empty if C{wrong} says it.
    @ivar is_fatal: the zone cannot be used; else the line is left out, or only odd.
    """

    source: str
    line: int
    column: int
    wrong: str
    allowed: str = ""
    is_fatal: bool = True

    def __str__(self) -> str:
        """One line for people, which editors understand."""
        where = ":".join([self.source, *(str(number) for number in (self.line, self.column) if number)])
        tail = f"; {self.allowed}" if self.allowed else ""
        return f"{where}: {'' if self.is_fatal else 'warning: '}{self.wrong}{tail}"


class ZoneError(Exception):
    """A zone cannot be used; what was served before should stay.

    @ivar problems: all of them, at most L{MAX_PROBLEMS}, in the order of the files.
    """

    def __init__(self, problems: list[ZoneProblem]) -> None:
        """Keep the problems; the text is one line for each that is fatal."""
        super().__init__("\n".join(str(problem) for problem in problems if problem.is_fatal))
        self.problems = problems


class LineError(ValueError):
    """A line cannot be read.

    @ivar column: where, from 1; 0: the whole line. @ivar allowed: what would be right.
    """

    def __init__(self, wrong: str, allowed: str = "", column: int = 0) -> None:
        """Say what is wrong."""
        super().__init__(wrong)
        self.allowed = allowed
        self.column = column

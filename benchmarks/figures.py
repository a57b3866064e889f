"""What a benchmark found: rows of a table, and targets that were met or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Target:
    """A bound of the issue and the figure that was measured.

    @ivar at_most: whether the bound is an upper one. @ivar unit: of figure and bound; empty for a ratio.
    """

    what: str
    figure: float
    bound: float
    unit: str = ""
    at_most: bool = True

    @property
    def is_met(self) -> bool:
        """Whether the figure is within the bound."""
        return self.figure <= self.bound if self.at_most else self.figure >= self.bound

    def as_row(self) -> tuple[str, str, str, str]:
        """The target, the figure, the bound, and whether it is met."""
        sign = "<=" if self.at_most else ">="
        unit = f" {self.unit}" if self.unit else ""
        state = "met" if self.is_met else "NOT MET"
        return self.what, f"{_cell(self.figure)}{unit}", f"{sign} {_cell(self.bound)}{unit}", state

    def __str__(self) -> str:
        what, figure, bound, state = self.as_row()
        return f"{what}: {figure} (target {bound}): {state}"


@dataclass
class Part:
    """What one part of the benchmark has to tell.

    @ivar rows: of its table, numbers as they are. @ivar notes: what qualifies the figures.
    """

    title: str
    columns: tuple[str, ...] = ()
    rows: list[tuple[object, ...]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_text(self) -> str:
        """The part for people; the table is also Markdown."""
        lines = [f"## {self.title}", ""]
        if self.rows:
            lines += [*as_table(self.columns, self.rows), ""]
        lines += [f"- {target}" for target in self.targets]
        lines += [f"- {note}" for note in self.notes]
        return "\n".join(lines) + "\n"

    def as_dict(self) -> dict[str, object]:
        """The part for programs."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        targets = [{**asdict(target), "met": target.is_met} for target in self.targets]
        return {"title": self.title, "rows": rows, "targets": targets, "notes": self.notes}


def as_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """The lines of a Markdown table, in columns for people too."""
    cells = [list(columns), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    lines = ["| " + " | ".join(_aligned(row, widths)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (width + 1) + ("-" if index == 0 else ":") for index, width in enumerate(widths)) + "|"
    return [lines[0], rule, *lines[1:]]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if index == 0 else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)

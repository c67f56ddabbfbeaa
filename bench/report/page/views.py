"""What the page's templates show: tables of texts, each with its errors and what it means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.report.best import BEST
from bench.report.columns import Column, Section, number
from bench.report.sections import BOUNDS, SECTIONS
from bench.report.shown import remarks_of, shown_of
from bench.report.summary import Line, Value

__all__ = [
    "Datum", "Head", "SectionView", "Table", "cell_columns", "datum", "head", "view",
]  # fmt: skip

NUMBER = re.compile(r"[^\w.-]*(-?\d+(?:\.\d+)?)")

TRAINING = Section(
    "training",
    "what the training took",
    (
        number("epochs", "epochs", 0, "passes over the training data"),
        number("seconds", "seconds", 1, "of training; one seed's share where several are one run"),
        number("eval seconds", "evaluation_seconds", 1, "of measuring all that is shown here"),
        number("parameters", "parameters", 0, "how many numbers were learned"),
    ),
)


@dataclass(frozen=True)
class Head:
    """A column's heading.

    Attributes:
        text: the heading.
        meaning: its definition; empty where the heading says it.
        words: whether the column holds words.
        group: key of the section that it comes from; empty for a column that names a line.
    """

    text: str
    meaning: str = ""
    words: bool = False
    group: str = ""


@dataclass(frozen=True)
class Datum:
    """One entry of a table.

    Attributes:
        text: as it is shown; a blank where it does not apply.
        tip: its errors, each with its kind.
        order: what it is sorted by; None sorts by ``text``.
        strong: whether it is the best.
    """

    text: str
    tip: str = ""
    order: str | None = None
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """A table of a section for one dataset, with what is to be said below it."""

    title: str
    heads: Sequence[Head]
    rows: Sequence[Sequence[Datum]]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class SectionView:
    """A section of the report: its tables, its legend and the definitions of its columns."""

    key: str
    title: str
    tables: Sequence[Table]
    note: str = ""
    meanings: Sequence[Head] = field(default=())


def head(column: Column, group: str = "") -> Head:
    """The heading of a column."""
    return Head(column.heading, column.meaning, column.words, group)


def datum(column: Column, line: Line) -> Datum:
    """A column's entry for a line, with all errors that its numbers have."""
    text = column.show(line)
    if not text:
        return Datum("")
    found = None if column.words else NUMBER.match(text)
    known = [(name, line.values[name]) for name in column.metrics if name in line.values]
    strong = line.rank == BEST and column.metrics == ("nelbo",) and column.heading == "NELBO"
    tip = "; ".join(_errors(name, value, line.seeds) for name, value in known)
    return Datum(text, tip, found[1] if found else None, strong)


def view(section: Section, lines: Sequence[Line]) -> SectionView | None:
    """The section's tables, one for each dataset; None where it applies to no line."""
    tables: list[Table] = []
    used: dict[str, Column] = {}
    for dataset, ran, columns, notes in shown_of(section, lines):
        used |= {column.heading: column for column in columns}
        rows = [[datum(column, line) for column in columns] for line in ran]
        heads = [head(column, section.key) for column in columns]
        tables.append(Table(dataset, heads, rows, notes))
    if not tables:
        return None
    meanings = [head(column) for column in used.values() if column.meaning]
    return SectionView(section.key, section.title, tables, remarks_of(section, lines), meanings)


def cell_columns(lines: Sequence[Line]) -> list[tuple[str, Column, bool]]:
    """Every column of the report that some line fills, none twice.

    Each comes with the key of its section, and whether it is the first to show its metric.
    """
    found: dict[tuple[str, tuple[str, ...]], tuple[str, Column, bool]] = {}
    metrics: set[str] = set()
    for section in (BOUNDS, TRAINING, *SECTIONS[1:]):
        for column in section.columns:
            key = column.heading, column.metrics
            if key not in found and any(column.show(line) for line in lines):
                found[key] = section.key, column, column.metrics[0] not in metrics
                metrics.add(column.metrics[0])
    return list(found.values())


def _errors(name: str, value: Value, seeds: int) -> str:
    """A number in full, with its errors in words."""
    parts = [f"{name} {value.mean:.6g}"]
    kinds = (
        (f"standard deviation over {seeds} seeds", value.sd),
        ("standard error of the measurement", value.se),
        ("Monte Carlo error", value.mc),
    )
    parts += [f"{kind} {error:.2g}" for kind, error in kinds if error is not None]
    return ", ".join(parts)

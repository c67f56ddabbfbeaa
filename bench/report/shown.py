"""What of a section is shown: the lines that ran, their columns, and what is said below them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.report.best import TIED, UNKNOWN, WORSE
from bench.report.columns import Column, Section
from bench.report.sections import BOUNDS
from bench.report.summary import Line

__all__ = [
    "COMPONENTS", "HEADINGS", "MARKS", "MODEL", "by_dataset", "cells", "columns_of", "legend_of",
    "notes_of", "remarks_of", "shown_of", "titled",
]  # fmt: skip

MODEL = Column("model", "", (), lambda line: line.model, words=True)
COMPONENTS = Column("K", "", (), lambda line: line.components)
SEEDS = Column("seeds", "", (), lambda line: str(line.seeds))
MARKS = Column("marks", "", (), lambda line: ", ".join(line.marks), words=True)

HEADINGS = tuple(c.heading for c in (MODEL, COMPONENTS, SEEDS, *BOUNDS.columns, MARKS))
"""The columns of the main table."""

FEW_SEEDS = 5


def cells(line: Line) -> list[str]:
    """A line as the text of the main table's columns; a blank where one does not apply."""
    return [column.show(line) for column in columns_of(BOUNDS, [line])]


def by_dataset(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Lines grouped by dataset, in their order."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.dataset, []).append(line)
    return groups


def titled(section: Section, sections: Sequence[Section]) -> bool:
    """Whether a section has a heading: the main table has none where it stands alone."""
    return section is not BOUNDS or len(sections) > 1


def columns_of(section: Section, lines: Sequence[Line]) -> list[Column]:
    """Those of the section between those that name a line."""
    if section is BOUNDS:
        return [MODEL, COMPONENTS, SEEDS, *section.columns, MARKS]

    def name(line: Line) -> str:
        settings = [mark for mark in line.marks if mark.startswith("settings")]
        return " ".join([line.model, *settings])

    return [Column("model", "", (), name, words=True), COMPONENTS, *section.filled(lines)]


def notes_of(section: Section, lines: Sequence[Line]) -> list[str]:
    """Why lines were skipped or failed, below the main table."""
    if section is not BOUNDS:
        return []
    return [f"{line.marks[-1]}: {line.model}: {line.note}" for line in lines if line.note]


def legend_of(section: Section, columns: Sequence[Column], lines: Sequence[Line]) -> str:
    """What the columns mean, and what else must be known of the section's numbers."""
    meanings = [f"{c.heading}: {c.meaning}" for c in columns if c.meaning]
    parts = ["; ".join(meanings) + "."] if meanings else []
    if section.note:
        parts.append(section.note)
    if section is BOUNDS:
        parts += _rank_legend(lines)
    return " ".join(parts)


def shown_of(
    section: Section, lines: Sequence[Line]
) -> Iterator[tuple[str, list[Line], list[Column], list[str]]]:
    """For each dataset of a section the lines that ran, their columns, and what is said below."""
    for dataset, group in by_dataset(section.lines(lines)).items():
        ran = [line for line in group if line.marks != ["skipped"]]
        yield dataset, ran, columns_of(section, ran), notes_of(section, group)


def remarks_of(section: Section, lines: Sequence[Line]) -> str:
    """What the section's legend says beyond the meaning of each column."""
    return legend_of(section, (), section.lines(lines))


def _rank_legend(lines: Sequence[Line]) -> list[str]:
    ranked = [line for line in lines if line.rank]
    if not ranked:
        return []
    parts = ["●: the lowest NELBO of those shown on the same test examples."]
    if any(line.rank in (TIED, WORSE) for line in ranked):
        seeds = [line.seeds > 1 for line in ranked]
        about = "the training procedures, over seeds and examples"
        if not all(seeds):
            trained = "these trained models, over examples alone"
            about = f"{about}; where either has one seed, {trained}" if any(seeds) else trained
        parts.append(
            "≈: not told from it by the paired test at 5%, Holm-adjusted for the comparisons of "
            "those shown; unmarked: worse by it. "
            f"What is compared: {about}."
        )
        if any(line.seeds == 2 for line in ranked):
            parts.append(
                "With 2 seeds a side it may reject in up to 12% of cases where nothing differs."
            )
        if any(1 < line.seeds < FEW_SEEDS for line in ranked):
            parts.append("With few seeds only large differences can be told.")
    if any(line.rank == UNKNOWN for line in ranked):
        parts.append("?: not compared, its bounds for each example are not on disk.")
    return parts

"""Sections of the report for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from bench.report.best import BEST
from bench.report.columns import Column, Section
from bench.report.sections import BOUNDS, NARROW, UNITS
from bench.report.shown import (
    COMPONENTS,
    MARKS,
    MODEL,
    legend_of,
    shown_of,
    titled,
)
from bench.report.summary import Line

__all__ = ["FULL_WIDTH", "to_terminal"]

FULL_WIDTH = 137
"""Columns of a terminal from which on the main table is whole."""


def to_terminal(
    lines: Sequence[Line], console: Console, sections: Sequence[Section] = (BOUNDS,)
) -> None:
    """Print a table for each section and dataset, each section with its legend.

    What is too wide goes on in further tables below, each with the lines' names; the main table
    leaves columns out instead.
    """
    wide = console.width >= FULL_WIDTH
    nothing = True
    for index, section in enumerate(sections):
        shown = section.lines(lines)
        used: dict[str, Column] = {}
        if shown and titled(section, sections):
            console.print("\n" if index else "", end="")
            console.print(f"{section.key}: {section.title}", style="bold", highlight=False)
        for dataset, ran, columns, notes in shown_of(section, lines):
            if section is BOUNDS and not wide:
                kept = (MODEL.heading, COMPONENTS.heading, *NARROW, MARKS.heading)
                columns = [column for column in columns if column.heading in kept]
            used |= {column.heading: column for column in columns}
            if section is BOUNDS:
                console.print(_table(dataset, columns, ran, fixed=wide))
            else:
                for number, block in enumerate(_blocks(columns, ran, console.width)):
                    title = f"{dataset}, continued" if number else dataset
                    console.print(_table(title, block, ran, fixed=True))
            for said in notes:
                console.print(said, style="dim", markup=False, highlight=False)
        if shown:
            nothing = False
            legend = legend_of(section, list(used.values()), shown)
            console.print(legend, style="dim", markup=False, highlight=False)
    if not nothing:
        console.print(UNITS, style="dim", markup=False, highlight=False)


def _blocks(columns: Sequence[Column], lines: Sequence[Line], width: int) -> Iterator[list[Column]]:
    """Columns in tables that fit, each beginning with the two that name a line."""

    def need(column: Column) -> int:
        return max(len(text) for text in (column.heading, *(column.show(line) for line in lines)))

    names = list(columns[:2])
    # Rich puts a space on both sides of a column, one between columns and one at each end.
    block, left = list(names), width - 1 - sum(need(column) + 3 for column in names)
    room = left
    for column in columns[2:]:
        wanted = need(column) + 3
        if wanted > room and len(block) > len(names):
            yield block
            block, room = list(names), left
        block.append(column)
        room -= wanted
    yield block


def _table(title: str, columns: Sequence[Column], lines: Sequence[Line], fixed: bool) -> Grid:
    """A table whose columns of words may be folded unless ``fixed``."""
    table = Grid(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(
            column.heading,
            justify="left" if column.words else "right",
            no_wrap=not column.words or (fixed and column.heading != MARKS.heading),
            min_width=10 if column.heading == MARKS.heading else None,  # no word of a mark is cut
        )
    for line in lines:
        dim = line.marks and line.marks[0].startswith("collapsed")
        texts = []
        for column in columns:
            text = escape(column.show(line))
            strong = line.rank == BEST and column.heading == "NELBO"
            texts.append(f"[bold]{text}[/bold]" if strong else text)
        table.add_row(*texts, style="dim" if dim else "")
    return table

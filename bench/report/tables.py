"""Sections of the report for a terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from bench.report.best import BEST, TIED, UNKNOWN, WORSE
from bench.report.columns import Column, Section, markdown_cell
from bench.report.sections import BOUNDS, NARROW, UNITS
from bench.report.summary import Line
from bench.report.table import Table

MODEL = Column("model", "", (), lambda line: line.model, words=True)
COMPONENTS = Column("K", "", (), lambda line: line.components)
SEEDS = Column("seeds", "", (), lambda line: str(line.seeds))
MARKS = Column("marks", "", (), lambda line: ", ".join(line.marks), words=True)

HEADINGS = tuple(c.heading for c in (MODEL, COMPONENTS, SEEDS, *BOUNDS.columns, MARKS))
"""The columns of the main table."""

FULL_WIDTH = 137
FEW_SEEDS = 5


def cells(line: Line) -> list[str]:
    """A line as the text of the main table's columns; a blank where one does not apply."""
    return [column.show(line) for column in _columns(BOUNDS, [line])]


def by_dataset(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Lines grouped by dataset, in their order."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.dataset, []).append(line)
    return groups


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
        if shown and _titled(section, sections):
            console.print("\n" if index else "", end="")
            console.print(f"{section.key}: {section.title}", style="bold", highlight=False)
        for dataset, group in by_dataset(shown).items():
            ran = [line for line in group if line.marks != ["skipped"]]
            columns = _columns(section, ran)
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
            for said in _notes(section, group):
                console.print(said, style="dim", markup=False, highlight=False)
        if shown:
            nothing = False
            legend = _legend(section, list(used.values()), shown)
            console.print(legend, style="dim", markup=False, highlight=False)
    if not nothing:
        console.print(UNITS, style="dim", markup=False, highlight=False)


def to_markdown(lines: Sequence[Line], sections: Sequence[Section] = (BOUNDS,)) -> str:
    """A Markdown document with a table for each section and dataset."""
    parts = []
    for section in sections:
        shown = section.lines(lines)
        used: dict[str, Column] = {}
        if shown and _titled(section, sections):
            parts.append(f"## {section.key}: {section.title}\n")
        for dataset, group in by_dataset(shown).items():
            ran = [line for line in group if line.marks != ["skipped"]]
            columns = _columns(section, ran)
            used |= {column.heading: column for column in columns}
            parts.append(f"### {dataset}\n")
            parts.append("| " + " | ".join(markdown_cell(c.heading) for c in columns) + " |")
            parts.append("|" + "|".join("---" for _ in columns) + "|")
            for line in ran:
                texts = [markdown_cell(column.show(line)) for column in columns]
                if line.rank == BEST and section is BOUNDS:
                    place = [c.heading for c in columns].index("NELBO")
                    texts[place] = f"**{texts[place]}**"
                parts.append("| " + " | ".join(texts) + " |")
            parts += ["", *(said + "\n" for said in _notes(section, group))]
        if shown:
            parts.append(_legend(section, list(used.values()), shown) + "\n")
    return "\n".join([*parts, UNITS, ""]) if parts else ""


def to_csv(lines: Sequence[Line], sections: Sequence[Section] = ()) -> str:
    """One row a line: every averaged column of ``sections`` (of none: all), with its errors.

    ``X_sd`` is over training seeds, ``X_se`` of the measurement, ``X_mc_se`` the Monte Carlo
    part of it; each where it exists.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    asked = {name for section in sections for c in section.columns for name in c.metrics}
    present = list(dict.fromkeys(name for line in lines for name in line.values))
    fields: list[tuple[str, str, str]] = []  # column, metric, attribute of its value
    for name in present:
        if asked and name not in asked:
            continue
        for suffix, attribute in (("", "mean"), ("_sd", "sd"), ("_se", "se"), ("_mc_se", "mc")):
            found = (line.values[name] for line in lines if name in line.values)
            if any(getattr(value, attribute) is not None for value in found):
                fields.append((name + suffix, name, attribute))
    header = ["dataset", "model", "components", "seeds", "assignment", "marks", "note", "rank"]
    writer.writerow(header + [column for column, _, _ in fields])
    for line in lines:
        row: list[str | int | float] = [
            line.dataset, line.model, line.components, line.seeds, line.assignment,
            ", ".join(line.marks), line.note, line.rank,
        ]  # fmt: skip
        for _, name, attribute in fields:
            value = getattr(line.values.get(name), attribute, None)
            row.append("" if value is None else value)
        writer.writerow(row)
    return text.getvalue()


def as_tables(lines: Sequence[Line], sections: Sequence[Section] = (BOUNDS,)) -> list[Table]:
    """A table for each section and dataset, for the formats that are made from tables."""
    found = []
    for section in sections:
        for dataset, ran, columns, notes in shown_of(section, lines):
            best = [c.heading for c in columns].index("NELBO") if section is BOUNDS else -1
            said = [_legend(section, columns, ran), UNITS, *notes]
            found.append(
                Table(
                    key=f"{section.key}-{dataset}",
                    title=f"{dataset}: {section.title}",
                    caption=" ".join(said),
                    header=[column.heading for column in columns],
                    rows=_rows(columns, ran),
                    words=frozenset(i for i, c in enumerate(columns) if c.words),
                    strong=frozenset((i, best) for i, line in enumerate(ran) if line.rank == BEST)
                    if section is BOUNDS
                    else frozenset(),
                    naming=columns.index(COMPONENTS) + 1,
                )
            )
    return found


def _rows(columns: Sequence[Column], lines: Sequence[Line]) -> list[list[str]]:
    """The texts of a table; a model that K does not tell from another has its settings as well.

    The marks tell it, too, but a table that goes on below repeats no more than model and K.
    """
    many = Counter((line.model, line.components) for line in lines)
    rows = [[column.show(line) for column in columns] for line in lines]
    for line, row in zip(lines, rows, strict=True):
        if many[line.model, line.components] > 1:
            row[0] = line.name
    return rows


FORMATS: dict[str, Callable[[Sequence[Line], Sequence[Section]], str]] = {
    "csv": to_csv,
    "markdown": to_markdown,
}


def _titled(section: Section, sections: Sequence[Section]) -> bool:
    return section is not BOUNDS or len(sections) > 1


def _columns(section: Section, lines: Sequence[Line]) -> list[Column]:
    """Those of the section between those that name a line."""
    if section is BOUNDS:
        return [MODEL, COMPONENTS, SEEDS, *section.columns, MARKS]

    def name(line: Line) -> str:
        settings = [mark for mark in line.marks if mark.startswith("settings")]
        return " ".join([line.model, *settings])

    return [Column("model", "", (), name, words=True), COMPONENTS, *section.filled(lines)]


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


def _notes(section: Section, lines: Sequence[Line]) -> list[str]:
    """Why lines were skipped or failed, below the main table."""
    if section is not BOUNDS:
        return []
    return [f"{line.marks[-1]}: {line.model}: {line.note}" for line in lines if line.note]


def _legend(section: Section, columns: Sequence[Column], lines: Sequence[Line]) -> str:
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
        yield dataset, ran, _columns(section, ran), _notes(section, group)


def remarks_of(section: Section, lines: Sequence[Line]) -> str:
    """What the section's legend says beyond the meaning of each column."""
    return _legend(section, (), section.lines(lines))


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

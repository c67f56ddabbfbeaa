"""Sections of the report as Markdown, as CSV, and as the tables that other formats are made of."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence

from bench.report.best import BEST
from bench.report.columns import Column, Section, markdown_cell
from bench.report.sections import BOUNDS, UNITS
from bench.report.shown import (
    COMPONENTS,
    legend_of,
    shown_of,
    titled,
)
from bench.report.summary import Line
from bench.report.table import Table

__all__ = ["FORMATS", "as_tables", "to_csv", "to_markdown"]


def to_markdown(lines: Sequence[Line], sections: Sequence[Section] = (BOUNDS,)) -> str:
    """A Markdown document with a table for each section and dataset."""
    parts = []
    for section in sections:
        shown = section.lines(lines)
        used: dict[str, Column] = {}
        if shown and titled(section, sections):
            parts.append(f"## {section.key}: {section.title}\n")
        for dataset, ran, columns, notes in shown_of(section, lines):
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
            parts += ["", *(said + "\n" for said in notes)]
        if shown:
            parts.append(legend_of(section, list(used.values()), shown) + "\n")
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
            said = [legend_of(section, columns, ran), UNITS, *notes]
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

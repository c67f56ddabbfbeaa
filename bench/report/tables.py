"""The grid's table for a terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.report.summary import Line, Value

HEADINGS = (
    "model", "K", "seeds", "NELBO", "NLL", "exp H(c)", "I(c;x)", "purity (chance)", "corrected",
    "NMI", "ARI", "units", "marks",
)  # fmt: skip

NARROW = ("model", "K", "NELBO", "I(c;x)", "purity (chance)", "marks")
"""The columns that are left where the terminal is too narrow for all."""

FULL_WIDTH = 135

LEGEND = (
    "NELBO, NLL and I(c;x) in nats; NELBO and NLL are bounds, lower is better. "
    "± is the standard deviation over training seeds, or the standard error over test examples "
    "where there is one seed. "
    "Categories are q(c|x), or p(component|x) (marked °) where the model has no category. "
    "Purity is the macro average over labels, beside its chance level (exact permutation null). "
    "NMI is of the soft assignment, ARI of its argmax. "
    "collapsed: I(c;x) below 0.1 nats."
)


def cells(line: Line) -> list[str]:
    """A line as the text of its columns; a blank where a column does not apply."""

    def show(name: str, digits: int, suffix: str = "", error: bool = True) -> str:
        value = line.values.get(name)
        if value is None:
            return ""
        return (value if error else Value(value.mean)).text(digits) + suffix

    side = "°" if line.assignment == "prior" else ""
    purity = show("purity", 2)
    if purity:
        purity += f" ({show('purity_chance', 2, error=False)})"
    return [
        line.model,
        line.components,
        str(line.seeds),
        show("nelbo", 2),
        show("nll", 2, error=False),
        show("effective_categories", 1, side, error=False),
        show("category_information", 2, error=False),
        purity,
        show("purity_corrected", 2, error=False),
        show("nmi", 2, error=False),
        show("ari", 2, error=False),
        show("active_units", 0, error=False),
        ", ".join(line.marks),
    ]


def by_dataset(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Lines grouped by dataset, in their order."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.dataset, []).append(line)
    return groups


def to_terminal(lines: Sequence[Line], console: Console) -> None:
    """Print a table for each dataset; skipped pairs and failures with their reasons below."""
    for dataset, group in by_dataset(lines).items():
        ran = [line for line in group if line.marks != ["skipped"]]
        shown = HEADINGS if console.width >= FULL_WIDTH else NARROW
        table = Table(title=dataset, title_justify="left", header_style="bold", box=SIMPLE_HEAD)
        for heading in shown:
            text = heading in ("model", "marks")
            wide = heading == "model" and console.width >= FULL_WIDTH
            table.add_column(
                heading,
                justify="left" if text else "right",
                no_wrap=wide or not text,
                min_width=10 if heading == "marks" else None,  # no word of a mark is cut
            )
        for line in ran:
            style = "dim" if line.marks and line.marks[0].startswith("collapsed") else ""
            texts = dict(zip(HEADINGS, cells(line), strict=True))
            table.add_row(*(escape(texts[heading]) for heading in shown), style=style)
        console.print(table)
        for line in group:
            if line.note:
                mark = line.marks[-1]
                said = f"{mark}: {line.model}: {line.note}"
                console.print(said, style="dim", markup=False, highlight=False)
    if lines:
        console.print(LEGEND, style="dim", highlight=False)


def to_markdown(lines: Sequence[Line]) -> str:
    """A Markdown document with a table for each dataset."""
    parts = []
    for dataset, group in by_dataset(lines).items():
        parts.append(f"### {dataset}\n")
        parts.append("| " + " | ".join(HEADINGS) + " |")
        parts.append("|" + "|".join("---" for _ in HEADINGS) + "|")
        ran = [line for line in group if line.marks != ["skipped"]]
        for line in ran:
            texts = [text.replace("|", r"\|") for text in cells(line)]
            parts.append("| " + " | ".join(texts) + " |")
        parts.append("")
        parts += [f"{line.marks[-1]}: {line.model}: {line.note}\n" for line in group if line.note]
    return "\n".join([*parts, LEGEND, ""])


def to_csv(lines: Sequence[Line]) -> str:
    """One row a line, every averaged column with its error."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(dict.fromkeys(name for line in lines for name in line.values))
    header = ["dataset", "model", "components", "seeds", "assignment", "marks", "note"]
    for name in names:
        header += [name, f"{name}_error"]
    writer.writerow(header)
    for line in lines:
        row: list[str | int | float] = [
            line.dataset, line.model, line.components, line.seeds, line.assignment,
            ", ".join(line.marks), line.note,
        ]  # fmt: skip
        for name in names:
            value = line.values.get(name)
            row += (
                ["", ""]
                if value is None
                else [value.mean, "" if value.error is None else value.error]
            )
        writer.writerow(row)
    return text.getvalue()


FORMATS: dict[str, Callable[[Sequence[Line]], str]] = {"csv": to_csv, "markdown": to_markdown}

"""Tables for a terminal, and as HTML, Markdown and CSV."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from bench.errors import UsageError
from bench.report.columns import markdown_cell
from bench.report.table import Table, column_blocks

__all__ = ["to_csv", "to_html", "to_markdown", "to_terminal"]


def to_terminal(tables: Sequence[Table], console: Console) -> None:
    """Print them, each with its caption; what is too wide goes on below, with the names."""
    for table in tables:
        texts = [table.header, *table.rows]
        need = [max(len(row[c]) for row in texts) + 3 for c in range(len(table.header))]
        for part, columns in enumerate(column_blocks(table, need, console.width)):
            console.print(_grid(table, columns, part))
        console.print(table.caption + "\n", style="dim", markup=False, highlight=False)


def to_html(tables: Sequence[Table]) -> str:
    """A ``<table>`` for each: a fragment, to be put into a page. Every text is escaped."""
    parts = []
    for table in tables:
        classes = ["word" if c in table.words else "number" for c in range(len(table.header))]
        head = "".join(
            f'<th scope="col" class="{kind}">{html.escape(text)}</th>'
            for text, kind in zip(table.header, classes, strict=True)
        )
        body = []
        for number, row in enumerate(table.rows):
            cells = []
            for column, (text, kind) in enumerate(zip(row, classes, strict=True)):
                shown = html.escape(text)
                if (number, column) in table.strong:
                    shown = f"<strong>{shown}</strong>"
                tag = 'th scope="row"' if column == 0 else "td"
                cells.append(f'<{tag} class="{kind}">{shown}</{tag[:2]}>')
            body.append(f"<tr>{''.join(cells)}</tr>")
        rows = "\n".join(body)
        parts.append(
            f'<table id="{html.escape(table.key, quote=True)}">\n'
            f"<caption><strong>{html.escape(table.title)}.</strong> "
            f"{html.escape(table.caption)}</caption>\n"
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n"
        )
    return "\n".join(parts)


def to_markdown(tables: Sequence[Table]) -> str:
    """A heading, a table and its caption for each."""
    parts = []
    for table in tables:
        lines = [f"### {table.title}\n", _row(table.header)]
        kinds = ["---" if c in table.words else "---:" for c in range(len(table.header))]
        lines.append("|" + "|".join(kinds) + "|")
        for number, row in enumerate(table.rows):
            strong = [column for column in range(len(row)) if (number, column) in table.strong]
            lines.append(_row([f"**{t}**" if c in strong else t for c, t in enumerate(row)]))
        parts.append("\n".join([*lines, "", table.caption, ""]))
    return "\n".join(parts)


def to_csv(tables: Sequence[Table]) -> str:
    """One row a record, unrounded; of a table without records, its rows.

    Raises:
        UsageError: the tables do not have the same columns.
    """
    columns: dict[str, list[str]] = {}
    rows: list[list[object]] = []
    for table in tables:
        if table.records:
            columns[table.title] = list(table.records[0])
            rows += [list(record.values()) for record in table.records]
        else:
            columns[table.title] = list(table.header)
            rows += [list(row) for row in table.rows]
    if len({tuple(names) for names in columns.values()}) > 1:
        raise UsageError(
            "CSV has one set of columns: expected tables of one kind, found "
            f"{'; '.join(columns)}. Choose one kind with --section."
        )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for names in list(columns.values())[:1]:
        writer.writerow(names)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    return text.getvalue()


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(markdown_cell(cell) for cell in cells) + " |"


def _grid(table: Table, columns: Sequence[int], part: int) -> Grid:
    title = f"{table.title}, continued" if part else table.title
    grid = Grid(title=Text(title), title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    for column in columns:
        words = column in table.words
        grid.add_column(Text(table.header[column]), justify="left" if words else "right",
                        no_wrap=True)  # fmt: skip
    for number, row in enumerate(table.rows):
        grid.add_row(
            *(Text(row[c], style="bold" if (number, c) in table.strong else "") for c in columns)
        )
    return grid

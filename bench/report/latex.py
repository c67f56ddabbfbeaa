"""Tables as LaTeX, with the rules of booktabs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from bench.report.table import Formula, Table, column_blocks

__all__ = ["PREAMBLE", "escape", "to_latex"]

PREAMBLE = "% Needs \\usepackage{array,booktabs,graphicx}."
WIDE = 0.45
"""The width of a column of sentences, of a line."""

LINE, PAGE = 70, 42
"""Characters and lines of a page of the class article, at ten points."""

SMALLEST = 0.67
"""What is wider than a line is scaled down at most to this, and else set in several pieces."""

GAP, RULES = 2, 3
"""Characters between two columns; lines of a piece beside its rows."""

Piece = tuple[range, list[int]]  # rows, columns

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\(<\)", ">": r"\(>\)", "|": r"\(|\)", '"': "''",
    "±": r"\(\pm\)", "−": r"\(-\)", "–": "--", "—": "---", "‖": r"\(\|\)", "●": r"\(\bullet\)",
    "≈": r"\(\approx\)", "†": r"\(\dagger\)", "°": r"\(^{\circ}\)", "≤": r"\(\leq\)",
    "≥": r"\(\geq\)", "×": r"\(\times\)", "·": r"\(\cdot\)", "√": r"\(\surd\)", "…": r"\ldots{}",
    "τ": r"\(\tau\)", "’": "'", "‘": "`", "“": "``", "”": "''",
}  # fmt: skip


def to_latex(tables: Sequence[Table]) -> str:
    """A ``table`` environment for each, to be pasted into a document.

    It needs array, booktabs and graphicx: what is a little wider than the line is scaled down to
    it. What is much wider goes on below, with the columns that name a row again, and what is
    longer than a page in a further environment.
    """
    return "\n\n".join([PREAMBLE, *map(_table, tables)]) + "\n" if tables else ""


def escape(text: str) -> str:
    """The text as LaTeX prints it; what pdfLaTeX has no letter for becomes a question mark."""
    text = re.sub(r'(^|[\s(\[])"', "\\1“", text)  # one that opens
    return "".join(SPECIAL.get(character) or _plain(character) for character in text)


def _plain(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else " "
    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return "".join(SPECIAL.get(letter, letter) for letter in base) or "?"


def _table(table: Table) -> str:
    return "\n\n".join(
        _float(table, number, pieces) for number, pieces in enumerate(_floats(table), start=1)
    )


def _float(table: Table, number: int, pieces: Sequence[Piece]) -> str:
    caption = f"{table.title}. {table.caption}" if number == 1 else f"{table.title}, continued"
    key = _label(table.key) + (f"-{number}" if number > 1 else "")
    bodies = "\n\\par\\medskip\n".join(_tabular(table, *piece) for piece in pieces)
    return "\n".join(
        [
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{escape(caption)}}}",
            rf"\label{{tab:{key}}}",
            r"\par\medskip",
            bodies,
            r"\end{table}",
        ]
    )


def _tabular(table: Table, rows: Sequence[int], columns: Sequence[int]) -> str:
    kinds = "".join(
        rf">{{\raggedright\arraybackslash}}p{{{WIDE}\linewidth}}" if column in table.prose
        else "l" if column in table.words else "r"
        for column in columns
    )  # fmt: skip
    lines = [
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        _row([_cell(table.header[column], False) for column in columns]),
        r"\midrule",
    ]
    for row in rows:
        texts = table.rows[row]
        lines.append(_row([_cell(texts[c], (row, c) in table.strong) for c in columns]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}"])


def _floats(table: Table) -> list[list[Piece]]:
    """Rows and columns in pieces that can be read, and the pieces in floats that fit a page."""
    need = [
        round(WIDE * LINE) + GAP if column in table.prose
        else max(len(row[column]) for row in (table.header, *table.rows)) + GAP
        for column in range(len(table.header))
    ]  # fmt: skip
    heights = [
        max([1, *(-(-len(row[c]) // round(WIDE * LINE)) for c in table.prose)])
        for row in table.rows
    ]
    floats: list[list[Piece]] = [[]]
    room = float(PAGE - (len(table.title) + len(table.caption)) // LINE)
    for columns in column_blocks(table, need, round(LINE / SMALLEST)):
        scale = min(1.0, LINE / sum(need[column] for column in columns))
        high = [height * scale for height in heights]
        if floats[-1] and sum(high) + RULES > room:
            floats.append([])
            room = PAGE
        first, used = 0, float(RULES)
        for row, height in enumerate(high):
            if used + height > room and row > first:
                floats[-1].append((range(first, row), columns))
                floats.append([])
                first, used, room = row, float(RULES), PAGE
            used += height
        floats[-1].append((range(first, len(high)), columns))
        room -= used
    return floats


def _row(cells: Sequence[str]) -> str:
    # A row that begins with a bracket would be read as the option of the \\ before it.
    first = "{}" + cells[0] if cells[0].startswith("[") else cells[0]
    return " & ".join([first, *cells[1:]]) + r" \\"


def _cell(text: str, strong: bool) -> str:
    set_ = rf"\({text.latex}\)" if isinstance(text, Formula) else escape(text)
    return rf"\textbf{{{set_}}}" if strong and set_ else set_


def _label(key: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in key)

"""Tables as LaTeX, with the rules of booktabs."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from bench.report.table import Formula, Table

__all__ = ["PREAMBLE", "escape", "to_latex"]

PREAMBLE = "% Needs \\usepackage{array,booktabs,graphicx}."
WIDE = 0.35
"""The width of a column of sentences, of a line."""

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

    It needs array, booktabs and graphicx: what is wider than the line is scaled down to it.
    """
    return "\n\n".join([PREAMBLE, *map(_table, tables)]) + "\n" if tables else ""


def escape(text: str) -> str:
    """The text as LaTeX prints it; what pdfLaTeX has no letter for becomes a question mark."""
    return "".join(SPECIAL.get(character) or _plain(character) for character in text)


def _plain(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else " "
    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return "".join(SPECIAL.get(letter, letter) for letter in base) or "?"


def _table(table: Table) -> str:
    kinds = "".join(
        rf">{{\raggedright\arraybackslash}}p{{{WIDE}\linewidth}}" if column in table.prose
        else "l" if column in table.words else "r"
        for column in range(len(table.header))
    )  # fmt: skip
    lines = [
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{escape(table.title)}. {escape(table.caption)}}}",
        rf"\label{{tab:{_label(table.key)}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        _row([_cell(text, False) for text in table.header]),
        r"\midrule",
    ]
    for number, row in enumerate(table.rows):
        cells = [_cell(text, (number, column) in table.strong) for column, text in enumerate(row)]
        lines.append(_row(cells))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}", r"\end{table}"])


def _row(cells: Sequence[str]) -> str:
    # A row that begins with a bracket would be read as the option of the \\ before it.
    first = "{}" + cells[0] if cells[0].startswith("[") else cells[0]
    return " & ".join([first, *cells[1:]]) + r" \\"


def _cell(text: str, strong: bool) -> str:
    set_ = rf"\({text.latex}\)" if isinstance(text, Formula) else escape(text)
    return rf"\textbf{{{set_}}}" if strong and set_ else set_


def _label(key: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in key)

"""A table apart from the format that it is shown in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Formula", "Table"]


class Formula(str):
    """A text that LaTeX sets as mathematics: ``Formula("q(z|x)", r"q(z \\mid x)")``."""

    latex: str

    def __new__(cls, text: str, latex: str) -> Formula:
        made = super().__new__(cls, text)
        made.latex = latex
        return made


@dataclass(frozen=True)
class Table:
    """Texts in rows and columns.

    Attributes:
        key: a name that no other table of the report has.
        title: what it is of.
        caption: what its numbers are, how they were measured and what may mislead.
        header: the headings of the columns.
        rows: a text for every column; blank where it does not apply.
        words: the columns that hold words rather than numbers.
        prose: those of them that hold sentences, which may be broken into lines.
        strong: places (row, column) in bold.
        records: what CSV writes instead of the rows: unrounded, one kind of thing a column.
    """

    key: str
    title: str
    caption: str
    header: list[str]
    rows: list[list[str]]
    words: frozenset[int] = frozenset({0})
    prose: frozenset[int] = frozenset()
    strong: frozenset[tuple[int, int]] = frozenset()
    records: tuple[dict[str, Any], ...] = ()

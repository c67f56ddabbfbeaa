"""A table apart from the format that it is shown in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

__all__ = ["Formula", "Table", "column_blocks"]


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
        naming: how many columns, from the first, name a row; what goes on below repeats them.
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
    naming: int = 1


def column_blocks(table: Table, need: Sequence[int], width: int) -> list[list[int]]:
    """The columns in blocks that fit a width, each beginning with the columns that name a row.

    Neighbours whose headings begin with the same word (``K=10 ours``, ``K=10 published``) stay
    together where they fit a block at all.

    Args:
        table: which.
        need: the width of each column.
        width: of a block.
    """
    names = list(range(table.naming))
    free = width - sum(need[column] for column in names)
    blocks, room = [list(names)], free
    rest = range(table.naming, len(need))
    for _, group in groupby(rest, key=lambda column: table.header[column].partition(" ")[0]):
        columns = list(group)
        wanted = sum(need[column] for column in columns)
        if room < wanted <= free and len(blocks[-1]) > len(names):
            blocks.append(list(names))
            room = free
        for column in columns:
            if need[column] > room and len(blocks[-1]) > len(names):
                blocks.append(list(names))
                room = free
            blocks[-1].append(column)
            room -= need[column]
    return blocks

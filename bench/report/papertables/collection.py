"""All of the paper's tables that a store has numbers for, and the table of its searches."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.papertables.assumptions import table_1
from bench.report.papertables.bounds import table_3
from bench.report.papertables.toplists import table_2
from bench.report.search_lines import search_lines
from bench.report.searches import searches_table
from bench.report.summary import Line, Row, summarise
from bench.report.table import Table
from bench.store import Store

__all__ = ["KINDS", "of_lines", "tables"]

KINDS = {
    "table1": "the independence assumptions and their measured terms",
    "table2": "the largest categories of each label (Tables 2 and A1)",
    "table3": "our bounds beside the published ones",
    "searches": "the budget of each search, and what it chose",
}
"""The names of the tables on the command line."""


def tables(store: Store, rows: Sequence[Row]) -> list[Table]:
    """Tables 1, 2 and A1, and 3, for every dataset and K that has something in them; searches.

    Args:
        store: where the cells' files are.
        rows: of the store.
    """
    return of_lines(store, summarise(rows), tuple(KINDS), search_lines(store))


def of_lines(
    store: Store, lines: Sequence[Line], kinds: Sequence[str], alone: Sequence[Line] = ()
) -> list[Table]:
    """Those of ``kinds``.

    Args:
        store: where the cells' files are.
        lines: of :func:`bench.report.summary.summarise`.
        kinds: names of tables.
        alone: of cells that were only searched for, for the table of searches.
    """
    found: list[Table] = []
    if "table1" in kinds:
        found += table_1(lines)
    if "table2" in kinds:
        found += table_2(store, lines)
    if "table3" in kinds:
        found += table_3(lines)
    if "searches" in kinds:
        found += searches_table(store, [*lines, *alone])
    return found

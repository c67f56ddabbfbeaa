"""Cells that were searched for and did not finish a training: a search is a result of its own."""

from __future__ import annotations

from typing import Any

from bench.best_file import SEARCHED
from bench.files import read_json
from bench.report.summary import Line
from bench.results_file import place
from bench.store import Row, Store

__all__ = ["ALONE", "search_lines", "searched_rows"]

ALONE = "searched"
"""The status of such a row, and the mark of its line."""

NAMES = ("dataset", "prior", "posterior", "setting", "dataset_fingerprint")


def searched_rows(store: Store) -> list[Row]:
    """What ``bench tune`` says of every cell that has no finished row of its own.

    A damaged file is left out, as every other of a search.
    """
    found = []
    for path in sorted((store.out / "cells").glob(f"*/{SEARCHED}")):
        row = read_json(path)
        if not _sound(row) or row["cell"] != path.parent.name:
            continue
        if (store.row(row["cell"]) or {}).get("status") != "ok":
            found.append({**row, "status": ALONE})
    return sorted(found, key=place)


def search_lines(store: Store) -> list[Line]:
    """A line for each of those cells, without a number: a search has none but its own."""
    lines = []
    for row in searched_rows(store):
        pair = f"{row['prior']} x {row['posterior']}"
        size = row.get("components")
        lines.append(
            Line(
                dataset=row["dataset"],
                model=row.get("model") or pair,
                components="" if size is None else str(size),
                marks=[ALONE],
                pair=pair,
                fingerprint=row["dataset_fingerprint"],
                cells=(row["cell"],),
            )
        )
    return lines


def _sound(row: Any) -> bool:
    """Whether it is a row by all that is read of it."""
    return (
        isinstance(row, dict)
        and all(isinstance(row.get(name), str) for name in ("cell", *NAMES))
        and isinstance(row.get("model", ""), str)
        and isinstance(row.get("components"), int | None)
        and isinstance(row.get("seed"), int)
    )

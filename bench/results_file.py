"""results.csv, made from the cells' rows at a cost that does not grow with every cell that ends."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.files import write_text

if TYPE_CHECKING:
    from bench.store import Store

Row = dict[str, Any]

SHARE = 0.02
"""Of a run's time, at most, that goes into results.csv while cells still end."""

Signature = tuple[int, int, int]  # when row.json was written, its inode, its size
Line = tuple[list[Any], str]  # where it belongs, and its text


def place(row: Mapping[str, Any]) -> list[Any]:
    """What rows are sorted by."""
    keys = ("dataset", "prior", "posterior", "components", "seed")
    return [_sortable(row.get(key)) for key in keys]


class ResultsFile:
    """results.csv of a store.

    A row that has not changed is not read again: its line is kept, a tenth of the row in memory.

    Args:
        store: the folder and its rows.
        columns: of the file.
    """

    def __init__(self, store: Store, columns: Sequence[str]) -> None:
        self.store, self.columns = store, columns
        self._lines: dict[str, tuple[Signature, Line]] = {}
        self._written, self._cost = 0.0, 0.0

    def write(self) -> None:
        """Write the file anew, atomically.

        One run at a time: another's, made from rows that it read before, would come out on top.
        """
        began = time.monotonic()
        with self.store.alone():
            write_text(self.store.out / "results.csv", self._text())
        self._written = time.monotonic()
        self._cost = self._written - began

    def refresh(self) -> None:
        """Write it anew unless so much time has just gone into it."""
        if time.monotonic() - self._written >= self._cost / SHARE:
            self.write()

    def _text(self) -> str:
        known, self._lines = self._lines, {}
        for folder in os.scandir(self.store.out / "cells"):
            signature = _signature(Path(folder.path) / "row.json")
            if signature is None:
                continue
            kept = known.get(folder.name)
            if kept is None or kept[0] != signature:
                row = self.store.row(folder.name)
                if row is None:
                    continue
                kept = (signature, self._line(row))
            self._lines[folder.name] = kept
        lines = [line for _, line in self._lines.values()]
        lines += [self._line(row) for row in self.store.skipped().values()]
        lines.sort(key=lambda line: line[0])
        return ",".join(self.columns) + "\n" + "".join(text for _, text in lines)

    def _line(self, row: Row) -> Line:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([_cell_text(row.get(key)) for key in self.columns])
        return [*place(row), str(row.get("cell"))], text.getvalue()


def _signature(path: Path) -> Signature | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)


def _cell_text(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return repr(round(value, 6))
    if isinstance(value, dict):  # settings that a search has found
        return json.dumps(value) if value else ""
    return value

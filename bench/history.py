"""The file ``history.csv`` of a cell: one line an epoch."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.engine.replica import Epoch
from bench.errors import first_line
from bench.files import write_text

COLUMNS = tuple(Epoch.__dataclass_fields__)


def write_history(path: Path, history: Iterable[Epoch]) -> None:
    """Write the epochs, atomically and without loss of a digit."""
    lines = [",".join(COLUMNS)]
    lines += [",".join(str(value) for value in asdict(record).values()) for record in history]
    write_text(path, "\n".join(lines) + "\n")


def history_columns(path: Path, needed: Sequence[str] = COLUMNS) -> dict[str, list[float]]:
    """The columns of a file, one number an epoch.

    Args:
        path: the file.
        needed: columns that it must have; others may be there.

    Raises:
        OSError: it is not there, or cannot be read.
        ValueError: it is damaged; says what was expected and what was found.
    """
    try:
        with path.open(newline="") as stream:
            lines = csv.DictReader(stream)
            rows = list(lines)
            names = lines.fieldnames or ()
    except (ValueError, csv.Error) as error:  # bytes that are no text
        raise _no_table(error) from None
    missing = [name for name in needed if name not in names]
    if missing or not rows:
        found = f"none of {', '.join(missing)}" if missing else "no row"
        raise ValueError(f"expected rows with {', '.join(needed)}, found {found}")
    if any(None in row for row in rows):
        raise _no_table(ValueError("a row is longer than the first"))
    try:  # a row that was cut off has None in the columns that it lacks
        columns = {name: [float(row[name]) for row in rows] for name in names}
    except (ValueError, TypeError) as error:
        raise _no_table(error) from None
    if not all(number.is_integer() for number in columns.get("epoch", ())):
        raise _no_table(ValueError("an epoch is no whole number"))
    return columns


def read_history(path: Path) -> list[Epoch]:
    """The epochs of a file; none where it is not there or is damaged.

    For whoever can do without; :func:`history_columns` says what is wrong with a file.
    """
    try:
        columns = history_columns(path)
    except (OSError, ValueError):
        return []
    return [
        Epoch(int(epoch), **{name: columns[name][place] for name in COLUMNS if name != "epoch"})
        for place, epoch in enumerate(columns["epoch"])
    ]


def _no_table(error: Exception) -> ValueError:
    return ValueError(f"it is no table of numbers ({first_line(error)})")

"""The file ``history.csv`` of a cell: one line an epoch."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from bench.engine.replica import Epoch
from bench.files import write_text


def write_history(path: Path, history: Iterable[Epoch]) -> None:
    """Write the epochs, atomically and without loss of a digit."""
    lines = [",".join(Epoch.__dataclass_fields__)]
    lines += [",".join(str(value) for value in asdict(record).values()) for record in history]
    write_text(path, "\n".join(lines) + "\n")


def read_history(path: Path) -> list[Epoch]:
    """The epochs of a file; none where it is not there or is damaged."""
    try:
        with path.open(newline="") as stream:
            return [
                Epoch(int(line.pop("epoch")), **{key: float(value) for key, value in line.items()})
                for line in csv.DictReader(stream)
            ]
    except (OSError, ValueError, TypeError, KeyError, csv.Error):
        return []

"""The file history.csv: one reader, and what two kinds of callers make of damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.engine.replica import Epoch
from bench.history import COLUMNS, history_columns, read_history, write_history

EPOCHS = [
    Epoch(1, -1.5, -1.25, 0.1, 0.5, 1.0, 0.01),
    Epoch(2, -1.4, -1 / 3, 0.1, 1.0, 0.5, 0.02),
]
HEAD = ",".join(COLUMNS)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    write_history(path, EPOCHS)
    assert read_history(path) == EPOCHS
    columns = history_columns(path)
    assert tuple(columns) == COLUMNS
    assert columns["validation_bound"] == [-1.25, -1 / 3]


def test_a_file_that_is_not_there_has_no_epochs(tmp_path: Path) -> None:
    assert read_history(tmp_path / "history.csv") == []
    with pytest.raises(FileNotFoundError):
        history_columns(tmp_path / "history.csv")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected rows with epoch, objective"),
        (HEAD.encode(), "found no row"),
        (f"{HEAD}\n1,2,3,4,5,6,7\n2,3\n".encode(), "it is no table of numbers"),
        (f"{HEAD}\n1,2,3,4,5,6,7\n2,2,3,4,5,6,7,8\n".encode(), "longer than the first"),
        (f"{HEAD}\n1.5,2,3,4,5,6,7\n".encode(), "no whole number"),
        (f"{HEAD}\nnan,2,3,4,5,6,7\n".encode(), "no whole number"),
        (f"{HEAD}\n1,2,three,4,5,6,7\n".encode(), "it is no table of numbers"),
        (b"\xff\xfe", "it is no table of numbers"),
        (b"epoch,seconds\n1,0.25\n", "found none of objective, validation_bound"),
    ],
)
def test_damage_is_said_by_the_one_and_costs_the_other_nothing(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(content)
    assert read_history(path) == []
    with pytest.raises(ValueError, match=said):
        history_columns(path)


def test_a_caller_names_the_columns_that_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,seconds\n1,0.25\n")
    assert history_columns(path, ("epoch",)) == {"epoch": [1.0], "seconds": [0.25]}

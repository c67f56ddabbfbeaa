"""What is made of the news of Ray tasks that die."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import exceptions

from bench.errors import BenchError
from bench.grid import Cell
from bench.ray_tasks import CRASHES, LOSSES, Ledger, Task
from bench.store import Row, Store
from runs import plan_of

LOST = exceptions.NodeDiedError("gone")
CRASHED = exceptions.WorkerCrashedError()
OK: Row = {"status": "ok", "nelbo": 1.0}


class Heard:
    """A listener that writes down what it hears."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []

    def __getattr__(self, kind: str) -> Any:
        return lambda cell, *rest: self.lines.append((kind, cell.seed, *rest))


class Book:
    """A ledger whose tasks are submitted to nobody."""

    def __init__(self, out: Path, seeds: int = 2, fresh: bool = False) -> None:
        self.cells: tuple[Cell, ...] = plan_of(models="VAE", seeds=list(range(seeds))).cells
        self.heard, self.submitted = Heard(), dict[int, Task]()
        self.store = Store(out)
        hand_over = self.submitted.__setitem__
        self.ledger = Ledger([self.cells], fresh, self.store, self.heard, hand_over)

    def news(self, attempt: int, kind: str, seed: int, *rest: Any) -> None:
        self.ledger.hear(attempt, kind, self.cells[seed].id, rest)

    def epoch(self, attempt: int, number: int, trial: int | None = None) -> None:
        self.news(attempt, "epoch", 0, SimpleNamespace(epoch=number), trial)

    def kinds(self) -> list[tuple[Any, ...]]:
        return [line[:2] for line in self.heard.lines]


def test_what_is_done_twice_is_heard_once(tmp_path: Path) -> None:
    book = Book(tmp_path)
    for seed in (0, 1):
        book.news(1, "started", seed)
    book.epoch(1, 1)
    book.epoch(1, 2)
    book.news(1, "ended", 1, OK)
    book.ledger.settle(1, LOST, stopping=False)
    assert [cell.seed for cell in book.submitted[2].group] == [0]  # the other has ended
    book.news(2, "started", 0)
    book.epoch(2, 2)  # again, from the checkpoint after the first
    book.epoch(2, 3)
    book.epoch(1, 4)  # of the process that was given up
    book.news(1, "ended", 1, OK)
    book.news(2, "ended", 0, OK)
    book.news(1, "ended", 0, OK)
    book.ledger.settle(2, None, stopping=False)
    assert book.kinds() == [
        ("started", 0), ("started", 1), ("epoch", 0), ("epoch", 0), ("ended", 1), ("notice", 0),
        ("epoch", 0), ("ended", 0),
    ]  # fmt: skip
    assert book.ledger.complete
    assert not book.ledger.tasks


@pytest.mark.parametrize(
    ("error", "most", "reason"),
    [
        (LOST, LOSSES, "the node that it was on was lost, 10 times"),
        (CRASHED, CRASHES, "its worker process died 3 times"),
        (exceptions.OutOfMemoryError("memory"), CRASHES, "its worker process died 3 times"),
    ],
)
def test_a_group_that_dies_without_an_epoch_between_has_failed(
    tmp_path: Path, error: Exception, most: int, reason: str
) -> None:
    book = Book(tmp_path, seeds=1)
    for attempt in range(1, most):
        book.ledger.settle(attempt, error, stopping=False)
    last = max(book.submitted)
    assert last == most
    book.epoch(last, 1)  # an epoch that is new: counting begins anew
    for attempt in range(last, last + most):
        assert not book.ledger.complete
        book.ledger.settle(attempt, error, stopping=False)
    assert book.ledger.complete
    row = book.store.row(book.cells[0].id)
    assert row is not None
    assert reason in row["reason"]
    assert [kind for kind, _ in book.kinds()].count("ended") == 1


def test_a_row_that_was_written_outlives_its_process(tmp_path: Path) -> None:
    book = Book(tmp_path, seeds=1)
    book.store.finish(book.cells[0], OK)
    book.ledger.settle(1, BenchError("its node is odd"), stopping=False)
    assert book.heard.lines[-1][0] == "ended"
    assert book.heard.lines[-1][2]["status"] == "ok"


def test_fresh_takes_no_row_of_an_earlier_run_for_its_own(tmp_path: Path) -> None:
    earlier = Book(tmp_path, seeds=1)
    earlier.store.finish(earlier.cells[0], OK)
    book = Book(tmp_path, seeds=1, fresh=True)
    book.ledger.settle(1, BenchError("its node is odd"), stopping=False)
    assert book.heard.lines[-1][2] == {"status": "failed", "reason": "its node is odd"}
    row = book.store.row(book.cells[0].id)
    assert row is not None
    assert row["status"] == "failed"


def test_an_error_of_a_node_is_the_cell_s_reason(tmp_path: Path) -> None:
    book = Book(tmp_path, seeds=1)
    book.ledger.settle(1, BenchError("its node has other data"), stopping=False)
    assert book.heard.lines[-1][2] == {"status": "failed", "reason": "its node has other data"}


def test_what_was_to_be_forgotten_is_forgotten_once(tmp_path: Path) -> None:
    book = Book(tmp_path, seeds=1, fresh=True)
    book.ledger.settle(1, LOST, stopping=False)
    assert book.submitted[2].fresh  # it had not begun
    book.news(2, "phase", 0, "train")
    book.ledger.settle(2, LOST, stopping=False)
    assert not book.submitted[3].fresh


def test_a_trial_is_heard_once(tmp_path: Path) -> None:
    book = Book(tmp_path, seeds=1)
    book.news(1, "trying", 0, 0, {})
    book.epoch(1, 1, trial=0)
    book.news(1, "trial", 0, SimpleNamespace(number=0))
    book.ledger.settle(1, LOST, stopping=False)
    book.news(2, "trying", 0, 0, {})
    book.epoch(2, 2, trial=0)
    book.news(2, "trial", 0, SimpleNamespace(number=0))
    book.news(2, "trying", 0, 1, {})
    kinds = [kind for kind, _ in book.kinds() if kind != "notice"]
    assert kinds == ["trying", "epoch", "trial", "trying"]

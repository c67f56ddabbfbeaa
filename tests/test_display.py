"""What a run says of the time that is left."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from bench.engine.replica import Epoch
from bench.grid import Cell
from bench.terminal import Display
from bench.tuning import TrialRecord
from runs import plan_of

OK = {"status": "ok", "nelbo": 1.0, "nelbo_se": 0.1}
FOUR = ("tuning.trials=4", "tuning.finalists=0")


class Clock:
    """Two cells of at most 100 epochs, and a clock that the test moves on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *sets: str) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.cells: list[Cell] = list(plan_of(*sets, models="VAE", seeds=2).cells)
        self.console = Console(file=io.StringIO(), force_terminal=False)
        self.display = Display(self.console, self.cells, {"digits": 100})
        self.display.started(self.cells[0])

    def epoch(self, epoch: int, trial: int | None = None) -> None:
        self.display.epoch(self.cells[0], Epoch(epoch, -1.0, -1.0, 0.1, 1.0, 1.0, 1.0), trial)

    def trial(self, number: int, epochs: int) -> None:
        record = TrialRecord(number, {}, -1.0, "pruned" if epochs < 100 else "complete", "", epochs)
        self.display.trial(self.cells[0], record)

    @property
    def left(self) -> str:
        return self.display._left()


def test_epochs_tell_how_long_a_run_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Clock(monkeypatch)
    assert run.left == "time left unknown"
    run.epoch(1)
    run.now += 100
    run.epoch(10)
    assert run.left == "35 min left"  # .09 of a cell took 100 s, so 1.91 cells take 2122 s
    run.display.ended(run.cells[0], OK)
    assert run.left == "2 min left"  # one took 100 s


def test_epochs_of_another_day_took_no_time_of_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Clock(monkeypatch)
    run.now += 10
    run.epoch(81)
    run.now += 90
    run.epoch(90)
    assert run.left == "22 min left"  # .09 of a cell took 100 s, so 1.19 cells take 1322 s
    run.display.ended(run.cells[0], OK)
    assert run.left == "6 min left"  # .28 took 100 s, so one takes 357 s


def test_a_search_tells_it_from_its_trials_and_their_epochs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Clock(monkeypatch, *FOUR)
    run.now += 100
    run.epoch(10, trial=0)
    assert run.left == "time left unknown"  # how many of the trials will run to their end?
    run.trial(0, 100)
    run.trial(1, 50)
    # 1.5 took 100 s. Two trials of .75 are to come, for both seeds together, and two cells.
    assert run.left == "4 min left"  # 3.5 / 1.5 * 100 s = 233 s
    run.now += 100
    run.trial(2, 100)
    run.trial(3, 50)
    run.display.phase(run.cells[0], "train")
    run.epoch(1)
    run.now += 60
    run.epoch(100)
    assert run.left == "73 s left"  # 3.9 took 260 s, 1.1 are left
    run.display.ended(run.cells[0], OK)
    assert run.left == "65 s left"


def test_trials_of_another_day_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that is resumed has fewer to come than its budget."""
    run = Clock(monkeypatch, *FOUR)
    run.now += 100
    run.trial(3, 100)
    assert run.left == "8 min left"  # one took 100 s; three, and two cells
    run.display.phase(run.cells[0], "train")
    assert run.left == "3 min left"  # two cells: 200 s

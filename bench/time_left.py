"""How long a run will still take, from what it has done so far."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.grid import Cell

if TYPE_CHECKING:  # the smaller commands start without torch
    from bench.tuning import TrialRecord

TRAINING = 0.9  # of a cell's time; the rest is its evaluation


class TimeLeft:
    """Counts work in cells of the most epochs; a trial is the part of one that its epochs are.

    Trials are stopped early, so those to come are taken to be as long as those that have ended.
    Nothing is said before the first has. The speed is this run's: what earlier ones have done is
    not to do, and took no time of this one.

    Args:
        cells: all that the run will train.
        epochs: the most epochs a cell of each dataset may take.
    """

    def __init__(self, cells: Sequence[Cell], epochs: Mapping[str, int]) -> None:
        self.epochs = epochs
        self.began = time.monotonic()
        self.training: dict[str, float] = {}  # of each cell, what it has done
        self.before: dict[str, float] = {}  # and which part of that earlier runs have
        self.ahead = {cell.id for cell in cells}
        self.searches: dict[str, int] = {}  # trainings that each has still to come
        self.of: dict[str, str] = {}  # the search of each cell: one serves all seeds
        for cell in cells:
            if tuning := cell.settings.get("tuning"):
                from bench.searching import study_name  # reads torch
                from bench.tuning.finals import trainings

                self.of[cell.id] = study = study_name(cell)
                self.searches[study] = trainings(tuning)
        self.cells, self.trials, self.told = 0.0, 0.0, 0

    def searched(self, cell: Cell) -> None:
        """A cell's search is over, also where another run or another day has made most of it."""
        if cell.id in self.of:
            self.searches[self.of[cell.id]] = 0

    def trial(self, cell: Cell, record: TrialRecord) -> None:
        """A trial has ended, or a finalist's repeat."""
        self.trials += min(1.0, record.epochs / self.epochs[cell.dataset])
        self.told += 1
        if cell.id in self.of:
            study = self.of[cell.id]
            self.searches[study] = max(0, self.searches[study] - 1)

    def epoch(self, cell: Cell, epoch: int) -> None:
        """A cell has ended an epoch of its own training."""
        self.searched(cell)
        most = self.epochs[cell.dataset]
        self.before.setdefault(cell.id, TRAINING * (epoch - 1) / most)
        self.training[cell.id] = TRAINING * min(1.0, epoch / most)

    def ended(self, cell: Cell) -> None:
        """A cell is finished or has failed."""
        self.searched(cell)
        self.training.pop(cell.id, None)
        self.ahead.discard(cell.id)
        self.cells += 1 - self.before.pop(cell.id, 0.0)

    def seconds(self) -> float | None:
        """What is left at the speed so far; None while that cannot be told."""
        partly = sum(self.training.values())
        here = partly - sum(self.before.values())
        done, trials = self.cells + here + self.trials, sum(self.searches.values())
        if done <= 0 or (trials and not self.told and not self.cells):
            return None
        # Where cells have ended without a trial of this run, others have searched: as good a guess.
        each = self.trials / self.told if self.told else 1.0
        left = len(self.ahead) - partly + trials * each
        return (time.monotonic() - self.began) / done * left

"""Real trials of a search: stopped at rungs, gone on with after an interruption."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench.cells import Events
from bench.engine.replica import Epoch
from bench.errors import Interrupted
from bench.grid import Cell
from bench.preparation import Request, prepare
from bench.searching import tune
from bench.store import Store
from bench.trials import Trials
from bench.tuning import TuningResult
from runs import SETTINGS

SETS = (
    *SETTINGS,
    "training.warmup_epochs=1",
    "tuning.reduction=2",
    "tuning.batch=4",
    "training.checkpoint_seconds=0",
)
ONE_SHAPE = ("tuning.space.model.latent_dim=false", "tuning.space.components=false")


@dataclass
class Heard:
    """What a search tells, and when it is to stop."""

    most: int = 10**9
    epochs: list[tuple[int, int]] = field(default_factory=list)

    def epoch(self, _: Cell, epoch: Epoch, trial: int | None) -> None:
        assert trial is not None
        self.epochs.append((trial, epoch.epoch))

    def events(self) -> Events:
        return Events(epoch=self.epoch, stop=lambda: len(self.epochs) >= self.most)


def search(out: Path, heard: Heard, *sets: str) -> TuningResult:
    flags: dict[str, Any] = {
        "run.models": "MG", "run.datasets": "digits", "run.out": str(out),
        "training.epochs": 4, "tuning.trials": 6, "engine.device": "cpu",
    }  # fmt: skip
    made = prepare(Request(None, None, (), (*SETS, *sets), flags, 1), lambda _: None)
    (cell,) = made.plan.cells
    return tune(cell, made.workshop, Store(out), heard.events())


@pytest.mark.slow
@pytest.mark.parametrize("sets", [(), ONE_SHAPE], ids=["shapes differ", "one shape"])
def test_an_interrupted_search_goes_on_where_it_was(tmp_path: Path, sets: tuple[str, ...]) -> None:
    whole = Heard()
    expected = search(tmp_path / "whole", whole, *sets)
    assert expected.count("pruned") > 0
    assert expected.epochs == len(whole.epochs) == len(set(whole.epochs))
    heard: list[tuple[int, int]] = []
    for _ in range(2):
        part = Heard(most=4)
        with pytest.raises(Interrupted):
            search(tmp_path / "cut", part, *sets)
        heard += part.epochs
    last = Heard()
    assert search(tmp_path / "cut", last, *sets) == expected
    heard += last.epochs
    assert sorted(heard) == sorted(whole.epochs)  # no epoch was trained twice
    assert not list((tmp_path / "cut" / "trials").glob("*.pt"))


def test_trials_of_one_shape_train_in_a_program_that_shrinks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real = Trials.start

    def start(self: Trials, proposals: Any) -> Any:
        made = real(self, proposals)
        advance = made._advance

        def watched(epoch: int | None) -> Any:
            found = advance(epoch)
            assert made.trainer is not None
            sizes.append(len(made.trainer.packed))
            return found

        monkeypatch.setattr(made, "_advance", watched)
        return made

    monkeypatch.setattr(Trials, "start", start)
    search(tmp_path, Heard(), *ONE_SHAPE)
    assert sizes[:3] == [4, 2, 1]

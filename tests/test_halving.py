"""Successive halving: who goes on from a rung, and that a smaller program trains them as before."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
import torch

from bench.config import load_config
from bench.engine.steps import Mode
from bench.training import ReplicaTrainer
from bench.tuning.halving import rungs, rungs_of, survivors
from bench.tuning.storage import Storage
from searches import LAST, Climbing, climb, height
from trainings import TOLERANCES, each_kind, history, pixels, replica

SEEDS, LONG = (3, 5, 8, 9), 6


@pytest.mark.parametrize(
    ("first", "reduction", "epochs", "expected"),
    [(100, 3, 2000, [100, 300, 900]), (5, 3, 20, [5, 15]), (20, 3, 45, [20]), (45, 3, 45, [])],
)
def test_rungs_lie_below_the_last_epoch(
    first: int, reduction: int, epochs: int, expected: list[int]
) -> None:
    assert rungs(first, reduction, epochs) == expected


@pytest.mark.parametrize(
    ("values", "earlier", "expected"),
    [
        ({0: 1.0, 1: 3.0, 2: 2.0}, [], {1}),
        ({0: 1.0}, [], {0}),
        ({0: 1.0, 1: 2.0, 2: 3.0}, [9.0, 8.0, 7.0], set()),
        ({0: 1.0, 1: 2.0, 2: 3.0}, [-9.0, -8.0, -7.0], {1, 2}),
        ({}, [1.0], set()),
    ],
)
def test_one_in_three_of_all_values_goes_on(
    values: dict[int, float], earlier: list[float], expected: set[int]
) -> None:
    assert survivors(values, earlier, 3) == expected


def test_the_first_rung_is_at_the_end_of_the_longest_warm_up() -> None:
    sets = ["training.warmup_epochs=4", "training.epochs=50"]
    assert rungs_of(load_config(sets=sets)) == [4, 12, 36]
    sets.append("tuning.space.training.warmup_epochs={type='int', low=1, high=10}")
    assert rungs_of(load_config(sets=sets)) == [10, 30]
    assert rungs_of(load_config(sets=[*sets, "tuning.first_rung=2"])) == [2, 6, 18]


def test_a_search_stops_its_worst_and_keeps_its_best(tmp_path: Path) -> None:
    pruned = climb(Storage.at("", tmp_path / "pruned"), Climbing())
    whole = climb(Storage.at("", tmp_path / "whole"), Climbing(rungs=()))
    assert pruned.count("pruned") > pruned.count("complete") > 0
    assert pruned.epochs < whole.epochs == LAST * len(whole.trials)
    for trial in pruned.trials:
        assert trial.value == height(trial.params, trial.epochs)
        assert (trial.epochs == LAST) == (trial.state == "complete")
    first = {t.number: height(t.params, 1) for t in pruned.trials[:4]}
    stopped = {t.number for t in pruned.trials[:4] if t.epochs == 1}
    assert stopped == first.keys() - survivors(first, [], Climbing.reduction)


def test_optuna_sees_what_was_reported(tmp_path: Path) -> None:
    storage = Storage.at("", tmp_path)
    climb(storage, Climbing())
    (name,) = optuna.get_all_study_names(storage.study("other")._storage)[:1]
    trials = storage.study(name).trials
    assert {trial.state.name for trial in trials} == {"COMPLETE", "PRUNED"}
    for trial in trials:
        assert set(trial.intermediate_values) <= {1, 3}
        assert 1 in trial.intermediate_values


@each_kind
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_survivors_train_as_if_nobody_had_been_dropped(
    prior: str, posterior: str, mode: Mode
) -> None:
    """In float64 to rounding, as the engine promises of replicas in a smaller program."""

    def make() -> ReplicaTrainer:
        made = [replica(prior, posterior, seed, dtype=torch.float64, epochs=LONG) for seed in SEEDS]
        return ReplicaTrainer(made, pixels(dtype=torch.float64), mode)

    whole, cut = make(), make()
    while not whole.finished():
        whole.epoch()
    sizes = []
    while not cut.finished():
        cut.epoch()
        sizes.append(len(cut.population))
        if cut.number == 2:
            cut.drop([cut.replicas[1]])  # one of four: less than half, and smaller at once
        if cut.number == 4:
            cut.drop([cut.replicas[0], cut.replicas[3]])
    assert sizes == [4, 4, 3, 3, 1, 1]
    assert [r.progress.epoch for r in cut.replicas] == [4, 2, LONG, 4]
    for one, other in zip(cut.replicas, whole.replicas, strict=True):
        for mine, theirs in zip(history(one), history(other), strict=False):
            assert mine == pytest.approx(theirs, abs=TOLERANCES[torch.float64])

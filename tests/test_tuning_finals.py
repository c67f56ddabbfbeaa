"""The finalists of a search are trained again, and their mean chooses: less luck, nothing lost."""

from __future__ import annotations

import csv
import json
import random
import statistics
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.config import load_config
from bench.config_sections import TRIAL_SEEDS
from bench.engine.replica import Replica
from bench.errors import BenchError, Interrupted, UsageError
from bench.spaces import Float, Range
from bench.training import ReplicaTrainer
from bench.tuning import Proposal, Standing, TrialRecord, TuningResult, search
from bench.tuning.finals import choose, finalists, train_again
from bench.tuning.storage import Storage
from runs import TINY, bench, run_tiny

SPACE: dict[str, Range] = {"training.learning_rate": Float(0.0, 1.0)}
TRIALS = 30
FINALS = {"settings": 3, "repeats": 8}


class Lucky:
    """The bound is the setting itself and luck, which the number of the trial gives."""

    rungs: Sequence[int] = ()
    reduction = 3

    def __init__(self, luck: float = 0.5, fails: Collection[int] = ()) -> None:
        self.luck, self.fails, self.facts = luck, fails, dict[str, Any]()
        self.begun: list[int] = []
        self.interrupted_at = -1

    def parts(self, proposals: Sequence[Proposal]) -> list[Sequence[Proposal]]:
        return [[proposal] for proposal in proposals]

    def start(self, proposals: Sequence[Proposal]) -> Lucky.Draw:
        return Lucky.Draw(self, proposals[0])

    def sweep(self, going: Collection[int]) -> None: ...

    class Draw:
        def __init__(self, game: Lucky, proposal: Proposal) -> None:
            self.game, self.proposal = game, proposal

        def advance(self, epoch: int | None) -> dict[int, Standing]:
            number = self.proposal.number
            if number == self.game.interrupted_at:
                self.game.interrupted_at = -1
                raise Interrupted("stop")
            self.game.begun.append(number)
            failure = "no luck" if number in self.game.fails else ""
            luck = self.game.luck * random.Random(number).gauss(0, 1)
            bound = self.proposal.params["training.learning_rate"] + luck
            return {number: Standing(bound, 5, True, failure)}

        def drop(self, numbers: Collection[int]) -> None: ...

        def keep(self) -> None: ...

        def close(self) -> None: ...


def first(folder: Path, game: Lucky) -> TuningResult:
    storage = Storage.at("", folder)
    return search(SPACE, game, trials=TRIALS, seed=1, storage=storage, study="cell", batch=8)


def again(folder: Path, game: Lucky, result: TuningResult, **changes: Any) -> TuningResult:
    settings = {"finals": FINALS, "seed": 1, "study": "cell", **changes}
    return train_again(result, SPACE, game, storage=Storage.at("", folder), **settings)


def trial(number: int, value: float | None, state: Any = "complete", at: float = -1) -> TrialRecord:
    at = number / 10 if at < 0 else at
    return TrialRecord(number, {"training.learning_rate": at}, value, state)


def repeat(number: int, value: float | None, of: int) -> TrialRecord:
    return TrialRecord(number, {}, value, "complete" if value else "failed", "why", 1, of)


def test_finalists_ran_to_their_end_and_are_different_settings() -> None:
    trials = [
        trial(0, -3.0),
        trial(1, -1.0, "pruned"),
        trial(2, None, "failed"),
        trial(3, -2.0),
        trial(4, -2.5, at=0.3),  # the settings of trial 3
        trial(5, -2.0),
    ]
    result = TuningResult({}, -1.0, trials)
    assert [one.number for one in finalists(result, 9)] == [3, 5, 0]
    assert [one.number for one in finalists(result, 2)] == [3, 5]


def test_the_mean_of_the_repeats_chooses() -> None:
    result = TuningResult({"a": 1}, -1.0, [trial(0, -1.0), trial(1, -1.5)])
    found = choose(
        result, [repeat(2, -3.0, 0), repeat(3, -2.0, 1), repeat(4, -1.5, 0), repeat(5, -2.1, 1)]
    )
    assert found.best == {"training.learning_rate": 0.1}
    assert found.value == pytest.approx(-2.05)  # trial 1's own -1.5 has no part in it
    assert found.trials == result.trials


def test_a_setting_that_failed_once_comes_after_those_that_never_did() -> None:
    result = TuningResult({}, -1.0, [trial(0, -1.0), trial(1, -1.5), trial(2, -1.7)])
    runs = [repeat(3, -1.0, 0), repeat(4, -9.0, 1), repeat(5, None, 2)]
    runs += [repeat(6, None, 0), repeat(7, -9.0, 1), repeat(8, None, 2)]
    assert choose(result, runs).best == {"training.learning_rate": 0.1}
    assert choose(result, [runs[0], runs[3], runs[2]]).value == -1.0
    with pytest.raises(BenchError, match=r"all 2 trainings of the search's finalists failed.*why"):
        choose(result, [runs[2], runs[5]])


def test_where_luck_decides_the_repeats_choose_better(tmp_path: Path) -> None:
    """Without luck in the choice the highest setting of the finalists would be taken."""
    game = Lucky(luck=0.3)
    result = first(tmp_path, game)
    found = again(tmp_path, game, result)
    best = finalists(result, 3)
    settings = [one.params["training.learning_rate"] for one in best]
    assert result.best["training.learning_rate"] < max(settings)  # the lucky one had less
    assert found.best["training.learning_rate"] == max(settings)
    own = {one.number: one.value for one in best}
    assert [one.number for one in found.repeats] == list(range(TRIALS, TRIALS + 24))
    assert {one.repeats for one in found.repeats} == set(own)
    chosen = [one for one in found.repeats if one.params == found.best]
    values = [one.value for one in chosen if one.value is not None]
    assert len(values) == 8
    assert found.value == pytest.approx(statistics.fmean(values))
    assert found.error == pytest.approx(float(np.std(values, ddof=1)) / 8**0.5)
    assert result.error is None
    assert found.epochs == result.epochs + 24 * 5


def test_one_finalist_is_not_trained_again(tmp_path: Path) -> None:
    game = Lucky()
    result = first(tmp_path, game)
    count = len(game.begun)
    assert again(tmp_path, game, result, finals={"settings": 1, "repeats": 8}) == result
    assert len(game.begun) == count


@pytest.mark.parametrize("moment", [TRIALS, TRIALS + 5, TRIALS + 23])
def test_interrupted_they_go_on_and_none_is_trained_twice(tmp_path: Path, moment: int) -> None:
    game = Lucky()
    whole = again(tmp_path / "whole", game, first(tmp_path / "whole", game))
    cut = Lucky()
    result = first(tmp_path / "cut", cut)
    cut.interrupted_at = moment
    with pytest.raises(Interrupted):
        again(tmp_path / "cut", cut, result)
    assert again(tmp_path / "cut", cut, result) == whole
    assert sorted(cut.begun) == list(range(TRIALS + 24))
    assert again(tmp_path / "cut", cut, result) == whole
    assert len(cut.begun) == TRIALS + 24


def test_all_that_failed_are_trained_again_by_another_run(tmp_path: Path) -> None:
    game = Lucky(fails=range(TRIALS, TRIALS + 24))
    result = first(tmp_path, game)
    with pytest.raises(BenchError, match=r"all 24 trainings.*no luck"):
        again(tmp_path, game, result)
    game.fails = ()
    expected = again(tmp_path / "other", Lucky(), first(tmp_path / "other", Lucky()))
    assert again(tmp_path, game, result) == expected


def test_a_larger_budget_has_finals_of_its_own(tmp_path: Path) -> None:
    game = Lucky()
    result = first(tmp_path, game)
    again(tmp_path, game, result)
    storage = Storage.at("", tmp_path)
    settings: dict[str, Any] = {"seed": 1, "storage": storage, "study": "cell", "batch": 8}
    longer = search(SPACE, game, trials=TRIALS + 8, **settings)
    assert longer.trials[:TRIALS] == result.trials  # none of the repeats is one of its trials
    found = again(tmp_path, game, longer)
    assert found.repeats[0].number == TRIALS + 8


WORDS = ("--models", "VAE", "--datasets", "gaussians", "--trials", "20", "--seeds", "0,4")
SETS = ("--set", "training.warmup_epochs=1", "--set", "tuning.repeats=2")


def test_a_tuned_run_trains_its_finalists_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    real = ReplicaTrainer.__init__

    def spy(self: ReplicaTrainer, replicas: Sequence[Replica], *rest: Any, **more: Any) -> None:
        seeds.extend(replica.seed for replica in replicas)
        real(self, replicas, *rest, **more)

    monkeypatch.setattr(ReplicaTrainer, "__init__", spy)
    monkeypatch.setenv("COLUMNS", "200")  # a narrow table would break its numbers
    ended = run_tiny(tmp_path, *WORDS, *SETS, epochs=3)
    assert ended.status == 0, ended.out + ended.err
    assert sorted(seeds) == [0, 4, *range(TRIAL_SEEDS, TRIAL_SEEDS + 24)]
    said = " ".join(ended.out.split())
    assert "at most 2, are trained again, each on 2 further trial seeds" in said
    cells = list((tmp_path / "cells").iterdir())
    rows = list(csv.DictReader((cells[0] / "trials.csv").read_text().splitlines()))
    repeats = [row for row in rows if row["repeats"]]
    assert [int(row["trial"]) for row in repeats] == [20, 21, 22, 23]
    done = [row for row in rows[:20] if row["state"] == "complete"]
    best = sorted(done, key=lambda row: -float(row["validation_bound"]))[:2]
    assert [row["repeats"] for row in repeats] == [row["trial"] for row in best] * 2
    means = {}
    for one in best:
        mine = [row for row in repeats if row["repeats"] == one["trial"]]
        assert {row["training.learning_rate"] for row in mine} == {one["training.learning_rate"]}
        means[one["training.learning_rate"]] = statistics.fmean(
            float(row["validation_bound"]) for row in mine
        )
    found = json.loads((cells[0] / "tuning.json").read_text())
    chosen = max(means, key=lambda rate: means[rate])
    assert found["best"]["training.learning_rate"] == float(chosen)
    assert found["validation_bound"] == pytest.approx(means[chosen], abs=1e-12)
    assert found["repeats"] == 4
    two = [
        float(row["validation_bound"]) for row in repeats if row["training.learning_rate"] == chosen
    ]
    assert found["validation_bound_se"] == pytest.approx(abs(two[0] - two[1]) / 2)
    assert f"{found['validation_bound']:.2f} ± {found['validation_bound_se']:.2f}" in said
    report = bench("report", "--out", tmp_path, "--section", "searches", "--format", "csv")
    (row,) = csv.DictReader(report.out.splitlines())
    assert (row["repeats"], float(row["validation_bound"])) == ("4", found["validation_bound"])
    assert float(row["validation_bound_se"]) == found["validation_bound_se"]
    assert int(row["trial_epochs"]) == sum(int(row["epochs"]) for row in rows)


def test_a_single_finalist_is_refused() -> None:
    """Nothing could be chosen, and a table would not say that nothing was."""
    with pytest.raises(UsageError, match=r"tuning\.finalists.*at least 2, found 1"):
        load_config(None, None, ("tuning.finalists=1",), {})


def test_without_finalists_the_best_trial_is_chosen(tmp_path: Path) -> None:
    words = ("--set", "tuning.finalists=0", *WORDS, *SETS)
    ended = bench("tune", *TINY, "--epochs", 3, "--out", tmp_path, *words)
    assert ended.status == 0, ended.out + ended.err
    assert "trained again" not in " ".join(ended.out.split())
    (cell,) = (tmp_path / "cells").iterdir()
    rows = list(csv.DictReader((cell / "trials.csv").read_text().splitlines()))
    assert len(rows) == 20
    found = json.loads((cell / "tuning.json").read_text())
    assert found["validation_bound"] == max(float(row["validation_bound"]) for row in rows)

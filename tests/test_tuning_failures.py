"""Searches of which trials, or all of them, fail: said, counted, and started over once in a run."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from bench.training import TrainingFailed
from bench.tuning import TrialRecord
from bench.tuning.storage import Storage
from bench.tuning.study import Slots
from test_tuning import SPACE, bound, tune


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [(TrainingFailed("it diverged"), "it diverged"), (float("nan"), "the objective is nan")],
)
def test_a_failed_trial_is_recorded_and_counts(
    tmp_path: Path, outcome: float | Exception, reason: str
) -> None:
    def fails_once(number: int, params: dict[str, Any]) -> float:
        if number != 1:
            return bound(number, params)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    result = tune(tmp_path, fails_once, trials=4)
    failed = [trial for trial in result.trials if trial.state == "failed"]
    assert [(trial.number, trial.value, trial.reason) for trial in failed] == [(1, None, reason)]
    assert tune(tmp_path, trials=4) == result


def test_when_all_fail_it_says_so_and_starts_over_next_time(tmp_path: Path) -> None:
    def fails(number: int, params: dict[str, Any]) -> float:
        raise TrainingFailed("it diverged")

    with pytest.raises(BenchError, match="all 3 trials of cell failed; the last one: it diverged"):
        tune(tmp_path, fails, trials=3)
    assert all(trial.state == "complete" for trial in tune(tmp_path, trials=3).trials)


def diverges(number: int, params: dict[str, Any]) -> float:
    raise TrainingFailed("it diverged")


def test_a_run_starts_a_failed_search_over_only_once(tmp_path: Path) -> None:
    """Its helpers, and the groups of other seeds, come when all trials may have failed again."""
    numbers: list[int] = []

    def noted(number: int, params: dict[str, Any]) -> float:
        numbers.append(number)
        return diverges(number, params)

    for run, trained in (("a", 3), ("a", 3), ("b", 6), ("b", 6), ("a", 6)):
        with pytest.raises(BenchError, match="all 3 trials of cell failed"):
            tune(tmp_path, noted, trials=3, run=run)
        assert numbers == [0, 1, 2] * (trained // 3)
    assert tune(tmp_path, trials=3, run="c").trials == tune(tmp_path / "new", trials=3).trials


def test_processes_of_a_run_do_not_start_a_search_over_one_after_the_other(tmp_path: Path) -> None:
    with pytest.raises(BenchError):
        tune(tmp_path, diverges, trials=3, run="earlier")
    numbers: list[int] = []
    together = threading.Barrier(3)

    def noted(number: int, params: dict[str, Any]) -> float:
        numbers.append(number)
        return diverges(number, params)

    def one() -> str:
        together.wait()
        with pytest.raises(BenchError) as raised:
            tune(tmp_path, noted, trials=3, run="now")
        return str(raised.value)

    with ThreadPoolExecutor(3) as crew:
        said = [each.result() for each in [crew.submit(one) for _ in range(3)]]
    assert sorted(numbers) == [0, 1, 2]
    assert set(said) == {"all 3 trials of cell failed; the last one: it diverged"}


def test_another_run_that_starts_over_takes_nothing_away(tmp_path: Path) -> None:
    """It does so between the end of the last trial and the look at how the search went."""

    def on_trial(record: TrialRecord) -> None:
        if record.number == 2:
            Slots(Storage.at("", tmp_path), "cell", SPACE, 3, 3).begin("another")

    with pytest.raises(BenchError, match="all 3 trials of cell failed; the last one: it diverged"):
        tune(tmp_path, diverges, trials=3, run="a", on_trial=on_trial)
    assert tune(tmp_path, trials=3, run="another").count("complete") == 3


def test_a_search_without_a_trial_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slots, "round", lambda *_: [])
    with pytest.raises(BenchError, match="cell has no trial that ended"):
        tune(tmp_path)

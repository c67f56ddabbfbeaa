"""The search: seeded, resumable after any interruption, honest about failures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError, UsageError
from bench.spaces import Choice, Float, Int, Range
from bench.training import Interrupted, TrainingFailed
from bench.tuning import Proposal, Standing, TrialRecord, TuningResult, search
from bench.tuning.storage import Storage
from bench.tuning.study import Slots

SPACE: dict[str, Range] = {
    "training.learning_rate": Float(1e-4, 1e-2, log=True),
    "training.temperature_start": Float(0.5, 2.0),
    "components": Int(5, 100, log=True),
    "priors.example.kind": Choice(("narrow", "wide")),
}
TRIALS = 8
Objective = Callable[[int, dict[str, Any]], float]


def bound(number: int, params: dict[str, Any]) -> float:
    wide = params["priors.example.kind"] == "wide"
    return -abs(params["components"] - 40) - 1e3 * params["training.learning_rate"] + wide


class Function:
    """An objective that is a function of a batch; its trials know no epochs."""

    rungs: Sequence[int] = ()
    reduction = 3

    def __init__(self, together: Callable[[Sequence[Proposal]], list[float | BenchError]]) -> None:
        self.together, self.facts = together, dict[str, Any]()

    def parts(self, proposals: Sequence[Proposal]) -> list[Sequence[Proposal]]:
        return [proposals]

    def start(self, proposals: Sequence[Proposal]) -> Evaluated:
        return Evaluated(self, proposals)

    def sweep(self, going: Collection[int]) -> None: ...


class Evaluated:
    def __init__(self, function: Function, proposals: Sequence[Proposal]) -> None:
        self.function, self.proposals = function, proposals

    def advance(self, epoch: int | None) -> dict[int, Standing]:
        values = self.function.together(self.proposals)
        return {
            proposal.number: Standing(0.0, failure=str(value))
            if isinstance(value, BenchError)
            else Standing(value)
            for proposal, value in zip(self.proposals, values, strict=True)
        }

    def drop(self, numbers: Collection[int]) -> None: ...

    def keep(self) -> None: ...

    def close(self) -> None: ...


def tune(folder: Path, objective: Objective = bound, **changes: Any) -> TuningResult:
    settings = {"trials": TRIALS, "seed": 3, "study": "cell", **changes}
    space = settings.pop("space", SPACE)

    def together(proposals: Sequence[Proposal]) -> list[float | BenchError]:
        return [value_or_error(objective, p) for p in proposals]

    return search(space, Function(together), storage=Storage.at("", folder), **settings)


def value_or_error(objective: Objective, proposal: Proposal) -> float | BenchError:
    try:
        return objective(proposal.number, proposal.params)
    except TrainingFailed as error:
        return error


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> TuningResult:
    return tune(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(scope="module", params=[1, 3])
def batched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, TuningResult]:
    """A batch size and the search that nothing disturbed."""
    folder = tmp_path_factory.mktemp("batched")
    return request.param, tune(folder, batch=request.param)


def test_finds_the_best_of_its_trials(undisturbed: TuningResult) -> None:
    best = max(undisturbed.trials, key=lambda t: t.value if t.value is not None else -1e9)
    assert (undisturbed.best, undisturbed.value) == (best.params, best.value)
    assert [trial.number for trial in undisturbed.trials] == list(range(TRIALS))
    assert len({str(trial.params) for trial in undisturbed.trials}) == TRIALS


def test_draws_lie_in_their_ranges(undisturbed: TuningResult) -> None:
    for trial in undisturbed.trials:
        assert 1e-4 <= trial.params["training.learning_rate"] <= 1e-2
        assert type(trial.params["components"]) is int
        assert trial.params["priors.example.kind"] in ("narrow", "wide")


def test_the_first_trial_has_the_settings_that_one_has(tmp_path: Path) -> None:
    kept = {"components": 40, "priors.example.kind": "wide"}
    outside = {"training.learning_rate": 2.0, "training.temperature_start": "high", "other": 1}
    found = tune(tmp_path, start={**kept, **outside})
    first, drawn = found.trials[0].params, tune(tmp_path / "without").trials
    assert {key: first[key] for key in kept} == kept
    assert 1e-4 <= first["training.learning_rate"] <= 1e-2
    assert [trial.params for trial in found.trials[1:]] == [trial.params for trial in drawn[1:]]
    other = tune(tmp_path, start={**kept, "components": 41})  # another search in the same place
    assert other.trials[0].params["components"] == 41


def test_the_sampler_learns_from_earlier_trials(tmp_path: Path) -> None:
    one = tune(tmp_path / "one", trials=12)
    other = tune(tmp_path / "other", lambda number, params: -bound(number, params), trials=12)
    same = [a.params == b.params for a, b in zip(other.trials, one.trials, strict=True)]
    assert all(same[:8])
    assert not any(same[9:])


def test_another_seed_draws_anew_in_the_same_journal(tmp_path: Path) -> None:
    first, second = tune(tmp_path, seed=1, trials=2), tune(tmp_path, seed=2, trials=2)
    assert not {str(t.params) for t in first.trials} & {str(t.params) for t in second.trials}


def test_a_changed_space_is_another_search(tmp_path: Path) -> None:
    tune(tmp_path, trials=2)
    changed = tune(tmp_path, lambda *_: 0.0, space={"components": Choice((1, 2))}, trials=2)
    assert all(trial.params.keys() == {"components"} for trial in changed.trials)


def test_a_finished_search_runs_nothing(tmp_path: Path) -> None:
    first = tune(tmp_path, trials=4)
    again = tune(tmp_path, lambda *_: pytest.fail("a trial was run twice"), trials=4)
    assert again == first


def test_a_larger_budget_goes_on(tmp_path: Path) -> None:
    first, seen = tune(tmp_path, trials=3), list[TrialRecord]()
    longer = tune(tmp_path, trials=5, on_trial=seen.append)
    assert longer.trials[:3] == first.trials
    assert seen == longer.trials[3:]


@pytest.mark.parametrize("batch", [1, 4])
def test_an_extended_search_is_one_that_had_the_larger_budget(tmp_path: Path, batch: int) -> None:
    """Where the smaller budget ends with a round."""
    for trials in (8, 12):
        tune(tmp_path / "extended", batch=batch, trials=trials)
    whole = tune(tmp_path / "whole", batch=batch, trials=24)
    assert tune(tmp_path / "extended", batch=batch, trials=24) == whole


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("stop"), RuntimeError("oom")])
def test_an_interrupted_search_resumes_to_the_same_trials(
    tmp_path: Path, batched: tuple[int, TuningResult], error: BaseException
) -> None:
    batch, undisturbed = batched

    def interrupted(number: int, params: dict[str, Any]) -> float:
        if number == 5:
            raise error
        return bound(number, params)

    with pytest.raises(type(error)):
        tune(tmp_path, interrupted, batch=batch)
    assert tune(tmp_path, batch=batch) == undisturbed


def test_a_batch_is_drawn_before_its_first_trial_has_ended(tmp_path: Path) -> None:
    sizes: list[list[int]] = []

    def together(proposals: Sequence[Proposal]) -> list[float | BenchError]:
        sizes.append([proposal.number for proposal in proposals])
        return [bound(proposal.number, proposal.params) for proposal in proposals]

    storage = Storage.at("", tmp_path)
    objective = Function(together)
    result = search(SPACE, objective, trials=8, seed=3, storage=storage, study="cell", batch=3)
    assert sizes == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert [trial.number for trial in result.trials] == list(range(8))


def test_a_kill_between_two_results_of_a_batch_loses_neither(tmp_path: Path) -> None:
    expected = tune(tmp_path / "whole", batch=3)
    count = 0

    real = Slots.tell

    def told(self: Slots, *arguments: Any) -> TrialRecord | None:
        nonlocal count
        count += 1
        if count == 5:  # the second of the second batch
            raise KeyboardInterrupt
        return real(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Slots, "tell", told)
        with pytest.raises(KeyboardInterrupt):
            tune(tmp_path / "cut", batch=3)
    assert tune(tmp_path / "cut", batch=3) == expected


def test_a_killed_search_resumes_to_the_same_trials(
    tmp_path: Path, batched: tuple[int, TuningResult]
) -> None:
    batch, undisturbed = batched
    script = (
        "import os, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_tuning import bound, tune\n"
        "def dies(number, params):\n"
        "    if number == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return bound(number, params)\n"
        "tune(Path(sys.argv[1]), dies, batch=int(sys.argv[3]))\n"
    )
    here = str(Path(__file__).parent)
    words = [sys.executable, "-c", script, str(tmp_path), here, str(batch)]
    killed = subprocess.run(words, check=False)
    assert killed.returncode == -signal.SIGKILL
    seen: list[TrialRecord] = []
    assert tune(tmp_path, on_trial=seen.append, batch=batch) == undisturbed
    assert [trial.number for trial in seen] == list(range(4 - 4 % batch, TRIALS))


def test_a_line_cut_short_does_not_spoil_the_journal(tmp_path: Path) -> None:
    first = tune(tmp_path, trials=3)
    with (tmp_path / "tuning.journal").open("ab") as stream:
        stream.write(b'{"op_code":4,"wor')
    assert tune(tmp_path, trials=4).trials[:3] == first.trials


def test_an_objective_of_zero_is_a_value_like_another(tmp_path: Path) -> None:
    assert tune(tmp_path, lambda number, _: [0.0, -1.0][number], trials=2).value == 0.0


@pytest.mark.parametrize("changes", [{"space": {}}, {"trials": 0}])
def test_nothing_to_search_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="a search needs a space and at least 1 trial"):
        tune(tmp_path, **changes)


def test_importing_the_module_imports_no_optuna() -> None:
    code = "import sys, bench.tuning; sys.exit('optuna' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0

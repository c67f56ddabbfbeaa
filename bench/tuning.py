r"""Searching a cell's space with Optuna: seeded, and resumable at any moment.

Every draw is made by a sampler seeded from (seed, index of the trial), from the trials that have
finished before it. So what a study draws does not depend on how often it was interrupted.

The sampler is TPE (Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS 2011). Its
first trials are uniform draws: a quarter of the budget, at least 4 and at most 10.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bench.errors import BenchError, Interrupted, UsageError
from bench.spaces import Choice, Float, Int, Range

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial


@dataclass(frozen=True)
class Proposal:
    """Settings to try: the index of the trial in the search, and the values by dotted key."""

    number: int
    params: dict[str, Any]


Objective = Callable[[Sequence[Proposal]], Sequence[float | BenchError]]

# Attributes in the journal.
REASON = "reason"  # of a trial: why its objective has no value; what a kill left has none
RESTART = "restart"  # of a study: trials with a lower number no longer count


@dataclass(frozen=True)
class TrialRecord:
    """A finished trial.

    Attributes:
        number: its index in the search, the same whether or not the search was interrupted.
        params: the settings tried.
        value: the objective in nats; None if it failed.
        state: whether it has a value.
        reason: why it has none.
    """

    number: int
    params: dict[str, Any]
    value: float | None
    state: Literal["complete", "failed"]
    reason: str = ""


@dataclass(frozen=True)
class TuningResult:
    """The best settings, their objective in nats, and every trial in order."""

    best: dict[str, Any]
    value: float
    trials: list[TrialRecord]


def search(
    space: Mapping[str, Range],
    objective: Objective,
    *,
    trials: int,
    seed: int,
    journal: Path,
    study: str,
    batch: int = 1,
    on_trial: Callable[[TrialRecord], None] | None = None,
) -> TuningResult:
    """The settings with the highest objective after ``trials`` trials, earlier sessions' included.

    A trial that fails counts, so that every search has the same budget; one that was killed is run
    again with the same settings. A search in which every trial failed starts over. Searches with
    another seed or space under the same name are kept apart.

    Args:
        space: what may change, by dotted key.
        objective: given the trials of a batch, each one's valid validation bound (mean ELBO in
            nats) in their order. A BenchError in its place, or a value that is not finite, fails
            the trial; one that is raised fails the batch; anything else ends the search, which
            resumes at that batch.
        trials: the budget.
        seed: of the sampler.
        journal: the file that holds the studies.
        study: the name of this one.
        batch: trials that are drawn before the first of them has ended, so that they can run
            together. What is drawn depends on it.
        on_trial: told of each trial that this call has finished.

    Raises:
        UsageError: nothing to search, or no trials.
        BenchError: every trial failed.
        Interrupted: the objective was interrupted; call again to resume.
    """
    if not space or trials < 1:
        raise UsageError(
            f"a search needs a space and at least 1 trial, got {len(space)} ranges and "
            f"trials = {trials}"
        )
    from filelock import FileLock

    name = f"{study} [{_digest(space, seed)}]"
    folder = journal.with_name(f"{journal.name}.locks")
    folder.mkdir(parents=True, exist_ok=True)
    # One process at a time searches a study: a second would take the first one's running trial for
    # one that a kill has left. The second waits, and then finds the result.
    with FileLock(str(folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock")):
        search = _Search(_load(journal, name), _distributions(space), seed, trials)
        search.recover()
        while len(search.records()) < trials:
            for record in search.run(objective, batch):
                if on_trial is not None:
                    on_trial(record)
        return _result(search.records()[:trials], study)


class _Search:
    """One study in this process."""

    def __init__(
        self, study: Study, space: dict[str, BaseDistribution], seed: int, trials: int
    ) -> None:
        self.study, self.space, self.seed, self.trials = study, space, seed, trials

    def records(self) -> list[TrialRecord]:
        """The finished trials that count, in order."""
        return [
            TrialRecord(
                number,
                dict(trial.params),
                trial.value if _complete(trial) else None,
                "complete" if _complete(trial) else "failed",
                str(trial.user_attrs.get(REASON, "")),
            )
            for number, trial in enumerate(t for t in self._counted() if _finished(t))
        ]

    def recover(self) -> None:
        """Queue again what a kill left running, and start over if every trial failed."""
        from optuna.trial import TrialState

        for trial in self._counted():
            if trial.state == TrialState.RUNNING:
                params = trial.system_attrs.get("fixed_params", {}) | trial.params
                # Failed first: killed between the two calls, the draw is made anew, and the same.
                self.study.tell(trial.number, state=TrialState.FAIL)
                if REASON not in trial.user_attrs and params.keys() == self.space.keys():
                    self.study.enqueue_trial(params)
        found = self.records()
        if len(found) >= self.trials and all(record.state == "failed" for record in found):
            waiting = [t.number for t in self._counted() if t.state == TrialState.WAITING]
            self.study.set_user_attr(RESTART, min(waiting, default=len(self.study.trials)))

    def run(self, objective: Objective, batch: int) -> list[TrialRecord]:
        """The trials up to the end of the batch, of which a kill may have left but a part."""
        first = len(self.records())
        numbers = range(first, min(first + batch - first % batch, self.trials))
        asked = []
        for number in numbers:
            self.study.sampler = _sampler(self.seed, number, self.trials)
            asked.append(self.study.ask(self.space))
        proposals = [Proposal(n, dict(t.params)) for n, t in zip(numbers, asked, strict=True)]
        values: Sequence[float | BenchError]
        try:
            values = objective(proposals)
        except Interrupted:
            raise
        except BenchError as error:
            values = [error] * len(proposals)
        for trial, value in zip(asked, values, strict=True):
            self._tell(trial, value)
        return self.records()[first:]

    def _tell(self, trial: Trial, value: float | BenchError) -> None:
        from optuna.trial import TrialState

        if isinstance(value, BenchError):
            reason = str(value) or type(value).__name__
        else:
            reason = "" if math.isfinite(value) else f"the objective is {value}"
        if reason:
            trial.set_user_attr(REASON, reason)
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            assert not isinstance(value, BenchError)  # an error has a reason
            self.study.tell(trial, float(value))

    def _counted(self) -> list[FrozenTrial]:
        first = self.study.user_attrs.get(RESTART, 0)
        return [trial for trial in self.study.trials if trial.number >= first]


def _load(journal: Path, name: str) -> Study:
    """The study in the journal, made if it is not there."""
    import optuna
    from filelock import FileLock
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # Optuna's own locks outlive a killed process by 30 seconds; the system's do not.
    lock: Any = FileLock(f"{journal}.lock", poll_interval=0.005)
    with lock:
        _mend(journal)
    storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))
    return optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True
    )


def _mend(journal: Path) -> None:
    """Cut a last line that was not written to its end: Optuna cannot read what follows one."""
    if journal.exists() and not (data := journal.read_bytes()).endswith(b"\n"):
        with journal.open("r+b") as stream:
            stream.truncate(data.rfind(b"\n") + 1)


def _sampler(seed: int, number: int, trials: int) -> Any:
    from optuna.samplers import TPESampler

    word = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return TPESampler(n_startup_trials=min(10, max(4, trials // 4)), seed=word)


def _distributions(space: Mapping[str, Range]) -> dict[str, BaseDistribution]:
    """Optuna's types of the ranges, by key in alphabetical order, as draws depend on the order."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    found: dict[str, BaseDistribution] = {}
    for key, values in sorted(space.items()):
        match values:
            case Float(low, high, log):
                found[key] = FloatDistribution(low, high, log=log)
            case Int(low, high, log):
                found[key] = IntDistribution(low, high, log=log)
            case Choice(options):
                found[key] = CategoricalDistribution(options)
    return found


def _digest(space: Mapping[str, Range], seed: int) -> str:
    content = [seed, sorted((key, type(r).__name__, asdict(r)) for key, r in space.items())]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:8]


def _complete(trial: FrozenTrial) -> bool:
    return trial.state.name == "COMPLETE"


def _finished(trial: FrozenTrial) -> bool:
    return _complete(trial) or (REASON in trial.user_attrs and trial.state.is_finished())


def _result(records: list[TrialRecord], study: str) -> TuningResult:
    values = [-math.inf if record.value is None else record.value for record in records]
    value = max(values)
    if value == -math.inf:
        raise BenchError(
            f"all {len(records)} trials of {study} failed; the last one: {records[-1].reason}"
        )
    return TuningResult(dict(records[values.index(value)].params), value, records)

r"""The finalists of a search, trained again on further trial seeds: the choice among the best.

The bound of one setting varies over training seeds. The highest of many trials is therefore partly
luck, and the more trials there are, the more of it (the winner's curse). So the best few are
trained again, and the mean of these trainings chooses. The value that made a trial a finalist has
no part in the mean: it was selected for being high.
"""

from __future__ import annotations

import datetime
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.errors import BenchError
from bench.spaces import Range
from bench.tuning.patience import patient
from bench.tuning.records import Objective, Proposal, TrialRecord, TuningResult
from bench.tuning.search import share
from bench.tuning.storage import Storage
from bench.tuning.study import ROUND, SLOT, Slots

__all__ = ["choose", "finalists", "finals_name", "train_again", "trainings"]


def trainings(tuning: Mapping[str, Any]) -> int:
    """The most trainings that a search takes, finals included, by ``tuning`` of its settings."""
    if not tuning:
        return 0
    finals = tuning.get("finals")
    again = finals["settings"] * finals["repeats"] if finals else 0
    return int(tuning["trials"]) + again


def finals_name(study: str, trials: int, finals: Mapping[str, int]) -> str:
    """The name of the study that holds them; a search that is extended has finals of its own."""
    return f"{study} finals of {trials}: {finals['settings']} x {finals['repeats']}"


def finalists(result: TuningResult, settings: int) -> list[TrialRecord]:
    """The trials with the highest values among those that ran to their end, best first.

    Settings that were drawn twice count once.
    """
    done = [trial for trial in result.trials if trial.state == "complete"]
    found: dict[str, TrialRecord] = {}
    for trial in sorted(done, key=lambda trial: (-_value(trial), trial.number)):
        found.setdefault(repr(sorted(trial.params.items())), trial)
    return list(found.values())[:settings]


def train_again(
    result: TuningResult,
    space: Mapping[str, Range],
    objective: Objective,
    *,
    finals: Mapping[str, int],
    seed: int,
    storage: Storage,
    study: str,
    run: str | None = None,
    on_trial: Callable[[TrialRecord], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    notice: Callable[[str], None] = warnings.warn,
) -> TuningResult:
    """Train the finalists of a search again, and choose among them by the mean.

    The trainings are numbered after the trials of the search: the number gives the seed. They are
    shared, resumed and kept as trials are, and none is stopped early.

    Args:
        result: of the search.
        space: what was searched.
        objective: as in ``search``, without rungs.
        finals: ``settings``, how many finalists at most, and ``repeats``, trainings of each.
        seed: of the sampler.
        storage: holds the studies.
        study: the search's name.
        run: as in ``search``.
        on_trial: told of each training that this call has finished.
        stop: whether to give up waiting for other processes, or for a storage that is away.
        notice: told when the storage is away.

    Raises:
        BenchError: every training failed, or the storage stays away.
        Interrupted: the objective was interrupted; call again to resume.
    """
    best = finalists(result, finals["settings"])
    if len(best) < 2:
        return result  # nothing to choose
    again = [trial for _ in range(finals["repeats"]) for trial in best]
    storage = storage.patient(notice, stop)
    slots = Finals(
        storage, finals_name(study, len(result.trials), finals), space, seed, result, again
    )

    def tell(record: TrialRecord) -> None:
        if on_trial is not None:
            on_trial(slots.named(record))

    share(slots, objective, len(again), run, tell, stop)
    return choose(result, [slots.named(record) for record in slots.records()])


class Finals(Slots):
    """The study of the repeats: one round of given settings; nothing is drawn.

    Args:
        storage, name, space, seed: as for ``Slots``.
        result: of the search.
        again: the trials to repeat, one for each training.
    """

    def __init__(
        self,
        storage: Storage,
        name: str,
        space: Mapping[str, Range],
        seed: int,
        result: TuningResult,
        again: Sequence[TrialRecord],
    ) -> None:
        super().__init__(storage, name, space, seed, len(again))
        first = len(result.trials)
        self.again = dict(enumerate(again, start=first))

    @patient
    def round(self, batch: int) -> list[Proposal]:
        """All of them, until all have ended. Tried again, it leaves those that are there."""
        with self.storage.hold(self.name):
            known = self.by_slot()
            for slot, trial in self.again.items():
                if slot not in known:
                    self._add(slot, trial)
            known = self.by_slot()
        if all(trial.state.is_finished() for trial in known.values()):
            return []
        return [Proposal(slot, dict(trial.params)) for slot, trial in self.again.items()]

    def named(self, record: TrialRecord) -> TrialRecord:
        """The record with the trial that it repeats."""
        return replace(record, repeats=self.again[record.number].number)

    def _add(self, slot: int, trial: TrialRecord) -> None:
        """In one write, so that a kill leaves all of it or nothing."""
        from optuna.trial import TrialState, create_trial

        made = create_trial(
            state=TrialState.RUNNING,
            params=trial.params,
            distributions=self.space,
            user_attrs={
                SLOT: slot,
                ROUND: [self.restarts, min(self.again), max(self.again) + 1],
            },
        )
        made.datetime_start = datetime.datetime.now()
        self.study.add_trial(made)


def choose(result: TuningResult, again: Sequence[TrialRecord]) -> TuningResult:
    """The settings with the highest mean over their trainings.

    Those of which a training failed come after those of which none did.

    Args:
        result: of the search.
        again: the trainings of its finalists.

    Raises:
        BenchError: every training failed.
    """
    values: dict[int | None, list[float]] = {}
    failed: dict[int | None, int] = {}
    for record in again:
        if record.value is None:
            failed[record.repeats] = failed.get(record.repeats, 0) + 1
        else:
            values.setdefault(record.repeats, []).append(record.value)
    if not values:
        raise BenchError(
            f"all {len(again)} trainings of the search's finalists failed; the last one: "
            f"{again[-1].reason}"
        )
    means = {number: math.fsum(found) / len(found) for number, found in values.items()}
    chosen = max(means, key=lambda number: (number not in failed, means[number]))
    params = next(trial.params for trial in result.trials if trial.number == chosen)
    return TuningResult(dict(params), means[chosen], result.trials, list(again))


def _value(trial: TrialRecord) -> float:
    return -math.inf if trial.value is None else trial.value

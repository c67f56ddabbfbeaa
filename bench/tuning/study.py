"""One study as several processes share it: numbered trials, drawn in rounds, owned, told once.

Every trial of the study has a number in the search, its slot. A round is as many slots as are drawn
at once. It is drawn when all before it have ended, under a lock, each slot by a sampler seeded from
(seed, slot): so what is drawn depends neither on interruptions nor on the number of processes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.spaces import Choice, Float, Int, Range
from bench.tuning.halving import survivors
from bench.tuning.owners import Owner
from bench.tuning.records import Proposal, Standing, TrialRecord
from bench.tuning.storage import Storage

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

UNIFORM = (
    8  # trials that are drawn uniformly before the sampler learns. A share of the budget would
)
# draw a search that is extended otherwise than one that had the larger budget from the start
# Attributes of a trial.
SLOT = "slot"  # its number in the search; a kill while it was drawn leaves it without
ROUND = "round"  # how often the search has started over, and the slots that are drawn with it: the
# first, and the first that is not
OWNER = "owner"  # the process that works on it
REASON = "reason"  # why its objective has no value
EPOCHS = "epochs"  # how many it has trained
# Attributes of a study.
RESTARTS = "restarts"  # how often it has started over; what was drawn before no longer counts
RUNS = "runs"  # the runs that have taken part: each starts it over once at most
FACTS = "facts"  # what has to stay as it was when the search began

FORMAT = 5  # of the attributes, and raised when an unchanged search finds other numbers


class Slots:
    """The trials of a study by their number in the search.

    Args:
        storage: where it is.
        name: of the study, without space and seed, which are added.
        space: what is searched.
        seed: of the sampler.
        trials: the budget.
    """

    def __init__(
        self, storage: Storage, name: str, space: Mapping[str, Range], seed: int, trials: int
    ) -> None:
        self.storage, self.seed, self.trials = storage, seed, trials
        self.space = distributions(space)
        self.name = f"{name} [{_digest(space, seed)}]"
        self.study = storage.study(self.name)
        self.optuna = self.study._storage
        self.restarts: int = self.study.user_attrs.get(RESTARTS, 0)

    def facts(self, mine: dict[str, Any]) -> dict[str, Any]:
        """Those of whoever began the search."""
        with self.storage.hold(self.name):
            found: dict[str, Any] | None = self.study.user_attrs.get(FACTS)
            if found is None:
                self.study.set_user_attr(FACTS, mine)
        return mine if found is None else found

    def begin(self, run: str) -> None:
        """Take part in the search; it starts over where all failed before this run.

        What made them fail may be mended. But the processes of one run come and go, and must not
        take what has failed in it for an earlier failure: all give the run's name, and the first
        decides. Should another run start the search over meanwhile, they stay with their trials.
        """
        with self.storage.hold(self.name):
            attributes = self.study.user_attrs
            self.restarts = attributes.get(RESTARTS, 0)
            runs = attributes.get(RUNS, [])
            if run in runs:
                return
            found = self.records()
            if len(found) >= self.trials and all(record.state == "failed" for record in found):
                self.restarts += 1
                self.study.set_user_attr(RESTARTS, self.restarts)
            self.study.set_user_attr(RUNS, [*runs, run])

    def by_slot(self) -> dict[int, FrozenTrial]:
        """The trials that count, finished or not."""
        trials = self.study.get_trials(deepcopy=False)
        drawn = [trial for trial in trials if SLOT in trial.user_attrs]
        known = [trial for trial in drawn if trial.user_attrs[ROUND][0] == self.restarts]
        return dict(sorted((trial.user_attrs[SLOT], trial) for trial in known))

    def records(self) -> list[TrialRecord]:
        """The finished trials in order."""
        return [record(slot, t) for slot, t in self.by_slot().items() if t.state.is_finished()]

    def round(self, batch: int) -> list[Proposal]:
        """The first round that has not ended, drawn unless it is; empty when all have ended."""
        with self.storage.hold(self.name):
            known = self.by_slot()
            mine = [trial for slot, trial in known.items() if slot < self.trials]
            going = [trial for trial in mine if not trial.state.is_finished()]
            if going:  # perhaps in a search with a larger budget: the rest of it is not ours
                first, stop = going[0].user_attrs[ROUND][1:]
                slots = range(first, min(stop, self.trials))
            elif len(mine) >= self.trials:
                return []
            else:
                first = len(known)
                slots = range(first, min(first + batch - first % batch, self.trials))
            self._drop_half_drawn()
            for slot in slots:
                if slot not in known:
                    self._draw(slot, slots)
            known = self.by_slot()
        return [Proposal(slot, dict(known[slot].params)) for slot in slots]

    def _draw(self, slot: int, slots: range) -> None:
        self.study.sampler = _sampler(self.seed, slot)
        trial = self.study.ask(self.space)
        trial.set_user_attr(ROUND, [self.restarts, slots.start, slots.stop])
        trial.set_user_attr(SLOT, slot)

    def _drop_half_drawn(self) -> None:
        """A kill while a trial was drawn has left it; it is drawn anew, and the same."""
        from optuna.trial import TrialState

        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if SLOT not in trial.user_attrs:
                self.study.tell(trial.number, state=TrialState.FAIL)

    def going(self) -> set[int]:
        """Slots whose trials have not ended, of whatever budget and whichever restart."""
        trials = self.study.get_trials(deepcopy=False)
        running = [trial for trial in trials if not trial.state.is_finished()]
        return {trial.user_attrs[SLOT] for trial in running if SLOT in trial.user_attrs}

    def claim(self, parts: Sequence[Sequence[Proposal]], owner: Owner) -> int | None:
        """Take a part that nobody works on, or None: the index of it.

        One that a dead process was at is nobody's.
        """
        if self._free(parts, owner) is None:
            return None
        with self.storage.hold(self.name):
            index = self._free(parts, owner)
            if index is not None:
                known = self.by_slot()
                for proposal in parts[index]:
                    trial = known[proposal.number]
                    if not trial.state.is_finished():
                        self.optuna.set_trial_user_attr(trial._trial_id, OWNER, owner.name)
        return index

    def _free(self, parts: Sequence[Sequence[Proposal]], owner: Owner) -> int | None:
        known, attributes = self.by_slot(), self.study.user_attrs
        for index, part in enumerate(parts):
            trials = [known[proposal.number] for proposal in part]
            going = [trial for trial in trials if not trial.state.is_finished()]
            names = {name for trial in going if (name := trial.user_attrs.get(OWNER))}
            if going and not any(owner.alive(name, attributes) for name in names):
                return index
        return None

    def report(self, slot: int, rung: int, standing: Standing) -> None:
        """What a trial has at a rung. Nothing is reported twice: a replay has the same values."""
        from optuna.exceptions import UpdateFinishedTrialError

        trial = self.by_slot()[slot]
        if trial.state.is_finished() or rung in trial.intermediate_values:
            return
        with suppress(UpdateFinishedTrialError):
            if _failure(standing):
                self._attribute(trial, REASON, _failure(standing))
            else:
                self.optuna.set_trial_intermediate_value(trial._trial_id, rung, standing.bound)

    def after(
        self, proposals: Sequence[Proposal], rungs: Sequence[int], reduction: int
    ) -> set[int] | None:
        """Which trials of a round go on from the last of ``rungs``; None while some are not there.

        Failed ones never do, nor do those that a search with a smaller budget has stopped before.
        """
        known = self.by_slot()
        racing = {proposal.number for proposal in proposals}
        earlier = [trial for slot, trial in known.items() if slot < min(racing)]
        for rung in rungs:
            values = {}
            for slot in racing:
                trial = known[slot]
                if rung in trial.intermediate_values:
                    values[slot] = trial.intermediate_values[rung]
                elif REASON not in trial.user_attrs and not trial.state.is_finished():
                    return None
            before = [t.intermediate_values[rung] for t in earlier if rung in t.intermediate_values]
            racing = survivors(values, before, reduction)
        return racing

    def tell(self, slot: int, standing: Standing, pruned: bool) -> TrialRecord | None:
        """The end of a trial; None where another process has told it."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        trial, reason = self.by_slot()[slot], _failure(standing)
        if trial.state.is_finished():
            return None
        # One that was wrongly taken for dead may tell at the same time; it has the same value.
        with suppress(UpdateFinishedTrialError):
            self._attribute(trial, EPOCHS, standing.epochs)
            if reason:
                self._attribute(trial, REASON, reason)
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            elif pruned:
                self.study.tell(trial.number, state=TrialState.PRUNED, skip_if_finished=True)
            else:
                self.study.tell(trial.number, float(standing.bound), skip_if_finished=True)
        return record(slot, self.by_slot()[slot])

    def _attribute(self, trial: FrozenTrial, key: str, value: Any) -> None:
        self.optuna.set_trial_user_attr(trial._trial_id, key, value)


def record(slot: int, trial: FrozenTrial) -> TrialRecord:
    """A finished trial as the search knows it."""
    states: dict[str, Any] = {"COMPLETE": "complete", "PRUNED": "pruned"}
    state = states.get(trial.state.name, "failed")
    return TrialRecord(
        slot,
        dict(trial.params),
        None if state == "failed" else trial.value,
        state,
        str(trial.user_attrs.get(REASON, "")) if state == "failed" else "",
        int(trial.user_attrs.get(EPOCHS, 0)),
    )


def _failure(standing: Standing) -> str:
    if standing.failure:
        return standing.failure
    return "" if math.isfinite(standing.bound) else f"the objective is {standing.bound}"


def _sampler(seed: int, slot: int) -> Any:
    from optuna.samplers import TPESampler

    word = int(np.random.SeedSequence([seed, slot]).generate_state(1)[0])
    return TPESampler(n_startup_trials=UNIFORM, seed=word)


def distributions(space: Mapping[str, Range]) -> dict[str, BaseDistribution]:
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
    content = [seed, sorted((key, type(r).__name__, asdict(r)) for key, r in space.items()), FORMAT]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:8]

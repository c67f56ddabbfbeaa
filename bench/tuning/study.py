"""One study as several processes share it: numbered trials, drawn in rounds, owned, told once.

Every trial of the study has a number in the search, its slot. A round is as many slots as are drawn
at once. It is drawn when all before it have ended, under a lock, each slot by a sampler seeded from
(seed, slot): so what is drawn depends neither on interruptions nor on the number of processes.

Where the study is away, a whole method is tried again (``patience``), under another lock. Each is
right also when its first try has stored a part, or all, and its connection was lost before it knew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bench.spaces import Range
from bench.tuning.halving import survivors
from bench.tuning.owners import Owner
from bench.tuning.patience import patient
from bench.tuning.ranges import digest, fitting, sampler
from bench.tuning.ranges import distributions as distributions
from bench.tuning.records import Objective, Proposal, Standing, TrialRecord
from bench.tuning.storage import Storage

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

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


class Slots:
    """The trials of a study by their number in the search.

    Args:
        storage: where it is.
        name: of the study, without space and seed, which are added.
        space: what is searched.
        seed: of the sampler.
        trials: the budget.
        start: settings that the first trial has.
    """

    def __init__(
        self,
        storage: Storage,
        name: str,
        space: Mapping[str, Range],
        seed: int,
        trials: int,
        start: Mapping[str, Any] | None = None,
    ) -> None:
        self.storage, self.seed, self.trials = storage, seed, trials
        self.space, self.start = distributions(space), fitting(space, start or {})
        self.name = f"{name} [{digest(space, seed, self.start)}]"
        self.study = storage.patience(lambda: storage.study(self.name))
        self.optuna = self.study._storage
        self.restarts: int = storage.patience(lambda: self.study.user_attrs.get(RESTARTS, 0))

    @patient
    def facts(self, mine: dict[str, Any]) -> dict[str, Any]:
        """Those of whoever began the search."""
        with self.storage.hold(self.name):
            found: dict[str, Any] | None = self.study.user_attrs.get(FACTS)
            if found is None:
                self.study.set_user_attr(FACTS, mine)
        return mine if found is None else found

    @patient
    def begin(self, run: str) -> None:
        """Take part in the search; it starts over where all failed before this run.

        What made them fail may be mended. But the processes of one run come and go, and must not
        take what has failed in it for an earlier failure: all give the run's name, and the first
        decides. Should another run start the search over meanwhile, they stay with their trials.
        Tried again after it was counted, the restart has no trials that could have failed.
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

    @patient
    def by_slot(self) -> dict[int, FrozenTrial]:
        """The trials that count, finished or not."""
        trials = self.study.get_trials(deepcopy=False)
        drawn = [trial for trial in trials if SLOT in trial.user_attrs]
        known = [trial for trial in drawn if trial.user_attrs[ROUND][0] == self.restarts]
        return dict(sorted((trial.user_attrs[SLOT], trial) for trial in known))

    @patient
    def records(self) -> list[TrialRecord]:
        """The finished trials in order."""
        return [record(slot, t) for slot, t in self.by_slot().items() if t.state.is_finished()]

    @patient
    def round(self, batch: int) -> list[Proposal]:
        """The first round that has not ended, drawn unless it is; empty when all have ended.

        Tried again, it leaves what is drawn, and draws anew what is drawn by half.
        """
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
        self.study.sampler = sampler(self.seed, slot, self.start)
        trial = self.study.ask(self.space)
        trial.set_user_attr(ROUND, [self.restarts, slots.start, slots.stop])
        trial.set_user_attr(SLOT, slot)  # the last: with it, it is drawn

    def _drop_half_drawn(self) -> None:
        """A kill or a lost connection has left it while it was drawn; the next draw is the same."""
        from optuna.trial import TrialState

        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if SLOT not in trial.user_attrs:
                self.study.tell(trial.number, state=TrialState.FAIL)

    @patient
    def sweep(self, objective: Objective) -> None:
        """Let an objective's leftovers go, but for those of trials that others are at."""
        with self.storage.hold(self.name):  # nobody draws meanwhile
            objective.sweep(self.going())

    @patient
    def going(self) -> set[int]:
        """Slots whose trials have not ended, of whatever budget and whichever restart."""
        trials = self.study.get_trials(deepcopy=False)
        running = [trial for trial in trials if not trial.state.is_finished()]
        return {trial.user_attrs[SLOT] for trial in running if SLOT in trial.user_attrs}

    def claim(self, parts: Sequence[Sequence[Proposal]], owner: Owner) -> int | None:
        """Take a part that nobody works on, or None: the index of it.

        One that a dead process was at is nobody's.
        """
        begun: set[int] = set()
        return self.storage.patience(lambda: self._claim(parts, owner, begun))

    def _claim(
        self, parts: Sequence[Sequence[Proposal]], owner: Owner, begun: set[int]
    ) -> int | None:
        if self._free(parts, owner, begun) is None:
            return None
        with self.storage.hold(self.name):
            index = self._free(parts, owner, begun)
            if index is not None:
                begun.add(index)
                known = self.by_slot()
                for proposal in parts[index]:
                    trial = known[proposal.number]
                    if not trial.state.is_finished():
                        self.optuna.set_trial_user_attr(trial._trial_id, OWNER, owner.name)
        return index

    def _free(
        self, parts: Sequence[Sequence[Proposal]], owner: Owner, begun: set[int]
    ) -> int | None:
        """The first part that nobody works on.

        Args:
            parts: of the round.
            owner: who asks.
            begun: parts that a first try may have signed in this process's name, and nobody is at.
        """
        known, attributes = self.by_slot(), self.study.user_attrs
        for index, part in enumerate(parts):
            trials = [known[proposal.number] for proposal in part]
            going = [trial for trial in trials if not trial.state.is_finished()]
            names = {name for trial in going if (name := trial.user_attrs.get(OWNER))}
            if index in begun:
                names.discard(owner.name)
            if going and not any(owner.alive(name, attributes) for name in names):
                return index
        return None

    @patient
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

    @patient
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
        begun: list[int] = []
        return self.storage.patience(lambda: self._tell(slot, standing, pruned, begun))

    def _tell(
        self, slot: int, standing: Standing, pruned: bool, begun: list[int]
    ) -> TrialRecord | None:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        trial, reason = self.by_slot()[slot], _failure(standing)
        if trial.state.is_finished():  # perhaps by our own first try
            return record(slot, trial) if begun else None
        begun.append(slot)
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

r"""The search itself: round after round, each shared by whoever works on the study.

The sampler is TPE (Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS 2011). The
first trial has the settings that one has without a search, the next 7 are uniform draws.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from bench.errors import BenchError, CannotWrite, Interrupted, UsageError
from bench.spaces import Range
from bench.tuning.owners import Owner
from bench.tuning.records import Objective, Proposal, Standing, TrialRecord, TuningResult
from bench.tuning.storage import Storage
from bench.tuning.study import Slots

POLL = 0.5  # seconds between two looks at what other processes have done


def search(
    space: Mapping[str, Range],
    objective: Objective,
    *,
    trials: int,
    seed: int,
    storage: Storage,
    study: str,
    batch: int = 1,
    start: Mapping[str, Any] | None = None,
    run: str | None = None,
    on_trial: Callable[[TrialRecord], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    notice: Callable[[str], None] = warnings.warn,
) -> TuningResult:
    """The settings with the highest objective after ``trials`` trials, earlier sessions' included.

    A trial that fails counts, so that every search has the same budget; one that was killed goes on
    with the same settings. A search in which every trial failed starts over, once in a run.
    Searches with another seed or space under the same name are kept apart. Processes that search
    the same study share its trials: the parts of a round that train together go to whoever is free.

    Args:
        space: what may change, by dotted key.
        objective: gives each trial its best valid validation bound (mean ELBO in nats). A failed
            standing, or a bound that is not finite, fails the trial; a BenchError that is raised
            fails the part; anything else ends the search, which resumes at that part.
        trials: the budget. Of an earlier session's with a larger one, the first so many count.
        seed: of the sampler.
        storage: holds the studies.
        study: the name of this one.
        batch: trials that are drawn before the first of them has ended, so that they can run
            together. What is drawn depends on it.
        start: the settings that one has, by dotted key: the first trial tries those that are
            within the space, so that a search of settings that were good already loses little.
        run: names the run, of which several processes may search; None for one of its own.
        on_trial: told of each trial that this call has finished.
        stop: whether to give up waiting for other processes, or for a storage that is away.
        notice: told of a storage that is away, once each time. It is waited for some minutes.

    Raises:
        UsageError: nothing to search, no trials, or a storage that cannot be opened.
        StorageAway: the storage stays away; call again to resume.
        BenchError: every trial failed.
        Interrupted: the objective was interrupted; call again to resume.
    """
    if not space or trials < 1:
        raise UsageError(
            f"a search needs a space and at least 1 trial, got {len(space)} ranges and "
            f"trials = {trials}"
        )
    storage = storage.patient(notice, stop)
    slots = Slots(storage, study, space, seed, trials, start)
    share(slots, objective, batch, run, on_trial, stop)
    return _result([record for record in slots.records() if record.number < trials], study)


def share(
    slots: Slots,
    objective: Objective,
    batch: int,
    run: str | None,
    on_trial: Callable[[TrialRecord], None] | None,
    stop: Callable[[], bool],
) -> None:
    """Take part in a study until all its trials have ended; the arguments are those of search."""
    slots.begin(run or uuid4().hex)
    objective.facts = slots.facts(objective.facts)
    with Owner(slots.study, slots.storage.folder, slots.storage.patience) as owner:
        while proposals := slots.round(batch):
            _Round(slots, objective, proposals, owner, on_trial).run(stop)
    slots.sweep(objective)


class _Round:
    """A round as this process takes part in it."""

    def __init__(
        self,
        slots: Slots,
        objective: Objective,
        proposals: Sequence[Proposal],
        owner: Owner,
        on_trial: Callable[[TrialRecord], None] | None,
    ) -> None:
        self.slots, self.objective, self.owner = slots, objective, owner
        self.proposals, self.on_trial = proposals, on_trial
        self.parts = objective.parts(proposals)

    def run(self, stop: Callable[[], bool]) -> None:
        """Until all trials of the round have ended, here or elsewhere."""
        held: list[_Race] = []
        try:
            self._share(held, stop)
        except CannotWrite:
            raise
        except Interrupted:
            for race in held:  # also those that wait at a rung
                if not race.over:
                    race.part.keep()
            raise
        except Exception:  # the study stays away, say; what follows from it must not hide it
            for race in held:
                if not race.over:
                    with suppress(Exception):
                        race.part.keep()
            raise

    def _share(self, held: list[_Race], stop: Callable[[], bool]) -> None:
        while self._going():
            held[:] = [race for race in held if not race.over]
            moved = [race.step() for race in held]  # all of them
            if any(moved):
                continue
            index = self.slots.claim(self.parts, self.owner)
            if index is not None:
                held.append(_Race(self, self.parts[index]))
            elif stop():
                raise Interrupted("stopped while other processes had trials of the search")
            else:
                time.sleep(POLL)

    def _going(self) -> bool:
        known = self.slots.by_slot()
        return any(not known[p.number].state.is_finished() for p in self.proposals)

    def end(self, number: int, standing: Standing, pruned: bool) -> None:
        """A trial has ended."""
        found = self.slots.tell(number, standing, pruned)
        if found is not None and self.on_trial is not None:
            self.on_trial(found)


class _Race:
    """A part of a round on its way from rung to rung."""

    def __init__(self, round_: _Round, part: Sequence[Proposal]) -> None:
        self.round = round_
        self.part = round_.objective.start(part)
        self.racing = {proposal.number for proposal in part}
        self.stage = 0
        self.standings: Mapping[int, Standing] = {}
        self.over = False

    def step(self) -> bool:
        """Go on to the next rung, or to the end; False while others have to come to this one."""
        slots, rungs = self.round.slots, self.round.objective.rungs
        if self.stage:
            reduction = self.round.objective.reduction
            going = slots.after(self.round.proposals, rungs[: self.stage], reduction)
            if going is None:
                return False
            self._leave(self.racing - going)
            self.racing &= going
        if self.racing:
            self._advance(rungs[self.stage] if self.stage < len(rungs) else None)
        if not self.racing or self.stage == len(rungs):
            for number in sorted(self.racing):
                self.round.end(number, self.standings[number], False)
            self.part.close()
            self.over = True
        self.stage += 1
        return True

    def _advance(self, epoch: int | None) -> None:
        try:
            self.standings = self.part.advance(epoch)
        except Interrupted:
            raise
        except BenchError as error:
            failed = Standing(-math.inf, failure=str(error) or type(error).__name__)
            self.standings = dict.fromkeys(self.racing, failed)
        if epoch is not None:
            for number in sorted(self.racing):
                self.round.slots.report(number, epoch, self.standings[number])

    def _leave(self, numbers: set[int]) -> None:
        """Those that have stopped by themselves have a result; the others are pruned."""
        ended = {number for number in numbers if self.standings[number].ended}
        for number in sorted(numbers):
            self.round.end(number, self.standings[number], number not in ended)
        # Only now: what is kept of one that was dropped looks as if it had stopped by itself.
        self.part.drop(numbers - ended)


def _result(records: list[TrialRecord], study: str) -> TuningResult:
    if not records:
        raise BenchError(
            f"{study} has no trial that ended, though all were begun: something else has changed "
            "the study. Run the same command again."
        )
    values = [-math.inf if record.value is None else record.value for record in records]
    value = max(values)
    if value == -math.inf:
        raise BenchError(
            f"all {len(records)} trials of {study} failed; the last one: {records[-1].reason}"
        )
    return TuningResult(dict(records[values.index(value)].params), value, records)

"""What a search proposes, what an objective answers, and what is left of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class Proposal:
    """Settings to try: the index of the trial in the search, and the values by dotted key."""

    number: int
    params: dict[str, Any]


@dataclass(frozen=True)
class Standing:
    """How far a trial has come.

    Attributes:
        bound: the valid validation bound at the best epoch so far, mean nats a datum.
        epochs: how many it has trained.
        ended: whether it has stopped by itself.
        failure: why it has no value; empty where it has one.
    """

    bound: float
    epochs: int = 0
    ended: bool = False
    failure: str = ""


class Part(Protocol):
    """Trials that train together in this process."""

    def advance(self, epoch: int | None) -> Mapping[int, Standing]:
        """Train to the end of ``epoch``, None for to the last; how each trial stands, by number.

        Raises:
            BenchError: none of them has a value.
            Interrupted: the state is saved; another process, or a later one, may go on.
        """

    def drop(self, numbers: Collection[int]) -> None:
        """Stop these trials; the others go on as if nothing had happened."""

    def keep(self) -> None:
        """Save the state, if it is not: this process leaves."""

    def close(self) -> None:
        """All results are stored: what was kept for going on may go."""


class Objective(Protocol):
    """What a search maximises.

    Attributes:
        rungs: epochs after which the worst trials are stopped, rising; empty for never.
        reduction: of the trials that reach a rung, one in so many goes on.
        facts: what must not change while a search goes on; an earlier session's replace them.
    """

    rungs: Sequence[int]
    reduction: int
    facts: dict[str, Any]

    def parts(self, proposals: Sequence[Proposal]) -> Sequence[Sequence[Proposal]]:
        """The trials of a round, those together that train together; the same in every process."""

    def start(self, proposals: Sequence[Proposal]) -> Part:
        """Begin one of the parts, or go on with it where it was left."""

    def sweep(self, going: Collection[int]) -> None:
        """The search has ended: what was kept for going on may go, but for trials still ``going``.

        Another process may be at those, in a search with a larger budget.
        """


@dataclass(frozen=True)
class TrialRecord:
    """A finished trial.

    Attributes:
        number: its index in the search, the same whether or not the search was interrupted.
        params: the settings tried.
        value: the objective in nats; None if it failed. Of a pruned trial, at its last rung.
        state: whether it ran to its end, was stopped at a rung, or has no value.
        reason: why it has none.
        epochs: how many it has trained.
        repeats: the number of the trial whose settings it trains again; None for a trial of the
            search itself.
    """

    number: int
    params: dict[str, Any]
    value: float | None
    state: Literal["complete", "pruned", "failed"]
    reason: str = ""
    epochs: int = 0
    repeats: int | None = None


@dataclass(frozen=True)
class TuningResult:
    """What a search has found.

    Attributes:
        best: the chosen settings, by dotted key.
        value: their objective in nats. Where finalists were trained again it is the mean of that,
            in which the value that made them finalists has no part.
        trials: every trial of the search in order.
        repeats: the trainings of the finalists in order; empty where there were none.
    """

    best: dict[str, Any]
    value: float
    trials: list[TrialRecord]
    repeats: list[TrialRecord] = field(default_factory=list)

    @property
    def error(self) -> float | None:
        """The standard error of ``value`` over training seeds; None where it is one training's."""
        again = [one.value for one in self.repeats if one.params == self.best]
        values = [value for value in again if value is not None]
        return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None

    def count(self, state: str) -> int:
        """How many trials of the search ended so."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def epochs(self) -> int:
        """The epochs that all trials have trained, and the repeats of the finalists."""
        return sum(trial.epochs for trial in [*self.trials, *self.repeats])

"""What a replica is and how far it has come: annealing, early stopping, failure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from bench.config import TrainingConfig
from bench.errors import BenchError
from bench.model import Model


class TrainingFailed(BenchError):
    """Training produced a number that is not finite."""


@dataclass(frozen=True)
class Epoch:
    """One line of the history; bounds are mean nats a datum."""

    epoch: int
    objective: float
    validation_bound: float
    validation_se: float
    beta: float
    temperature: float
    seconds: float


@dataclass
class Progress:
    """Early stopping and history, all that a checkpoint holds beside tensors.

    A trial of a search that is not worth going on with is ``dropped``.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_bound: float = -math.inf
    stale: int = 0
    history: list[Epoch] = field(default_factory=list)
    failure: str = ""
    dropped: bool = False

    @property
    def seconds(self) -> float:
        return sum(record.seconds for record in self.history)


def beta_at(epoch: int, warmup: int) -> float:
    """The weight of the divergences: linear from 1/warmup at epoch 1 to 1 (PROTOCOL)."""
    return 1.0 if warmup == 0 else min(1.0, epoch / warmup)


def temperature_at(epoch: int, config: TrainingConfig) -> float:
    r"""Gumbel-Softmax temperature: :math:`\tau \leftarrow \max(\tau e^{-r e}, \tau_{min})` each
    epoch e, compounding, hence :math:`\tau_0 e^{-r e(e+1)/2}` above the floor."""
    compounded = math.exp(-config.temperature_decay * epoch * (epoch + 1) / 2)
    return max(config.temperature_start * compounded, config.temperature_floor)


@dataclass(eq=False)
class Replica:
    """One of the models that train together.

    Attributes:
        model: the model, on its device; holds the best parameters once training has ended.
        config: its [training] section. Replicas share its batch size, precision and whether
            gradients are normalised; the rest may differ.
        seed: seeds batches and noise.
        progress: how far it is.
        best: the parameters of its best epoch.
    """

    model: Model
    config: TrainingConfig
    seed: int
    progress: Progress = field(default_factory=Progress)
    best: dict[str, Tensor] = field(default_factory=dict)

    def finished(self) -> bool:
        """Whether it is at its last epoch, out of patience, failed or dropped."""
        progress, config = self.progress, self.config
        spent = progress.epoch >= config.epochs or progress.stale > config.patience
        return spent or bool(progress.failure) or progress.dropped

    def note(
        self, record: Epoch, state: Callable[[], dict[str, Tensor]], objectives: Tensor
    ) -> None:
        """Take up an epoch: early stopping, best parameters, failure.

        Args:
            record: what the epoch has come to.
            state: gives the parameters after it.
            objectives: of its steps, shape (S,), to name the one at which training has failed.
        """
        progress, number = self.progress, record.epoch
        bound = record.validation_bound
        if not (math.isfinite(record.objective) and math.isfinite(bound)):
            bad = objectives.isfinite().logical_not().nonzero()
            where = f", step {int(bad[0]) + 1} of {len(objectives)}" if len(bad) else ""
            progress.failure = (
                f"epoch {number}{where}: the training objective is {record.objective} and the "
                f"validation bound {bound}; finite numbers were expected. Try a lower "
                f"training.learning_rate (now {self.config.learning_rate:g})."
            )
            return
        progress.epoch = number
        progress.history.append(record)
        if bound > progress.best_bound:
            progress.best_bound, progress.best_epoch, progress.stale = bound, number, 0
            self.best = state()
        elif number >= self.config.warmup_epochs:
            progress.stale += 1

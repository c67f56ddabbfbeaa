"""Trainings that end within a second: settings, data, and replicas that differ in all they may."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.config import TrainingConfig, load_config
from bench.engine.steps import Mode
from bench.model import Model
from bench.training import Epoch, Pixels, Progress, Replica, ReplicaTrainer, TrainingFailed
from pairs import build, data, seeded

# Where replicas could part from a single model: mixtures, pseudo-inputs that the posterior
# encodes, two layers of latents, a category that a factor reads.
PAIRS = [
    ("mog", "continuous"),
    ("vamp", "joint"),
    ("conditional", "joint"),
    ("hierarchical_vamp", "independent"),
]
each_kind = pytest.mark.parametrize(("prior", "posterior"), PAIRS)

# Products of several replicas add in another order than those of one, and the update at several
# rates is another kernel than that at one. Adam divides by the gradient's size, so that rounding
# reaches a parameter undiminished where its gradient is nearly zero: over 160 trainings of these
# pairs the largest difference in float32 was below 1e-6 in all but two, where one number came to
# 4e-6 and 1.2e-5. So one in a hundred may be off by ten times as much; in float64 none may.
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}
each_dtype = pytest.mark.parametrize("dtype", TOLERANCES, ids=["float64", "float32"])

SEEDS = (3, 5, 8)
DIFFERENCES: Sequence[dict[str, object]] = (
    {"learning_rate": 0.01, "warmup_epochs": 0, "epochs": 2, "temperature_start": 1.0},
    {"learning_rate": 0.003, "warmup_epochs": 3, "epochs": 4, "temperature_start": 0.8},
    {"learning_rate": 0.02, "warmup_epochs": 2, "epochs": 3, "temperature_decay": 0.02},
)


def config(**changes: object) -> TrainingConfig:
    values = {"batch_size": 8, "warmup_epochs": 0, "epochs": 3, "learning_rate": 0.01, **changes}
    sets = [f"training.{key}={json.dumps(value)}" for key, value in values.items()]
    return load_config(None, None, sets).training


def pixels(count: int = 50, *, dtype: torch.dtype = torch.float32) -> Pixels:
    """Grey levels, to be binarized; in float64 the levels themselves."""
    grey = torch.randint(0, 17, (count, 4), generator=seeded(1)).to(torch.uint8)
    validation = data(30).to(torch.uint8)
    if dtype == torch.float64:
        return Pixels(grey.double() / 16, validation, 1.0, False)
    return Pixels(grey, validation, 1 / 16, True)


def replica(
    prior: str, posterior: str, seed: int, *, dtype: torch.dtype = torch.float32, **changes: object
) -> Replica:
    return Replica(build(prior, posterior, seed=seed, dtype=dtype), config(**changes), seed)


def replicas(
    prior: str, posterior: str, *, dtype: torch.dtype = torch.float32, **changes: object
) -> list[Replica]:
    """Three that differ in seed, rate, warm-up, temperature and number of epochs."""
    return [
        replica(prior, posterior, seed, dtype=dtype, **{**different, **changes})
        for seed, different in zip(SEEDS, DIFFERENCES, strict=True)
    ]


def history(replica: Replica) -> list[dict[str, float]]:
    """Its epochs, without what a clock fills."""
    records = [asdict(record) for record in replica.progress.history]
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


def gap(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The largest difference of two models' parameters.

    In float32 that of all but the largest hundredth, or a tenth of the largest if that is more.
    """
    assert found.keys() == expected.keys()
    parts = [(found[name] - value).abs().flatten() for name, value in expected.items()]
    each = torch.cat(parts)
    worst = float(each.max())
    return worst if each.dtype == torch.float64 else max(float(each.quantile(0.99)), worst / 10)


def check_same(found: Replica, expected: Replica, tolerance: float) -> None:
    """Two replicas have ended alike."""
    one, other = found.progress, expected.progress
    assert (one.epoch, one.best_epoch, one.stale) == (other.epoch, other.best_epoch, other.stale)
    assert one.best_bound == pytest.approx(other.best_bound, abs=tolerance)
    for mine, record in zip(history(found), history(expected), strict=True):
        assert mine == pytest.approx(record, abs=tolerance)
    assert gap(found.model.state_dict(), expected.model.state_dict()) <= tolerance


class Trainer:
    """Trains one model to its best validation bound: replicas, of which there is one.

    Args:
        model: the model, on its device.
        pixels: training and validation data on the same device.
        config: the [training] section.
        seed: seeds batches and noise.
        checkpoint: where the state is kept while training; None for none.
        mode: how steps run.
    """

    def __init__(
        self,
        model: Model,
        pixels: Pixels,
        config: TrainingConfig,
        seed: int,
        checkpoint: Path | None = None,
        mode: Mode = "eager",
    ) -> None:
        self.replica = Replica(model, config, seed)
        self.together = ReplicaTrainer([self.replica], pixels, mode, checkpoint)
        self.model, self.pixels = model, pixels

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self.replica.progress

    def run(
        self,
        on_epoch: Callable[[Epoch], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Progress:
        """Train until the bound has stopped improving; leaves the best parameters in the model.

        Raises:
            TrainingFailed: the objective or the bound is not finite.
            Interrupted: ``stop`` answered True after an epoch; the state is saved.
        """
        self.together.run(lambda _, epoch: on_epoch(epoch), stop)
        if self.progress.failure:
            raise TrainingFailed(self.progress.failure)
        return self.progress

    def finished(self) -> bool:
        """Whether the last epoch is reached or patience is spent."""
        return self.replica.finished()

    def save(self) -> None:
        """Write the whole state to the checkpoint, atomically."""
        self.together.save()

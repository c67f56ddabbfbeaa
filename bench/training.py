"""Training one cell: a pure step, annealing, early stopping on a valid bound, checkpoints.

The protocol is the paper's, with the details it leaves open from the VampPrior code. Noise is
seeded by (seed, epoch), so that a run that was killed goes on from its last checkpoint with the
numbers that an undisturbed run would have had.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.config import TrainingConfig
from bench.errors import BenchError, Interrupted
from bench.files import atomic_write
from bench.joint import Values
from bench.model import Model
from bench.networks import Linear

VALIDATION_SEED = 777
NOISE_BLOCK = 64  # steps whose latent noise is drawn in one call
VALIDATION_ROWS = 2500


class TrainingFailed(BenchError):
    """Training produced a number that is not finite."""


@dataclass(frozen=True)
class Pixels:
    """What training may see of a dataset: no labels.

    Attributes:
        train: uint8 grey levels or float32 values, (N, P), on the training device.
        validation: frozen evaluation array, (N', P).
        scale: what one grey level is worth as a probability.
        binary: whether training rows are redrawn as Bernoulli samples every step.
    """

    train: Tensor
    validation: Tensor
    scale: float
    binary: bool


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
    """Early stopping and history, all that a checkpoint holds beside tensors."""

    epoch: int = 0
    best_epoch: int = 0
    best_bound: float = -math.inf
    stale: int = 0
    history: list[Epoch] = field(default_factory=list)

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


def objective(
    model: Model, x: Tensor, noise: Values, beta: Tensor | float, temperature: Tensor | float
) -> Tensor:
    """The scalar that is minimised: pure in (parameters, x, noise, beta, temperature)."""
    return -model.terms(x, noise, temperature).elbo(beta).mean()


def epoch_generator(seed: int, epoch: int, device: torch.device) -> torch.Generator:
    """The noise of one epoch, whatever happened before it."""
    words = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(words[0] >> np.uint64(1)))


def binarize(rows: Tensor, scale: float, generator: torch.Generator) -> Tensor:
    """Bernoulli samples of grey rows, as float32: x ~ Bernoulli(level * scale)."""
    uniform = torch.rand(rows.shape, generator=generator, device=rows.device)
    return (uniform < rows * scale).float()


def batches(
    model: Model, pixels: Pixels, size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Shuffled training batches of equal size with the noise of their latents."""
    train = pixels.train
    size = min(size, len(train))
    steps = len(train) // size
    order = torch.randperm(len(train), generator=generator, device=train.device)
    for start in range(0, steps, NOISE_BLOCK):
        count = min(NOISE_BLOCK, steps - start)
        noise = model.noise((count, size), generator)
        for offset in range(count):
            first = (start + offset) * size
            rows = train.index_select(0, order[first : first + size])
            x = binarize(rows, pixels.scale, generator) if pixels.binary else rows
            yield x, {name: value[offset] for name, value in noise.items()}


@torch.no_grad()
def validation_bound(model: Model, x: Tensor, noise: Values) -> tuple[float, float]:
    """Mean and standard error of a valid bound: exact categories, beta 1, fixed noise."""
    prior = model.joint_prior()
    dtype = next(model.parameters()).dtype
    parts = []
    for start in range(0, len(x), VALIDATION_ROWS):
        rows = slice(start, start + VALIDATION_ROWS)
        part = {name: value[rows] for name, value in noise.items()}
        parts.append(model.terms(x[rows].to(dtype), part, prior=prior).elbo())
    bound = torch.cat(parts).double()
    return float(bound.mean()), float(bound.std() / math.sqrt(len(bound)))


def normalise_gradients(model: Model) -> None:
    """Divide the gradient of each parameter tensor by its norm, as the released code does.

    Maps that share a product here (a layer and its gate, mean and log-variance) are tensors of
    their own there, so each block has its own norm.
    """
    for module in model.modules():
        blocks = module.blocks if isinstance(module, Linear) else 1
        for parameter in module.parameters(recurse=False):
            if parameter.grad is not None:
                for block in parameter.grad.chunk(blocks):
                    block.div_(block.norm().clamp_min(1e-12))


class Trainer:
    """Trains one model to its best validation bound.

    Args:
        model: the model, on its device.
        pixels: training and validation data on the same device.
        config: the [training] section.
        seed: seeds batches and noise.
        checkpoint: where the state is kept while training; None for none.
    """

    def __init__(
        self,
        model: Model,
        pixels: Pixels,
        config: TrainingConfig,
        seed: int,
        checkpoint: Path | None = None,
    ) -> None:
        self.model, self.pixels, self.config, self.seed = model, pixels, config, seed
        self.checkpoint = checkpoint
        self.device = pixels.train.device
        learned = [p for p in model.parameters() if p.requires_grad]
        self.optimiser = torch.optim.Adam(learned, lr=config.learning_rate, fused=True)
        fixed = torch.Generator(self.device).manual_seed(VALIDATION_SEED)
        self.validation_noise = model.noise((len(pixels.validation),), fixed)
        self.progress = Progress()
        self.best = self._copy()
        if checkpoint is not None and checkpoint.exists():
            self._restore(checkpoint)

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
        saved = time.monotonic()
        while not self.finished():
            record = self.epoch(self.progress.epoch + 1)
            on_epoch(record)
            if stop():
                self.save()
                raise Interrupted(f"stopped after epoch {record.epoch}")
            if time.monotonic() - saved > self.config.checkpoint_seconds:
                self.save()
                saved = time.monotonic()
        self.model.load_state_dict(self.best)
        return self.progress

    def finished(self) -> bool:
        """Whether the last epoch is reached or patience is spent."""
        progress, config = self.progress, self.config
        return progress.epoch >= config.epochs or progress.stale > config.patience

    def epoch(self, number: int) -> Epoch:
        """One pass over the training data, one look at the validation bound."""
        config, model, progress = self.config, self.model, self.progress
        started = time.perf_counter()
        beta = beta_at(number, config.warmup_epochs)
        temperature = temperature_at(number, config)
        generator = epoch_generator(self.seed, number, self.device)
        total, steps = torch.zeros((), dtype=torch.float64, device=self.device), 0
        for x, noise in batches(model, self.pixels, config.batch_size, generator):
            total += self.step(x, noise, beta, temperature)
            steps += 1
        loss = float(total) / steps  # the only synchronisation of an epoch, with validation
        bound, error = validation_bound(model, self.pixels.validation, self.validation_noise)
        if not (math.isfinite(loss) and math.isfinite(bound)):
            raise TrainingFailed(
                f"epoch {number}: the training objective is {-loss} and the validation bound "
                f"{bound}; finite numbers were expected. Try a lower training.learning_rate "
                f"(now {config.learning_rate:g})."
            )
        record = Epoch(
            number, -loss, bound, error, beta, temperature, time.perf_counter() - started
        )
        progress.epoch = number
        progress.history.append(record)
        if bound > progress.best_bound:
            progress.best_bound, progress.best_epoch, progress.stale = bound, number, 0
            self.best = self._copy()
        elif number >= config.warmup_epochs:
            progress.stale += 1
        return record

    def step(self, x: Tensor, noise: Values, beta: float, temperature: float) -> Tensor:
        """One descent step; returns the objective without waiting for it."""
        loss = objective(self.model, x, noise, beta, temperature)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.config.normalise_gradients:
            normalise_gradients(self.model)
        self.optimiser.step()
        return loss.detach()

    def save(self) -> None:
        """Write the whole state to the checkpoint, atomically."""
        if self.checkpoint is None:
            return
        progress = asdict(self.progress)
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "best": self.best,
            "progress": progress,
        }
        with atomic_write(self.checkpoint) as stream:
            torch.save(state, stream)

    def _restore(self, path: Path) -> None:
        state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.best = state["best"]
        progress = dict(state["progress"])
        progress["history"] = [Epoch(**record) for record in progress["history"]]
        self.progress = Progress(**progress)

    def _copy(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

"""Training the replicas of one cell: epochs, validation, checkpoints.

The protocol is the paper's, with the details it leaves open from the VampPrior code. Noise is
seeded by (seed, epoch), so that a run that was killed goes on from its last checkpoint with the
numbers that an undisturbed run would have had.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.engine.adam import Adam
from bench.engine.batches import Pixels, blocks, epoch_generator
from bench.engine.choice import make_steps
from bench.engine.pace import Pace
from bench.engine.population import NotStackable, Population
from bench.engine.replica import (
    Epoch,
    Progress,
    Replica,
    TrainingFailed,
    beta_at,
    temperature_at,
)
from bench.engine.steps import Eager, Mode
from bench.errors import Interrupted
from bench.joint import Values
from bench.products import Kernels, choose_kernels, multiplying_by
from bench.tensors import Refused, read_tensors, write_tensors

__all__ = ["Epoch", "Pixels", "Progress", "Replica", "ReplicaTrainer", "TrainingFailed"]

VALIDATION_SEED = 777
VALIDATION_ROWS = 2500  # rows decoded at once on a CPU; a GPU takes all of them
REPACK = 0.5  # compiled and captured steps keep stopped replicas until so few are left


def validation_bound(
    population: Population, x: Tensor, noise: Values
) -> tuple[list[float], list[float]]:
    """Mean and standard error of a valid bound of each replica: exact categories, beta 1."""
    rows = len(x) if x.is_cuda else VALIDATION_ROWS
    bound = population.bounds(x, noise, rows).double()  # (R, N)
    error = bound.std(dim=1) / math.sqrt(bound.shape[1])
    return bound.mean(dim=1).tolist(), error.tolist()


class ReplicaTrainer:
    """Trains replicas of one cell together, each to its own best validation bound.

    A replica that has stopped leaves the others to go on: at once where steps run eagerly, else
    when no more than half are left, since a compiled or captured step has a fixed size.

    Args:
        replicas: the models with their settings and seeds, of one shape.
        pixels: training and validation data on the models' device.
        mode: how steps run.
        checkpoint: where the state is kept while training; None for none.
        notice: told in one line what had to be done otherwise than asked.
        kernels: what multiplies on a CPU; None for the faster of those that are there.
        owner: what the checkpoint is of; one of something else is refused, and training begins
            anew.

    Raises:
        NotStackable: the models or their settings differ in more than replicas may.
    """

    def __init__(
        self,
        replicas: Sequence[Replica],
        pixels: Pixels,
        mode: Mode = "eager",
        checkpoint: Path | None = None,
        notice: Callable[[str], None] = lambda _: None,
        kernels: Kernels | None = None,
        owner: str = "",
    ) -> None:
        self.replicas, self.pixels, self.mode = list(replicas), pixels, mode
        self.checkpoint, self.notice, self.owner = checkpoint, notice, owner
        self.device = pixels.train.device
        self.kernels = kernels or choose_kernels("auto", self.device.type)
        first = self.replicas[0]
        self.config = first.config
        fixed = torch.Generator(self.device).manual_seed(VALIDATION_SEED)
        self.validation_noise = first.model.noise((len(pixels.validation),), fixed)
        self.number = 0
        if checkpoint is None or not self._restored(checkpoint):
            self._pack(self.replicas)

    def run(
        self,
        on_epoch: Callable[[Replica, Epoch], None] = lambda *_: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train until no replica gets better; leaves the best parameters in each model.

        A replica whose numbers are not finite stops, and says so in ``progress.failure``.

        Raises:
            Interrupted: ``stop`` answered True after an epoch; the state is saved.
        """
        pace = Pace(self.config.checkpoint_seconds)
        while not self.finished():
            for replica, record in self.epoch():
                on_epoch(replica, record)
            if stop():
                self.save()
                raise Interrupted(f"stopped after epoch {self.number}")
            if pace.due():
                with pace.saving():
                    self.save()
        for replica in self.replicas:
            if replica.best:
                replica.model.load_state_dict(replica.best)

    def drop(self, replicas: Collection[Replica]) -> None:
        """Stop these; the program is made smaller at once, however its steps run."""
        for replica in replicas:
            replica.progress.dropped = True
        if replicas:
            self._repack(least=1.0)

    def finished(self) -> bool:
        """Whether every replica has stopped."""
        return all(replica.finished() for replica in self.replicas)

    def epoch(self) -> list[tuple[Replica, Epoch]]:
        """One pass over the training data, one look at the validation bound."""
        self._repack()
        started = time.perf_counter()
        number = self.number + 1
        beta = [beta_at(number, r.config.warmup_epochs) for r in self.packed]
        temperature = [temperature_at(number, r.config) for r in self.packed]
        steps = self.steps_of(number, beta, temperature)  # (S, R)
        losses = steps.mean(0).tolist()  # the only synchronisation of an epoch, with validation
        with multiplying_by(self.kernels):
            bounds, errors = validation_bound(
                self.population, self.pixels.validation, self.validation_noise
            )
        going = sum(not replica.finished() for replica in self.packed)
        seconds = (time.perf_counter() - started) / going
        self.number = number
        found = []
        for index, replica in enumerate(self.packed):
            if replica.finished():
                continue  # its parameters move on until the next packing; nobody looks
            record = Epoch(
                number,
                -losses[index],
                bounds[index],
                errors[index],
                beta[index],
                temperature[index],
                seconds,
            )
            replica.note(record, partial(self.population.state, index), steps[:, index])
            if not replica.progress.failure:
                found.append((replica, record))
        return found

    def steps_of(self, number: int, beta: Sequence[float], temperature: Sequence[float]) -> Tensor:
        """The steps of one epoch: their objectives, (S, R) in float64, not waited for."""
        like = self.optimiser.rates
        betas, temperatures = like.new_tensor(beta), like.new_tensor(temperature)
        generators = [epoch_generator(r.seed, number, self.device) for r in self.packed]
        model, size = self.packed[0].model, self.config.batch_size
        prepared = blocks(model, self.pixels, size, generators)
        return torch.cat([self.steps.run(block, betas, temperatures) for block in prepared])

    def save(self) -> None:
        """Write the whole state to the checkpoint, atomically."""
        if self.checkpoint is None:
            return
        kept = [{"progress": asdict(r.progress), "best": r.best} for r in self.replicas]
        packed = [
            {"index": self.replicas.index(replica), "model": model, "optimiser": optimiser}
            for replica, model, optimiser in self._unpacked()
        ]
        state = {"number": self.number, "replicas": kept, "packed": packed}
        write_tensors(self.checkpoint, state, self.owner)

    def _restored(self, path: Path) -> bool:
        """Whether there was a checkpoint to go on from; one that is refused is put aside."""
        if not path.exists():
            return False
        try:
            state = read_tensors(path, self.owner, self.device)
        except Refused as error:
            aside = path.with_suffix(".refused")
            path.replace(aside)
            self.notice(f"trains from its first epoch: {error}; it is kept as {aside.name}")
            return False
        self._restore(state)
        return True

    def _restore(self, state: dict[str, Any]) -> None:
        self.number = state["number"]
        for replica, kept in zip(self.replicas, state["replicas"], strict=True):
            replica.best = kept["best"]
            progress = dict(kept["progress"])
            progress["history"] = [Epoch(**record) for record in progress["history"]]
            replica.progress = Progress(**progress)
        packed = [self.replicas[part["index"]] for part in state["packed"]]
        for replica, part in zip(packed, state["packed"], strict=True):
            replica.model.load_state_dict(part["model"])
        self._pack(packed, [part["optimiser"] for part in state["packed"]])

    def _unpacked(self) -> list[tuple[Replica, dict[str, Tensor], dict[str, Any]]]:
        return [
            (replica, self.population.state(index), self.optimiser.state(index))
            for index, replica in enumerate(self.packed)
        ]

    def _pack(self, replicas: Sequence[Replica], optimiser: Sequence[Any] = ()) -> None:
        """Make one program of these replicas."""
        configs = [replica.config for replica in replicas]
        if len({(c.batch_size, c.precision, c.normalise_gradients) for c in configs}) > 1:
            raise NotStackable("replicas must share batch_size, precision and normalise_gradients")
        self.packed = list(replicas)
        self.population = Population([replica.model for replica in replicas])
        rates = [config.learning_rate for config in configs]
        self.optimiser = Adam(self.population.learned, rates, self.population.stacked)
        if optimiser:
            self.optimiser.load(optimiser)
        shared = self.population.blocks_of() if self.config.normalise_gradients else None
        eager = Eager(self.population, self.optimiser, self.config.precision, self.kernels, shared)
        self.steps = make_steps(self.mode, eager, self.notice)

    def _repack(self, least: float = REPACK) -> None:
        """Leave out what has stopped; compiled and captured steps wait for the ``least`` share."""
        alive = [not replica.finished() for replica in self.packed]
        if all(alive) or (self.mode != "eager" and sum(alive) > least * len(alive)):
            return
        if not any(alive):
            return
        kept = [part for part, going in zip(self._unpacked(), alive, strict=True) if going]
        for replica, model, _ in kept:
            replica.model.load_state_dict(model)
        self._pack([replica for replica, _, _ in kept], [optimiser for _, _, optimiser in kept])

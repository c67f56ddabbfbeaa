"""bench under the stop-watch: the only file here that knows how its training is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial

import numpy as np
import torch
from torch import Tensor

from bench.config import Config, TrainingConfig, load_config
from bench.engine.batches import Pixels, epoch_generator
from bench.engine.choice import choose_mode
from bench.engine.population import Population, objective
from bench.engine.replica import Replica
from bench.engine.steps import Mode
from bench.model import Model
from bench.plugin import Posterior, Prior
from bench.precision import Precision
from bench.registry import Registry
from bench.spec import Spec
from bench.training import ReplicaTrainer, validation_bound
from benchmarks.data import Images
from benchmarks.environment import has_bfloat16
from benchmarks.settings import FULL_EPOCH, Settings
from benchmarks.timing import Work, seconds, take_turns


@dataclass(frozen=True)
class System:
    """One of Table 3's systems.

    Attributes:
        name: as in [models] of bench.toml.
        components: K, or None where nothing depends on it.
    """

    name: str
    components: int | None = None

    @property
    def label(self) -> str:
        return self.name if self.components is None else f"{self.name}, K = {self.components}"

    @property
    def plugins(self) -> tuple[type[Prior], type[Posterior]]:
        """The classes of its prior and its posterior."""
        prior, posterior = shipped().models[self.name]
        registry = Registry()
        return registry.load("prior", prior), registry.load("posterior", posterior)

    def build(self, settings: Settings, pixels: int, seed: int = 0) -> Model:
        """Its model, with weights drawn from ``seed``."""
        prior, posterior = self.plugins
        spec = Spec(
            latent_dim=settings.latent_dim,
            event_shape=(pixels,),
            categories=(self.components or 1) if posterior.categorical else None,
            components=self.components or 1,
            hidden=settings.hidden,
            seed=seed,
            latents=prior.latents,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = Model(spec, prior(spec), posterior(spec))
        return model.to(settings.device)


@cache
def shipped() -> Config:
    """The paper's protocol, as ``--preset paper`` has it."""
    return load_config("paper")


def table3(components: int) -> list[System]:
    """The nine systems of Table 3 at one K; the two that have no K come without."""
    systems = []
    for name in shipped().run.models:
        prior, posterior = System(name).plugins
        varies = prior.mixture or posterior.categorical
        systems.append(System(name, components if varies else None))
    return systems


class Training:
    """Replicas of one system that train together.

    Args:
        system: what to train.
        images: what to train on, all of them an epoch.
        settings: sizes and device.
        replicas: how many seeds at once.
        mode: how steps run; None for what needs no compiler.
        precision: of the linear maps.
    """

    def __init__(
        self,
        system: System,
        images: Images,
        settings: Settings,
        *,
        replicas: int = 1,
        mode: Mode | None = None,
        precision: Precision = "float32",
    ) -> None:
        self.mode = usual_mode(settings) if mode is None else mode
        self.images = len(images.train)
        self.notes: list[str] = []
        config = training_config(settings, precision)
        size = images.train.shape[1]
        together = [
            Replica(system.build(settings, size, seed), config, seed) for seed in range(replicas)
        ]
        pixels = Pixels(
            train=images.train.to(settings.device),
            validation=images.validation[:1].to(settings.device),
            scale=1.0 / images.white,
            binary=True,
        )
        self.trainer = ReplicaTrainer(together, pixels, self.mode, notice=self.notes.append)
        self.replicas, self.number, self.device = replicas, 0, settings.device

    def epoch(self) -> list[float]:
        """The steps of one epoch, shuffling and binarization included; the mean losses."""
        self.number += 1
        ones = [1.0] * self.replicas
        losses: list[float] = self.trainer.steps_of(self.number, ones, ones).mean(0).tolist()
        return losses

    def first_seconds(self) -> float:
        """How long the first epoch takes, with nothing compiled before it."""
        if self.mode != "compile":
            return seconds(self.epoch, self.device)
        from torch._inductor.utils import fresh_cache  # the compiler keeps what it made, on disk

        with fresh_cache():
            return seconds(self.epoch, self.device)


def training_config(settings: Settings, precision: Precision = "float32") -> TrainingConfig:
    """The paper's [training] with the benchmark's batch size."""
    changes = {"batch_size": settings.batch_size, "precision": precision}
    return shipped().training.model_copy(update=changes)


def usual_mode(settings: Settings) -> Mode:
    """What the engine does without a compiler."""
    return "graph" if settings.cuda else "eager"


def chosen_mode(settings: Settings) -> Mode:
    """What ``engine.mode = "auto"`` chooses for MNIST under the paper's protocol."""
    config = shipped()
    steps = config.training.epochs * FULL_EPOCH // settings.batch_size
    return choose_mode("auto", settings.device, steps, config.engine.break_even)


def judged_mode(settings: Settings) -> Mode:
    """What the engine chooses for itself, if that is among what is measured."""
    chosen = chosen_mode(settings)
    return chosen if chosen in settings.modes else usual_mode(settings)


def precisions(settings: Settings) -> tuple[Precision, ...]:
    """The precisions of training that this device has in hardware."""
    found: list[Precision] = ["float32"]
    if settings.cuda:
        found.append("tf32")
    if has_bfloat16(settings.device):
        found.append("bfloat16")
    return tuple(found)


def fewest_epochs() -> int:
    """The fewest that a cell of the paper's protocol trains: warm-up, then patience."""
    training = shipped().training
    return training.warmup_epochs + training.patience


@dataclass(frozen=True)
class Turns:
    """Seconds that everybody took.

    Attributes:
        taken: an epoch, or one piece of other work, by contender and round.
        start: what the first epoch of a training took beyond a usual one: compilation, capture.
    """

    taken: dict[str, list[float]]
    start: dict[str, float]


def compete(
    trainings: Mapping[str, Training],
    others: Mapping[str, Work],
    settings: Settings,
    *,
    share_start: bool = True,
) -> Turns:
    """Ours and others in turns.

    Args:
        trainings: ours.
        others: anything else.
        settings: rounds and device.
        share_start: share our start out among the fewest epochs of a cell, so that no time of an
            epoch leaves it out.
    """
    first = {name: one.first_seconds() for name, one in trainings.items()}
    work: dict[str, Work] = {name: one.epoch for name, one in trainings.items()}
    taken = take_turns({**work, **others}, settings.rounds, settings.device)
    start = {}
    for name, training in trainings.items():
        start[name] = max(0.0, first[name] - float(np.median(taken[name])))
        if share_start:
            share = start[name] / fewest_epochs() * training.images / FULL_EPOCH
            taken[name] = [value + share for value in taken[name]]
    return Turns(taken, start)


def validation(model: Model, x: Tensor, noise: Mapping[str, Tensor]) -> Callable[[], object]:
    """The look at the validation set at the end of an epoch."""
    return partial(validation_bound, Population([model]), x, noise)


class Step:
    """The loss of one training step as autograd sees it, to count what it costs."""

    def __init__(self, system: System, settings: Settings, pixels: int) -> None:
        self.model = system.build(settings, pixels)
        self.settings, self.pixels = settings, pixels

    @cached_property
    def _inputs(self) -> tuple[Tensor, dict[str, Tensor]]:
        size, device = self.settings.batch_size, self.settings.device
        generator = epoch_generator(0, 1, torch.device(device))
        x = torch.rand((size, self.pixels), generator=generator, device=device)
        return (x < 0.5).float(), self.model.noise((size,), generator)

    def loss(self) -> Tensor:
        """The objective of one batch, a scalar with its graph."""
        x, noise = self._inputs
        return objective(self.model, x, noise, 1.0, 1.0)

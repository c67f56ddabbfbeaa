"""What cells are made with: settings, plugins, data, and models that are built from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy.typing as npt
import torch

from bench.config import Config
from bench.data.loading import LoadedData, load_dataset
from bench.engine.batches import Pixels, steps_an_epoch
from bench.engine.choice import choose_mode, choose_replicas, size_of_step
from bench.engine.steps import Mode
from bench.grid import Cell
from bench.loading import Recipe
from bench.model import Model
from bench.products import Kernels, choose_kernels
from bench.registry import Registry


@dataclass
class Workshop:
    """What cells are made with: settings, plugins, data (loaded once each), device, threads.

    ``run`` names the run, in all its processes.
    """

    config: Config
    registry: Registry
    roots: Sequence[Path]
    device: torch.device
    threads: int = 1
    fresh: bool = False
    search_only: bool = False
    run: str = field(default_factory=lambda: uuid4().hex)
    _data: dict[str, LoadedData] = field(default_factory=dict)
    _pixels: dict[str, Pixels] = field(default_factory=dict)

    def data(self, name: str) -> LoadedData:
        """The dataset of that name, with labels."""
        if name not in self._data:
            plugin = self.registry.load("dataset", name)
            options = self.config.options("dataset", name)
            self._data[name] = load_dataset(plugin(**options), self.roots)
        return self._data[name]

    def pixels(self, name: str) -> Pixels:
        """What training may see of it: no labels, on the device."""
        if name not in self._pixels:
            data = self.data(name)
            binary = data.likelihood == "bernoulli"
            self._pixels[name] = Pixels(
                train=torch.from_numpy(data.train_x).to(self.device),
                validation=torch.from_numpy(data.validation_x).to(self.device),
                scale=1.0 / data.white,
                binary=binary,
            )
        return self._pixels[name]

    def mode(self, dataset: str, config: Config, epochs: int) -> Mode:
        """How the steps of a cell run that may train for so many epochs."""
        steps, _ = steps_an_epoch(self.pixels(dataset), config.training.batch_size)
        engine = config.engine
        return choose_mode(engine.mode, self.device.type, steps * epochs, engine.break_even)

    @property
    def kernels(self) -> Kernels:
        """What multiplies float32 matrices on a CPU."""
        return choose_kernels(self.config.engine.products, self.device.type)

    def replicas(
        self, dataset: str, config: Config, cells: int, workers: int, device: str | None = None
    ) -> int:
        """How many of ``cells`` of one shape, shared by ``workers``, train together at most.

        Args:
            dataset, config, cells, workers: see there.
            device: where they train, if not here.
        """
        kind = device or self.device.type
        shape = self.data(dataset).event_shape
        step = size_of_step(config.training.batch_size, config.model.hidden, shape)
        return choose_replicas(config.engine.replicas, kind, cells, workers, step)

    def settings(self, cell: Cell, values: Mapping[str, Any]) -> tuple[Config, int | None]:
        """The cell's settings and K with tuned ``values`` put in."""
        config = self.config.for_dataset(cell.dataset)
        rest = {key: value for key, value in values.items() if key != "components"}
        if rest:
            config = config.with_values(rest)
        components = values.get("components", cell.components)
        return config, components

    def recipe(self, cell: Cell, config: Config, components: int | None, seed: int) -> Recipe:
        """What the cell's model is built from."""
        data = self.data(cell.dataset)
        return Recipe(
            prior=cell.prior,
            posterior=cell.posterior,
            prior_options=config.options("prior", cell.prior),
            posterior_options=config.options("posterior", cell.posterior),
            latent_dim=config.model.latent_dim,
            hidden=config.model.hidden,
            components=components,
            event_shape=data.event_shape,
            likelihood=data.likelihood,
            seed=seed,
            initialisation=config.training.initialisation,
        )

    def model(self, cell: Cell, config: Config, components: int | None, seed: int) -> Model:
        """A new model with weights drawn from ``seed``; torch's global generator is left alone."""
        data = self.data(cell.dataset)
        source = partial(self._examples, data.train_x, data.white)  # not data: no labels
        return (
            self.recipe(cell, config, components, seed).build(self.registry, source).to(self.device)
        )

    @staticmethod
    def _examples(train_x: npt.NDArray[Any], white: int, count: int) -> torch.Tensor:
        """The first training inputs on the scale that the models see."""
        return torch.from_numpy(train_x[:count].astype("float32") / white)

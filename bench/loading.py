"""A trained model from its cell's folder alone: no dataset, no labels, no settings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from bench.errors import BenchError
from bench.model import Model
from bench.networks import Initialisation
from bench.registry import Registry
from bench.spec import Spec

__all__ = ["PLUGINS", "Recipe", "keep_plugins", "load_model", "plugins_of"]

PLUGINS = "plugins"  # the folder, in a cell's folder, of the user's plugin files that made it


@dataclass(frozen=True)
class Recipe:
    """All that a model is built from, as JSON values; a part of a cell's ``config.json``.

    Attributes:
        prior, posterior: names in the registry.
        prior_options, posterior_options: what their constructors are called with.
        latent_dim: D.
        hidden: units of a hidden layer.
        components: K, or None where nothing depends on it.
        event_shape: the shape of one datum.
        likelihood: of x given the latents.
        seed: of the weights before training.
        initialisation: of the linear maps.
    """

    prior: str
    posterior: str
    prior_options: Mapping[str, Any]
    posterior_options: Mapping[str, Any]
    latent_dim: int
    hidden: int
    components: int | None
    event_shape: Sequence[int]
    likelihood: str
    seed: int
    initialisation: Initialisation

    def build(self, registry: Registry, source: Callable[[int], Tensor] | None = None) -> Model:
        """A new model, on the CPU; torch's global generator is left alone.

        Args:
            registry: where the plugins are found.
            source: the first training inputs, for a prior that is built on data. Without it such
                a prior gets noise: a model whose weights are loaded afterwards is whole.
        """
        prior = registry.load("prior", self.prior)
        posterior = registry.load("posterior", self.posterior)
        size = self.components or 1
        shape = tuple(self.event_shape)
        spec = Spec(
            latent_dim=self.latent_dim,
            event_shape=shape,
            categories=size if posterior.categorical else None,
            components=size,
            hidden=self.hidden,
            seed=self.seed,
            latents=prior.latents,
            bounds=(0.0, 1.0) if self.likelihood == "bernoulli" else None,
            source=source or (lambda count: torch.rand(count, torch.Size(shape).numel())),
        )
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            made = Model(
                spec,
                prior(spec, **self.prior_options),
                posterior(spec, **self.posterior_options),
                self.likelihood,
            )
            if self.initialisation != "glorot":
                made.initialise(self.initialisation)
        return made

    def as_json(self) -> dict[str, Any]:
        """The recipe for ``config.json``."""
        return {**asdict(self), "event_shape": list(self.event_shape)}


def load_model(
    folder: Path,
    *,
    plugins: Sequence[Path] = (),
    device: torch.device | str = "cpu",
    registry: Registry | None = None,
) -> Model:
    """The trained model of a cell's folder.

    The weights are read as tensors alone, so that a file from elsewhere cannot run code. The files
    in ``plugins/`` of the folder are Python that is run: the user's own plugins, as they were when
    the cell was trained.

    Args:
        folder: ``cells/<id>`` of a results folder, or a copy of its config.json, model.pt and
            plugins/.
        plugins: plugin files to use instead of those in the folder.
        device: where the model goes.
        registry: of what is installed, from a caller who loads many models; a cell with plugin
            files has one of its own.

    Raises:
        BenchError: a file is missing, damaged or does not fit, or a plugin is missing.
    """
    recipe, files = _recipe(folder), plugins or plugins_of(folder)
    model = recipe.build(Registry(files) if files or registry is None else registry)
    path = folder / "model.pt"
    try:
        weights = torch.load(path, map_location=device, weights_only=True)
        model.load_state_dict(weights)
    except FileNotFoundError as error:
        raise BenchError(f"there is no {path}: expected the cell's trained model") from error
    except (
        RuntimeError, UnpicklingError, TypeError, AttributeError, OSError, EOFError, LookupError,
        ValueError,
    ) as error:  # fmt: skip
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise BenchError(
            f"{path} is not a model of {recipe.prior} x {recipe.posterior} as config.json beside "
            f"it describes it: {' '.join(lines[:2])}"
        ) from error
    return model.to(device).eval()


def _recipe(folder: Path) -> Recipe:
    path = folder / "config.json"
    try:
        found = json.loads(path.read_text())["recipe"]
        return Recipe(**found)
    except FileNotFoundError as error:
        raise BenchError(
            f"there is no {path}: expected the folder of a trained cell, as `bench run` leaves in "
            "OUT/cells"
        ) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BenchError(
            f"{path} does not say how the model is built ({type(error).__name__}: {error}). A cell "
            "of an earlier version of bench is described anew by `bench run --fresh`."
        ) from error


def plugins_of(folder: Path) -> list[Path]:
    """The plugin files that a cell's folder keeps."""
    return sorted((folder / PLUGINS).glob("*.py"))


def keep_plugins(registry: Registry, prior: str, posterior: str, folder: Path) -> None:
    """Copy the user's plugin files that a cell is made with into its folder.

    A plugin of an installed package is found by its entry point wherever the package is.
    """
    for kind, name in (("prior", prior), ("posterior", posterior)):
        path = registry.get(kind, name).path
        if path is not None and path.resolve() in registry.plugins:
            (folder / PLUGINS).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / PLUGINS / path.name)

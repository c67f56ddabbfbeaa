"""Cells whose categories are known by construction, and their measurement."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from bench.config import EvaluationConfig, load_config
from bench.data.loading import Labels, LoadedData, load_dataset
from bench.distributions import Mixture
from bench.evaluation.categories import measure_categories
from bench.evaluation.section import Section
from bench.joint import DiagNormal, Joint
from bench.model import Model
from bench.priors.conditional import Conditional
from bench.spec import Spec
from maths.cells import Affine, Fixed, FixedPrior, Table, assemble, normal, set_components, tensor
from pairs import REGISTRY

Measured = tuple[Section, list[dict[str, Any]]]

CONFIG: EvaluationConfig = load_config(
    None, None, ["evaluation.responsibility_samples=20"]
).evaluation


@functools.cache
def digits() -> LoadedData:
    return load_dataset(REGISTRY.load("dataset", "digits")(), [])


def measure(model: Model, data: LoadedData, **changes: Any) -> Measured:
    """Measures, and sees to it that nothing draws from a global generator."""
    config = CONFIG.model_copy(update=changes)
    before, numpy_before = torch.get_rng_state(), str(np.random.get_state())
    found = measure_categories(model, data, model.joint_prior(), config)
    assert torch.equal(torch.get_rng_state(), before)
    assert str(np.random.get_state()) == numpy_before
    return found.section, found.labels


def toy(y: np.ndarray, train_y: np.ndarray | None = None) -> LoadedData:
    """x is the row of a table; training rows are the same ones."""
    x = np.arange(len(y), dtype=np.float32)[:, None]
    labels = Labels(y if train_y is None else train_y, y, y)
    return replace(
        digits(), train_x=x, validation_x=x, test_x=x, labels=labels, event_shape=(1,),
        label_names=tuple("abcdefghij"), likelihood="gaussian",
    )  # fmt: skip


def certain(y: np.ndarray, size: int, sure: float = 0.9) -> np.ndarray:
    """Category y with probability ``sure``, the rest spread evenly."""
    pi = np.full((len(y), size), (1 - sure) / (size - 1))
    pi[np.arange(len(y)), y] = sure
    return pi


Y = np.random.default_rng(0).integers(0, 3, 120)
FAR = tensor([[-9.0, 0.0], [0.0, 0.0], [9.0, 0.0]])
NEAR = torch.full((3, 2), 0.5, dtype=torch.float64)


def conditional(pi: np.ndarray, lands: np.ndarray | None, spec: Spec) -> Model:
    """Components far apart. z lies in component ``lands`` of the datum, or follows c."""
    prior = set_components(Conditional(spec), FAR, NEAR)
    loc = FAR.expand(len(pi), 3, 2) if lands is None else FAR[torch.from_numpy(lands)]
    posterior = Table(spec, pi, loc, torch.full_like(loc, 0.5))
    return assemble(spec, prior, posterior, Affine({"z": [[0.0, 0.0]]}, [0.0], std=1.0))


SPEC = Spec(2, (1,), categories=3, components=3, hidden=2, bounds=None)


def two_layers(spec: Spec, upper: torch.Tensor, lower: torch.Tensor) -> Model:
    """q(z2 | x), q(z1 | x) around tables of means."""

    def make(x: torch.Tensor) -> Joint:
        row = x[:, 0].long()
        scale = torch.full((len(row), 2), 0.5, dtype=torch.float64)
        return Joint(z2=DiagNormal(upper[row], scale), z1=DiagNormal(lower[row], scale))

    prior = FixedPrior(spec, Joint(z2=Mixture(normal(FAR, NEAR)), z1=normal([0.0] * 2, [1.0] * 2)))
    return assemble(spec, prior, Fixed(spec, make), Affine({"z1": [[0.0, 0.0]]}, [0.0], std=1.0))

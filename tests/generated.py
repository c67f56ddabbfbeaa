"""Small labelled data, models of them with planted merits and faults, and their measurement."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from bench.config import EvaluationConfig, load_config
from bench.data.loading import Labels, LoadedData
from bench.evaluation.generation import measure_generation
from bench.evaluation.responsibilities import prior_responsibilities
from bench.evaluation.section import Section
from bench.joint import DiagNormal, Joint, Mixture, OneHotCategorical
from bench.model import Model, category_of
from bench.spec import Spec
from maths.cells import Affine, Fixed, FixedPrior, assemble, normal, tensor
from pairs import seeded

MEANS = np.array([-4.0, 0.0, 4.0])
STD = 0.3
COUNT = 240


def settings(**changes: object) -> EvaluationConfig:
    values = {"generation_samples": 60, **changes}
    return load_config(None, None, [f"evaluation.{k}={v}" for k, v in values.items()]).evaluation


def bumps() -> LoadedData:
    random = np.random.default_rng(0)
    y = np.repeat(np.arange(3), COUNT // 3)
    x = (MEANS[y] + STD * random.standard_normal(COUNT))[:, None].astype(np.float32)
    labels, names = Labels(y, y, y), ("left", "middle", "right")
    return LoadedData("bumps", x, x, x, labels, {}, names, (1,), "gaussian", 255, True, "print")


DATA = bumps()


@torch.random.fork_rng()
def bump_model(
    means: object = MEANS, std: float = STD, noise: float = 0.01, *, categories: bool = True
) -> Model:
    """Category k (or component k) generates N(means_k, std^2 + noise^2)."""
    spec = Spec(1, (1,), categories=3 if categories else None, components=3, hidden=2)
    parts = normal(tensor(means)[:, None], tensor([std]).expand(3, 1))
    centres = tensor(MEANS)

    def encode(x: torch.Tensor) -> Joint:
        z = DiagNormal(x.double(), torch.full_like(x, 0.1).double())
        c = OneHotCategorical(-8.0 * (x.double() - centres) ** 2)
        return Joint(c=c, z=z) if categories else Joint(z=z)

    if categories:
        joint = Joint(c=OneHotCategorical(torch.zeros(3).double()), z=lambda v: parts[v["c"]])
    else:
        joint = Joint(z=Mixture(parts))
    decoder = Affine({"z": [[1.0]]}, [0.0], std=noise)
    return assemble(spec, FixedPrior(spec, joint), Fixed(spec, encode), decoder)


@torch.no_grad()
def assign(model: Model, data: LoadedData) -> np.ndarray | None:
    x = torch.from_numpy(data.test_x).to(next(model.parameters()).dtype)
    if model.spec.categories is not None:
        return category_of(model.posterior(x)).probs.double().numpy()
    found = prior_responsibilities(model, x, 5, seeded(1))
    return None if found is None else found.numpy()


@torch.no_grad()
def measure(
    model: Model,
    cache: Path,
    data: LoadedData = DATA,
    assignments: np.ndarray | None = None,
    **changes: object,
) -> Section:
    a = assign(model, data) if assignments is None else assignments
    q = None if a is None else a.mean(0)
    return measure_generation(model, data, model.joint_prior(), settings(**changes), a, q, cache)


def pictures(event_shape: tuple[int, ...] = (4,), likelihood: str = "bernoulli") -> LoadedData:
    random = np.random.default_rng(3)
    y = random.integers(0, 3, 90)
    size = math.prod(event_shape)
    p = np.clip(0.15 + 0.35 * y[:, None] + 0.03 * random.standard_normal((90, size)), 0, 1)
    binary = (random.random(p.shape) < p).astype(np.uint8)
    graded = (255 * p).astype(np.uint8)
    if likelihood == "gaussian":
        binary = graded = p.astype(np.float32)
    labels, names = Labels(y, y, y), ("few", "some", "many")
    return LoadedData(
        "made",
        graded,
        binary,
        binary,
        labels,
        {},
        names,
        event_shape,
        likelihood,
        255,
        True,
        "p",  # type: ignore[arg-type]
    )

"""One factor of a joint on a line: draws, density, and quadrature, at D = 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.distributions import Distribution

from bench.distributions import sample_from
from bench.joint import Joint, Recorder
from bench.testing.finding import Breach
from bench.testing.subject import seeded

DRAWS = 20_000
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Conditional:
    """One factor of a joint with its parents set.

    Attributes:
        joint: whose factor it is.
        name: of the latent.
        parents: values of the latents that it reads, a vector each.
    """

    joint: Joint
    name: str
    parents: Mapping[str, Tensor]

    @property
    def label(self) -> str:
        """As ``z given c = 1``."""
        if not self.parents:
            return self.name
        said = []
        for name, value in self.parents.items():
            number = f"{int(value.argmax())}" if name == "c" else f"{float(value[0]):.2f}"
            said.append(f"{name} = {number}")
        return f"{self.name} given {', '.join(said)}"

    def given(self, count: int) -> Distribution:
        """The factor for a batch of ``count`` equal parents."""
        values = {name: value.expand(count, -1) for name, value in self.parents.items()}
        return self.joint.given(self.name, values)

    @cached_property
    def draws(self) -> Tensor:
        """Independent draws from the factor's own sampler, shape (DRAWS, D)."""
        factor = self.given(DRAWS)
        values = sample_from(factor, () if factor.batch_shape else (DRAWS,), seeded(5))
        if not bool(values.isfinite().all()):
            raise Breach(f"finite draws of {self.label}", "NaN or infinity")
        return values

    def log_prob(self, values: Tensor) -> Tensor:
        """Its log-density at (N, D), in float64."""
        return self.given(len(values)).log_prob(values).detach().double()


def conditionals(joint: Joint) -> Iterator[Conditional]:
    """Every continuous factor, for every category and for some values of a latent above it."""
    sampled = joint.sample((3,), seeded(4))
    for name in joint.names:
        if name == "c":
            continue
        above = {other: sampled[other] for other in joint.names[: joint.names.index(name)]}
        recorder = Recorder(above)
        joint.given(name, recorder)
        read = recorder.read
        if "c" in read:
            size = above["c"].shape[-1]
            above["c"] = torch.eye(size, dtype=above["c"].dtype)
        # As many settings as categories, or as draws of a latent above; each parent in turn.
        count = max((len(above[parent]) for parent in read), default=1)
        for index in range(count):
            yield Conditional(
                joint, name, {p: above[p][index % len(above[p])] for p in above if p in read}
            )


@dataclass(frozen=True)
class Grid:
    """Gauss-Legendre nodes in cells that are narrow where draws are dense.

    Attributes:
        edges: of the cells, ascending, shape (C + 1,).
        points, weights: nodes and weights of the quadrature, shape (C, order).
    """

    edges: Array
    points: Array
    weights: Array

    @property
    def nodes(self) -> Tensor:
        """The points as float32 values of a latent with one dimension, shape (N, 1)."""
        return torch.from_numpy(self.points.reshape(-1, 1)).float()

    def integrate(self, log_density: Tensor) -> Array:
        """The integral over each cell, shape (C, \\*rest), of a density at ``nodes`` (N, *rest)."""
        density = log_density.exp().numpy()
        density = density.reshape(*self.points.shape, *density.shape[1:])
        integrals: Array = np.einsum("co,co...->c...", self.weights, density)
        return integrals


def grid(
    draws: Tensor, quantiles: int = 400, uniform: int = 800, order: int = 6, tails: int = 12
) -> Grid:
    """A grid over all of the line that can matter to a density with draws like these.

    Its edges are quantiles of the draws, equal steps around them, and outside of these steps
    that double: a density that is elsewhere than its sampler is found there too.
    """
    values = np.sort(draws.double().numpy().reshape(-1))
    width = float(values.std()) or 1.0
    low, high = values[0] - 4.0 * width, values[-1] + 4.0 * width
    outside = width * 2.0 ** np.arange(tails)
    edges = np.unique(
        np.concatenate(
            [
                np.quantile(values, np.linspace(0.0, 1.0, quantiles + 1)),
                np.linspace(low, high, uniform + 1),
                low - outside,
                high + outside,
            ]
        )
    )
    nodes, weights = np.polynomial.legendre.leggauss(order)
    half = np.diff(edges)[:, None] / 2.0
    middle = (edges[1:] + edges[:-1])[:, None] / 2.0
    return Grid(edges, middle + half * nodes, half * weights)

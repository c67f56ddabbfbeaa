r"""E log of a sum of independent positive variables, by quadrature: exact L_S at any S, no draws.

.. math:: E \log X = \int_0^\infty \frac{e^{-t} - E e^{-tX}}{t}\, dt

and the Laplace transform of a sum is the product of its terms'.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from bench.bounds import log_weight
from bench.distributions import OneHotCategorical
from bench.model import Model
from maths.cells import copies
from maths.paths import nodes, vertices

Array = NDArray[np.float64]
Weights = tuple[Array, Array]  # values, and the probability of each


def _by_category(model: Model, x: tuple[float, ...]) -> Iterator[tuple[float, Array, Array]]:
    """pi_k, the weights p(x, z, c_k) / (q(z | x, c_k) pi_k) on a grid, and its probabilities."""
    noise, weight = nodes(model)
    rows = copies(x, len(weight))
    with torch.no_grad():
        q, prior = model.posterior(rows), model.joint_prior()
        for share in vertices(model, rows, noise):
            values, _ = q.transform(noise)
            log_w = log_weight(model, rows, q, prior, values)
            yield share, log_w.exp().numpy(), weight.numpy()


def drawn(model: Model, x: tuple[float, ...]) -> list[Weights]:
    """The weights where the category is drawn."""
    parts = list(_by_category(model, x))
    return [
        (np.concatenate([w for _, w, _ in parts]), np.concatenate([s * p for s, _, p in parts]))
    ]


def summed(model: Model, x: tuple[float, ...]) -> list[Weights]:
    """Those with it summed out: one term a category where each has a z of its own (RB-J), or a
    single one where all share it (RB-I)."""
    parts = list(_by_category(model, x))
    terms = [(share * w, p) for share, w, p in parts]
    q = model.posterior(copies(x, 1))
    category = q.given("c", {})
    assert isinstance(category, OneHotCategorical)
    eye = torch.eye(category.event_shape[0], dtype=torch.float64).unsqueeze(1)
    if len(q.given("z", {"c": eye}).batch_shape) > 1:
        return terms
    return [(np.sum([w for w, _ in terms], axis=0), terms[0][1])]


def expected_log_mean(parts: list[Weights], samples: int) -> float:
    """E log (1/S) sum_s sum_parts w, every weight drawn by itself: L_S of an estimator."""
    mean = sum(float(w @ p) for w, p in parts)
    step = 0.05
    grid = np.arange(-45.0, 130.0, step)  # log t
    product = np.ones_like(grid)
    for w, p in parts:
        for i, t in enumerate(np.exp(grid)):
            product[i] *= float(p @ np.exp(-t / samples * w / mean)) ** samples
    return math.log(mean) + step * float((np.exp(-np.exp(grid)) - product).sum())

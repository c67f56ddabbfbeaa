"""What MATHS 3 says of every model's importance weights, as functions that fail likewise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import Tensor

from bench.bounds import importance_weights, log_weights_over_categories
from bench.distributions import DiagNormal
from bench.model import Model
from maths.laplace import drawn, expected_log_mean
from maths.paths import generator
from properties.checks import QUADRATURE, at_most, equal, rows
from properties.small import Small

Array = NDArray[np.float64]


def summed_out(small: Small, samples: int) -> tuple[Array, Array]:
    """The weights with the category summed out, (S, N), and log p_k w_k of each, (S, N, K)."""
    seen: list[Tensor] = []
    original = DiagNormal.rsample

    def rsample(self: DiagNormal, *arguments: object, **options: object) -> Tensor:
        value = original(self, *arguments, **options)  # type: ignore[arg-type]
        seen.append(value)
        return value

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(DiagNormal, "rsample", rsample)
        blocks = log_weights_over_categories(small.model(), rows(small), samples, generator())
        found = torch.cat(list(blocks)).numpy()
    (z,) = (value.numpy() for value in seen)  # (K, S, N, D), or (S, N, D)
    assert small.pi is not None
    size = small.pi.shape[1]
    i = np.tile(np.arange(small.count), samples)
    parts = []
    for k in range(size):
        values = (z[k] if small.joint else z).reshape(-1, z.shape[-1])
        log = small.densities(values, i, np.full(len(i), k))
        parts.append(log["A"] + log["log p(z|c)"] - log["log q(z|x,c)"] + small.log_p_c()[k])
    return found, np.stack(parts, -1).reshape(samples, small.count, size)


def summing_out(small: Small) -> None:
    """log sum_k p_k w_k is what it is, and at least sum_k pi_k log(p_k w_k / pi_k)."""
    assert small.pi is not None
    found, parts = summed_out(small, 4)
    equal(found, logsumexp(parts, axis=-1), "the weights")
    bound = (small.pi * (parts - np.log(small.pi))).sum(-1)
    at_most(bound, found, "the enumerated bound on the same draws")
    if not small.joint:
        best = np.exp(parts - logsumexp(parts, axis=-1, keepdims=True))
        equal((best * (parts - np.log(best))).sum(-1), found, "the bound at the best q(c | x)")


def smaller_samples_are_lower(small: Small, over_categories: bool) -> None:
    """For one pool of weights the mean over groups is below the pool's, whatever the weights."""
    found = importance_weights(
        small.model(), rows(small), 100, generator(), over_categories=over_categories, chunk=64
    )
    bounds = [found.by_samples[size].numpy() for size in (1, 10, 100)]
    at_most(bounds[0], bounds[1], "L_1 <= L_10", 1e-12)
    at_most(bounds[1], bounds[2], "L_10 <= L_100", 1e-12)
    equal(bounds[2], found.log_mean, "L_100", 1e-12)
    at_most(1.0, found.ess, "1 <= ESS")
    at_most(found.ess, 100.0, "ESS <= S")
    at_most(1.0 / found.largest_share, found.ess, "1 / share <= ESS")
    at_most(found.ess, 1.0 / found.largest_share**2, "ESS <= 1 / share^2")


def weights_are_unbiased(small: Small) -> None:
    """E[w] = p(x), and ELBO = L_1 <= L_2 <= log p(x), by quadrature."""
    model: Model = small.model()
    log_p = small.log_evidence()
    for i, x in enumerate(small.x):
        parts = drawn(model, (float(x),))
        ((w, p),) = parts
        equal(math.log(float(w @ p)), log_p[i], "log E[w]", QUADRATURE)
        first = float(p @ np.log(np.maximum(w, 1e-300)))
        second = expected_log_mean(parts, 2)
        at_most(first, second, "L_1 <= L_2", QUADRATURE)
        at_most(second, log_p[i], "L_2 <= log p", QUADRATURE)

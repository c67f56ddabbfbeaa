"""What MATHS 7 says beside its bounds: T3's exact posterior, T4's optima, T18's A of a category."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from bench.posteriors.continuous import Continuous
from bench.posteriors.independent import Independent
from bench.priors.standard import Standard
from bench.spec import Spec
from maths.cases import T4_SPEC, Case, case
from maths.cells import Affine, assemble, set_head, tensor
from maths.paths import PATHS, close, expectations, nodes

Array = NDArray[np.float64]

W, B, NOISE = np.array([[1.0, 0.2], [-0.5, 0.8], [0.3, -0.6]]), np.array([0.1, -0.2, 0.3]), 0.25
X = np.array([0.9, -0.4, 0.5])


def t3_exact() -> Case:
    """Along the axes of its covariance the full-covariance posterior is a diagonal one."""
    precision = np.eye(2) + W.T @ W / NOISE
    values, axes = np.linalg.eigh(precision)
    mean = axes.T @ np.linalg.solve(precision, W.T @ (X - B) / NOISE)
    spec = Spec(2, (3,), hidden=2, bounds=None)
    decoder = Affine({"z": (W @ axes).tolist()}, B.tolist(), std=math.sqrt(NOISE))
    posterior = set_head(Continuous(spec), None, mean, values**-0.5)
    model = assemble(spec, Standard(spec), posterior, decoder)
    log_p = -2.6471368735
    exact = {1: (log_p, 0.0), 5: (log_p, 0.0)}
    return Case(model, tuple(X.tolist()), log_p, log_p, {}, exact)


@pytest.mark.parametrize("path", PATHS)
def test_t3_bound_at_the_exact_posterior_is_the_evidence(path: str) -> None:
    PATHS[path](t3_exact())


def test_t3_gap_of_the_best_diagonal_posterior() -> None:
    precision = np.eye(2) + W.T @ W / NOISE
    gap = 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision).logabsdet)
    close(float(gap), 0.0365011178, "the gap", 1e-9)
    best = case("t3_best")
    close(best.log_p - expectations(best)["elbo"], float(gap), "the gap of the model's bound")


M, S = np.array([-1.0, 0.5, 2.0]), np.array([0.6, 0.4, 0.8])
SLOPE, OFFSET, STD, DATUM = 0.7, np.array([0.2, 0.0, -0.3]), 0.5, 0.6


def ascend(pi: Array) -> tuple[Array, float, float]:
    """Coordinate ascent on T4's ELBO over Gaussian q(z) times q(c), from q(c) = pi."""
    mean = variance = 0.0
    for _ in range(500):
        precision = pi @ (1 / S**2 + SLOPE**2 / STD**2)
        variance = 1 / precision
        mean = variance * (pi @ (M / S**2 + SLOPE * (DATUM - OFFSET) / STD**2))
        prior = -np.log(S) - ((mean - M) ** 2 + variance) / (2 * S**2)
        error = (DATUM - SLOPE * mean - OFFSET) ** 2 + SLOPE**2 * variance
        pi = softmax(prior - error / (2 * STD**2))
    return pi, float(mean), math.sqrt(variance)


@pytest.mark.parametrize(
    ("start", "elbo"),
    [((0.02, 0.88, 0.1), -1.4364685726), ((0.02, 0.02, 0.96), -1.9316460127)],
)
def test_t4_optima_of_independent_posteriors(start: tuple[float, ...], elbo: float) -> None:
    pi, mean, std = ascend(np.array(start))
    posterior = set_head(Independent(T4_SPEC), pi, [mean], [std])
    shipped = case("t4_independent").model
    model = assemble(T4_SPEC, shipped.prior, posterior, shipped.decoder)
    close(expectations(Case(model, (DATUM,), elbo, math.nan))["elbo"], elbo, "the optimum")
    if elbo > -1.5:
        np.testing.assert_allclose(pi, [0.0214633704, 0.8825934750, 0.0959431546], atol=1e-9)
        close(mean, 0.6176215587, "its mean", 1e-9)
        close(std, 0.3607091267, "its standard deviation", 1e-9)
        close(case("t4_exact").log_p - elbo, 0.5255883917, "the gap", 1e-9)


@pytest.mark.parametrize(("k", "value"), [(0, -1.8651570496), (1, -1.4653319070)])
def test_t18_reconstruction_of_each_category(k: int, value: float) -> None:
    subject = case("t18")
    noise, weight = nodes(subject.model)
    rows = tensor(subject.x).expand(len(weight), -1)
    noise["c"] = 1e6 * torch.eye(2, dtype=torch.float64)[k].expand(len(weight), -1)
    with torch.no_grad():
        values, _ = subject.model.posterior(rows).transform(noise)
        found = float(weight @ subject.model.decode(values).log_prob(rows))
    close(found, value, f"A of category {k}", 1e-9)

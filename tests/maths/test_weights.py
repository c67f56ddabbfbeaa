"""Importance weights in a stream: every summary is that of the raw weights, however they came."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp
from torch import Tensor

from bench.pareto import tail_length
from bench.weights import Weights, WeightSummary, levels
from maths.cells import tensor

Array = NDArray[np.float64]
B = 7


def stream(log_weights: Array, sizes: Sequence[int] | None = None) -> WeightSummary:
    """The summary of log-weights (S, B) that come in blocks of the given sizes."""
    samples, count = log_weights.shape
    weights = Weights(count, samples, torch.device("cpu"))
    start = 0
    for size in [samples] if sizes is None else sizes:
        weights.add(tensor(log_weights[start : start + size]))
        start += size
    return weights.summary()


def normals(samples: int, count: int = B, spread: float = 1.5, seed: int = 0) -> Array:
    return spread * np.random.default_rng(seed).standard_normal((samples, count))


def same(found: Tensor, expected: object, tolerance: float = 1e-11) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=tolerance, atol=tolerance)


def pareto_of(log_weights: Array) -> float:
    """k-hat of one datum, from the papers alone.

    The tail by Vehtari et al. 2024 (section 2.3 and appendix), the fit by Zhang and Stephens 2009
    (section 3), in whose notation the shape is -k.
    """
    weights = np.sort(np.exp(log_weights - log_weights.max()))
    samples = len(weights)
    size = math.ceil(min(0.2 * samples, 3 * math.sqrt(samples)))
    x = weights[-size:] - weights[-size - 1]
    grid = 30 + math.floor(math.sqrt(size))
    quartile = x[math.floor(size / 4 + 0.5) - 1]
    theta = np.array(
        [1 / x[-1] + (1 - math.sqrt(grid / (j - 0.5))) / (3 * quartile) for j in range(1, grid + 1)]
    )
    k = np.array([-np.log1p(-t * x).mean() for t in theta])
    profile = size * (np.log(theta / k) + k - 1)
    share = np.array([1 / np.exp(profile - value).sum() for value in profile])
    best = float(share @ theta)
    shape = float(np.log1p(-best * x).mean())
    return (size * shape + 10 * 0.5) / (size + 10)


def generalised_pareto(shape: float, samples: int, count: int) -> Array:
    """Log-weights whose tail beyond 1 is exactly of a known shape."""
    rng = np.random.default_rng(int(100 * shape))
    excess = stats.genpareto(shape).rvs(size=(samples, count), random_state=rng)
    return np.log1p(excess)


@pytest.mark.parametrize("samples", [1, 2, 9, 10, 137, 1000])
def test_summary_is_that_of_the_raw_weights(samples: int) -> None:
    raw = normals(samples)
    found, w = stream(raw), np.exp(raw)
    same(found.log_mean, np.log(w.mean(0)))
    same(found.ess, w.sum(0) ** 2 / (w**2).sum(0))
    same(found.largest_share, w.max(0) / w.sum(0))
    same(found.log_mean_variance, np.maximum(1 / found.ess.numpy() - 1 / samples, 0))
    assert found.samples == samples


@pytest.mark.parametrize("samples", [1, 10, 137, 1000])
def test_smaller_samples_are_disjoint_groups(samples: int) -> None:
    """Groups that are not complete are left out."""
    raw = normals(samples)
    found = stream(raw)
    assert set(found.by_samples) == {s for s in (1, 10, 100, 1000) if s < samples} | {samples}
    for size, values in found.by_samples.items():
        groups = raw[: samples // size * size].reshape(-1, size, B)
        same(values, (logsumexp(groups, axis=1) - math.log(size)).mean(0))
    same(found.by_samples[samples], found.log_mean.numpy())


def test_levels_are_powers_of_ten_and_the_whole() -> None:
    assert levels(5000) == (1, 10, 100, 1000, 5000)
    assert levels(1000) == (1, 10, 100, 1000)
    assert levels(1) == (1,)
    assert levels(34) == (1, 10, 34)


@pytest.mark.parametrize(
    "sizes", [[1] * 137, [136, 1], [1, 136], [50, 50, 37], [9, 11, 117], [137, 0]], ids=str
)
def test_blocks_do_not_show(sizes: list[int]) -> None:
    raw = normals(137)
    whole, parts = stream(raw), stream(raw, sizes)
    for name in ("log_mean", "ess", "largest_share", "pareto"):
        same(getattr(parts, name), getattr(whole, name).numpy())
    for size, values in whole.by_samples.items():
        same(parts.by_samples[size], values.numpy())


@pytest.mark.parametrize("shift", [-3000.0, 2500.0])
def test_a_scale_moves_the_bounds_alone(shift: float) -> None:
    """log p(x) of an image is -100 nats or less: nothing may under- or overflow."""
    raw = normals(200)
    plain, moved = stream(raw), stream(raw + shift)
    for name in ("ess", "largest_share", "pareto"):
        same(getattr(moved, name), getattr(plain, name).numpy(), 1e-9)
    same(moved.log_mean, plain.log_mean.numpy() + shift)
    for size, values in plain.by_samples.items():
        same(moved.by_samples[size], values.numpy() + shift)


def test_parts_of_the_data_concatenate() -> None:
    raw = normals(60)
    whole = stream(raw)
    joined = WeightSummary.concatenate([stream(raw[:, :2]), stream(raw[:, 2:])])
    for name in ("log_mean", "ess", "largest_share", "pareto"):
        same(getattr(joined, name), getattr(whole, name).numpy())
    for size, values in whole.by_samples.items():
        same(joined.by_samples[size], values.numpy())


@pytest.mark.parametrize("count", [59, 61])
def test_a_number_of_weights_that_was_not_announced_is_refused(count: int) -> None:
    weights = Weights(B, 60, torch.device("cpu"))
    weights.add(tensor(normals(count)))
    with pytest.raises(ValueError, match=re.escape(f"expected 60 weights a datum, got {count}")):
        weights.summary()


@pytest.mark.parametrize(("samples", "size"), [(25, 5), (100, 20), (225, 45), (5000, 213)])
def test_tail_length(samples: int, size: int) -> None:
    assert tail_length(samples) == size


@pytest.mark.parametrize("samples", [100, 777, 5000])
@pytest.mark.parametrize("kind", ["light", "heavy", "very heavy", "bounded"])
def test_pareto_equals_an_independent_fit(kind: str, samples: int) -> None:
    if kind == "bounded":
        raw = np.log(np.random.default_rng(3).uniform(0.0, 1.0, (samples, B)))
    else:
        raw = normals(samples, spread={"light": 0.3, "heavy": 2.0, "very heavy": 9.0}[kind])
    found = stream(raw)
    same(found.pareto, [pareto_of(column) for column in raw.T], 1e-8)


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9])
def test_pareto_finds_a_known_shape(shape: float) -> None:
    """Over 60 data the mean is the shape, but for the pull to 1/2 that the fit is made with."""
    raw = generalised_pareto(shape, 5000, 60)
    found = stream(raw).pareto.numpy()
    size = tail_length(5000)
    pulled = (size * shape + 5.0) / (size + 10)
    error = found.std(ddof=1) / math.sqrt(len(found))
    assert error < 0.015
    assert found.mean() == pytest.approx(pulled, abs=4 * error)


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9])
def test_pareto_is_near_the_likeliest_shape(shape: float) -> None:
    """scipy's maximum likelihood on the same tails, datum by datum."""
    raw = generalised_pareto(shape, 5000, 5)
    size = tail_length(5000)
    for k_hat, column in zip(stream(raw).pareto.tolist(), raw.T, strict=True):
        weights = np.sort(np.exp(column))
        likeliest, _, _ = stats.genpareto.fit(weights[-size:] - weights[-size - 1], floc=0.0)
        pulled = (size * likeliest + 5.0) / (size + 10)
        assert k_hat == pytest.approx(pulled, abs=0.03)


def test_heavier_tails_have_larger_shapes() -> None:
    shapes = [float(stream(normals(5000, 20, spread)).pareto.mean()) for spread in (0.3, 1, 2, 4)]
    assert shapes == sorted(shapes)
    assert shapes[0] < 0.3 < 0.7 < shapes[-1]


@pytest.mark.parametrize("samples", [1, 5, 25, 95])
def test_a_short_tail_tells_nothing(samples: int) -> None:
    found = stream(normals(samples))
    assert found.pareto.isnan().all()
    few = (found.largest_share > 0.5) | (found.ess < min(5.0, samples / 2))
    assert torch.equal(found.doubtful, few)


@pytest.mark.parametrize("samples", [100, 5000])
def test_equal_weights_have_no_tail(samples: int) -> None:
    found = stream(np.full((samples, 3), -1234.5))
    assert (found.pareto == -math.inf).all()
    same(found.ess, samples)
    same(found.largest_share, 1 / samples)
    assert not found.doubtful.any()


def test_one_weight_that_is_all_is_doubtful() -> None:
    raw = normals(100, spread=0.1)
    raw[3] += 50.0
    found = stream(raw)
    assert found.doubtful.all()
    same(found.ess, 1.0, 1e-9)


def test_weights_of_zero_count() -> None:
    raw = normals(200)
    raw[::3] = -math.inf
    found, w = stream(raw, [100, 100]), np.exp(raw)
    same(found.log_mean, np.log(w.mean(0)))
    same(found.ess, w.sum(0) ** 2 / (w**2).sum(0))
    same(found.pareto, [pareto_of(column) for column in raw.T], 1e-8)
    assert (found.by_samples[1] == -math.inf).all()


@pytest.mark.parametrize(
    ("samples", "limit"), [(100, 0.5), (1000, 2 / 3), (5000, 0.7), (10**6, 0.7)]
)
def test_limit_of_the_shape(samples: int, limit: float) -> None:
    """min(1 - 1 / log10 S, .7): few samples tell less of a tail."""
    empty = torch.zeros(0)
    summary = WeightSummary(samples, empty, {}, empty, empty, empty)
    assert summary.pareto_limit == pytest.approx(limit)


def test_doubtful_is_above_the_limit() -> None:
    pareto = tensor([0.69, 0.71, -math.inf, math.nan, math.nan, 0.1, 0.1, 0.1])
    share = tensor([0.1, 0.1, 0.1, 0.4, 0.6, 0.6, 0.3, 0.3])
    ess = tensor([50.0, 50.0, 50.0, 50.0, 50.0, 50.0, 4.9, 5.0])
    summary = WeightSummary(5000, share, {}, ess, share, pareto)
    assert summary.doubtful.tolist() == [False, True, False, False, True, True, True, False]

"""Latents read back: responsibilities by quadrature, as many draws as needed, posterior means."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

import bench.evaluation.responsibilities as responsibilities
from bench.evaluation.entropy import sampled_use
from bench.evaluation.responsibilities import (
    active_units,
    category_probabilities,
    component_weights,
    components_are_categories,
    paired_responsibilities,
    posterior_means,
    prior_responsibilities,
)
from bench.joint import Joint
from bench.model import Model, category_of
from bench.priors.conditional import Conditional
from bench.spec import Spec
from maths.cells import Affine, FixedPrior, Table, assemble, mixture, set_components
from pairs import build, data, each_pair, seeded

SPEC = Spec(1, (1,), categories=3, components=3, hidden=2, bounds=None)
MEANS, STDS = np.array([-1.0, 0.5, 2.0]), np.array([0.6, 0.4, 0.8])
PI = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
LOC = np.array([[-0.9, 0.3, 1.0], [0.2, 0.6, 1.9]])
SCALE = np.array([[0.5, 0.7, 0.4], [0.3, 0.6, 0.9]])
X = torch.tensor([[0.0], [1.0]], dtype=torch.float64)


def line(pi: np.ndarray, loc: np.ndarray, scale: np.ndarray) -> Model:
    """A conditional prior on the line; q(z | x, c) with means and deviations (N, K) or (N,)."""
    prior = set_components(Conditional(SPEC), MEANS[:, None], STDS[:, None])
    posterior = Table(SPEC, pi, loc[..., None], scale[..., None])
    return assemble(SPEC, prior, posterior, Affine({"z": [[0.0]]}, [0.0], std=1.0))


def by_quadrature(density: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The integral over z of q(z | x) p(j | z), rows (N, J)."""
    parts = stats.norm.pdf(z[:, None], MEANS, STDS)
    return density @ (parts / parts.sum(1, keepdims=True)) * (z[1] - z[0])


Z = np.linspace(-8.0, 10.0, 20_001)


@pytest.mark.parametrize("given", ["c", "x alone"])
def test_responsibilities_are_the_integral(given: str) -> None:
    if given == "c":
        model = line(PI, LOC, SCALE)
        parts = stats.norm.pdf(Z, LOC[..., None], SCALE[..., None])  # (N, K, Z)
        density = np.einsum("nk,nkz->nz", PI, parts)
    else:
        model = line(PI, LOC[:, 0], SCALE[:, 0])
        density = stats.norm.pdf(Z, LOC[:, :1], SCALE[:, :1])
    found = prior_responsibilities(model, X, 40_000, seeded())
    assert found is not None
    np.testing.assert_allclose(found, by_quadrature(density, Z), atol=4 * 0.5 / math.sqrt(40_000))


def test_a_plug_in_at_the_mean_would_be_another_number() -> None:
    """What MATHS 5 warns of would not pass the test above."""
    model = line(PI, LOC[:, 0], SCALE[:, 0])
    plug_in = line(PI, LOC[:, 0], np.full(2, 1e-6))
    first, second = (prior_responsibilities(m, X, 40_000, seeded()) for m in (model, plug_in))
    assert first is not None
    assert second is not None
    assert float((first - second).abs().max()) > 0.05


APART = np.array([-30.0, 0.0, 30.0])


def spread(scale: float, rows: int = 50) -> Model:
    """z around 0 by ``scale``, components at -30, 0 and 30: each draw names one of them."""
    prior = set_components(Conditional(SPEC), APART[:, None], np.ones((3, 1)))
    pi, loc = np.full((rows, 3), 1 / 3), np.zeros((rows, 1))
    posterior = Table(SPEC, pi, loc, np.full((rows, 1), scale))
    return assemble(SPEC, prior, posterior, Affine({"z": [[0.0]]}, [0.0], std=1.0))


ROWS = torch.arange(50.0, dtype=torch.float64)[:, None]


@pytest.mark.parametrize(
    ("scale", "samples", "draws"),
    [
        (0.1, 4, 4),  # one component explains every draw
        (60.0, 4, 30),  # all do: 10 J draws and no more
        (60.0, 20, 30),
        (60.0, 200, 200),  # never fewer than asked for
        (60.0, 1, 30),
    ],
)
def test_draws_double_until_their_entropy_is_right(scale: float, samples: int, draws: int) -> None:
    found = paired_responsibilities(spread(scale), ROWS, samples, seeded())
    assert found is not None
    assert found.draws == draws
    assert found.mean.shape == found.first.shape == (50, 3)
    np.testing.assert_allclose(found.mean.sum(1), 1.0)


@pytest.mark.parametrize("samples", [2, 8, 400])
def test_doubled_draws_are_averages_of_as_many(samples: int) -> None:
    """Their expectation is the integral, however many rounds there were, in both halves."""
    model = spread(60.0, rows=2000)
    x = torch.arange(2000.0, dtype=torch.float64)[:, None]
    found = paired_responsibilities(model, x, samples, seeded())
    assert found is not None
    outer = stats.norm.cdf(-15.0 / 60.0)
    expected = np.array([outer, 1 - 2 * outer, outer])
    for half in (found.first, found.second):
        error = np.sqrt(expected * (1 - expected) / (2000 * found.draws / 2))
        assert (np.abs(half.mean(0) - expected) < 4 * error).all()
        noise = np.sqrt(expected * (1 - expected) / (found.draws / 2))
        np.testing.assert_allclose(half.std(0), noise, rtol=0.1)


def test_draws_that_say_nothing_do_not_seem_informative() -> None:
    found = paired_responsibilities(spread(60.0), ROWS, 2, seeded())
    assert found is not None
    assert abs(sampled_use(found.first, found.second).category_information) < 0.02


@each_pair
def test_halves_of_every_pair(prior: str, posterior: str) -> None:
    model, x = build(prior, posterior), data(6)
    found = paired_responsibilities(model, x, 8, seeded())
    single = prior_responsibilities(model, x, 4, seeded())
    assert (found is None) == (single is None)
    assert components_are_categories(model, model.joint_prior()) == type(model.prior).categorical
    if found is not None and single is not None:
        assert found.first.dtype == np.float64
        if found.draws == 8:
            np.testing.assert_array_equal(found.first, single.numpy())


@pytest.mark.parametrize(
    ("pair", "weights"),
    [
        (("standard", "continuous"), None),
        (("conditional", "joint"), [1 / 3] * 3),
        (("mog", "independent"), [1 / 3] * 3),
        (("vamp", "joint"), [1 / 3] * 3),  # of the pseudo-inputs, not of their J K components
    ],
)
def test_weights_are_those_of_the_components(
    pair: tuple[str, str], weights: list[float] | None
) -> None:
    model = build(*pair)
    found = component_weights(model, model.joint_prior())
    assert (None if found is None else found.tolist()) == (weights and pytest.approx(weights))


def test_unequal_weights_are_kept() -> None:
    prior = FixedPrior(SPEC, Joint(z=mixture((0.2, 0.5, 0.3), MEANS[:, None], STDS[:, None])))
    posterior = Table(SPEC, None, LOC[:, :1], SCALE[:, :1])
    spec = replace(SPEC, categories=None)
    model = assemble(spec, prior, posterior, Affine({"z": [[0.0]]}, [0.0], std=1.0))
    assert component_weights(model, model.joint_prior()) == pytest.approx([0.2, 0.5, 0.3])


def test_category_probabilities_are_the_posteriors(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = build("standard", "joint"), data(7)
    with torch.no_grad():
        expected = category_of(model.posterior(x)).probs.numpy()
    monkeypatch.setattr(responsibilities, "ROWS", 3)
    found = category_probabilities(model, x.to(torch.uint8))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_posterior_means_average_over_the_category() -> None:
    means = posterior_means(line(PI, LOC, SCALE), X)
    np.testing.assert_allclose(means[:, 0], (PI * LOC).sum(1), atol=1e-12)


@each_pair
def test_the_upper_latent_comes_first(
    prior: str, posterior: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = build(prior, posterior), data(9)
    whole, upper = posterior_means(model, x), posterior_means(model, x, layers=1)
    assert whole.shape == (9, 2 * len(model.spec.latents))
    assert upper.dtype == torch.float64
    assert torch.equal(whole[:, :2], upper)
    units = active_units(model, x)
    assert units == int((whole.var(dim=0, correction=0) > 0.01).sum())
    monkeypatch.setattr(responsibilities, "TABLE", 50)
    assert torch.allclose(posterior_means(model, x), whole, atol=1e-12)

"""The generated density: an exact density, the model's own, with honest errors."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from bench.bounds import importance_log_likelihood
from bench.config import TrainingConfig, load_config
from bench.data.loading import LoadedData, load_dataset
from bench.evaluation import density
from bench.evaluation.density import measure_density
from bench.evaluation.density_kernels import Kernels, draw_kernels
from bench.evaluation.section import Section
from bench.joint import Joint, OneHotCategorical
from bench.model import Model
from bench.registry import Registry
from bench.store import COLUMNS
from bench.training import Pixels
from pairs import build, each_pair, seeded, spec_of
from trainings import Trainer

Array = npt.NDArray[np.float64]


@cache
def gaussians() -> LoadedData:
    return load_dataset(Registry().load("dataset", "gaussians")(), [])


def small(data: LoadedData, count: int = 300) -> LoadedData:
    return replace(data, test_x=data.test_x[:count])


def on_the_line(prior: str, posterior: str, noise: float = 0.5, seed: int = 0) -> Model:
    spec = replace(spec_of(prior, posterior, size=1), bounds=None)
    return build(prior, posterior, seed=seed, noise=noise, spec=spec, likelihood="gaussian")


def measure(
    model: Model,
    weights: Sequence[float] | None = None,
    data: LoadedData | None = None,
    **changes: int,
) -> Section:
    settings = {"density_samples": 400, **changes}
    config = load_config(None, None, [f"evaluation.{k}={v}" for k, v in settings.items()])
    given = None if weights is None else np.array(weights)
    chosen = small(gaussians()) if data is None else data
    return measure_density(model, chosen, model.joint_prior(), config.evaluation, given)


@cache
def trained() -> Model:
    """A conditional prior with two categories, trained for seconds."""
    training = load_config(None, None, []).training.model_dump()
    training |= {"batch_size": 1000, "learning_rate": 1e-2, "epochs": 6, "warmup_epochs": 3}
    spec = replace(spec_of("conditional", "joint", size=1, categories=2, hidden=16), bounds=None)
    model = build(
        "conditional", "joint", noise=0.0, spec=spec, dtype=torch.float32, likelihood="gaussian"
    )
    train, validation = (
        torch.from_numpy(x) for x in (gaussians().train_x, gaussians().validation_x)
    )
    pixels = Pixels(train, validation[:500], 1.0, binary=False)
    Trainer(model, pixels, TrainingConfig(**training), seed=0).run()
    return model


def cross_check(weights: Sequence[float]) -> dict[str, float]:
    """How far both log-likelihoods are from importance-weighted bounds, in standard errors."""
    model, data = trained(), small(gaussians())
    section = measure(model, weights, data, density_samples=20_000)
    x, distance = torch.from_numpy(data.test_x), {}
    for suffix, share in (("", weights), ("_uniform", [0.5, 0.5])):
        category = OneHotCategorical(torch.tensor(share).log())
        prior = Joint(**{**model.joint_prior().factors, "c": category})
        runs = [
            importance_log_likelihood(model, x, 300, seeded(run), prior=prior).mean().item()
            for run in range(4)
        ]
        name = "c ~ p(c)" if suffix else "c ~ q(c)"
        error = section.details["weightings"][name]["log_likelihood_mc_se"]
        difference = section.metrics[f"log_likelihood{suffix}"] - np.mean(runs)
        distance[suffix] = float(difference / math.hypot(error, np.std(runs, ddof=1) / 2.0))
    return distance


def test_it_agrees_with_the_importance_weighted_bound() -> None:
    distance = cross_check([0.7, 0.3])
    assert max(map(abs, distance.values())) < 3.0, distance


def squared_scale(kernels: Kernels) -> Kernels:
    return replace(kernels, scale=kernels.scale**2)


def without_noise(kernels: Kernels) -> Kernels:
    return replace(kernels, loc=kernels.loc.mean().expand_as(kernels.loc))


def swapped_categories(kernels: Kernels) -> Kernels:
    return replace(kernels, category=1 - kernels.category)


@pytest.mark.parametrize("fault", [squared_scale, without_noise, swapped_categories])
def test_that_comparison_catches(
    fault: Callable[[Kernels], Kernels], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(density, "draw_kernels", lambda *a: fault(draw_kernels(*a)))
    assert abs(cross_check([0.7, 0.3])[""]) > 3.0


def kernels_of(model: Model, count: int = 400) -> tuple[Kernels, Array]:
    """Draws for the model's own p(c), with that distribution, shape (1, K)."""
    prior, size = model.joint_prior(), model.spec.categories or 1
    share = np.full((1, size), 1.0 / size)
    return draw_kernels(model, prior, count, share, seeded(), 128), share


@each_pair
def test_samples_follow_the_density(prior: str, posterior: str) -> None:
    model = on_the_line(prior, posterior)
    with torch.no_grad():
        latents = model.joint_prior().sample((2000,), seeded(3))
        x = np.sort(model.decode(latents).sample((), seeded(4))[:, 0].numpy())
    kernels, share = kernels_of(model, 20_000)
    at = x[::20]
    cdf = np.array([float(share[0] @ kernels.shares_below(point)) for point in at])
    staircase = (np.arange(0, len(x), 20) + 0.5) / len(x)
    # Kolmogorov's 99.9% point for either sample
    assert np.abs(cdf - staircase).max() < 1.95 * (2000**-0.5 + 20_000**-0.5)


@each_pair
def test_it_integrates_to_one(prior: str, posterior: str) -> None:
    model = on_the_line(prior, posterior)
    kernels, share = kernels_of(model, 80)
    low, high = (kernels.loc - 9 * kernels.scale).min(), (kernels.loc + 9 * kernels.scale).max()
    step = float(kernels.scale.min())  # the sum's error is then 2 exp(-2 pi^2) = 5e-9
    grid = np.arange(float(low), float(high) + step, step)
    density = kernels.density(grid, share)  # (1, R, G)
    np.testing.assert_allclose(density.sum(-1) * step, 1.0, rtol=1e-7)


@pytest.mark.parametrize("scale", [0.3, 1e-3])  # the second underflows between the kernels
def test_log_density_is_the_sum_of_its_kernels(scale: float) -> None:
    random = np.random.default_rng(0)
    loc, category = random.normal(100.0, 0.5, 48), np.repeat([0, 1], [16, 32])
    kernels = Kernels(
        torch.from_numpy(loc),
        torch.full((48,), scale, dtype=torch.float64),
        torch.from_numpy(category),
        torch.tensor([16, 32]),
    )
    shares = np.array([[0.25, 0.75], [0.9, 0.1]])
    x = np.linspace(98.0, 103.0, 700)
    found = logsumexp(kernels.log_density(x, shares), axis=1) - math.log(8)
    for share, row in zip(shares, found, strict=True):
        each = share[category] / np.array([16, 32])[category]
        expected = logsumexp(stats.norm.logpdf(x[:, None], loc, scale), b=each, axis=1)
        np.testing.assert_allclose(row, expected, rtol=1e-9)


@cache
def repeated() -> list[Section]:
    model = on_the_line("conditional", "joint")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(density, "density_picture", lambda *_: b"")
        return [measure(model, [0.2, 0.3, 0.5], seed=seed) for seed in range(40)]


@pytest.mark.parametrize("name", ["log_likelihood", "js"])
def test_monte_carlo_error_is_what_seeds_show(name: str) -> None:
    spread = np.std([section.metrics[name] for section in repeated()], ddof=1)
    claimed = [s.details["weightings"]["c ~ q(c)"][f"{name}_mc_se"] for s in repeated()]
    # a standard deviation of 40 is within 35% of the truth but for three times in a thousand
    assert np.sqrt(np.mean(np.square(claimed))) == pytest.approx(spread, rel=0.35)


def test_metrics_are_columns_and_details_are_json() -> None:
    section = measure(on_the_line("conditional", "joint"), [0.2, 0.3, 0.5])
    assert set(section.metrics) <= set(COLUMNS)
    assert all(type(value) in (float, bool) for value in section.metrics.values())
    json.dumps(section.details, allow_nan=False)
    assert section.files["density.png"].startswith(b"\x89PNG")


def test_without_a_category_there_is_one_density() -> None:
    metrics = measure(on_the_line("mog", "continuous")).metrics
    assert {name for name in metrics if name.endswith("_uniform")} == set()
    assert "mode_purity" not in metrics
    assert "js" in metrics


def test_it_repeats_and_leaves_the_global_generator_alone() -> None:
    model = on_the_line("hierarchical_vamp", "joint")
    state = torch.get_rng_state()
    first, second = (measure(model, [0.2, 0.3, 0.5]) for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), state)


def test_rows_decoded_at_once_change_nothing_but_the_draws() -> None:
    model = on_the_line("standard", "continuous")
    few, many = (measure(model, chunk=chunk, density_samples=4000) for chunk in (100, 8192))
    error = few.details["weightings"]["model"]["log_likelihood_mc_se"]
    assert few.metrics["log_likelihood"] == pytest.approx(
        many.metrics["log_likelihood"], abs=4 * math.sqrt(2) * error
    )


@pytest.mark.parametrize("weights", [[0.5, 0.5], [0.5, 0.2, 0.2], [1.5, -0.5, 0.0]])
def test_weights_are_checked(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="expected 3 probabilities"):
        measure(on_the_line("conditional", "joint"), weights)


def test_weights_without_a_category_are_refused() -> None:
    with pytest.raises(ValueError, match="without a category"):
        measure(on_the_line("mog", "continuous"), [1.0])


def test_an_unknown_density_is_not_measured() -> None:
    data = replace(small(gaussians()), log_density=None)
    assert measure(on_the_line("mog", "continuous"), data=data) == Section()


def test_only_the_line_is_measured() -> None:
    model = build("mog", "continuous", likelihood="gaussian")  # x has four coordinates
    assert measure(model) == Section()

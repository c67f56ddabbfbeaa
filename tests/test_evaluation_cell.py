"""The report card of a trained cell: its numbers agree, are repeatable, and need no luck."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.config import EvaluationConfig, load_config
from bench.data.loading import Labels, LoadedData
from bench.evaluation.report_card import ReportCard, evaluate
from bench.model import Model
from pairs import build, each_pair, spec_of

COUNT = 60


def settings(**changes: object) -> EvaluationConfig:
    values = {
        "importance_samples": 8,
        "prune": 0,
        "responsibility_samples": 5,
        "generation_samples": 0,
        **changes,
    }
    return load_config(None, None, [f"evaluation.{k}={v}" for k, v in values.items()]).evaluation


def dataset(likelihood: str = "bernoulli") -> LoadedData:
    random = np.random.RandomState(3)
    y = random.randint(0, 3, COUNT)
    x = (random.random_sample((COUNT, 4)) < 0.2 + 0.3 * y[:, None]).astype(np.uint8)
    if likelihood == "gaussian":
        x = (x + random.standard_normal(x.shape)).astype(np.float32)
    train = x * np.uint8(255) if likelihood == "bernoulli" else x
    labels = Labels(y, y, y)
    names = ("few", "some", "many")
    return LoadedData(
        "made",
        train,
        x,
        x,
        labels,
        {},
        names,
        (4,),
        likelihood,
        255,
        True,
        "print",  # type: ignore[arg-type]
    )


DATA = dataset()


def model(prior: str, posterior: str, likelihood: str = "bernoulli") -> Model:
    return build(prior, posterior, noise=0.5, dtype=torch.float32, likelihood=likelihood)


def card(prior: str, posterior: str, **changes: object) -> ReportCard:
    return measure(model(prior, posterior), **changes)


def measure(made: Model, data: LoadedData = DATA, **changes: object) -> ReportCard:
    # Without generation there is no classifier, and nothing is written.
    return evaluate(made, data, settings(**changes), Path("unused"))


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """No evaluation draws from torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


@each_pair
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_bound_is_the_sum_of_its_parts_for_every_example(
    prior: str, posterior: str, likelihood: str
) -> None:
    made = measure(model(prior, posterior, likelihood), dataset(likelihood))
    examples, metrics = made.per_example, made.metrics
    parts = sum(examples[name] for name in ("reconstruction", "kl_z", "kl_c"))
    np.testing.assert_allclose(examples["nelbo"], parts, rtol=1e-9, atol=1e-9)
    for name in ("nelbo", "nll"):
        assert metrics[name] == pytest.approx(examples[name].mean())
        error = examples[name].std(ddof=1) / math.sqrt(COUNT)
        assert metrics[f"{name}_se"] == pytest.approx(error)
    assert metrics["nll"] < metrics["nelbo"] + 4 * metrics["nelbo_se"]
    categorical = spec_of(prior, posterior).categories is not None
    assert (metrics["kl_c"] is not None) == categorical
    if categorical:
        assert (examples["kl_c"] >= -1e-9).all()
    else:
        assert not examples["kl_c"].any()


@pytest.mark.parametrize("pair", [("vamp", "continuous"), ("conditional", "joint")])
def test_the_same_numbers_again_and_other_ones_for_another_seed(pair: tuple[str, str]) -> None:
    first, second, other = card(*pair), card(*pair), card(*pair, seed=5)
    assert first.metrics == second.metrics
    assert first.sections == second.sections
    assert first.metrics["nelbo"] != other.metrics["nelbo"]
    gap = abs(first.metrics["nelbo"] - other.metrics["nelbo"])
    assert gap < 5 * first.metrics["nelbo_se"]


@pytest.mark.parametrize("posterior", ["independent", "joint", "joint_pi"])
def test_memory_changes_no_bound(posterior: str) -> None:
    """Categories are enumerated in chunks; how large they are must not show."""
    whole, parts = (card("conditional", posterior, chunk=chunk) for chunk in (8192, 7))
    for name in ("nelbo", "reconstruction", "kl_z", "kl_c"):
        np.testing.assert_allclose(whole.per_example[name], parts.per_example[name], rtol=1e-5)


def test_more_draws_have_the_same_mean_and_less_noise() -> None:
    one, many = card("mog", "joint"), card("mog", "joint", elbo_samples=40)
    assert one.metrics["nelbo"] == pytest.approx(
        many.metrics["nelbo"], abs=5 * one.metrics["nelbo_se"]
    )
    tight = card("mog", "joint", importance_samples=400)
    assert tight.metrics["nll"] < card("mog", "joint", importance_samples=1).metrics["nll"]


def test_the_number_of_importance_samples_moves_no_other_number() -> None:
    few, more = (card("vamp", "joint", importance_samples=count).metrics for count in (2, 9))
    changed = {name for name in few if few[name] != more[name]}
    bounds = {"nll", "nll_se", "nll_mc_se", "nll_rb", "nll_rb_se"}
    allowed = ("nll", "rb_", "importance_samples", "ess", "max_weight_share", "weights_trusted")
    assert bounds <= changed
    assert all(name.startswith(allowed) for name in changed)


def test_cells_of_other_training_seeds_are_measured_with_other_noise() -> None:
    """Their Monte Carlo errors must be independent: the report averages them out."""
    made = model("mog", "continuous")
    first = measure(made)
    made.spec = replace(made.spec, seed=made.spec.seed + 1)
    second = measure(made)
    assert first.metrics["nelbo"] != second.metrics["nelbo"]
    assert first.metrics["nll"] != second.metrics["nll"]
    assert first.metrics["B1"] != second.metrics["B1"]


def test_pruning_is_a_bound_of_another_posterior() -> None:
    exact, pruned = card("conditional", "joint"), card("conditional", "joint", prune=0.3)
    assert pruned.metrics["kl_c"] > exact.metrics["kl_c"]
    assert pruned.metrics["nelbo"] + 4 * pruned.metrics["nelbo_se"] > exact.metrics["nll"]


@pytest.mark.parametrize(
    ("pair", "side"),
    [
        (("standard", "continuous"), "none"),
        (("hierarchical", "continuous"), "none"),
        (("mog", "continuous"), "prior"),
        (("hierarchical_vamp", "continuous"), "prior"),
        (("standard", "joint"), "posterior"),
        (("mog", "joint"), "posterior"),
    ],
)
def test_categories_come_from_the_posterior_where_it_has_them(
    pair: tuple[str, str], side: str
) -> None:
    made = card(*pair)
    assert made.metrics["assignment"] == side
    assert (made.metrics["purity"] is not None) == (side != "none")
    assert bool(made.labels) == (side != "none")
    if side != "none":
        use = np.array(made.sections["categories"]["category_probabilities"])
        entropy = -(use * np.log(use)).sum()
        assert made.metrics["entropy"] == pytest.approx(entropy)
        assert made.metrics["entropy_max"] == pytest.approx(math.log(3))
        assert sum(row["count"] for row in made.labels) == COUNT
        assert [row["label"] for row in made.labels] == ["few", "some", "many"]


def with_labels(y: np.ndarray) -> LoadedData:
    return replace(DATA, labels=Labels(y, y, y))


def test_labels_touch_only_what_is_measured_against_them() -> None:
    made = model("conditional", "joint")
    plain = measure(made)
    moved = measure(made, with_labels(np.roll(DATA.labels.test, 1)))
    changed = {name for name in plain.metrics if plain.metrics[name] != moved.metrics[name]}
    assert changed
    measured = ("purity", "nmi", "ari", "ami", "prior_purity", "prior_nmi", "prior_ari", "top_")
    measured += ("cluster_", "homogeneity", "completeness", "label_overlap", "accuracy_")
    assert all(name.startswith(measured) for name in changed)
    for name, value in plain.per_example.items():
        assert np.array_equal(value, moved.per_example[name], equal_nan=True)


def saturated(scale: float) -> Model:
    """q(c | x) that follows the first two coordinates of x as surely as ``scale`` is large."""
    made = model("standard", "independent")
    with torch.no_grad():
        for parameter in made.posterior.category.parameters():
            parameter.mul_(scale)
    return made


def test_categories_that_say_nothing_are_marked_collapsed() -> None:
    dead = measure(saturated(0.0)).metrics
    assert dead["category_information"] == pytest.approx(0.0, abs=1e-6)
    assert dead["collapsed"] is True
    assert dead["entropy"] == pytest.approx(math.log(3), abs=1e-6)
    alive = measure(saturated(500.0)).metrics
    assert alive["category_information"] > 0.1
    assert alive["collapsed"] is False


def test_files_hold_the_card(tmp_path: Path) -> None:
    made = card("conditional", "joint")
    made.write(tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["nelbo"] == made.metrics["nelbo"]
    for name, section in made.sections.items():
        assert json.loads((tmp_path / f"{name}.json").read_text()) == section
    assert set(made.sections) == {"likelihood", "decomposition", "categories"}
    assert len(made.sections["categories"]["train_category_probabilities"]) == 3
    assert json.loads((tmp_path / "purity.json").read_text())[0]["label"] == "few"
    with np.load(tmp_path / "examples.npz") as arrays:
        assert set(arrays) == set(made.per_example)
        np.testing.assert_allclose(arrays["nll"], made.per_example["nll"], rtol=1e-5)

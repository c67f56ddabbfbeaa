"""What measure_categories says of a cell: which columns apply, and that they mean what they say."""

from __future__ import annotations

import functools
import json
import math

import numpy as np
import pytest
import torch
from sklearn import metrics as scores
from sklearn.cluster import KMeans

import bench.evaluation.categories as categories
from bench.evaluation.assignments import METRICS
from bench.evaluation.categories import KMEANS, PRIOR_SIDE
from bench.evaluation.responsibilities import posterior_means
from bench.model import Model
from bench.store import COLUMNS
from pairs import build, spec_of
from planted import CONFIG, Measured, digits, measure

MAIN = {*METRICS, "accuracy_majority"}
BASELINE = {*KMEANS, "kmeans_k"} - {"kmeans_accuracy"}

# What applies where, on digits with ten categories and ten labels.
BOTH = MAIN | {*PRIOR_SIDE}
KINDS = {
    ("conditional", "joint"): ("posterior", BOTH | {"disagreement"}),
    ("conditional", "independent"): ("posterior", BOTH | {"disagreement"}),
    ("vamp", "joint"): ("posterior", BOTH),
    ("hierarchical_vamp", "joint_pi"): ("posterior", BOTH),
    ("standard", "independent"): ("posterior", MAIN),
    ("hierarchical", "joint"): ("posterior", MAIN),
    ("mog", "continuous"): ("prior", MAIN | BASELINE | {"kmeans_accuracy"}),
    ("hierarchical_vamp", "continuous"): ("prior", MAIN | BASELINE | {"kmeans_accuracy"}),
    ("standard", "continuous"): ("none", BASELINE | {"kmeans_accuracy"}),
    ("hierarchical", "continuous"): ("none", BASELINE | {"kmeans_accuracy"}),
}  # fmt: skip
each_kind = pytest.mark.parametrize("pair", KINDS, ids=" x ".join)


def random_model(pair: tuple[str, str], size: int = 10) -> Model:
    categorical = pair[1] != "continuous"
    spec = spec_of(
        *pair, size=64, components=size, hidden=16, **({"categories": size} if categorical else {})
    )
    return build(*pair, spec=spec, noise=0.3, dtype=torch.float32)


@functools.cache
def card(pair: tuple[str, str]) -> Measured:
    return measure(random_model(pair), digits())


@each_kind
def test_every_column_is_there_and_blank_where_it_does_not_apply(pair: tuple[str, str]) -> None:
    found = card(pair)[0].metrics
    side, filled = KINDS[pair]
    assert found["assignment"] == side
    assert {name for name, value in found.items() if value is not None} == filled | {"assignment"}
    assert set(found) == BOTH | BASELINE | {"kmeans_accuracy", "disagreement", "assignment"}


def test_columns_of_the_store_are_all_measured() -> None:
    start, stop = COLUMNS.index("purity_micro"), COLUMNS.index("kmeans_accuracy")
    assert {*COLUMNS[start : stop + 1]} <= set(card(("conditional", "joint"))[0].metrics)


SHARES = (
    "purity", "purity_chance", "purity_micro", "purity_hard", "cluster_purity",
    "cluster_purity_chance", "homogeneity", "completeness", "nmi", "label_overlap", "top_mass",
    "accuracy_matched", "accuracy_majority", "prior_purity", "prior_purity_chance", "prior_nmi",
    "disagreement", "kmeans_purity", "kmeans_purity_chance", "kmeans_nmi", "kmeans_accuracy",
)  # fmt: skip


@each_kind
def test_values_lie_where_they_can(pair: tuple[str, str]) -> None:
    found = card(pair)[0].metrics
    for name in SHARES:
        assert found[name] is None or 0.0 <= found[name] <= 1.0, name
    for side in ("", "prior_"):
        if found[f"{side}entropy"] is not None:
            assert 0.0 <= found[f"{side}category_information"] <= found[f"{side}entropy"]
            assert found[f"{side}entropy"] <= math.log(10) + 1e-12
            effective = math.exp(found[f"{side}entropy"])
            assert found[f"{side}effective_categories"] == pytest.approx(effective)


@each_kind
def test_rows_and_details_are_json(pair: tuple[str, str]) -> None:
    section, rows = card(pair)
    json.dumps([dict(section.metrics), dict(section.details), rows], allow_nan=False)
    applies = section.metrics["assignment"] != "none"
    assert [row["label"] for row in rows] == ([str(k) for k in range(10)] if applies else [])
    if applies:
        assert sum(row["count"] for row in rows) == 400
        mean = np.mean([row["purity"] for row in rows])
        assert section.metrics["purity"] == pytest.approx(mean)
        hard = np.mean([row["purity_hard"] for row in rows])
        assert section.metrics["purity_hard"] == pytest.approx(hard)
        mass = np.mean([row["top_mass"] for row in rows])
        assert section.metrics["top_mass"] == pytest.approx(mass)
        marked = sum(len(row["marked"]) for row in rows)
        assert section.metrics["top_marked"] == marked
        assert section.details["top_categories"]["labels"][3]["marked"] == rows[3]["marked"]
        assert ("prior_purity" in rows[0]) == (section.metrics["prior_purity"] is not None)


@pytest.mark.parametrize("name", PRIOR_SIDE)
def test_the_prior_side_is_told_by_the_same_names(name: str) -> None:
    section, rows = card(("conditional", "joint"))
    assert section.metrics[name] == section.details["prior"][name.removeprefix("prior_")]
    if name == "prior_purity":
        mean = np.mean([row["prior_purity"] for row in rows])
        assert section.metrics[name] == pytest.approx(mean)


@pytest.mark.parametrize("pair", [("conditional", "joint"), ("mog", "continuous")])
def test_the_same_again_and_other_draws_for_another_seed(pair: tuple[str, str]) -> None:
    model = random_model(pair)
    again, other = measure(model, digits()), measure(model, digits(), seed=5)
    assert again == card(pair)
    name = "prior_purity" if pair[1] == "joint" else "purity"
    assert other[0].metrics[name] != again[0].metrics[name]
    assert other[0].metrics[name] == pytest.approx(again[0].metrics[name], abs=0.02)


def test_kmeans_is_fitted_to_training_means_and_scored_on_the_test_set() -> None:
    model, data = random_model(("standard", "continuous")), digits()
    train = np.random.RandomState(777).random_sample(data.train_x.shape) < data.train_x / 16
    points, others = (
        posterior_means(model, torch.from_numpy(x)).numpy() for x in (train, data.test_x)
    )
    clusters = KMeans(10, n_init=10, random_state=CONFIG.seed).fit(points).predict(others)
    found, y = card(("standard", "continuous"))[0].metrics, data.labels.test
    assert found["kmeans_nmi"] == pytest.approx(scores.normalized_mutual_info_score(y, clusters))
    assert found["kmeans_ari"] == pytest.approx(scores.adjusted_rand_score(y, clusters))
    table = scores.cluster.contingency_matrix(y, clusters)
    by_label = (table / table.sum(1, keepdims=True) * (table / table.sum(0))).sum(1)
    assert found["kmeans_purity"] == pytest.approx(by_label.mean())


@pytest.mark.parametrize(("pair", "size"), [("standard", 10), ("mog", 7), ("vamp", 7)])
def test_kmeans_has_as_many_clusters_as_components_else_as_labels(pair: str, size: int) -> None:
    found, _ = measure(random_model((pair, "continuous"), size=7), digits())
    assert found.metrics["kmeans_k"] == size
    assert (found.metrics["kmeans_accuracy"] is None) == (size != 10)
    assert (found.metrics["accuracy_matched"] is None) == (pair == "standard" or size != 10)


def test_at_most_so_many_training_rows_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(categories, "TRAINING_ROWS", 50)
    found, _ = measure(random_model(("mog", "continuous")), digits())
    assert found.details["train_rows"] == found.details["kmeans"]["train_rows"] == 50
    assert card(("mog", "continuous"))[0].details["train_rows"] == 1197
    whole, _ = measure(random_model(("conditional", "joint")), digits())
    assert whole.details["train_rows"] == 1197


def test_training_data_are_binarized_once_by_the_fixed_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The numbers that the first version of the harness gave: one stream over all rows."""
    seen: list[np.ndarray] = []

    def spy(model: Model, x: torch.Tensor) -> np.ndarray:
        seen.append(x.numpy())
        return original(model, x)

    original = categories.category_probabilities
    monkeypatch.setattr(categories, "category_probabilities", spy)
    measure(random_model(("standard", "independent")), digits())
    x = digits().train_x
    expected = np.random.RandomState(777).random_sample(x.shape) < x / 16
    assert np.array_equal(seen[0], digits().test_x)
    assert np.array_equal(seen[1], expected)

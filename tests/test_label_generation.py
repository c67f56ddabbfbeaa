"""Generating a given label through its categories, and how far apart generated data are."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform

from bench.evaluation.diversity import PAIRS, mean_distance, paired_distance
from bench.evaluation.label_generation import label_conditional

K, L = 4, 3
SHARES = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5], [0.0, 0.4, 0.6]])
WEIGHTS = np.array([0.4, 0.3, 0.2, 0.1])
OWNERS = np.array([[8.0, 1.0, 0.0], [1.0, 6.0, 0.0], [3.0, 3.0, 0.0], [0.0, 2.0, 0.0]])


def test_label_generation_is_what_drawing_through_the_categories_gives() -> None:
    random = np.random.default_rng(4)
    found = label_conditional(1000 * SHARES, OWNERS, WEIGHTS)
    assert found.labels.tolist() == [0, 1]  # there is no real datum of label 2
    for position, y in enumerate(found.labels):
        k = random.choice(K, 40_000, p=OWNERS[:, y] / OWNERS[:, y].sum())
        drawn = random.random(len(k)) < SHARES[k, y]
        error = 4 * drawn.std() / math.sqrt(len(k))
        assert found.share[position] == pytest.approx(drawn.mean(), abs=error)
    assert found.macro == pytest.approx(found.share.mean())
    assert found.top.tolist() == [0, 1]
    np.testing.assert_allclose(found.top_share, [SHARES[0, 0], SHARES[1, 1]])
    assert found.baseline == pytest.approx((WEIGHTS @ SHARES)[:2].mean())


@pytest.mark.parametrize("which", ["macro", "top_macro"])
def test_label_generation_knows_its_error(which: str) -> None:
    random = np.random.default_rng(5)
    found = [
        label_conditional(random.multinomial(50, SHARES), OWNERS, WEIGHTS) for _ in range(1500)
    ]
    spread = np.std([getattr(f, which) for f in found], ddof=1)
    errors = np.array([getattr(f, f"{which}_se") for f in found])
    assert math.sqrt((errors**2).mean()) == pytest.approx(spread, rel=0.08)


def test_equal_labels_make_the_baseline_their_number() -> None:
    found = label_conditional(SHARES, np.ones((K, L)), WEIGHTS)
    assert found.baseline == pytest.approx(1 / L)


# --- diversity


def test_mean_distance_equals_scipy() -> None:
    rows = np.random.default_rng(6).standard_normal((40, 5)).astype(np.float32)
    assert mean_distance(torch.from_numpy(rows)) == pytest.approx(pdist(rows).mean(), rel=1e-5)
    assert math.isnan(mean_distance(torch.ones(1, 5)))
    assert mean_distance(torch.ones(9, 5)) == 0.0


def test_paired_distance_weights_pairs_by_their_assignments() -> None:
    random = np.random.default_rng(7)
    features = random.standard_normal((60, 3)) * np.linspace(0.1, 3.0, 60)[:, None]
    a = random.dirichlet(0.3 * np.ones(K), 60)
    apart = squareform(pdist(features))
    found = paired_distance(torch.from_numpy(features), a)
    for k in range(K):
        weight = np.outer(a[:, k], a[:, k]) * (1 - np.eye(60))
        mean = (weight * apart).sum() / weight.sum()
        spread = math.sqrt((weight * (apart - mean) ** 2).sum() / weight.sum())
        used = PAIRS * weight.sum() / a[:, k].sum() ** 2
        assert found[k] == pytest.approx(mean, abs=4 * spread / math.sqrt(used))


def test_paired_distance_of_one_datum_is_unknown() -> None:
    a = np.array([[1.0, 0.5, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.0]])
    found = paired_distance(torch.tensor([[0.0], [3.0], [9.0]]), a)
    assert np.isnan(found[[0, 2]]).all()
    assert found[1] == pytest.approx(3.0)

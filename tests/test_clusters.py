"""Categories as clusters: matching by brute force, majorities from training, K-means."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn import metrics

from bench.evaluation.clusters import kmeans_assignments, majority_accuracy, matched_accuracy
from bench.evaluation.entropy import harden
from bench.evaluation.purity import purity


def sample(count: int, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Soft assignments that follow the labels somewhat, under a permutation."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(size), rng.integers(0, size, count - size)])
    logits = rng.normal(size=(count, size))
    logits[np.arange(count), rng.permutation(size)[y]] += 0.7
    a = np.exp(logits)
    return a / a.sum(1, keepdims=True), y


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_matching_is_the_best_of_all_permutations(size: int, seed: int) -> None:
    a, y = sample(80, size, seed)
    hard = a.argmax(1)
    best = max(
        float((np.array(order)[hard] == y).mean()) for order in itertools.permutations(range(size))
    )
    assert matched_accuracy(a, y) == pytest.approx(best, abs=1e-12)


def test_matching_is_one_to_one() -> None:
    """Two categories of one label: the smaller one is not counted."""
    a = np.eye(3)[[0, 0, 0, 1, 1, 2]]
    assert matched_accuracy(a, [5, 5, 5, 5, 5, 7]) is None
    assert matched_accuracy(a, [5, 5, 5, 5, 9, 7]) == pytest.approx(5 / 6)
    two = np.eye(2)[[0, 0, 0, 1, 1, 1]]
    assert matched_accuracy(two, [5, 5, 5, 5, 5, 7]) == pytest.approx(4 / 6)


@pytest.mark.parametrize(("size", "labels"), [(4, 3), (3, 4)])
def test_matching_needs_as_many_categories_as_labels(size: int, labels: int) -> None:
    a = np.random.default_rng(0).dirichlet(np.ones(size), 20)
    assert matched_accuracy(a, np.arange(20) % labels) is None


def test_t11_accuracies() -> None:
    """MATHS 6, T11: counts of (0,0,1,1,2,2) against (0,0,0,1,1,2); majority is cluster purity."""
    a, y = np.eye(3)[[0, 0, 1, 1, 2, 2]], [0, 0, 0, 1, 1, 2]
    assert matched_accuracy(a, y) == pytest.approx(4 / 6)
    assert majority_accuracy(a, y, a, y) == pytest.approx(0.6666667, abs=1e-7)


@pytest.mark.parametrize("size", [2, 5, 9])
def test_majority_on_one_split_is_hard_cluster_purity(size: int) -> None:
    a, y = sample(200, size)
    assert majority_accuracy(a, y, a, y) == pytest.approx(purity(harden(a), y).cluster)


def test_majority_is_learned_from_training_data_alone() -> None:
    train, test = np.eye(2)[[0, 0, 0, 1, 1]], np.eye(2)[[0, 0, 1, 1]]
    train_y = [3, 3, 8, 8, 8]
    assert majority_accuracy(train, train_y, test, [3, 3, 8, 8]) == 1.0
    assert majority_accuracy(train, train_y, test, [8, 8, 3, 3]) == 0.0
    assert majority_accuracy(train, train_y, test, [1, 3, 8, 9]) == 0.5


def test_categories_that_training_leaves_empty_are_called_by_the_commonest_label() -> None:
    train, test = np.eye(3)[[0, 0, 2, 2, 2]], np.eye(3)[[1, 1, 1, 1]]
    assert majority_accuracy(train, [0, 0, 4, 4, 0], test, [0, 0, 0, 4]) == 0.75


def test_names_of_categories_do_not_matter() -> None:
    a, y = sample(150, 5)
    order = np.random.default_rng(1).permutation(5)
    assert matched_accuracy(a[:, order], y) == matched_accuracy(a, y)
    assert majority_accuracy(a[:, order], y, a[:, order], y) == majority_accuracy(a, y, a, y)


def blobs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, count)
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    return centres[y] + rng.normal(size=(count, 2)), y


def test_kmeans_finds_clusters_that_lie_apart() -> None:
    (train, _), (test, y) = blobs(400, 0), blobs(300, 1)
    found = kmeans_assignments(train, test, 4, seed=0)
    assert found.shape == (300, 4)
    assert metrics.adjusted_rand_score(y, found.argmax(1)) == 1.0
    assert matched_accuracy(found, y) == 1.0


def test_kmeans_assigns_to_the_nearest_centre_of_the_training_points() -> None:
    """Moving the test points moves no centre."""
    train, _ = blobs(200, 0)
    test = np.array([[4.0, 0.0], [6.0, 0.0], [4.0, 10.0], [6.0, 10.0]])
    clusters = kmeans_assignments(train, np.concatenate([train, test]), 4, seed=0).argmax(1)
    centres = np.stack([train[clusters[:200] == k].mean(0) for k in range(4)])
    nearest = ((test[:, None] - centres) ** 2).sum(-1).argmin(1)
    assert np.array_equal(clusters[200:], nearest)
    alone = kmeans_assignments(train, test, 4, seed=0).argmax(1)
    assert np.array_equal(alone, nearest)


def test_kmeans_is_repeatable_and_quiet_and_leaves_global_state_alone(
    capfd: pytest.CaptureFixture[str],
) -> None:
    train, _ = blobs(200, 0)
    threads = torch.get_num_threads()
    np.random.seed(3)
    before = np.random.get_state()[1].copy()  # type: ignore[union-attr]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = (kmeans_assignments(train, train, 7, seed=5) for _ in range(2))
        same = kmeans_assignments(np.zeros((20, 3)), np.zeros((4, 3)), 3, seed=5)
    assert np.array_equal(first, second)
    assert same.sum(1).tolist() == [1.0] * 4
    assert np.array_equal(np.random.get_state()[1], before)  # type: ignore[arg-type]
    assert torch.get_num_threads() == threads
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: kmeans_assignments(np.zeros((2, 1)), np.zeros((2, 1)), 3, 0), "3 clusters need"),
        (lambda: matched_accuracy([[1.0, 0.0]], [0, 1]), "labels must have shape (1,), got (2,)"),
        (
            lambda: majority_accuracy([[1.0, 0.0]], [0], [[1.0]], [0]),
            "training and test data have 2 and 1 categories",
        ),
    ],
)
def test_errors_say_what_they_got(call: Callable[[], object], match: str) -> None:
    with pytest.raises(ValueError, match=re.escape(match)):
        call()

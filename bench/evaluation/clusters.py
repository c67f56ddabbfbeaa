"""Categories as a clustering: accuracies after matching, and K-means as a baseline (MATHS 6)."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from bench.evaluation.entropy import Array, check_assignments

__all__ = ["kmeans_assignments", "majority_accuracy", "matched_accuracy"]

Integers = NDArray[np.intp]


def matched_accuracy(assignments: ArrayLike, labels: ArrayLike) -> float | None:
    """The accuracy of the best one-to-one matching of categories with labels (Hungarian).

    Of more categories than labels, all but L would count as wrong, so it is given only where
    there are as many of both.

    Args:
        assignments: shape (N, K); each datum counts for its likeliest category.
        labels: shape (N,).

    Returns:
        A share of the data, or None where K is not the number of labels that occur.

    Example:
        >>> matched_accuracy([[0.1, 0.9], [0.2, 0.8], [0.7, 0.3]], [0, 0, 1])
        1.0
    """
    hard, size = _hard(assignments, labels)
    names, y = np.unique(np.asarray(labels), return_inverse=True)
    if len(names) != size:
        return None
    counts = _counts(hard, y, size, size)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / len(hard))


def majority_accuracy(
    train: ArrayLike, train_labels: ArrayLike, test: ArrayLike, test_labels: ArrayLike
) -> float:
    """The accuracy of calling every category by its commonest label in the training data.

    A category that holds no training datum is called by the commonest label of all; ties go to
    the lowest label. On one split it would be that split's hard cluster purity.

    Args:
        train, test: assignments of both splits, shapes (N, K) and (M, K); each datum counts for
            its likeliest category.
        train_labels, test_labels: shapes (N,) and (M,).

    Returns:
        A share of the test data.

    Raises:
        ValueError: the splits differ in K, or labels do not fit their assignments.
    """
    hard, size = _hard(train, train_labels)
    hard_test, test_size = _hard(test, test_labels)
    if size != test_size:
        raise ValueError(f"training and test data have {size} and {test_size} categories")
    names, y = np.unique(np.asarray(train_labels), return_inverse=True)
    counts = _counts(hard, y, len(names), size)  # (L, K)
    called = counts.argmax(axis=0)  # (K,)
    called[counts.sum(axis=0) == 0] = counts.sum(axis=1).argmax()
    return float((names[called[hard_test]] == np.asarray(test_labels)).mean())


def kmeans_assignments(train: ArrayLike, test: ArrayLike, clusters: int, seed: int) -> Array:
    """Test points as one-hot rows of the K-means clusters of the training points.

    The best of ten starts. It runs on one thread: the sum over more would depend on their order,
    and threads of a library that share cores with ours are slower than one.

    Args:
        train, test: points, shapes (N, D) and (M, D).
        clusters: K, at most N.
        seed: of the starts; no global generator is used.

    Returns:
        Shape (M, K).

    Raises:
        ValueError: there are fewer training points than clusters.
    """
    points, others = (np.asarray(x, dtype=np.float64) for x in (train, test))
    if len(points) < clusters:
        raise ValueError(f"{clusters} clusters need as many points, got {len(points)}")
    with threadpool_limits(1), warnings.catch_warnings():
        # Points that coincide leave clusters empty, which needs no saying.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = KMeans(clusters, n_init=10, random_state=seed).fit(points)
        found = fitted.predict(others)
    one_hot: Array = np.eye(clusters)[found]
    return one_hot


def _hard(assignments: ArrayLike, labels: ArrayLike) -> tuple[Integers, int]:
    """Every datum's likeliest category (ties to the lowest), and K."""
    a = check_assignments(assignments)
    if np.shape(labels) != (len(a),):
        raise ValueError(f"labels must have shape ({len(a)},), got {np.shape(labels)}")
    return a.argmax(axis=1), a.shape[1]


def _counts(hard: Integers, y: Integers, labels: int, size: int) -> Integers:
    """How many data of each label are in each category, shape (L, K)."""
    return np.bincount(y * size + hard, minlength=labels * size).reshape(labels, size)

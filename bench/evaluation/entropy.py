"""How a model uses its categories: the aggregated posterior and its entropy (MATHS 5).

An assignment is a row of probabilities over K categories: q(c | x), or the prior-side
responsibilities of a mixture's components. Everything is float64, in nats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bench.evaluation.numbers import standard_error

__all__ = [
    "CategoryUse",
    "category_use",
    "check_assignments",
    "disagreement",
    "entropy",
    "harden",
    "sampled_use",
]

Array = NDArray[np.float64]

# Probabilities that come from a float32 softmax add up to one this closely.
SUM_TOLERANCE = 1e-4
# A category counts as used above 1/K by more than rounding: exactly uniform use counts none.
USE_MARGIN = 1e-6


@dataclass(frozen=True)
class CategoryUse:
    r"""How N data spread over K categories, with :math:`q_k = \frac1N \sum_i a_{ik}`.

    Attributes:
        probs: q, the aggregated posterior, shape (K,).
        entropy: H(q) in nats.
        entropy_se: its standard error over data (delta method).
        entropy_max: log K.
        effective_categories: exp H(q).
        categories_used: how many k have q_k > 1/K (the paper's count; noise where q is flat).
        categories_present: how many k have q_k > 1/(10 K).
        mean_conditional_entropy: the mean over data of H(a_i).
        category_information: I(c; x) = H(q) - mean H(a_i) in nats, between 0 and H(q).
        category_information_se: its standard error over data (delta method).
        hard_entropy: entropy of the histogram of each datum's likeliest category: another
            quantity, biased by (K - 1)/2N.
    """

    probs: Array
    entropy: float
    entropy_se: float
    entropy_max: float
    effective_categories: float
    categories_used: int
    categories_present: int
    mean_conditional_entropy: float
    category_information: float
    category_information_se: float
    hard_entropy: float


def category_use(assignments: ArrayLike) -> CategoryUse:
    r"""The aggregated posterior of ``assignments`` and its entropies (MATHS 5).

    Since :math:`I(c; x) = \frac1N \sum_i KL(a_i \| q)` and the derivative of I along a datum is
    that datum's divergence up to a constant, the delta method's standard error is the standard
    deviation of the N divergences over :math:`\sqrt N`. It is void where all of them are equal.

    Args:
        assignments: shape (N, K), rows that are probabilities.

    Raises:
        ValueError: the shape is another, or a row is not a distribution.

    Example:
        >>> round(category_use([[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]]).entropy, 6)
        0.684232
    """
    a = check_assignments(assignments)
    size = a.shape[1]
    q = a.mean(axis=0)  # (K,)
    surprise = -(a @ _log(q))  # (N,): cross-entropy of each row with q
    conditional = entropy(a)  # (N,)
    information = surprise - conditional  # (N,): KL(a_i || q)
    hard = np.bincount(a.argmax(axis=1), minlength=size) / len(a)
    total = float(entropy(q))
    threshold = (1.0 + USE_MARGIN) / size
    return CategoryUse(
        probs=q,
        entropy=total,
        entropy_se=standard_error(surprise),
        entropy_max=math.log(size),
        effective_categories=math.exp(total),
        categories_used=int((q > threshold).sum()),
        categories_present=int((q > threshold / 10.0).sum()),
        mean_conditional_entropy=float(conditional.mean()),
        category_information=float(information.mean()),
        category_information_se=standard_error(information),
        hard_entropy=float(entropy(hard)),
    )


def sampled_use(first: ArrayLike, second: ArrayLike) -> CategoryUse:
    r"""``category_use`` of assignments that are themselves averages over draws.

    The entropy of an average of S draws is too low, by about 1/S, so that draws which say nothing
    would seem informative. With two independent halves the first order of that bias is known, and
    is taken off: :math:`2 H_S - \tfrac12 (H_{S/2} + H'_{S/2})` (the jackknife).

    Args:
        first, second: assignments from S/2 draws each, shape (N, K).
    """
    a, b = check_assignments(first), check_assignments(second)
    use = category_use((a + b) / 2.0)
    halves = float(entropy(a).mean() + entropy(b).mean()) / 2.0
    # What is left of zero information may fall below zero, where it cannot truly be.
    conditional = min(use.entropy, 2.0 * use.mean_conditional_entropy - halves)
    return replace(
        use,
        mean_conditional_entropy=conditional,
        category_information=use.entropy - conditional,
    )


def disagreement(first: ArrayLike, second: ArrayLike) -> float:
    r"""How far two assignments over the same categories are apart, between 0 and 1 (MATHS 5).

    The mean total variation, :math:`\frac1N \sum_i \tfrac12 \|a_i - b_i\|_1`: the probability that
    categories drawn from the two differ, were they drawn as alike as can be.

    Args:
        first, second: a and b, shape (N, K) each.

    Raises:
        ValueError: the shapes differ, or a row is not a distribution.

    Example:
        >>> disagreement([[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]])
        0.5
    """
    a, b = check_assignments(first), check_assignments(second)
    if a.shape != b.shape:
        raise ValueError(
            f"assignments over the same categories were expected, got {a.shape} and {b.shape}"
        )
    return float(np.abs(a - b).sum(axis=1).mean() / 2.0)


def entropy(probs: Array) -> Array:
    """H(p) in nats over the last axis, with 0 log 0 = 0."""
    # Adding zero turns the -0.0 of a certain row into 0.0.
    result: Array = special.entr(probs).sum(axis=-1) + 0.0
    return result


def harden(assignments: ArrayLike) -> Array:
    """Every row's likeliest category as a one-hot row, shape (N, K); ties go to the lowest k."""
    a = np.asarray(assignments, dtype=np.float64)
    one_hot: Array = np.eye(a.shape[1])[a.argmax(axis=1)]
    return one_hot


def check_assignments(assignments: ArrayLike) -> Array:
    """The assignments as float64 of shape (N, K).

    Raises:
        ValueError: they are empty or not two-dimensional, or a row is not a distribution.
    """
    a = np.asarray(assignments, dtype=np.float64)
    if a.ndim != 2 or 0 in a.shape:
        raise ValueError(f"assignments must have shape (N, K) with N, K >= 1, got {a.shape}")
    wrong = ~(np.abs(a.sum(axis=1) - 1.0) <= SUM_TOLERANCE) | ~(a >= 0.0).all(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"assignments must be rows of probabilities that sum to 1; {int(wrong.sum())} of "
            f"{len(a)} rows are not: row {row} has minimum {a[row].min():g} and sum "
            f"{a[row].sum():g}"
        )
    return a


def _log(probs: Array) -> Array:
    """log p where p > 0, else 0: a factor p that it multiplies is 0 there."""
    logs: Array = np.log(probs, out=np.zeros_like(probs), where=probs > 0.0)
    return logs

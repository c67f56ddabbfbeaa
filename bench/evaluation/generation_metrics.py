"""How well what a category generates agrees in its label, corrected for chance (MATHS 9).

Every function reads counts: how often each of L labels came out of each of K categories. Those
of generated data are integers; real data that are spread softly over categories give fractions,
for which ``squares`` says how many data a category's mass is worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.evaluation.entropy import Array, entropy

__all__ = [
    "Agreement",
    "active_set",
    "agreement",
    "check_counts",
    "collision",
    "consistency",
    "coverage",
    "js_divergence",
    "label_table",
    "majority_chance",
    "present_set",
    "weighted_mean",
]

RESAMPLES = 1000
CHANCE_DRAWS = 2000
# 1 - sum p^2 below this: all samples have one label, and nothing is left to agree on.
ONE_LABEL = 1e-9


@dataclass(frozen=True)
class Agreement:
    r"""How the labels of what K categories give agree within each of them.

    Attributes:
        collision: C_k, the chance that two data of category k share their label; NaN where it
            has fewer than two. Shape (K,).
        majority: M_k, the share of its commonest label, shape (K,); biased upwards.
        label_probs: p, the labels of all categories together, shape (L,).
        purity: the mean of C_k over categories.
        pooled: the same chance for two data of any categories, sum_y p_y^2 without bias.
        corrected: (purity - pooled)/(1 - pooled), Goodman and Kruskal's tau: 0 where categories
            do not matter, 1 where they determine the label. None where there is one label.
        purity_se, corrected_se: over categories, by bootstrap; None for one category (two).
        majority_mean: the mean of M_k.
        information: I(k; y) in nats with Miller and Madow's correction; may fall below 0.
        labels: exp H(p), the effective number of labels.
    """

    collision: Array
    majority: Array
    label_probs: Array
    purity: float | None
    pooled: float | None
    corrected: float | None
    purity_se: float | None
    corrected_se: float | None
    majority_mean: float | None
    information: float | None
    labels: float | None


def agreement(
    counts: ArrayLike,
    weights: ArrayLike,
    *,
    squares: ArrayLike | None = None,
    pooled: float | None = None,
    seed: int = 0,
) -> Agreement:
    r"""Purity of what each category gives, and its company.

    .. math:: C_k = \frac{\sum_y n_{ky}^2 - s_k}{n_k^2 - s_k}, \quad \bar G = \sum_k q_k C_k,
        \quad G = \frac{\bar G - \sum_y \bar p_y^2}{1 - \sum_y \bar p_y^2}

    with :math:`s_k` the sum of squares of the data's weights in k (:math:`n_k` where all are
    one, which gives :math:`(n \sum_y \hat p^2 - 1)/(n - 1)`). In :math:`\sum_y \bar p_y^2` the
    squares of a category's own shares are replaced by C_k, so that it has no bias either.
    Categories without two data are left out.

    Args:
        counts: label counts, shape (K, L).
        weights: q, of each category, shape (K,).
        squares: s, shape (K,); None where every datum counts once.
        pooled: the pooled collision, where categories share data and it must be known better.
        seed: of the bootstrap.

    Raises:
        ValueError: shapes disagree, or weights are no weights.

    References: MATHS 9.
    """
    table, q = check_counts(counts, weights)
    total = table.sum(axis=1)  # (K,)
    s = total if squares is None else np.asarray(squares, dtype=np.float64)
    within = collision(table, s)
    shares = np.divide(table, total[:, None], out=np.zeros_like(table), where=total[:, None] > 0)
    majority = np.where(total > 0, shares.max(axis=1), np.nan)
    known = np.isfinite(within) & (q > 0)
    if not known.any():
        nothing = np.full(table.shape[1], np.nan)
        return Agreement(within, majority, nothing, *(None,) * 8)
    q = np.where(known, q, 0.0) / q[known].sum()
    c = np.where(known, within, 0.0)
    excess = (shares**2).sum(axis=1) - c  # (K,): what squares of estimated shares add
    probs = q @ shares  # (L,)
    purity = float(q @ c)
    together = float((probs**2).sum() - q**2 @ excess) if pooled is None else pooled

    size = np.where(known, total**2 / np.where(known, s, 1.0), np.inf)  # data worth one each
    seen = (table > 0).sum(axis=1)
    bias = (seen - 1) / (2.0 * size)
    pooled_bias = ((probs > 0).sum() - 1) / 2.0 * float(q**2 @ (1.0 / size))
    information = entropy(probs) + pooled_bias - q @ (entropy(shares) + bias)

    purity_se, corrected_se = _bootstrap(shares, q, c, excess, seed)
    return Agreement(
        collision=within,
        majority=majority,
        label_probs=probs,
        purity=purity,
        pooled=together,
        corrected=_corrected(purity, together),
        purity_se=purity_se,
        corrected_se=corrected_se,
        majority_mean=float(q @ np.where(known, majority, 0.0)),
        information=float(information),
        labels=float(np.exp(entropy(probs))),
    )


def collision(mass: ArrayLike, squares: ArrayLike) -> Array:
    """The chance that two different data share a label, without bias: (..., L) to (...).

    Args:
        mass: of each label.
        squares: the sum of the squared weights of the data; NaN results where they are one datum.

    Example:
        >>> float(collision([2.0, 1.0], 3.0))  # one of three pairs
        0.3333333333333333
    """
    m, s = np.asarray(mass, dtype=np.float64), np.asarray(squares, dtype=np.float64)
    pairs = m.sum(axis=-1) ** 2 - s
    # Where one datum holds all the mass, what is left of the difference is rounding.
    known = pairs > 1e-9 * s
    same: Array = np.divide(
        (m**2).sum(axis=-1) - s, pairs, out=np.full_like(pairs, np.nan), where=known
    )
    return same


def majority_chance(label_probs: ArrayLike, count: int, seed: int = 0) -> float:
    """The mean share of the commonest of ``count`` labels drawn from ``label_probs``: simulated.

    Ten equal labels give .207 at 25 draws, .151 at 100, .136 at 200 and .107 at 5,000 (MATHS 9).
    """
    probs = np.asarray(label_probs, dtype=np.float64)
    draws = np.random.default_rng(seed).multinomial(count, probs / probs.sum(), CHANCE_DRAWS)
    return float(draws.max(axis=1).mean() / count)


def active_set(weights: ArrayLike) -> NDArray[np.bool_]:
    """The categories with q_k > 1/K (the paper's); all of them where no weight exceeds another.

    A mixture's equal weights single out no component, so that none is left out. Where q is
    nearly uniform about half of the categories are active, whichever they are (MATHS 5).
    """
    q = np.asarray(weights, dtype=np.float64)
    active: NDArray[np.bool_] = q > (1.0 + 1e-6) * q.mean()
    return active if active.any() else np.ones(len(q), dtype=np.bool_)


def present_set(weights: ArrayLike) -> NDArray[np.bool_]:
    """The categories with q_k > 1/(10 K): those that are used at all."""
    q = np.asarray(weights, dtype=np.float64)
    present: NDArray[np.bool_] = q > 0.1 * q.mean()
    return present


def coverage(counts: ArrayLike, chosen: NDArray[np.bool_]) -> int:
    """For how many labels some chosen category gives the label at least half of the time."""
    table = np.asarray(counts, dtype=np.float64)[chosen]
    total = table.sum(axis=1, keepdims=True)
    return int(((table >= 0.5 * total) & (total > 0)).any(axis=0).sum())


def js_divergence(p: ArrayLike, q: ArrayLike) -> Array:
    """Jensen and Shannon's divergence of the last axis, in nats: 0 to log 2."""
    a, b = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    result: Array = entropy((a + b) / 2.0) - (entropy(a) + entropy(b)) / 2.0
    return result


def consistency(counts: ArrayLike, owners: ArrayLike, weights: ArrayLike) -> float | None:
    """sum_k q_k JS(labels that k generates, labels of the data in k), in nats; 0 is perfect.

    Args:
        counts: label counts of what is generated, shape (K, L).
        owners: label mass of the real data assigned to k, shape (K, L).
        weights: q, shape (K,).
    """
    given, real = (np.asarray(t, dtype=np.float64) for t in (counts, owners))
    sizes = given.sum(axis=1, keepdims=True), real.sum(axis=1, keepdims=True)
    known = (sizes[0] > 0) & (sizes[1] > 0)
    shares = [
        np.divide(table, size, out=np.zeros_like(table), where=known)
        for table, size in zip((given, real), sizes, strict=True)
    ]
    apart = js_divergence(*shares)
    return weighted_mean(np.where(known[:, 0], apart, np.nan), weights)


def label_table(assignments: Array, labels: NDArray[np.int64], count: int) -> Array:
    """The mass that every label has in every category: (N, K) and (N,) to (K, count)."""
    table: Array = assignments.T @ np.eye(count)[labels]
    return table


def weighted_mean(values: ArrayLike, weights: ArrayLike) -> float | None:
    """The mean over categories whose value is known; None where none is."""
    v, q = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    known = np.isfinite(v) & (q > 0)
    return float(q[known] @ v[known] / q[known].sum()) if known.any() else None


def check_counts(counts: ArrayLike, weights: ArrayLike) -> tuple[Array, Array]:
    """Counts (K, L) and weights (K,) as float64.

    Raises:
        ValueError: shapes disagree, or weights are no weights.
    """
    table, q = np.asarray(counts, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if table.ndim != 2 or q.shape != table.shape[:1]:
        raise ValueError(
            f"expected counts of shape (K, L) and weights of shape (K,), got {table.shape} and "
            f"{q.shape}"
        )
    if not (q >= 0).all() or not 0 < q.sum() < np.inf:
        raise ValueError("expected category weights that are at least 0 and not all 0")
    return table, q


def _corrected(purity: float, pooled: float) -> float | None:
    return (purity - pooled) / (1.0 - pooled) if 1.0 - pooled > ONE_LABEL else None


def _bootstrap(
    shares: Array, q: Array, c: Array, excess: Array, seed: int
) -> tuple[float | None, float | None]:
    """Standard errors of purity and corrected purity over resampled categories.

    With one category alone there is nothing to correct for: such resamples say nothing about
    corrected purity, and of two categories no others differ from the whole.
    """
    known = q > 0
    size = int(known.sum())
    if size < 2:
        return None, None
    shares, q, c, excess = shares[known], q[known], c[known], excess[known]
    random = np.random.default_rng(seed)
    times = random.multinomial(size, np.full(size, 1.0 / size), RESAMPLES)  # (R, K)
    w = times * q
    w /= w.sum(axis=1, keepdims=True)
    purity = w @ c
    pooled = ((w @ shares) ** 2).sum(axis=1) - w**2 @ excess
    varied = ((times > 0).sum(axis=1) > 1) & (1.0 - pooled > ONE_LABEL)
    if size == 2 or varied.sum() < 2:
        return float(purity.std(ddof=1)), None
    corrected = (purity[varied] - pooled[varied]) / (1.0 - pooled[varied])
    return float(purity.std(ddof=1)), float(corrected.std(ddof=1))

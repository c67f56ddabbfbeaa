"""How well categories follow labels, corrected for chance (MATHS 6).

Soft assignments are the headline. Purity rises with fragmentation (N singletons are pure), so
the exact mean over all permutations of the labels is reported with it and taken off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn import metrics

from bench.evaluation.entropy import Array, check_assignments, entropy, harden
from bench.evaluation.top_categories import TOP, TopCategories, top_categories

__all__ = [
    "HardAgreement",
    "LabelPurity",
    "Purity",
    "cluster_purity_chance",
    "hard_agreement",
    "harden",
    "purity",
]

# W below this is rounding: every category holds one datum, or all data share every category.
NO_CHOICE = 1e-12


@dataclass(frozen=True)
class LabelPurity:
    """One label's line: a partner drawn from a member's category shares its label how often?

    Attributes:
        label: as it stands in the data.
        count: its N_y data.
        purity: P(y) = sum_k q(k | y) q(y | k).
        se: its standard error over data (delta method).
        chance: the mean of P(y) over all permutations of the labels.
        corrected: (purity - chance)/(1 - chance); None where chance is 1.
        top: (category, q(k | y)) of the label's largest categories, ties to the lower k.
    """

    label: int
    count: int
    purity: float
    se: float
    chance: float
    corrected: float | None
    top: tuple[tuple[int, float], ...]

    @property
    def top_mass(self) -> float:
        """The share of the label that its top categories hold."""
        return math.fsum(share for _, share in self.top)


@dataclass(frozen=True)
class Purity:
    """How categories follow labels.

    Attributes:
        labels: one entry for every label that occurs, sorted by label.
        macro: the mean of P(y) over labels, with its standard error, chance and correction.
        micro: its mean over data, sum_y p(y) P(y), likewise.
        cluster: sum_k max_y q(k, y); cluster^2 <= micro <= cluster.
        freedom: W, the share of a datum's partners that is not itself; 0 for N singletons,
            where purity says nothing.
        mutual_information: I(k; y) in nats.
        homogeneity: I(k; y)/H(y); None where there is one label.
        completeness: I(k; y)/H(k); None where there is one category.
        nmi: 2 I(k; y)/(H(k) + H(y)); None where both entropies are 0.
        overlap: the mean over pairs of labels of sum_k min(q(k | y), q(k | y')); None for one.
        top: the largest categories of every label, in the order of ``labels``.
    """

    labels: tuple[LabelPurity, ...]
    macro: float
    macro_se: float
    macro_chance: float
    macro_corrected: float | None
    micro: float
    micro_se: float
    micro_chance: float
    micro_corrected: float | None
    cluster: float
    freedom: float
    mutual_information: float
    homogeneity: float | None
    completeness: float | None
    nmi: float | None
    overlap: float | None
    top: TopCategories


@dataclass(frozen=True)
class HardAgreement:
    """Scikit-learn's scores of the likeliest categories against the labels."""

    nmi: float
    ari: float
    ami: float


def purity(assignments: ArrayLike, labels: ArrayLike, top: int = TOP) -> Purity:
    r"""Per-label purity of ``assignments``, its chance level and its company (MATHS 6).

    With :math:`s_k = \sum_i a_{ik}^2`, :math:`n_k = \sum_i a_{ik}` and
    :math:`W = 1 - \frac1N \sum_k s_k/n_k`, the mean over all permutations of the labels is
    exactly :math:`E[P(y)] = (1-W) + W (N_y-1)/(N-1)`: with probability 1 - W the partner is the
    datum itself. Standard errors are the delta method's for resampled data, the root of the
    summed squares of each datum's influence; they cost one more pass over the assignments.

    Args:
        assignments: a, shape (N, K): q(c | x), responsibilities, or ``harden`` of either.
        labels: integers, shape (N,); only labels that occur count.
        top: how many categories of each label are listed.

    Raises:
        ValueError: shapes disagree, or a row is not a distribution.

    Example:
        >>> result = purity([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], [0, 0, 1, 1])
        >>> result.macro, round(result.macro_chance, 6)
        (1.0, 0.666667)
    """
    a = check_assignments(assignments)
    names, y, sizes = _check_labels(labels, len(a))
    count = len(a)
    table = _table(a, y, sizes)  # (L, K): n_ky
    mass = table.sum(axis=0)  # (K,): n_k
    share = table / sizes[:, None]  # q(k | y)
    owner = np.divide(table, mass, out=np.zeros_like(table), where=mass > 0)  # q(y | k)
    by_label = (share * owner).sum(axis=1)  # (L,)
    micro = float(sizes @ by_label / count)
    macro = float(by_label.mean())

    freedom = _freedom(a, mass)
    others = (sizes - 1.0) / max(count - 1, 1)  # (L,): chance that another datum has the label
    chance = (1.0 - freedom) + freedom * others
    macro_chance = float(chance.mean())
    micro_chance = float(sizes @ chance / count)
    by_label_se, macro_se, micro_se = _standard_errors(a, y, sizes, share, owner)

    tops = top_categories(share, top)
    lines = tuple(
        LabelPurity(
            label=int(names[i]),
            count=int(sizes[i]),
            purity=float(by_label[i]),
            se=float(by_label_se[i]),
            chance=float(chance[i]),
            corrected=_corrected(float(by_label[i]), float(chance[i])),
            top=tops.lists[i],
        )
        for i in range(len(names))
    )

    joint = table / count
    entropy_k, entropy_y = float(entropy(mass / count)), float(entropy(sizes / count))
    information = max(0.0, entropy_k + entropy_y - float(entropy(joint.ravel())))
    return Purity(
        labels=lines,
        macro=macro,
        macro_se=macro_se,
        macro_chance=macro_chance,
        macro_corrected=_corrected(macro, macro_chance),
        micro=micro,
        micro_se=micro_se,
        micro_chance=micro_chance,
        micro_corrected=_corrected(micro, micro_chance),
        cluster=float(joint.max(axis=0).sum()),
        freedom=freedom,
        mutual_information=information,
        homogeneity=_ratio(information, entropy_y),
        completeness=_ratio(information, entropy_k),
        nmi=_ratio(2.0 * information, entropy_k + entropy_y),
        overlap=_overlap(share),
        top=tops,
    )


def hard_agreement(assignments: ArrayLike, labels: ArrayLike) -> HardAgreement:
    """NMI, ARI and AMI of each datum's likeliest category (ties to the lowest k) with labels."""
    a = check_assignments(assignments)
    _, y, _ = _check_labels(labels, len(a))
    hard = a.argmax(axis=1)
    return HardAgreement(
        nmi=float(metrics.normalized_mutual_info_score(y, hard)),
        ari=float(metrics.adjusted_rand_score(y, hard)),
        ami=float(metrics.adjusted_mutual_info_score(y, hard)),
    )


def cluster_purity_chance(
    assignments: ArrayLike, labels: ArrayLike, permutations: int = 100, seed: int = 0
) -> float:
    """The mean of cluster purity over random permutations of the labels: it has no closed form."""
    a = check_assignments(assignments)
    _, y, sizes = _check_labels(labels, len(a))
    generator = np.random.default_rng(seed)
    total = 0.0
    for _ in range(permutations):
        total += float(_table(a, generator.permutation(y), sizes).max(axis=0).sum())
    return total / (permutations * len(a))


def _check_labels(
    labels: ArrayLike, count: int
) -> tuple[NDArray[np.int64], NDArray[np.intp], Array]:
    """The labels that occur, each datum's index among them, and their counts."""
    given = np.asarray(labels)
    if given.shape != (count,) or not np.issubdtype(given.dtype, np.integer):
        raise ValueError(
            f"labels must be integers of shape ({count},), one for each assignment, got "
            f"{given.dtype} of shape {given.shape}"
        )
    names, y, sizes = np.unique(given, return_inverse=True, return_counts=True)
    return names.astype(np.int64), y.astype(np.intp), sizes.astype(np.float64)


def _table(a: Array, y: NDArray[np.intp], sizes: Array) -> Array:
    """sum_{i: y_i = y} a_ik, shape (L, K)."""
    rows = np.arange(len(y))
    members = sparse.csr_array((np.ones(len(y)), (y, rows)), shape=(len(sizes), len(y)))
    result: Array = members @ a
    return result


def _freedom(a: Array, mass: Array) -> float:
    """W = 1 - 1/N sum_k s_k / n_k over categories that hold any mass."""
    squares = np.einsum("ik,ik->k", a, a)
    same = np.divide(squares, mass, out=np.zeros_like(mass), where=mass > 0).sum() / len(a)
    freedom = 1.0 - float(same)
    return freedom if freedom > NO_CHOICE else 0.0


def _standard_errors(
    a: Array, y: NDArray[np.intp], sizes: Array, share: Array, owner: Array
) -> tuple[Array, float, float]:
    """Delta-method errors of P(y), macro and micro from their derivatives in a datum's weight.

    A datum's weight w_i moves every P(y) through n_k by -a_i . g_y, g_yk = q(k|y) q(y|k)/n_k,
    and its own label's P(y) by (2 a_i . q(y|.) - P(y))/N_y besides.
    """
    count = len(a)
    if count < 2:
        return np.full(len(sizes), math.nan), math.nan, math.nan
    by_label = (share * owner).sum(axis=1)
    mass = (share * sizes[:, None]).sum(axis=0)
    g = np.divide(share * owner, mass, out=np.zeros_like(share), where=mass > 0)  # (L, K)
    kept = np.einsum("ik,ik->i", a, owner[y])  # (N,): a_i . q(y_i | .)
    direct = (2.0 * kept - by_label[y]) / sizes[y]  # (N,)
    through = np.einsum("ik,ik->i", a, g[y])  # (N,)
    # Summed over all data the squares of a_i . g_y are a quadratic form: no (N, L) table.
    everyone = np.einsum("lk,lk->l", g @ (a.T @ a), g)
    members = np.bincount(y, direct * (direct - 2.0 * through), minlength=len(sizes))
    scale = count / (count - 1)
    by_label_se = np.sqrt(np.maximum(everyone + members, 0.0) * scale)

    macro = (direct - a @ g.sum(axis=0)) / len(sizes)
    micro_all = (owner * owner).sum(axis=0)  # (K,): sum_y q(y|k)^2
    micro = (2.0 * kept - a @ micro_all - sizes @ by_label / count) / count
    return by_label_se, _norm(macro, scale), _norm(micro, scale)


def _norm(derivatives: Array, scale: float) -> float:
    return math.sqrt(float(derivatives @ derivatives) * scale)


def _corrected(value: float, chance: float) -> float | None:
    room = 1.0 - chance
    return (value - chance) / room if room > NO_CHOICE else None


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator > NO_CHOICE else None


def _overlap(share: Array) -> float | None:
    size = len(share)
    if size < 2:
        return None
    # In descending order every value is the smaller one of the pairs with all that come before.
    descending = -np.sort(-share, axis=0)
    total = float((np.arange(size)[:, None] * descending).sum())
    return total / (size * (size - 1) / 2)

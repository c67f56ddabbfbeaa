"""The largest categories of every label, as in the paper's Tables 2 and A1 (MATHS 6).

That labels' lists do not overlap is no evidence of purity: among many categories, lists that are
picked at random hardly overlap either. So what random picks would give stands beside the counts,
and the share of the labels that the lists hold.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["RandomPicks", "TopCategories", "random_picks", "top_categories"]

TOP = 5


@dataclass(frozen=True)
class RandomPicks:
    """What L lists give on average when each is t of K categories picked at random.

    Attributes:
        distinct: different categories among all lists.
        marked: places whose category is in another list as well.
        mass: the share of a label that its list holds, whatever the label's shares are.
    """

    distinct: float
    marked: float
    mass: float


@dataclass(frozen=True)
class TopCategories:
    """The lists of all labels together.

    Attributes:
        lists: for every label (category, q(k | y)) of its largest categories, descending, ties
            to the lower k; categories that the label never uses are left out.
        repeated: the categories in the lists of at least two labels, ascending.
        places: how many places L full lists have: 5 L, fewer where K < 5.
        distinct: different categories among all lists.
        marked: places whose category is in another label's list as well.
        mass: the mean over labels of the share that the list holds.
        random: what picks at random would give.
    """

    lists: tuple[tuple[tuple[int, float], ...], ...]
    repeated: tuple[int, ...]
    places: int
    distinct: int
    marked: int
    mass: float
    random: RandomPicks


def top_categories(share: ArrayLike, top: int = TOP) -> TopCategories:
    """The ``top`` largest categories of every label, and which of them labels have in common.

    Args:
        share: q(k | y), shape (L, K), every row a distribution over categories.
        top: the length of a list.

    Raises:
        ValueError: there is no label, no category, or no place in a list.

    Example:
        >>> found = top_categories([[0.7, 0.3, 0.0], [0.0, 0.4, 0.6]])
        >>> found.lists[1], found.repeated, found.distinct, found.marked
        (((2, 0.6), (1, 0.4)), (1,), 3, 2)
    """
    q = np.asarray(share, dtype=np.float64)
    if q.ndim != 2 or 0 in q.shape:
        raise ValueError(f"share must have shape (L, K) with L, K >= 1, got {q.shape}")
    labels, categories = q.shape
    random = random_picks(categories, labels, top)
    order = np.argsort(-q, axis=1, kind="stable")[:, :top]  # (L, top)
    lists = tuple(
        tuple((int(k), float(row[k])) for k in ks if row[k] > 0)
        for ks, row in zip(order, q, strict=True)
    )
    times = Counter(k for ks in lists for k, _ in ks)
    return TopCategories(
        lists=lists,
        repeated=tuple(sorted(k for k, count in times.items() if count > 1)),
        places=labels * min(top, categories),
        distinct=len(times),
        marked=sum(count for count in times.values() if count > 1),
        mass=math.fsum(value for ks in lists for _, value in ks) / labels,
        random=random,
    )


def random_picks(categories: int, labels: int, top: int = TOP) -> RandomPicks:
    r"""What lists of categories picked at random would give, on average.

    With :math:`t = \min(5, K)` different categories in each list, one list misses a category
    with probability :math:`1 - t/K`, so that

    .. math:: E[\text{distinct}] = K (1 - (1 - t/K)^L), \qquad
              E[\text{marked}] = L t (1 - (1 - t/K)^{L-1}), \qquad E[\text{mass}] = t/K

    Args:
        categories: K.
        labels: L.
        top: the length of a list.

    Raises:
        ValueError: one of them is below 1.

    Example:
        >>> found = random_picks(categories=150, labels=10)
        >>> round(found.distinct, 2), round(found.marked, 2)
        (43.13, 13.15)
    """
    if min(categories, labels, top) < 1:
        raise ValueError(
            "random_picks needs at least one category, one label and one place in a list, got "
            f"{categories}, {labels} and {top}"
        )
    size = min(top, categories)
    missed = 1.0 - size / categories
    return RandomPicks(
        distinct=categories * (1.0 - missed**labels),
        marked=labels * size * (1.0 - missed ** (labels - 1)),
        mass=size / categories,
    )

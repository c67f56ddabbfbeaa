"""How far apart data are in a classifier's features: one prototype, or many (MATHS 9)."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from bench.evaluation.entropy import Array

__all__ = ["mean_distance", "paired_distance"]

ROWS = 500  # at most: their 124,750 pairs know the mean distance to a fraction of a percent
PAIRS = 2000  # drawn for each category of real data: the mean distance to about one percent
FEWEST_PAIRS = 50


def mean_distance(features: Tensor) -> float:
    """The mean Euclidean distance between any two of the first 500 rows (N, F); NaN for one."""
    rows = features[:ROWS]
    return float(torch.pdist(rows).mean()) if len(rows) > 1 else math.nan


def paired_distance(features: Tensor, assignments: ArrayLike, seed: int = 0) -> Array:
    r"""The mean distance of two different data of each category.

    .. math:: \sum_{i \ne j} a_{ik} a_{jk} \lVert f_i - f_j \rVert
        \Big/ \sum_{i \ne j} a_{ik} a_{jk}

    estimated without bias from pairs drawn with these weights, as N^2 distances are too many.

    Args:
        features: f, shape (N, F).
        assignments: a, shape (N, K), at least 0.
        seed: of the pairs.

    Returns:
        Shape (K,); NaN for a category that is empty, or nearly all one datum.
    """
    a = np.asarray(assignments, dtype=np.float64)
    random = np.random.default_rng(seed)
    found = np.full(a.shape[1], np.nan)
    for k in range(a.shape[1]):
        below = np.cumsum(a[:, k])
        draws = random.random((2, PAIRS)) * below[-1]
        first, second = np.searchsorted(below, draws, side="right").clip(max=len(a) - 1)
        different = first != second
        if below[-1] > 0 and different.sum() >= FEWEST_PAIRS:
            i, j = (
                torch.from_numpy(side[different]).to(features.device) for side in (first, second)
            )
            found[k] = float((features[i] - features[j]).norm(dim=-1).double().mean())
    return found

"""Systems ranked over datasets, with the difference that ranks need to be told apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from bench.report.figures.colours import colour
from bench.report.figures.source import Drawing, Source, System
from bench.report.figures.style import axes_grid

__all__ = ["Ranking", "diagram", "rank"]

Array = NDArray[np.float64]
FEWEST_DATASETS = 3  # fewer, and no difference of ranks can be significant
LEVEL = 0.05


@dataclass(frozen=True)
class Ranking:
    """Ranks of M systems over N datasets.

    Attributes:
        ranks: the mean rank of each, 1 is best, shape (M,).
        p: of Friedman's test that all are alike; NaN with two systems, for which there is none.
        difference: Nemenyi's critical difference of two mean ranks at 5%.
    """

    ranks: Array
    p: float
    difference: float


def rank(costs: ArrayLike) -> Ranking:
    r"""Friedman's and Nemenyi's tests.

    .. math:: CD = q_{.05, M} \sqrt{M (M + 1) / 6 N}

    Args:
        costs: of every dataset (row) and system (column), lower is better, shape (N, M).

    References: Demšar, Statistical comparisons of classifiers over multiple data sets, 2006.
    """
    table = np.asarray(costs, dtype=np.float64)
    n, m = table.shape
    ranks = rankdata(table, axis=1).mean(axis=0)
    p = float(friedmanchisquare(*table.T).pvalue) if m > 2 else float("nan")
    q = float(studentized_range.ppf(1 - LEVEL, m, np.inf)) / np.sqrt(2)
    return Ranking(ranks, p, float(q * np.sqrt(m * (m + 1) / (6 * n))))


def complete(source: Source) -> tuple[list[str], dict[str, list[System]]]:
    """Datasets, and the systems that are on all of them, each at its smallest K there."""
    first: dict[str, dict[str, System]] = {}
    for dataset in source.datasets:
        for system in source.on(dataset):
            if "nelbo" in system.line.values:
                first.setdefault(system.model, {}).setdefault(dataset, system)
    datasets = list(source.datasets)
    whole = {
        model: [found[dataset] for dataset in datasets]
        for model, found in first.items()
        if len(found) == len(datasets)
    }
    return datasets, whole


def diagram(source: Source) -> Iterator[Drawing]:
    """The critical-difference diagram over all datasets of the store."""
    datasets, systems = complete(source)
    if len(datasets) < FEWEST_DATASETS or len(systems) < 2:
        return
    costs = np.array([[s.line.values["nelbo"].mean for s in found] for found in systems.values()]).T
    models = list(systems)

    def draw() -> Any:
        found = rank(costs)
        order = np.argsort(found.ranks, kind="stable")
        figure, grid = axes_grid(1, 1, height=1.3 + 0.24 * len(models), width=7.0)
        axes = grid[0, 0]
        best = found.ranks[order[0]]
        axes.axvspan(best, best + found.difference, color="0.9", zorder=0)
        for place, which in enumerate(order):
            axes.plot(found.ranks[which], -place, "o", color=colour(models[which]))
        axes.set_yticks([-place for place in range(len(order))], [models[k] for k in order])
        axes.set_xlim(0.8, max(len(models), best + found.difference) + 0.2)
        tested = "" if np.isnan(found.p) else f"Friedman p = {found.p:.3g}; "
        axes.set_title(f"{tested}critical difference {found.difference:.2f}")
        axes.set_xlabel("mean rank of the negative ELBO (1 is best)")
        return figure

    yield Drawing(
        "critical-difference",
        "Ranks over datasets",
        f"Mean ranks over {', '.join(datasets)}, every system at its smallest K on each. Systems "
        "in the grey band cannot be told from the best: their ranks differ by less than Nemenyi's "
        "critical difference at 5% (Demšar 2006). With few datasets it is wide.",
        tuple(cell for found in systems.values() for s in found for cell in s.cells),
        draw,
        models=tuple(models),
    )

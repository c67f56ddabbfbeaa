"""Systems ranked over datasets, with the difference that ranks need to be told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from bench.report.figures.colours import colour
from bench.report.figures.source import Drawing, Source, System
from bench.report.figures.style import axes_grid, hide_axes
from bench.report.scorecard.evidence import Evidence
from bench.report.summary import size_of
from bench.store import Row

__all__ = ["Ranking", "cliques", "diagram", "rank"]

Array = NDArray[np.float64]
KEY, TITLE = "critical-difference", "Ranks over datasets"
FEWEST_DATASETS = 3  # fewer, and no difference of ranks can be significant
LEVEL = 0.05


@dataclass(frozen=True)
class Ranking:
    """Ranks of M systems over N datasets.

    Attributes:
        ranks: the mean rank of each, 1 is best, shape (M,).
        statistic: Friedman's chi-squared, corrected for ties; NaN with two systems.
        p: of Friedman's test that all are alike; NaN with two systems, for which there is none.
        difference: Nemenyi's critical difference of two mean ranks at 5%.
    """

    ranks: Array
    statistic: float
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
    tested = friedmanchisquare(*table.T) if m > 2 else None
    statistic, p = (tested.statistic, tested.pvalue) if tested else (np.nan, np.nan)
    q = float(studentized_range.ppf(1 - LEVEL, m, np.inf)) / np.sqrt(2)
    difference = float(q * np.sqrt(m * (m + 1) / (6 * n)))
    return Ranking(ranks, float(statistic), float(p), difference)


def cliques(found: Ranking) -> list[tuple[float, float]]:
    """The largest groups of systems that cannot be told from each other, as ends in mean ranks.

    Within a group all ranks differ by less than the critical difference. Where Friedman's test
    does not reject that all systems are alike, no pair may be told apart, and all are one group.
    """
    ranks = np.sort(found.ranks)
    if found.p >= LEVEL:
        return [(float(ranks[0]), float(ranks[-1]))]
    groups: list[tuple[float, float]] = []
    last = -1
    for first, low in enumerate(ranks):
        end = int(np.searchsorted(ranks, low + found.difference, side="left")) - 1
        if end > max(last, first):
            groups.append((float(low), float(ranks[end])))
            last = end
    return groups


def complete(source: Source, evidence: Evidence) -> tuple[list[str], dict[str, list[list[System]]]]:
    """Datasets, and the systems that are on all of them, each at its smallest K there.

    Settings are chosen as the scorecard's are: the protocol that is judged first, and nothing of
    the other. On each dataset a system has one entry, or several where that leaves several.
    """
    datasets = list(source.datasets)
    found: dict[str, dict[str, list[System]]] = {}
    for dataset in datasets:
        sizes: dict[str, dict[tuple[bool, int], dict[int, System]]] = {}
        for place, system in enumerate(source.on(dataset)):
            if "nelbo" in system.line.values:
                # Of a K that was searched each seed has its own: a chosen K goes before.
                size = size_of(system.rows[0]) == "tuned", system.components or 0
                sizes.setdefault(system.model, {}).setdefault(size, {})[place] = system
        for model, kinds in sizes.items():
            for _, systems in sorted(kinds.items(), key=lambda item: item[0]):
                rows = {place: system.rows for place, system in systems.items()}
                if usable := evidence.usable(dataset, rows):
                    found.setdefault(model, {})[dataset] = [systems[place] for place in usable]
                    break
    whole = {
        model: [here[dataset] for dataset in datasets]
        for model, here in found.items()
        if len(here) == len(datasets)
    }
    return datasets, whole


def diagram(source: Source) -> Iterator[Drawing]:
    """The critical-difference diagram over all datasets of the store."""
    if not source.systems:
        return
    evidence = Evidence(source.store, source.rows)
    datasets, candidates = complete(source, evidence)
    if missing := _missing(datasets, candidates):
        groups = [s.rows for places in candidates.values() for found in places for s in found]
        yield _absent(missing, groups)
        return
    systems = {model: [s for (s,) in places] for model, places in candidates.items()}
    costs = np.array([[s.line.values["nelbo"].mean for s in found] for found in systems.values()]).T
    models = list(systems)

    def draw() -> Any:
        found = rank(costs)
        order = np.argsort(found.ranks, kind="stable")
        bars = cliques(found)
        rows = len(order) + 0.5 * len(bars)
        figure, grid = axes_grid(1, 1, height=1.3 + 0.24 * rows, width=7.0)
        axes = grid[0, 0]
        best = found.ranks[order[0]]
        axes.axvspan(best, best + found.difference, color="0.92", zorder=0)
        for place, which in enumerate(order):
            here = found.ranks[which]
            axes.plot([here, here], [-place, -len(order)], color="0.8", linewidth=0.7, zorder=1)
            axes.plot(here, -place, "o", color=colour(models[which]))
        for place, ends in enumerate(bars):
            axes.plot(ends, [-len(order) - 0.5 * place] * 2, color="black", linewidth=3.0)
        axes.set_yticks([-place for place in range(len(order))], [models[k] for k in order])
        axes.set_ylim(-rows - 0.2, 0.7)
        axes.set_xlim(0.8, max(len(models), best + found.difference) + 0.2)
        tested = "" if np.isnan(found.p) else f"Friedman p = {found.p:.3g}; "
        axes.set_title(f"{tested}critical difference {found.difference:.2f}")
        axes.set_xlabel("mean rank of the negative ELBO (1 is best)")
        return figure

    yield Drawing(
        KEY,
        TITLE,
        f"Mean ranks over {', '.join(datasets)}, every system at its smallest K on each. "
        f"{_trained(datasets, systems, evidence)} A black "
        "bar joins systems that cannot be told apart: their ranks differ by less than Nemenyi's "
        "critical difference at 5% (Demšar 2006), which is also the width of the grey band at the "
        "best; where Friedman's test has p above 5%, no two can be told apart, and one bar joins "
        "all. With few datasets the critical difference is wide.",
        tuple(cell for found in systems.values() for s in found for cell in s.cells),
        draw,
        models=tuple(models),
    )


def _missing(datasets: Sequence[str], systems: Mapping[str, Sequence[Sequence[System]]]) -> str:
    """Why there is nothing to rank; empty where there is."""
    if len(datasets) < FEWEST_DATASETS:
        return (
            f"Friedman's test over datasets needs {FEWEST_DATASETS} of them, and this store has "
            f"{len(datasets)}: {', '.join(datasets) or 'none'}."
        )
    if len(systems) < 2:
        return (
            f"Ranks need two systems that have finished on all of {', '.join(datasets)}, and this "
            f"store has {', '.join(systems) or 'none'}."
        )
    several = [
        f"{model} on {dataset} ({', '.join(str(s.rows[0]['setting']) for s in found)})"
        for model, places in systems.items()
        for dataset, found in zip(datasets, places, strict=True)
        if len(found) > 1
    ]
    if several:
        return (
            "Systems have cells of several settings or data: choose with --settings among "
            f"{', '.join(several)}."
        )
    mixed = [
        dataset
        for place, dataset in enumerate(datasets)
        if len({places[place][0].line.fingerprint for places in systems.values()}) > 1
    ]
    if mixed:
        return f"Systems were measured on different test examples on {', '.join(mixed)}."
    return ""


def _trained(
    datasets: Sequence[str], systems: Mapping[str, Sequence[System]], evidence: Evidence
) -> str:
    """By which settings the systems were trained, in a sentence."""
    names: dict[str, list[str]] = {}
    for place, dataset in enumerate(datasets):
        here = {model: evidence.name(found[place].rows) for model, found in systems.items()}
        alike = len(set(here.values())) == 1
        for model, name in here.items():
            names.setdefault(name, []).append(dataset if alike else f"{model} on {dataset}")
    parts = [f"{name} ({', '.join(dict.fromkeys(where))})" for name, where in names.items()]
    return f"Trained by {'; '.join(parts)}."


def _absent(why: str, groups: Sequence[Sequence[Row]]) -> Drawing:
    """The sentence in place of the diagram: a reader who looks for it finds the reason."""

    def draw() -> Any:
        figure, grid = axes_grid(1, 1, height=0.8, width=7.0)
        hide_axes(grid[0, 0])
        grid[0, 0].text(0.5, 0.5, f"Not drawn. {fill(why, 90)}", ha="center", va="center")
        return figure

    cells = tuple(str(row["cell"]) for rows in groups for row in rows)
    return Drawing(KEY, TITLE, f"Not drawn. {why}", cells, draw)

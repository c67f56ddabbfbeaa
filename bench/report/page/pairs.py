"""Paired differences of any two cells, and of any two models, computed before the page is read.

The page holds the results and not the per-example values: those of 60 cells with six costs each
would take more room than all its pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from bench.errors import UsageError
from bench.report.bootstrap import LEVEL, Array
from bench.report.compare import METRICS, SAMPLES, TRUST
from bench.report.examples import load_examples
from bench.report.statistics import procedures_test
from bench.report.summary import Line, Row
from bench.store import Store

__all__ = ["ENTRIES", "paired"]

ENTRIES = 60_000
"""Differences of cells that a page may hold, about 3 MB; the later metrics go first."""


def paired(
    store: Store, rows: Sequence[Row], lines: Sequence[Line], entries: int = ENTRIES
) -> dict[str, Any]:
    """What the page needs to compare two cells on the same test examples.

    Args:
        store: where the per-example values are.
        rows: the finished cells.
        lines: the models that they are seeds of.
        entries: how many differences of cells are kept at most.

    Returns:
        ``metrics``: each with its meaning; ``left_out``: those for which there was no room;
        ``cells``: for each id the number of samples of its bounds and whether their weights are
        trusted; ``groups``: cells on the same examples, with the half width of a 95% interval in
        standard errors; for each metric ``means``, [mean, standard error] of each, and ``values``,
        [difference, standard error, p, share of examples where the first is lower, where the
        second is] of every pair i < j, in order, as
        :func:`bench.report.statistics.models_test` has them; ``models``: the same for lines with
        several seeds each, [difference, low, high, p] of
        :func:`bench.report.statistics.procedures_test`.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row["dataset_fingerprint"]), []).append(row)
    pairs = sum(len(group) * (len(group) - 1) // 2 for group in groups.values())
    room = len(METRICS) if pairs == 0 else min(len(METRICS), entries // pairs)
    metrics = dict(list(METRICS.items())[:room])
    return {
        "metrics": METRICS,
        "left_out": [name for name in METRICS if name not in metrics],
        "cells": {row["cell"]: _facts(row) for row in rows},
        "groups": [_cells(store, group, metrics) for group in groups.values()] if metrics else [],
        "models": _models(store, lines),
    }


def _facts(row: Row) -> dict[str, Any]:
    return {
        "samples": {metric: row.get(column) for metric, column in SAMPLES.items()},
        "trusted": {metric: row.get(column) for metric, column in TRUST.items()},
    }


def _cells(store: Store, rows: Sequence[Row], metrics: Mapping[str, str]) -> dict[str, Any]:
    """The differences of one group's cells, where they have as many examples."""
    names = [row["cell"] for row in rows]
    known = {metric: _known(store, names, metric) for metric in metrics}
    sizes = sorted({len(values) for costs in known.values() for values in costs.values()})
    n = sizes[-1] if sizes else 0
    quantile = float(stdtrit(n - 1, 1 - LEVEL / 2)) if n > 1 else 0.0
    return {
        "cells": names,
        "examples": n,
        "quantile": quantile,
        "means": {
            metric: [_mean(costs.get(name)) for name in names] for metric, costs in known.items()
        },
        "values": {metric: _differences(names, costs, n) for metric, costs in known.items()},
    }


def _mean(costs: Array | None) -> list[float] | None:
    """The mean and its standard error."""
    if costs is None or len(costs) < 2:
        return None
    return [_short(float(costs.mean()), 7), _short(float(costs.std(ddof=1)) / len(costs) ** 0.5)]


def _known(store: Store, names: Sequence[str], metric: str) -> dict[str, Array]:
    """The costs of the cells that have them, (N,) each."""
    found = {}
    for name in names:
        try:
            found[name] = load_examples(store, [name], metric)[0]
        except UsageError:
            continue  # the metric does not apply, or an older run's file: the page has a blank
    return found


def _differences(
    names: Sequence[str], costs: Mapping[str, Array], n: int
) -> list[list[float] | None]:
    found: list[list[float] | None] = []
    for i, a in enumerate(names):
        others = [costs.get(b) for b in names[i + 1 :]]
        usable = [b for b in others if b is not None and len(b) == n]
        if a not in costs or len(costs[a]) != n or n < 2:
            found += [None] * len(others)
            continue
        rows = iter(_against(costs[a], np.stack(usable)) if usable else ())
        found += [next(rows) if b is not None and len(b) == n else None for b in others]
    return found


def _against(a: Array, others: Array) -> list[list[float]]:
    """Of one cell, (N,), and each of others, (S, N)."""
    n = len(a)
    d = a - others  # (S, N)
    mean, se = d.mean(1), d.std(1, ddof=1) / np.sqrt(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(se > 0, np.abs(mean) / se, np.where(mean == 0, 0.0, np.inf))
    p = 2 * stdtr(n - 1.0, -t)
    columns = (mean, se, p, (d < 0).mean(1), (d > 0).mean(1))
    return [[_short(value) for value in row] for row in np.stack(columns, 1).tolist()]


def _models(store: Store, lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Pairs of lines on the same examples that have several seeds each."""
    several = [line for line in lines if len(line.cells) > 1]
    costs: dict[tuple[int, str], Array] = {}
    for index, line in enumerate(several):
        for metric in METRICS:
            try:
                costs[index, metric] = load_examples(store, line.cells, metric)
            except UsageError:
                continue  # as above
    found = []
    for i, a in enumerate(several):
        for j, b in enumerate(several[i + 1 :], i + 1):
            if a.fingerprint != b.fingerprint:
                continue
            values = {}
            for metric in METRICS:
                left, right = costs.get((i, metric)), costs.get((j, metric))
                if left is None or right is None or left.shape[1] != right.shape[1]:
                    continue
                test = procedures_test(left, right)
                numbers = (test.difference, test.low, test.high, test.p)
                values[metric] = [_short(value) for value in numbers]
            found.append({"a": a.cells, "b": b.cells, "values": values})
    return found


def _short(value: float, digits: int = 5) -> float:
    """So many significant digits: what is shown has fewer."""
    return float(f"{value:.{digits}g}")

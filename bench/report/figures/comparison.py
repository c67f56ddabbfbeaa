"""All systems against each other: bounds, purity, and where the nats go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bench.report.figures.colours import PATTERNS, TERMS, colour, dash, marker
from bench.report.figures.source import Drawing, Source, System
from bench.report.figures.style import WIDTH, axes_grid
from bench.report.stored import Likelihood
from bench.report.summary import Value

__all__ = ["bound_and_purity", "convergence", "decomposition", "points", "stacks"]

ERRORS = "Errors are standard deviations over seeds; with one seed, over test examples."
LEGEND_ROWS = 26
MARKS = (64.0, 110.0, 160.0, 220.0, 280.0)  # areas of points, by K


def points(systems: Sequence[System]) -> list[tuple[System, Value, Value]]:
    """The systems that have a bound and a purity, with both."""
    found = []
    for system in systems:
        bound, purity = (system.line.values.get(name) for name in ("nelbo", "purity"))
        if bound is not None and purity is not None:
            found.append((system, bound, purity))
    return found


def bound_and_purity(source: Source) -> Iterator[Drawing]:
    """One scatter a dataset."""
    for dataset in source.datasets:
        found = points(source.on(dataset))
        if len(found) < 2:
            continue

        def draw(found: list[tuple[System, Value, Value]] = found) -> Any:
            columns = -(-len(found) // LEGEND_ROWS)
            figure, grid = axes_grid(
                1, 1, height=max(4.2, 0.2 * -(-len(found) // columns)), width=WIDTH + 2.2 * columns
            )
            axes = grid[0, 0]
            sizes = sorted({system.components for system, *_ in found}, key=lambda k: k or 0)
            chance = [s.line.values["purity_chance"].mean for s, *_ in found]
            axes.axhspan(min(chance), max(chance), color="0.9", label="chance", zorder=0)
            for place, (system, bound, purity) in enumerate(found):
                drawn = axes.errorbar(
                    bound.mean,
                    purity.mean,
                    xerr=bound.error,
                    yerr=purity.error,
                    fmt=marker(system.model),
                    color=colour(system.model),
                    markersize=MARKS[min(sizes.index(system.components), 4)] ** 0.5,
                    markeredgecolor="white",
                    elinewidth=1.0,
                    label=system.label,
                )
                drawn.lines[0].set_gid(f"point-{place}")
            axes.set_xlabel("negative ELBO in nats (lower is better)")
            axes.set_ylabel("purity, mean over labels")
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), ncols=columns)
            return figure

        yield Drawing(
            f"bound-purity-{dataset}",
            "Bound against purity",
            f"Every system on {dataset}: its bound against how well its categories follow the "
            f"labels. Larger points have more components. {ERRORS}",
            tuple(cell for system, *_ in found for cell in system.cells),
            draw,
            dataset,
            tuple(dict.fromkeys(system.model for system, *_ in found)),
            tips={f"point-{i}": told(*point) for i, point in enumerate(found)},
        )


def told(system: System, bound: Value, purity: Value) -> str:
    """What is said of a point where one asks it."""
    seeds = f"{len(system.rows)} seeds" if len(system.rows) > 1 else "1 seed"
    return f"{system.label}: NELBO {_with(bound, 2)} nats, purity {_with(purity, 3)}, {seeds}"


def _with(value: Value, digits: int) -> str:
    error = "" if value.error is None else f" ± {value.error:.{digits}f}"
    return f"{value.mean:.{digits}f}{error}"


def stacks(system: System) -> dict[str, Value]:
    """The divergences of a system's decomposition that apply, by term."""
    values = system.line.values
    return {term: values[term] for term in TERMS if term in values}


def look_of(term: str) -> dict[str, Any]:
    """A term's colour and pattern, for bars."""
    return {"color": TERMS[term], "hatch": PATTERNS[term], "edgecolor": "white", "linewidth": 0.6}


def decomposition(source: Source) -> Iterator[Drawing]:
    """Bars of the terms, one figure a dataset."""
    for dataset in source.datasets:
        found = [s for s in source.on(dataset) if "A" in s.line.values]
        if not found:
            continue

        def draw(found: list[System] = found) -> Any:
            figure, grid = axes_grid(1, 2, height=1.2 + 0.24 * len(found), sharey=True)
            left, right = grid[0]
            places = np.arange(len(found))[::-1]
            for place, system in zip(places, found, strict=True):
                cost = system.line.values["A"]
                left.errorbar(
                    -cost.mean,
                    place,
                    xerr=cost.error,
                    fmt=marker(system.model),
                    color=colour(system.model),
                    markeredgecolor="white",
                )
                ends = [0.0, 0.0]  # of what is positive, and of what noise made negative
                for term, value in stacks(system).items():
                    side = int(value.mean < 0)
                    right.barh(place, value.mean, left=ends[side], height=0.75, **look_of(term))
                    ends[side] += value.mean
                    if value.error:
                        right.errorbar(
                            ends[side], place, xerr=value.error, color="black", elinewidth=0.8,
                            capsize=2,
                        )  # fmt: skip
            left.set_yticks(places, [system.label for system in found])
            left.set_xlabel("-A: cost of reconstruction, nats")
            right.set_xlabel("nats")
            handles = [
                right.barh(0, 0, label=term, **look_of(term))
                for term in TERMS
                if any(term in stacks(system) for system in found)
            ]
            figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
            return figure

        yield Drawing(
            f"decomposition-{dataset}",
            "Decomposition of the bound",
            f"The negative ELBO on {dataset} as -A + B1 + B2 + C1 + C2 (+ T1): reconstruction at "
            "the left, the divergences at the right. Each error is of the term that ends there. "
            f"{ERRORS}",
            tuple(cell for system in found for cell in system.cells),
            draw,
            dataset,
            tuple(dict.fromkeys(system.model for system in found)),
        )


def bounds_by_samples(source: Source, system: System) -> dict[int, float]:
    """S to the importance-weighted bound at S, as a cost, mean over the seeds that have any."""
    found: dict[int, list[float]] = {}
    known = 0
    for cell in system.cells:
        sampled = source.read(cell, Likelihood).sampled
        if sampled is None or not sampled.by_samples:  # a damaged file costs its own seed alone
            continue
        known += 1
        for point in sampled.by_samples:
            found.setdefault(point.samples, []).append(-point.bound)
    whole = {s: values for s, values in found.items() if len(values) == known}
    return {samples: float(np.mean(values)) for samples, values in sorted(whole.items())}


def convergence(source: Source) -> Iterator[Drawing]:
    """The bound at more and more samples, one figure a dataset with a panel for each K."""
    for dataset in source.datasets:
        curves = [(s, bounds_by_samples(source, s)) for s in source.on(dataset)]
        curves = [(system, curve) for system, curve in curves if len(curve) > 1]
        if not curves:
            continue

        def draw(curves: list[tuple[System, dict[int, float]]] = curves) -> Any:
            sizes = sorted({s.components for s, _ in curves if s.components is not None}) or [0]
            figure, grid = axes_grid(1, len(sizes), height=3.6, sharey=True)
            for axes, size in zip(grid[0], sizes, strict=True):
                for system, curve in curves:
                    if system.components not in (None, size):
                        continue
                    axes.plot(
                        list(curve),
                        list(curve.values()),
                        color=colour(system.model),
                        linestyle=dash(system.model),
                        marker=marker(system.model),
                        markersize=5,
                        label=system.name,
                    )
                axes.set_xscale("log")
                axes.set_xlabel("importance samples S")
                axes.set_title(f"K = {size}" if size else "")
            grid[0, 0].set_ylabel("-L_S in nats")
            grid[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
            return figure

        yield Drawing(
            f"convergence-{dataset}",
            "Convergence of the importance-weighted bound",
            f"The bound on -log p(x) at S importance samples on {dataset}, mean over seeds: where "
            "a curve still falls, more samples would tighten it. Systems without components are "
            "in every panel.",
            tuple(cell for system, _ in curves for cell in system.cells),
            draw,
            dataset,
            tuple(dict.fromkeys(system.model for system, _ in curves)),
        )

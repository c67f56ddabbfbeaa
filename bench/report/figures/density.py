"""Generated data on the line beside the density they should follow (Figures 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.evaluation.component_sampling import given_component
from bench.report.figures.colours import colour
from bench.report.figures.samples import marginal
from bench.report.figures.source import Drawing, Source, System, noise, of_cell
from bench.report.figures.style import SIZES, panels
from bench.report.stored import Density
from bench.sampling import draw_pictures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["by_category", "generated", "heights_of", "histograms", "panel", "range_of", "truth_of"]

Array = NDArray[np.float64]
SAMPLES = 10_000
CATEGORY_SAMPLES = 2000
BINS = 80
MOST_CATEGORIES = 8
CUT = (
    "Heights are densities of all samples: a panel says which share of them lies outside of it, "
    "and a triangle marks a peak that goes on above it, with its height."
)
VISIBLE = 1e-3  # of the true density's maximum


def truth_of(source: Source, system: System) -> tuple[Array, Array] | None:
    """Grid and true density of a system's dataset, (G,) each; None where it is not known."""
    found = source.read(system.cell, Density)
    if found.truth is None or found.curves is None:
        return None
    low, high, count = found.truth.grid
    return np.linspace(low, high, int(count)), np.asarray(found.curves.true, dtype=np.float64)


def generated(source: Source, system: System, count: int = SAMPLES) -> Array:
    """What a system generates, shape (count,): with c ~ q(c), where it has a category."""
    return marginal(source, system, count, "histogram")[:, 0].astype(np.float64)


def range_of(truth: tuple[Array, Array]) -> tuple[float, float]:
    """What of the line is shown: where the true density (grid, values) is seen, and a margin."""
    grid, density = truth
    seen = grid[density > VISIBLE * density.max()]
    margin = 0.25 * float(seen[-1] - seen[0])
    return float(seen[0]) - margin, float(seen[-1]) + margin


def heights_of(
    values: Array, limits: tuple[float, float], bins: int = BINS
) -> tuple[Array, Array, float]:
    """A histogram as a density of all values, and the share of them that lies outside of it.

    Args:
        values: shape (n,).
        limits: the ends of the bins.
        bins: how many, of one width.

    Returns:
        Heights (bins,), each count / (n width), whose integral is the share inside; the bins' ends
        (bins + 1,); the share of the values outside of the limits, or not finite.
    """
    counts, edges = np.histogram(values[np.isfinite(values)], bins=bins, range=limits)
    width = (limits[1] - limits[0]) / bins
    return counts / (len(values) * width), edges, 1.0 - float(counts.sum()) / len(values)


def panel(axes: Axes, values: Array, limits: tuple[float, float], top: float, face: str) -> None:
    """A histogram up to ``top``; what is cut off, beside it or above it, is said on it."""
    heights, edges, outside = heights_of(values, limits)
    axes.stairs(heights, edges, fill=True, color=face, alpha=0.75)
    axes.set_xlim(limits)
    axes.set_ylim(0.0, top)
    said = [f"{outside:.1%} outside"] if outside > 0 else []
    if heights.max() > top:
        peak = edges[int(heights.argmax())] + (edges[1] - edges[0]) / 2
        axes.plot([peak], [0.97 * top], marker="^", color="black", markersize=5)
        said.append(f"peak {heights.max():.3g}")
    if said:
        axes.text(
            0.98, 0.9, "\n".join(said), transform=axes.transAxes, ha="right", va="top",
            fontsize=SIZES["tick"],
        )  # fmt: skip


def histograms(source: Source) -> Iterator[Drawing]:
    """A panel for every system, one figure a dataset."""
    for dataset in source.datasets:
        found = [(system, truth_of(source, system)) for system in source.on(dataset)]
        known = [(system, truth) for system, truth in found if truth is not None]
        if not known:
            continue

        def draw(known: list[tuple[System, tuple[Array, Array]]] = known) -> Any:
            figure, grid, places = panels(len(known), 4, height=1.6, sharex=True, sharey=True)
            limits = range_of(known[0][1])
            for axes, (system, truth) in zip(places, known, strict=True):
                top = 1.8 * float(known[0][1][1].max())
                panel(axes, generated(source, system), limits, top, colour(system.model))
                axes.plot(*truth, color="black", linewidth=1.0)
                axes.set_title(system.label)
            for axes in grid[:, 0]:
                axes.set_ylabel("density")
            return figure

        yield Drawing(
            f"histograms-{dataset}",
            "Generated against true density",
            f"Histograms of {SAMPLES:,} data that each system generates on {dataset}, with c drawn "
            "by q(c) where there is a category, and the true density (black line). First seed. "
            f"{CUT}",
            tuple(system.cell for system, _ in known),
            draw,
            dataset,
            tuple(dict.fromkeys(system.model for system, _ in known)),
        )


def by_category(source: Source) -> Iterator[Drawing]:
    """What each category in use generates, one figure a trained model."""
    for system in source.systems:
        truth, shares = truth_of(source, system), source.usage(system.cell)
        if truth is None or shares is None:
            continue
        order = np.argsort(-shares, kind="stable")[:MOST_CATEGORIES]

        def draw(
            system: System = system,
            truth: tuple[Array, Array] = truth,
            shares: Array = shares,
            order: NDArray[np.intp] = order,
        ) -> Any:
            model = source.model(system.cell)
            prior, stream = model.joint_prior(), noise(f"categories {system.cell}")
            figure, _, places = panels(len(order), 4, height=1.7, sharex=True, sharey=True)
            limits = range_of(truth)
            for axes, k in zip(places, order, strict=True):
                given = given_component(model, prior, int(k))
                draws = draw_pictures(model, given, CATEGORY_SAMPLES, stream)[:, 0].astype(
                    np.float64
                )
                top = 2.0 * float(truth[1].max())
                panel(axes, draws, limits, top, colour(system.model))
                axes.plot(*truth, color="black", linewidth=1.0)
                axes.set_title(f"category {k}, used {shares[k]:.1%}")
            return figure

        yield of_cell(
            system,
            "category-histograms",
            "Samples by category",
            f"{system.shown}: {CATEGORY_SAMPLES:,} data from each of the categories (or components "
            "of the prior) that are used most, and the true density of all data (black line). "
            f"{CUT}",
            draw,
        )

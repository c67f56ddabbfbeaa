"""How categories are used: q(c) (Figures 9, A1, A7) and q(c | label) (10-12, A2, A3, A5, A6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.report.figures.colours import colour
from bench.report.figures.source import Drawing, Source, System, of_cell
from bench.report.figures.style import axes_grid, panels
from bench.report.stored import Categories

__all__ = ["bars", "by_label", "order_of"]

Array = NDArray[np.float64]
NAMED = 30  # ticks, at most, that are written at an axis


def bars(source: Source) -> Iterator[Drawing]:
    """The categories' probabilities of all systems, one figure a dataset and K."""
    for dataset in source.datasets:
        for size in source.sizes(dataset):
            found = []
            for system in source.on(dataset):
                shares = source.usage(system.cell)
                if system.components == size and shares is not None:
                    found.append((system, shares))
            if not found:
                continue

            def draw(found: list[tuple[System, Array]] = found) -> Any:
                figure, grid, places = panels(len(found), 3, height=1.7, sharey=True)
                for axes, (system, shares) in zip(places, found, strict=True):
                    axes.bar(np.arange(len(shares)), shares, color=colour(system.model), width=0.9)
                    axes.axhline(1 / len(shares), color="0.35", linewidth=0.8, linestyle="--")
                    axes.set_title(system.name)
                for axes in grid[:, 0]:
                    axes.set_ylabel("probability")
                for axes in places[-grid.shape[1] :]:
                    axes.set_xlabel("category")
                return figure

            yield Drawing(
                f"usage-{dataset}-{size}",
                "Categories in use: q(c)",
                f"How often each of the {size} categories is used on training data of {dataset}: "
                "the encoder's q(c), or the mean responsibility of each component of the prior "
                "where the encoder has no category. The dashed line is 1/K. First seed.",
                tuple(system.cell for system, _ in found),
                draw,
                dataset,
                tuple(system.model for system, _ in found),
                size,
            )


def order_of(shares: Array) -> NDArray[np.intp]:
    """Categories (columns of q(k | y)) by the label that uses them most, then by how much."""
    owner = shares.argmax(axis=0)
    return np.lexsort((-shares.max(axis=0), owner))


def by_label(source: Source) -> Iterator[Drawing]:
    """A heat map a trained model."""
    for system in source.systems:
        found = source.read(system.cell, Categories).label_categories
        if found is None or len(found.labels) < 2:
            continue
        names, shares = found.labels, np.asarray(found.shares, dtype=np.float64)

        def draw(names: list[str] = names, shares: Array = shares) -> Any:
            order = order_of(shares)
            figure, grid = axes_grid(1, 1, height=min(8.0, 1.2 + 0.2 * len(names)), width=7.0)
            axes = grid[0, 0]
            drawn = axes.imshow(
                shares[:, order], aspect="auto", interpolation="nearest",
                cmap="cividis", vmin=0.0, vmax=float(shares.max()),
            )  # fmt: skip
            axes.set_yticks(range(len(names)), names, fontsize=8 if len(names) <= NAMED else 5)
            if len(order) <= NAMED:
                axes.set_xticks(range(len(order)), [str(k) for k in order])
            else:
                axes.set_xticks([])
            axes.set_xlabel("category, sorted by the label that uses it most")
            figure.colorbar(drawn, ax=axes, label="q(c | label)")
            return figure

        yield of_cell(
            system,
            "label-usage",
            "Categories of each label: q(c | label)",
            f"{system.shown}: the share of every label's test data in each category.",
            draw,
        )

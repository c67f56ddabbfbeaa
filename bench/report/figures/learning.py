"""Learning curves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.report.figures.colours import colour, dash, marker
from bench.report.figures.source import Drawing, Source, System
from bench.report.figures.style import axes_grid

__all__ = ["curves"]

WORST = 0.9  # quantile of the drawn bounds above which an axis ends: the first epochs are far off


def curves(source: Source) -> Iterator[Drawing]:
    """The validation bound by epoch, one figure a dataset with a panel for each K."""
    for dataset in source.datasets:
        found = []
        for system in source.on(dataset):
            histories = [h for cell in system.cells if (h := source.history(cell))]
            if histories:
                found.append((system, histories))
        if not found:
            continue

        def draw(found: list[tuple[System, list[dict[str, list[float]]]]] = found) -> Any:
            sizes = sorted({s.components for s, _ in found if s.components is not None}) or [0]
            figure, grid = axes_grid(1, len(sizes), height=3.6, sharey=True)
            costs = [-b for _, hs in found for h in hs for b in h["validation_bound"]]
            for axes, size in zip(grid[0], sizes, strict=True):
                order = 0
                for system, histories in found:
                    if system.components not in (None, size):
                        continue
                    order += 1
                    for place, history in enumerate(histories):
                        axes.plot(
                            history["epoch"],
                            [-bound for bound in history["validation_bound"]],
                            color=colour(system.model),
                            linestyle=dash(system.model),
                            linewidth=1.1,
                            marker=marker(system.model) if place == 0 else None,
                            markersize=4.5,
                            # Some points only, every system's at other epochs, so that lines
                            # which lie on each other can still be told apart.
                            markevery=(0.03 * (order % 5), 0.15),
                            label=system.name if place == 0 else None,
                        )
                axes.set_xlabel("epoch")
                axes.set_title(f"K = {size}" if size else "")
            low, high = min(costs), float(np.quantile(costs, WORST))
            if high > low:
                grid[0, 0].set_ylim(low - 0.05 * (high - low), high)
            grid[0, 0].set_ylabel("validation -ELBO in nats")
            grid[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
            return figure

        yield Drawing(
            f"learning-{dataset}",
            "Learning curves",
            f"The validation bound (at full KL weight, never the relaxed objective) by epoch on "
            f"{dataset}, one line a seed, with points on the first. The axis leaves out the worst "
            "tenth. Systems without components are in every panel.",
            tuple(cell for system, _ in found for cell in system.cells),
            draw,
            dataset,
            tuple(dict.fromkeys(system.model for system, _ in found)),
        )

"""Figure 5 for data of one number: marginal and uniform sampling, and reconstructions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.report.figures.colours import colour
from bench.report.figures.density import CUT, SAMPLES, generated, panel, range_of, truth_of
from bench.report.figures.samples import reconstruct
from bench.report.figures.source import Drawing, Source, System, noise, of_cell
from bench.report.figures.style import axes_grid
from bench.sampling import draw_pictures

__all__ = ["two_ways", "ways_of"]

Array = NDArray[np.float64]


def ways_of(source: Source, system: System, x: NDArray[Any]) -> dict[str, Array]:
    """What a system generates in each way, and what it makes of data (N, 1), shape (n,) each."""
    model = source.model(system.cell)
    ways = {"samples": generated(source, system)}
    if model.spec.categories is not None:
        stream = noise(f"two ways {system.cell}")
        uniform = draw_pictures(model, model.joint_prior(), SAMPLES, stream)
        ways = {"c ~ q(c)": ways["samples"], "c ~ p(c)": uniform[:, 0].astype(np.float64)}
    return {**ways, "reconstructions": reconstruct(model, x)[:, 0].astype(np.float64)}


def two_ways(source: Source) -> Iterator[Drawing]:
    """c ~ q(c) against c ~ p(c), and reconstructions, one figure a trained model."""
    for system in source.systems:
        truth, kept = truth_of(source, system), source.examples(system)
        if truth is None or kept is None or kept.x.shape[1:] != (1,):
            continue

        def draw(
            system: System = system,
            truth: tuple[Array, Array] = truth,
            x: NDArray[Any] = kept.x,
        ) -> Any:
            ways, limits = ways_of(source, system, x), range_of(truth)
            face, top = colour(system.model), 1.8 * float(truth[1].max())
            wide = 2.35 * (len(ways) + 1)
            figure, grid = axes_grid(1, len(ways) + 1, height=2.2, width=wide)
            *places, last = grid[0]
            for axes, (name, values) in zip(places, ways.items(), strict=True):
                panel(axes, values, limits, top, face)
                axes.plot(*truth, color="black", linewidth=1.0)
                axes.set_title(name)
            places[0].set_ylabel("density")
            last.plot(limits, limits, color="0.35", linewidth=0.8, linestyle="--")
            last.scatter(x[:, 0], ways["reconstructions"], s=6, color=face, linewidths=0)
            last.set_xlim(limits)
            last.set_xlabel("datum")
            last.set_ylabel("its reconstruction")
            return figure

        yield of_cell(
            system,
            "sampling",
            "Marginal and uniform sampling, reconstructions",
            f"{system.shown}: {SAMPLES:,} data with c drawn by q(c) of the training data and by "
            "the prior's p(c), where the model has a category; the reconstructions of "
            f"{len(kept.x):,} test data (the decoder's mean at the posterior's mean, in the "
            "likeliest category), and each against its datum. The black line is the true density. "
            f"{CUT}",
            draw,
        )

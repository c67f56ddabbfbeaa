"""The picture of a generated density beside the true one (Figure 3, without histograms)."""

from __future__ import annotations

import io
from collections.abc import Mapping

from bench.evaluation.density_scores import Array, Truth

__all__ = ["density_picture"]

# Okabe and Ito's palette, told apart by dashes as well.
STYLES = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", ":"))
VISIBLE = 1e-3  # of the highest point: where every curve is lower, the axis ends


def density_picture(truth: Truth, curves: Mapping[str, Array]) -> bytes:
    """A PNG of the true density, filled, and the ``curves`` by their names in the legend.

    Args:
        truth: the known density.
        curves: densities on its grid, shape (G,) each, at most three.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    grid = truth.grid
    figure = Figure(figsize=(6.0, 3.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.fill_between(grid, truth.density, color="0.85", linewidth=0, label="true density")
    for (name, density), (colour, dashes) in zip(curves.items(), STYLES, strict=False):
        axes.plot(grid, density, color=colour, linestyle=dashes, linewidth=1.6, label=name)
    highest = truth.density.max()
    seen = truth.density > VISIBLE * highest
    for density in curves.values():
        seen |= density > VISIBLE * highest
    axes.set_xlim(grid[seen][0], grid[seen][-1])
    # A spike of the model's must not flatten the truth.
    top = max(highest, *(curve.max() for curve in curves.values()))
    axes.set_ylim(0.0, 1.05 * min(top, 2.0 * highest))
    axes.set_xlabel("x")
    axes.set_ylabel("density")
    axes.legend(frameon=False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()

"""A map of the latent space: where data lie, and where the prior expects them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.distributions import DiagNormal
from bench.evaluation.kept_examples import Kept
from bench.evaluation.responsibilities import posterior_means, prior_mixture
from bench.model import Model
from bench.report.figures.colours import MARKERS
from bench.report.figures.source import Drawing, Source, System, of_cell
from bench.report.figures.style import axes_grid
from bench.report.stored import Described

__all__ = ["LatentMap", "map_latents", "maps"]

Array = NDArray[np.float64]
MOST_LABELS = 10  # that are told apart
DEVIATIONS = 2.0  # of an ellipse
# Tol's "muted" and black; each label has a marker as well.
LABEL_COLOURS = (
    "#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255",
    "#AA4499", "#000000",
)  # fmt: skip


@dataclass(frozen=True)
class LatentMap:
    """The plane of the two principal components of N posterior means.

    Attributes:
        points: posterior means in the plane, shape (N, 2).
        explained: the share of their variance along each axis, shape (2,).
        centres: the means of the prior's J components in the plane, shape (J, 2).
        covariances: their covariances in the plane, shape (J, 2, 2).
        weights: of the components, shape (J,).
    """

    points: Array
    explained: Array
    centres: Array
    covariances: Array
    weights: Array


@torch.no_grad()
def map_latents(model: Model, x: NDArray[Any]) -> LatentMap | None:
    """The map of data (N, P); None where the first latent has one dimension.

    A prior that is neither a normal nor a mixture of normals has no components to draw.
    """
    if model.spec.latent_dim < 2:
        return None
    means = posterior_means(model, torch.from_numpy(x), layers=1).cpu().numpy()  # (N, D)
    middle = means.mean(axis=0)
    # By torch, which is told how many threads: numpy's library takes all, and waits for them.
    found = torch.linalg.svd(torch.from_numpy(means - middle), full_matrices=False)
    singular, axes = found.S.numpy(), found.Vh.numpy()
    plane = axes[:2]  # (2, D)
    largest = np.abs(plane).argmax(axis=1)
    plane = plane * np.sign(plane[[0, 1], largest])[:, None]  # svd leaves the signs open
    variance = singular**2
    loc, scale, weights = _components(model)
    return LatentMap(
        points=(means - middle) @ plane.T,
        explained=variance[:2] / max(float(variance.sum()), 1e-12),
        centres=(loc - middle) @ plane.T,
        covariances=np.einsum("ad,jd,bd->jab", plane, scale**2, plane),
        weights=weights,
    )


def _components(model: Model) -> tuple[Array, Array, Array]:
    """Means and deviations (J, D), weights (J,), of the prior's normals; J may be 0."""
    prior, name = model.joint_prior(), model.spec.latents[0]
    mixture = prior_mixture(prior, name)
    factor = prior.factors[name]
    if mixture is not None and isinstance(mixture.components, DiagNormal):
        parts, weights = mixture.components, mixture.log_weights.exp()
    elif isinstance(factor, DiagNormal):
        parts, weights = factor, torch.ones(1)
    else:
        return (
            np.empty((0, model.spec.latent_dim)),
            np.empty((0, model.spec.latent_dim)),
            np.empty(0),
        )
    size = (-1, model.spec.latent_dim)
    found = (parts.mean.reshape(size), parts.stddev.reshape(size), weights.reshape(-1))
    loc, scale, share = (part.double().cpu().numpy() for part in found)
    return loc, scale, share


def maps(source: Source) -> Iterator[Drawing]:
    """One map a trained model."""
    for system in source.systems:
        kept = source.examples(system)
        size = source.read(system.cell, Described).model.latent_dim
        if kept is None or size < 2:
            continue

        def draw(system: System = system, kept: Kept = kept) -> Any:
            found = map_latents(source.model(system.cell), kept.x)
            assert found is not None  # of two dimensions and more
            return _draw(found, kept)

        yield of_cell(
            system,
            "map",
            "Map of the latent space",
            f"{system.shown}: posterior means of {len(kept.x):,} test data in the plane of their "
            f"two principal components (PCA), and the prior's components as {DEVIATIONS:g} "
            "standard deviations of their projections; the larger its weight, the darker the line. "
            "Of two layers this is the upper one.",
            draw,
        )


def _draw(found: LatentMap, kept: Kept) -> Any:
    from matplotlib.patches import Ellipse

    figure, grid = axes_grid(1, 1, height=4.6, width=6.4)
    axes = grid[0, 0]
    named = len(kept.names) <= MOST_LABELS
    if named:
        for label, name in enumerate(kept.names):
            chosen = found.points[kept.labels == label]
            axes.scatter(
                *chosen.T, s=14, color=LABEL_COLOURS[label], marker=MARKERS[label], linewidths=0,
                label=name,
            )  # fmt: skip
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=2.0)
    else:
        axes.scatter(*found.points.T, s=10, color="#4477AA", linewidths=0)
    dark = found.weights / max(found.weights.max(initial=0.0), 1e-12)
    for centre, covariance, share in zip(found.centres, found.covariances, dark, strict=True):
        variances, directions = np.linalg.eigh(covariance)
        width, height = 2.0 * DEVIATIONS * np.sqrt(variances.clip(min=0.0))
        angle = np.degrees(np.arctan2(directions[1, 0], directions[0, 0]))
        few = 0.8 if len(dark) <= 12 else 0.45 if len(dark) <= 50 else 0.2
        axes.add_patch(
            Ellipse(
                centre, width, height, angle=angle, fill=False, edgecolor="black",
                linewidth=0.9, zorder=0, alpha=few * max(0.15, float(share)),
            )
        )  # fmt: skip
    axes.autoscale_view()
    axes.set_aspect("equal", adjustable="datalim")
    for which, share in enumerate(found.explained):
        text = f"principal component {which + 1} ({share:.0%} of the variance)"
        (axes.set_ylabel if which else axes.set_xlabel)(text)
    return figure

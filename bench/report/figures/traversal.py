"""Walks through the latent space, inside of one category."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.evaluation.component_sampling import component_count, given_component
from bench.model import Model
from bench.report.figures.samples import shape_of
from bench.report.figures.source import Drawing, Source, System, noise, of_cell
from bench.report.figures.style import axes_grid, montage, show_montage
from bench.sampling import component_moments, decode_at

__all__ = ["walk", "within_category"]

STEPS = 9
REACH = 2.0  # standard deviations to either side
DIMENSIONS = 4
CATEGORIES = 3


def walk(
    model: Model, component: int | None, stream: torch.Generator
) -> tuple[list[int], NDArray[np.float32]]:
    """From -2 to +2 standard deviations along the latent dimensions that change pictures most.

    Args:
        model: the model.
        component: the category or component inside of which one walks; None: the whole prior.
        stream: noise, see ``component_moments``.

    Returns:
        The dimensions, and the pictures along each, shape (dimensions, steps, P). All other
        dimensions stay at the mean.
    """
    prior = model.joint_prior()
    given = prior if component is None else given_component(model, prior, component)
    category = component if model.spec.categories is not None else None
    mean, deviation = component_moments(model, given, category, stream)
    reach = REACH * torch.diag(deviation)  # (D, D)
    ends = [decode_at(model, mean + sign * reach, category, prior) for sign in (-1.0, 1.0)]
    change = ((ends[1] - ends[0]) ** 2).sum(axis=1)
    chosen = [int(d) for d in np.argsort(-change, kind="stable")[:DIMENSIONS]]
    steps = torch.linspace(-1.0, 1.0, STEPS).to(mean)[:, None]
    rows = [decode_at(model, mean + steps * reach[d], category, prior) for d in chosen]
    return chosen, np.stack(rows)


def within_category(source: Source) -> Iterator[Drawing]:
    """Walks in the most used categories, one figure a trained model."""
    for system in source.systems:
        shape = shape_of(source, system)
        if shape is None:
            continue

        def draw(system: System = system, shape: tuple[int, int] = shape) -> Any:
            model, shares = source.model(system.cell), source.usage(system.cell)
            chosen: list[int | None] = [None]
            if shares is not None and component_count(model, model.joint_prior()):
                chosen = [int(k) for k in np.argsort(-shares, kind="stable")[:CATEGORIES]]
            stream = noise(f"walk {system.cell}")
            figure, grid = axes_grid(1, len(chosen), height=1.7, width=3.2 * len(chosen))
            for axes, k in zip(grid[0], chosen, strict=True):
                dimensions, pictures = walk(model, k, stream)
                flat = pictures.reshape(-1, pictures.shape[-1])
                show_montage(axes, montage(flat, shape, STEPS))
                axes.set_title("the whole prior" if k is None else f"category {k}")
                axes.set_yticks(
                    [(row + 0.5) * (shape[0] + 1) for row in range(len(dimensions))],
                    [f"z[{d}]" for d in dimensions],
                )
                axes.tick_params(length=0)
            return figure

        yield of_cell(
            system,
            "traversal",
            "Latent traversals",
            f"{system.shown}: from {REACH:g} standard deviations below the mean of the prior given "
            "a category (or of one component, or of the whole prior where there are none) to as "
            "many above, along the latent dimensions that change the picture most.",
            draw,
        )

"""The components of a prior as pictures: pseudo-inputs, and what a component's mean decodes to."""

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

__all__ = ["mean_pictures", "means", "pseudo_inputs"]

Pictures = NDArray[np.float32]
MOST = 50  # components that are shown
COLUMNS = 10


def pseudo_inputs(model: Model) -> Pictures | None:
    """The pseudo-inputs as the posterior sees them, shape (J, P); None where the prior has none.

    They are the parameter or buffer of that name, as in the VampPrior's papers.
    """
    found = getattr(model.prior, "pseudo_inputs", None)
    if not isinstance(found, torch.Tensor) or found.shape[1:] != (model.spec.event_size,):
        return None
    inputs = found.detach()
    if model.spec.bounds is not None:
        inputs = inputs.clamp(*model.spec.bounds)
    pictures: Pictures = inputs.float().cpu().numpy()
    return pictures


def mean_pictures(model: Model, chosen: list[int], noise: torch.Generator) -> Pictures:
    """What the decoder makes of each component's mean, shape (len(chosen), P)."""
    prior = model.joint_prior()
    category = model.spec.categories is not None
    parts = []
    for k in chosen:
        mean, _ = component_moments(
            model, given_component(model, prior, k), k if category else None, noise
        )
        parts.append(decode_at(model, mean[None], k if category else None, prior))
    return np.concatenate(parts)


def means(source: Source) -> Iterator[Drawing]:
    """Pseudo-inputs where there are any, and decoded means, one figure a trained model."""
    for system in source.systems:
        shape = shape_of(source, system)
        if shape is None or system.components is None:
            continue

        def draw(system: System = system, shape: tuple[int, int] = shape) -> Any:
            model = source.model(system.cell)
            count = component_count(model, model.joint_prior()) or 0
            shares = source.usage(system.cell)
            order = np.arange(count) if shares is None else np.argsort(-shares, kind="stable")
            chosen = [int(k) for k in order[:MOST]]
            panels = {"decoded means": mean_pictures(model, chosen, noise(f"means {system.cell}"))}
            inputs = pseudo_inputs(model)
            if inputs is not None:
                same = len(inputs) == count
                panels["pseudo-inputs"] = inputs[chosen if same else slice(MOST)]
            rows = max(-(-len(found) // COLUMNS) for found in panels.values())
            figure, grid = axes_grid(
                1, len(panels), height=0.45 + 0.4 * rows, width=4.2 * len(panels)
            )
            for axes, (name, pictures) in zip(grid[0], panels.items(), strict=True):
                show_montage(axes, montage(pictures, shape, COLUMNS))
                axes.set_title(name)
            return figure

        yield of_cell(
            system,
            "components",
            "Components of the prior",
            f"{system.shown}: what the decoder makes of the mean of each category or component, "
            f"the most used first, {MOST} at most; and the pseudo-inputs behind them, where the "
            "prior has any. Where z does not depend on the category, only c differs.",
            draw,
        )

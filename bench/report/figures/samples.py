"""Pictures that models generate (Figures 5 to 8, 13 to 16 and A4, A8 to A10)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.evaluation.classifier import image_shape
from bench.evaluation.component_sampling import given_component
from bench.joint import Draw
from bench.model import Model, category_of
from bench.report.figures.source import Drawing, Source, System, noise, of_cell
from bench.report.figures.style import axes_grid, blocks, montage, show_montage, titled_blocks
from bench.report.stored import Described, Generation
from bench.sampling import draw_pictures, with_categories

__all__ = ["all_systems", "by_category", "by_label", "reconstruct", "shape_of", "two_ways"]

Pictures = NDArray[np.float32]
SIDE = 6  # pictures a side
CATEGORIES = 20  # that are shown, as in the paper
OF_EACH = 9


def shape_of(source: Source, system: System) -> tuple[int, int] | None:
    """Height and width of a system's data; None where they are no pictures in grey."""
    recipe = source.read(system.cell, Described).recipe
    return None if recipe is None else image_shape(tuple(recipe.event_shape))


def marginal(source: Source, system: System, count: int, stream: str = "marginal") -> Pictures:
    """What a system generates, with c ~ q(c) where it has a category, shape (count, P)."""
    key = stream, system.cell, count
    if key not in source.drawn:
        source.drawn[key] = _marginal(source, system, count, stream)
    return source.drawn[key]


def _marginal(source: Source, system: System, count: int, stream: str) -> Pictures:
    model = source.model(system.cell)
    prior, shares = model.joint_prior(), source.usage(system.cell)
    if model.spec.categories is not None and shares is not None:
        prior = with_categories(prior, shares)
    return draw_pictures(model, prior, count, noise(f"{stream} {system.cell}"))


@torch.no_grad()
def reconstruct(model: Model, x: NDArray[Any]) -> Pictures:
    """The decoder's mean at the posterior's means, given each datum's likeliest category."""
    like = next(model.parameters())
    data = torch.from_numpy(x).to(like)
    q, values = model.posterior(data), Draw()
    if model.spec.categories is not None:
        probs = category_of(q).probs
        values["c"] = torch.eye(probs.shape[-1]).to(probs)[probs.argmax(-1)]
    for name in model.spec.latents:
        values[name] = q.given(name, values).mean
    found: Pictures = model.decode(values).mean.float().cpu().numpy()
    return found


def all_systems(source: Source) -> Iterator[Drawing]:
    """Every system by K, one figure a dataset."""
    for dataset in source.datasets:
        found = [(s, shape) for s in source.on(dataset) if (shape := shape_of(source, s))]
        if not found:
            continue

        def draw(found: list[tuple[System, tuple[int, int]]] = found) -> Any:
            names = list(dict.fromkeys(s.name for s, _ in found))
            sizes = sorted({s.components for s, _ in found if s.components is not None}) or [0]
            rows, columns = len(sizes), len(names)
            figure, grid = axes_grid(rows, columns, height=0.35 + 1.15 * rows, width=1.1 * columns)
            for axes in grid.flat:
                axes.set_axis_off()
            for system, shape in found:
                row = sizes.index(system.components) if system.components in sizes else 0
                axes = grid[row, names.index(system.name)]
                axes.set_axis_on()
                show_montage(axes, montage(marginal(source, system, SIDE**2), shape, SIDE))
                size = "" if system.components is None else f"\nK={system.components}"
                axes.set_title(f"{system.name}{size}", fontsize=8)
            return figure

        yield Drawing(
            f"samples-{dataset}",
            "Samples of all systems",
            f"What each system generates on {dataset}, with c drawn by q(c) where there is a "
            "category. First seed, no choice among the samples.",
            tuple(system.cell for system, _ in found),
            draw,
            dataset,
            tuple(dict.fromkeys(system.model for system, _ in found)),
        )


def chosen_categories(shares: NDArray[np.float64]) -> list[int]:
    """The most used categories, those above 1/K (the paper's choice), at least one."""
    order = np.argsort(-shares, kind="stable")[:CATEGORIES]
    return [int(k) for k in order if shares[k] > 1 / len(shares)] or [int(order[0])]


def by_category(source: Source) -> Iterator[Drawing]:
    """What each category generates, one figure a trained model."""
    for system in source.systems:
        shape, shares = shape_of(source, system), source.usage(system.cell)
        if shape is None or shares is None:
            continue
        chosen = chosen_categories(shares)

        def draw(
            system: System = system,
            shape: tuple[int, int] = shape,
            chosen: list[int] = chosen,
            shares: NDArray[np.float64] = shares,
        ) -> Any:
            model = source.model(system.cell)
            prior, stream = model.joint_prior(), noise(f"categories {system.cell}")
            found = {}
            for k in chosen:
                pictures = draw_pictures(model, given_component(model, prior, k), OF_EACH, stream)
                found[f"{k}: {shares[k]:.1%}"] = montage(pictures, shape, 3)
            return titled_blocks(found, 5, width=1.35)

        yield of_cell(
            system,
            "category-samples",
            "Samples by category",
            f"{system.shown}: {OF_EACH} samples from each category (or component of the prior) "
            f"that is used more than 1/K, the {CATEGORIES} most used at most; above each its "
            "number and use.",
            draw,
        )


def two_ways(source: Source) -> Iterator[Drawing]:
    """c ~ q(c) against c ~ p(c), and reconstructions, one figure a trained model."""
    for system in source.systems:
        shape, kept = shape_of(source, system), source.examples(system)
        if shape is None or kept is None:
            continue

        def draw(system: System = system, shape: tuple[int, int] = shape, x: Any = kept.x) -> Any:
            model = source.model(system.cell)
            stream = noise(f"two ways {system.cell}")
            ways = {"samples": marginal(source, system, SIDE**2)}
            if model.spec.categories is not None:
                ways = {
                    "c ~ q(c)": ways["samples"],
                    "c ~ p(c)": draw_pictures(model, model.joint_prior(), SIDE**2, stream),
                }
            few = x[: SIDE * SIDE // 2]
            pairs = np.stack([few, reconstruct(model, few)], axis=1).reshape(-1, few.shape[1])
            ways["data and reconstruction"] = pairs
            figure, grid = axes_grid(1, len(ways), height=2.6, width=2.35 * len(ways))
            for axes, (name, pictures) in zip(grid[0], ways.items(), strict=True):
                show_montage(axes, montage(pictures, shape, SIDE))
                axes.set_title(name)
            return figure

        yield of_cell(
            system,
            "sampling",
            "Marginal and uniform sampling, reconstructions",
            f"{system.shown}: samples with c drawn by q(c) of the training data and by the prior's "
            "p(c), where the model has a category; test data, each beside its reconstruction.",
            draw,
        )


def by_label(source: Source) -> Iterator[Drawing]:
    """Samples for a label through the categories that hold it, one figure a trained model."""
    for system in source.systems:
        shape = shape_of(source, system)
        pictures = source.read(system.cell, Generation).pictures
        labels = {} if pictures is None else pictures.labels
        if shape is None or not labels:
            continue

        def draw(
            system: System = system,
            shape: tuple[int, int] = shape,
            labels: dict[str, list[int]] = labels,
        ) -> Any:
            model = source.model(system.cell)
            prior, stream = model.joint_prior(), noise(f"labels {system.cell}")
            rows = [
                [
                    montage(
                        draw_pictures(model, given_component(model, prior, k), 5, stream), shape, 5
                    )
                    for k in found
                ]
                for found in labels.values()
            ]
            whole = blocks(rows)
            width = 1.2 * max(len(row) for row in rows)
            figure, grid = axes_grid(
                1, 1, height=0.2 + width * whole.shape[0] / whole.shape[1], width=width + 1.2
            )
            axes = grid[0, 0]
            show_montage(axes, whole)
            step = whole.shape[0] / len(rows)
            axes.set_yticks([(row + 0.5) * step for row in range(len(rows))], list(labels))
            axes.tick_params(length=0)
            return figure

        yield of_cell(
            system,
            "label-samples",
            "Samples by label",
            f"{system.shown}: each row is a label, each block a category that holds at least 5% of "
            "it on training data, the largest first. Labels were read after training.",
            draw,
        )

"""`bench sample`: pictures of what one trained model generates, on demand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from bench.errors import UsageError, unknown
from bench.evaluation.classifier import image_shape
from bench.evaluation.component_sampling import component_count, given_component
from bench.evaluation.pictures import grid_png
from bench.evaluation.responsibilities import posterior_means
from bench.files import atomic_write
from bench.model import category_of
from bench.report.figures.source import Source
from bench.report.stored import Categories
from bench.sampling import decode_at, draw_pictures, with_categories

if TYPE_CHECKING:
    from bench.model import Model
    from bench.store import Row, Store

__all__ = ["Wanted", "generate", "sample_pictures", "the_cell"]

Pictures = NDArray[np.float32]
NUMBER = 36
OF_EACH = 10
MOST_ROWS = 20
STEPS = 10
SEEDS = 2**63  # above it torch takes no seed, and below zero numpy none


@dataclass(frozen=True)
class Wanted:
    """Which pictures: of one category, of a label, of a component, or all together.

    Attributes:
        category: k of the model's own categories, from 0.
        label: a label's name, generated through the categories that hold it.
        component: a component of the prior, or a category, from 0.
        grid: a row for each of the most used categories or components.
        interpolate: walks between test data, in the latent space.
        number: pictures; None: as many as look well.
        seed: of the draws.
    """

    category: int | None = None
    label: str | None = None
    component: int | None = None
    grid: bool = False
    interpolate: bool = False
    number: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        given = {
            "--category": self.category is not None,
            "--label": self.label is not None,
            "--component": self.component is not None,
            "--grid": self.grid,
            "--interpolate": self.interpolate,
        }
        chosen = [option for option, is_given in given.items() if is_given]
        if len(chosen) > 1:
            raise UsageError(
                f"expected one of {', '.join(given)} at most, found {' and '.join(chosen)}"
            )
        if self.number is not None and self.number < 1:
            raise UsageError(f"--number: expected 1 or more, found {self.number}")
        if not 0 <= self.seed < SEEDS:
            raise UsageError(f"--seed: expected a number from 0 to 2^63 - 1, found {self.seed}")


def the_cell(rows: list[Row], name: str) -> Row:
    """The one finished cell that a name means: an id, the beginning of one, or a model's name.

    Raises:
        UsageError: none, or several.
    """
    from bench.report.selection import Filter, select

    found = select(rows, name, Filter()).rows
    if len(found) > 1:
        listed = "; ".join(
            f"{row['cell']} ({row['dataset']}"
            + (f" K={row['components']}" if row.get("components") else "")
            + f" seed {row['seed']})"
            for row in found[:8]
        )
        more = f"; and {len(found) - 8} more" if len(found) > 8 else ""
        raise UsageError(
            f"{name} means {len(found)} finished cells, expected one: {listed}{more}. "
            "Name one by its id."
        )
    return found[0]


def sample_pictures(store: Store, row: Row, wanted: Wanted, to: Path) -> Path:
    """Write the wanted pictures of a cell as a PNG file.

    Raises:
        UsageError: the model has no such category, label or component, its data are no pictures,
            or the file cannot be written.
        BenchError: the model cannot be loaded.
    """
    source = Source(store, [row])
    model = source.model(str(row["cell"]))
    if image_shape(model.spec.event_shape) is None:
        raise UsageError(
            f"{_named(row)} generates data of shape {model.spec.event_shape}, which are no "
            "pictures in grey. `bench report` draws what it generates as histograms."
        )
    pictures = _pictures(source, model, row, wanted)
    content = grid_png(pictures, model.spec.event_shape)
    assert content is not None  # they are pictures
    try:
        with atomic_write(to) as stream:
            stream.write(content)
    except OSError as error:
        raise UsageError(f"--to {to} cannot be written: {error.strerror or error}") from error
    return to


def _pictures(source: Source, model: Model, row: Row, wanted: Wanted) -> Pictures:
    """Rows of pictures, shape (rows, columns, P)."""
    prior, cell = model.joint_prior(), str(row["cell"])
    stream = torch.Generator().manual_seed(wanted.seed)
    shares = source.usage(cell)
    if wanted.interpolate:
        return _walks(source, model, row, wanted)
    if wanted.grid:
        count = component_count(model, prior)
        if count is None:
            raise UsageError(f"{_named(row)} has no categories or components for --grid")
        order = np.arange(count) if shares is None else np.argsort(-shares, kind="stable")
        return np.stack(
            [
                draw_pictures(
                    model, given_component(model, prior, int(k)), wanted.number or OF_EACH, stream
                )
                for k in order[:MOST_ROWS]
            ]
        )
    return _rows(generate(source, model, row, wanted))


def generate(source: Source, model: Model, row: Row, wanted: Wanted) -> Pictures:
    """Data of all kinds, or of one category, component or label, shape (number, P).

    Raises:
        UsageError: there is no such category, component or label.
    """
    prior, number = model.joint_prior(), wanted.number or NUMBER
    stream = torch.Generator().manual_seed(wanted.seed)
    shares = source.usage(str(row["cell"]))
    if wanted.label is not None:
        given = _of_label(source, row, wanted.label)
        picked = np.random.default_rng(wanted.seed).choice(len(given), number, p=given)
        parts = [
            draw_pictures(model, given_component(model, prior, int(k)), 1, stream) for k in picked
        ]
        return np.concatenate(parts)
    which = wanted.category if wanted.category is not None else wanted.component
    if which is not None:
        prior = given_component(model, prior, _checked(model, row, wanted))
    elif model.spec.categories is not None and shares is not None:
        prior = with_categories(prior, shares)
    return draw_pictures(model, prior, number, stream)


def _checked(model: Model, row: Row, wanted: Wanted) -> int:
    """The category or component that was asked for."""
    own = model.spec.categories
    if wanted.category is not None and own is None:
        raise UsageError(
            f"{_named(row)} has no categories for --category {wanted.category}"
            + ("; its prior has components: use --component" if row.get("components") else "")
        )
    option = "--component" if wanted.category is None else "--category"
    index = wanted.component if wanted.category is None else wanted.category
    count = component_count(model, model.joint_prior())
    assert index is not None  # or there were nothing to check
    if count is None or not 0 <= index < count:
        has = f"0 to {count - 1}" if count else "none: its prior has no components"
        raise UsageError(f"{option}: {_named(row)} has {has}; found {index}")
    return index


def _of_label(source: Source, row: Row, label: str) -> NDArray[np.float64]:
    """q(c | label), as the evaluation stored it, shape (K,)."""
    found = source.read(str(row["cell"]), Categories).label_categories
    if found is None or not found.labels:
        raise UsageError(f"{_named(row)} has no categories through which a label is generated")
    if label not in found.labels:
        raise unknown("label", label, found.labels)
    shares = np.asarray(found.shares[found.labels.index(label)], dtype=np.float64)
    whole: NDArray[np.float64] = shares / shares.sum()
    return whole


@torch.no_grad()
def _walks(source: Source, model: Model, row: Row, wanted: Wanted) -> Pictures:
    """Test data in pairs, and what lies between their latents, shape (number, steps, P)."""
    kept, number = source.examples(source.systems[0]), wanted.number or OF_EACH
    if kept is None:
        raise UsageError(
            f"the store keeps no test data of {row['dataset']} for --interpolate: its cells were "
            "evaluated by an earlier version; evaluate one again with `bench run`"
        )
    chosen = np.random.default_rng(wanted.seed).choice(
        len(kept.x), 2 * number, replace=2 * number > len(kept.x)
    )
    data = torch.from_numpy(kept.x[chosen]).to(next(model.parameters()))
    means = posterior_means(model, data, layers=1).to(data)
    prior, q = model.joint_prior(), model.posterior(data)
    at = torch.linspace(0.0, 1.0, STEPS)[:, None]
    rows = []
    for one, other in zip(range(number), range(number, 2 * number), strict=True):
        points = (1.0 - at) * means[one] + at * means[other]
        if model.spec.categories is None:
            rows.append(decode_at(model, points, None, prior))
            continue
        # A category is not between two others: it changes over in the middle.
        ends = (int(category_of(q).probs[end].argmax()) for end in (one, other))
        halves = zip(points.split(STEPS // 2), ends, strict=True)
        rows.append(np.concatenate([decode_at(model, half, k, prior) for half, k in halves]))
    return np.stack(rows)


def _rows(pictures: Pictures) -> Pictures:
    """Pictures (n, P) in nearly a square; a last row that is not full is filled with black."""
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    whole = np.zeros((rows * columns, pictures.shape[1]), dtype=np.float32)
    whole[: len(pictures)] = pictures
    return whole.reshape(rows, columns, -1)


def _named(row: Row) -> str:
    model = row.get("model") or f"{row['prior']} x {row['posterior']}"
    return f"{model} ({row['cell']})"

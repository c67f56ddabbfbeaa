"""Results and trained cells as Python: ``bench.results`` and ``bench.load``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from bench.errors import UsageError
from bench.evaluation.kept_examples import Kept
from bench.evaluation.responsibilities import category_probabilities, posterior_means
from bench.loading import load_model
from bench.pictures import Wanted, generate, the_cell
from bench.report.figures.source import Source
from bench.sampling import decode_at
from bench.store import COLUMNS, Row, Store

if TYPE_CHECKING:
    from bench.model import Model

__all__ = ["Encoded", "TrainedCell", "load", "results", "rows_of"]

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Encoded:
    """What the posterior says of N data.

    Attributes:
        z: its mean, averaged over the category, shape (N, D); of two layers the upper one's.
        c: q(c | x), shape (N, K); None where the model has no category.
    """

    z: NDArray[np.float64]
    c: NDArray[np.float64] | None


class TrainedCell:
    """A trained model with what was measured on it; :func:`load` makes it.

    Attributes:
        id: of the cell.
        config: its settings, as in config.json.
        metrics: the columns of its row, by name; those that do not apply are None.
        model: the torch module itself.
    """

    def __init__(self, store: Store, row: Row, plugins: Sequence[Path] = ()) -> None:
        self.id = str(row["cell"])
        folder = store.folder(self.id)
        self.model: Model = load_model(folder, plugins=plugins)
        self.config: Mapping[str, Any] = json.loads((folder / "config.json").read_text())
        self.metrics: Mapping[str, Any] = {name: row.get(name) for name in COLUMNS}
        self._source, self._row = Source(store, [row]), row

    def __repr__(self) -> str:
        name = self._row.get("model") or f"{self._row['prior']} x {self._row['posterior']}"
        size = f" K={self._row['components']}" if self._row.get("components") else ""
        return f"<{name}{size} on {self._row['dataset']}, seed {self._row['seed']}, cell {self.id}>"

    @property
    def examples(self) -> Kept | None:
        """Some test data of its dataset, ``x`` and ``labels``, kept in the store."""
        return self._source.examples(self._source.systems[0])

    def encode(self, x: ArrayLike) -> Encoded:
        """The posterior of data.

        Args:
            x: shape (N, P) or (N, *event_shape), on the scale that the model was trained on:
                binary pixels where its likelihood is Bernoulli.

        Raises:
            ValueError: another shape.
        """
        data = np.asarray(x)
        size = self.model.spec.event_size
        if data.ndim < 2 or data[0].size != size:
            raise ValueError(
                f"expected rows of {size} numbers, or of shape {self.model.spec.event_shape}, "
                f"found an array of shape {data.shape}"
            )
        flat = torch.from_numpy(np.ascontiguousarray(data.reshape(len(data), size)))
        means = posterior_means(self.model, flat, layers=1).cpu().numpy()
        has = self.model.spec.categories is not None
        return Encoded(means, category_probabilities(self.model, flat) if has else None)

    def decode(self, z: ArrayLike, c: int | Sequence[int] | None = None) -> Array:
        """The mean of p(x | z, c), shape (N, *event_shape).

        Args:
            z: the latent (of two layers the upper one: the lower one is at its mean), shape (N, D).
            c: a category, from 0, for all rows or one for each; None: the likeliest under p(c).
                A model without a category takes none.

        Raises:
            ValueError: z has another shape, or there is no such category.
        """
        spec = self.model.spec
        points = torch.from_numpy(np.asarray(z, dtype=np.float32))
        if points.ndim != 2 or points.shape[1] != spec.latent_dim:
            raise ValueError(
                f"expected z of shape (N, {spec.latent_dim}), found {tuple(points.shape)}"
            )
        chosen = None if c is None else np.broadcast_to(np.asarray(c), len(points)).tolist()
        count = spec.categories or 0
        if chosen is not None and not all(0 <= k < count for k in chosen):
            has = f"categories 0 to {count - 1}" if count else "no category: leave c out"
            raise ValueError(f"the model has {has}; found c = {c}")
        return self._shaped(decode_at(self.model, points, chosen))

    def sample(
        self,
        n: int,
        category: int | None = None,
        label: str | None = None,
        component: int | None = None,
        seed: int = 0,
    ) -> Array:
        """What the model generates, shape (n, *event_shape): probabilities of binary pixels.

        Args:
            n: how many.
            category: of this category alone; else c is drawn by q(c) over the training data.
            label: through the categories that hold this label.
            component: of this component of the prior alone.
            seed: of the draws.

        Raises:
            UsageError: there is no such category, component or label, or several are asked for.
        """
        wanted = Wanted(category, label, component, number=n, seed=seed)
        return self._shaped(generate(self._source, self.model, self._row, wanted))

    def _shaped(self, rows: Array) -> Array:
        return rows.reshape(len(rows), *self.model.spec.event_shape)


def load(cell: str, out: str | Path = "runs", plugins: Sequence[str | Path] = ()) -> TrainedCell:
    """A trained cell of a store.

    Args:
        cell: its id, the beginning of it, or a model's name (``CP``, ``CP K=10``) that means one.
        out: the results folder.
        plugins: plugin files to use instead of those that the cell was trained with.

    Raises:
        UsageError: the name means no finished cell, or several.
        BenchError: the model cannot be loaded.
    """
    store = Store(Path(out), create=False)
    return TrainedCell(store, the_cell(rows_of(store), cell), [Path(plugin) for plugin in plugins])


def results(out: str | Path = "runs") -> pd.DataFrame:
    """All cells of a store, a row each, with the columns of results.csv.

    Raises:
        UsageError: there are none.
    """
    rows = rows_of(Store(Path(out), create=False))
    table = pd.DataFrame([{name: row.get(name) for name in COLUMNS} for row in rows])
    table = table.astype({"components": "Int64"})  # whole numbers, some of which are missing
    return table[list(COLUMNS)]


def rows_of(store: Store) -> list[Row]:
    """The rows of a store; that there are none is a mistake."""
    rows = store.rows()
    if not rows:
        raise UsageError(
            f"no results in {store.out}: expected cells that `bench run --out {store.out}` writes"
        )
    return rows

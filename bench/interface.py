"""The commands as Python: ``bench.run``, ``bench.results`` and ``bench.load``."""

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

from bench.errors import BenchError, UsageError
from bench.evaluation.kept_examples import Kept
from bench.evaluation.responsibilities import category_probabilities, posterior_means
from bench.loading import load_model
from bench.pictures import Wanted, generate, the_cell
from bench.report.figures.source import Source
from bench.sampling import decode_at
from bench.store import COLUMNS, Row, Store

if TYPE_CHECKING:
    from bench.model import Model

__all__ = ["Encoded", "TrainedCell", "load", "results", "run"]

Array = NDArray[np.float32]
Words = str | Sequence[str]


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
    return TrainedCell(store, the_cell(_rows(store), cell), [Path(plugin) for plugin in plugins])


def results(out: str | Path = "runs") -> pd.DataFrame:
    """All cells of a store, a row each, with the columns of results.csv.

    Raises:
        UsageError: there are none.
    """
    rows = _rows(Store(Path(out), create=False))
    table = pd.DataFrame([{name: row.get(name) for name in COLUMNS} for row in rows])
    table = table.astype({"components": "Int64"})  # whole numbers, some of which are missing
    return table[list(COLUMNS)]


def run(
    *,
    models: Words | None = None,
    priors: Words | None = None,
    posteriors: Words | None = None,
    datasets: Words | None = None,
    components: int | Sequence[int] | None = None,
    seeds: int | Sequence[int] | None = None,
    preset: str | None = None,
    epochs: int | None = None,
    trials: int | None = None,
    out: str | Path = "runs",
    data_dirs: Sequence[str | Path] = (),
    plugins: Sequence[str | Path] = (),
    settings: Mapping[str, Any] | None = None,
    workers: int = 0,
    fresh: bool = False,
) -> pd.DataFrame:
    """``bench run``: train and evaluate what is chosen and not there yet.

    Args:
        models, priors, posteriors, datasets, components, seeds, preset, epochs, trials, workers,
            fresh: as on the command line; None leaves a choice to the preset.
        out: the results folder.
        data_dirs: where data lie.
        plugins: plugin files.
        settings: any of bench.toml's, by their key: ``{"training.learning_rate": 1e-3}``.

    Returns:
        ``results(out)``.

    Raises:
        UsageError: bad usage, configuration or data, before anything trains.
        BenchError: the run was interrupted. Cells that failed are rows that say why.
    """
    from bench.preparation import Request
    from bench.runner import run as run_request
    from bench.terminal import open_console

    flags = {
        "run.models": _words(models),
        "run.priors": _words(priors),
        "run.posteriors": _words(posteriors),
        "run.datasets": _words(datasets),
        "run.components": _words(components),
        "run.seeds": _words(seeds),
        "run.out": str(out),
        "run.data_dirs": [str(folder) for folder in data_dirs] or None,
        "training.epochs": epochs,
        "tuning.trials": trials,
    }
    sets = tuple(f"{key}={_toml(value)}" for key, value in (settings or {}).items())
    files = tuple(Path(plugin) for plugin in plugins)
    request = Request(preset, None, files, sets, flags, workers, fresh)
    status = run_request(request, open_console())
    if status == 130:
        raise BenchError("interrupted: call it again to go on from here")
    return results(out)


def _words(given: Words | int | Sequence[int] | None) -> str | None:
    """Several values as the command line has them."""
    if given is None or isinstance(given, str):
        return given
    return str(given) if isinstance(given, int) else ",".join(str(value) for value in given)


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _rows(store: Store) -> list[Row]:
    rows = store.rows()
    if not rows:
        raise UsageError(
            f"no results in {store.out}: expected cells that `bench run --out {store.out}` writes"
        )
    return rows

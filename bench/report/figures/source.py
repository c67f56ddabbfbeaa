"""What figures are drawn from: the finished cells of a store, their files and their models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.evaluation.kept_examples import Kept, kept_examples
from bench.history import history_columns
from bench.registry import Registry
from bench.report.stored import Categories, Kind, read_stored
from bench.report.summary import Line, summarise
from bench.store import Row, Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    from bench.model import Model

__all__ = ["Drawing", "Source", "System", "noise", "of_cell"]

HISTORY = ("epoch", "validation_bound")  # the columns that are drawn


@dataclass(frozen=True)
class System:
    """One model on one dataset: its seeds, and the first of them to be looked at.

    Attributes:
        name: Table 3's name, or ``prior x posterior``; with the settings where they differ.
        model: the same without settings, for its colour.
        dataset, components: what it is.
        rows: of the finished seeds, at least one.
        line: their means and errors.
    """

    name: str
    model: str
    dataset: str
    components: int | None
    rows: tuple[Row, ...]
    line: Line

    @property
    def cell(self) -> str:
        """The cell that is shown where one must be: the first seed's."""
        return str(self.rows[0]["cell"])

    @property
    def cells(self) -> tuple[str, ...]:
        """All seeds' cells."""
        return tuple(str(row["cell"]) for row in self.rows)

    @property
    def label(self) -> str:
        """The name with K."""
        return self.name if self.components is None else f"{self.name} K={self.components}"

    @property
    def shown(self) -> str:
        """For captions: which trained model one sees."""
        return f"{self.label} on {self.dataset}, seed {self.rows[0]['seed']}"


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn.

    Attributes:
        key, title, caption, dataset, models, components, cell: as of ``Figure``.
        cells: all that it depends on; when their rows are as before, it is not drawn again.
        draw: makes it.
        tips: what is said of a part, by the part's gid, to those who ask it.
    """

    key: str
    title: str
    caption: str
    cells: tuple[str, ...]
    draw: Callable[[], Canvas]
    dataset: str | None = None
    models: tuple[str, ...] = ()
    components: int | None = None
    cell: str | None = None
    tips: Mapping[str, str] = field(default_factory=dict)


def of_cell(
    system: System, kind: str, title: str, caption: str, draw: Callable[[], Canvas]
) -> Drawing:
    """A figure of one trained model: the first seed's."""
    return Drawing(
        f"{kind}-{system.cell}",
        title,
        caption,
        (system.cell,),
        draw,
        system.dataset,
        (system.model,),
        system.components,
        system.cell,
    )


@dataclass
class Source:
    """The finished cells of a store, read once.

    Args:
        store: where they lie.
        rows: of the cells that figures are about.

    Attributes:
        systems: of the finished cells, in one order for every figure.
        drawn: what systems have generated: by stream of noise, cell and number.
        damaged: files that were found unreadable or of another structure, as ``cell/name``, each
            with the reason.
    """

    store: Store
    rows: Sequence[Row]
    systems: tuple[System, ...] = field(init=False)
    damaged: dict[str, str] = field(init=False, default_factory=dict)
    drawn: dict[tuple[str, str, int], NDArray[np.float32]] = field(init=False, default_factory=dict)
    _models: dict[str, Model] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        done = {str(row["cell"]): row for row in self.rows if row["status"] == "ok"}
        found = []
        for line in summarise(done.values()):
            rows = tuple(done[cell] for cell in line.cells)
            settings = "".join(f" ({m})" for m in line.marks if m.startswith("settings"))
            size = rows[0].get("components")
            found.append(System(line.model + settings, line.model, line.dataset, size, rows, line))
        # In one order in every figure, whatever their bounds.
        self.systems = tuple(
            sorted(found, key=lambda s: (s.dataset, s.components or 0, _order(s.model), s.name))
        )

    @property
    def datasets(self) -> tuple[str, ...]:
        """By name."""
        return tuple(dict.fromkeys(system.dataset for system in self.systems))

    def on(self, dataset: str) -> list[System]:
        """The systems on a dataset."""
        return [system for system in self.systems if system.dataset == dataset]

    def sizes(self, dataset: str) -> list[int]:
        """Every K on a dataset."""
        return sorted({s.components for s in self.on(dataset) if s.components is not None})

    def read(self, cell: str, kind: type[Kind]) -> Kind:
        """A JSON file of a cell; one with nothing in it where there is none, or a damaged one."""
        path = self.store.folder(cell) / kind.file
        try:
            return read_stored(kind, path.read_bytes())
        except OSError:
            return kind()
        except ValueError as error:
            self._is_damaged(path, str(error))
            return kind()

    def history(self, cell: str) -> dict[str, list[float]]:
        """The columns of a cell's history.csv; empty where there is none, or a damaged one."""
        path = self.store.folder(cell) / "history.csv"
        try:
            return history_columns(path, HISTORY)
        except OSError:
            return {}
        except ValueError as error:
            self._is_damaged(path, str(error))
            return {}

    def _is_damaged(self, path: Path, why: str) -> None:
        self.damaged[f"{path.parent.name}/{path.name}"] = why

    @cached_property
    def _registry(self) -> Registry:
        """What is installed; to look for it takes as long as to load a model."""
        return Registry()

    def model(self, cell: str) -> Model:
        """The trained model of a cell.

        Raises:
            BenchError: it cannot be loaded.
        """
        from bench.loading import load_model

        if cell not in self._models:
            if len(self._models) > 8:  # figures ask for one cell several times in a row
                self._models.pop(next(iter(self._models)))
            self._models[cell] = load_model(self.store.folder(cell), registry=self._registry)
        return self._models[cell]

    def examples(self, system: System) -> Kept | None:
        """Some test data of a system's dataset; None where the store keeps none."""
        return kept_examples(self.store.out, str(system.rows[0]["dataset_fingerprint"]))

    def usage(self, cell: str) -> np.ndarray[Any, Any] | None:
        """q(c) over the training set, or the use of the prior's components, shape (K,)."""
        found = self.read(cell, Categories).train_category_probabilities
        return None if found is None else np.asarray(found, dtype=np.float64)


def noise(key: str) -> torch.Generator:
    """The noise of a figure: always the same."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")
    return torch.Generator().manual_seed(seed)


def _order(model: str) -> int:
    from bench.report.figures.colours import SYSTEMS

    return list(SYSTEMS).index(model) if model in SYSTEMS else len(SYSTEMS)

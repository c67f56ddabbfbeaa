"""Whether a figure is as it was drawn: a hash of all that it is made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bench import __version__
from bench.discovery import PluginInfo
from bench.report.figures.source import Drawing
from bench.report.search_lines import searched_rows
from bench.store import Row, Store

__all__ = ["Marks"]

READ = ("*.json", "history.csv", "model.pt", "plugins/*.py")
"""What figures read of a cell's folder. The pictures of its evaluation are not among it."""


class Marks:
    """The hashes of a report's figures; every file is read once.

    Args:
        store: the results.
        rows: of the cells that the figures are about.
    """

    def __init__(self, store: Store, rows: Sequence[Row]) -> None:
        self._store = store
        self._rows = {str(row["cell"]): row for row in (*searched_rows(store), *rows)}
        self._cells: dict[str, str] = {}
        self._files: dict[Path, str] = {}

    def of(self, drawing: Drawing) -> str:
        """The hash of a figure: its words, its cells' files, and the code that draws it."""
        words = (drawing.key, drawing.caption, *drawing.tips.values())
        parts = [_code(), *words, *map(self._cell, drawing.cells)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def _cell(self, cell: str) -> str:
        if cell not in self._cells:
            folder, row = self._store.folder(cell), self._rows[cell]
            paths = sorted(path for pattern in READ for path in folder.glob(pattern))
            kept = self._store.out / "examples" / f"{row['dataset_fingerprint']}.npz"
            sources = (_plugin(kind, str(row[kind])) for kind in ("prior", "posterior"))
            found = [(path.name, self._file(path)) for path in (*paths, kept)]
            self._cells[cell] = json.dumps([*sources, *found])
        return self._cells[cell]

    def _file(self, path: Path) -> str:
        if path not in self._files:
            self._files[path] = _digest(path)
        return self._files[path]


def _digest(path: Path | None) -> str:
    """Of a file; empty where it cannot be read."""
    try:
        return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


@cache
def _code() -> str:
    """Of all that may draw: what a figure shows comes through most modules of bench.

    Which module a figure needs could be told from the imports, but nearly all of them import the
    model, and a figure that is stale is worse than one that is drawn once too often.
    """
    import matplotlib
    import torch

    root = Path(__file__).parents[2]
    parts = [__version__, matplotlib.__version__, torch.__version__]
    parts += [_digest(path) for path in sorted(root.rglob("*.py"))]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


@cache
def _plugins() -> dict[tuple[str, str], PluginInfo]:
    from bench.registry import Registry

    registry = Registry()
    return {(kind, i.name): i for kind in ("prior", "posterior") for i in registry.infos(kind)}


@cache
def _plugin(kind: str, name: str) -> str:
    """Of an installed plugin's source; empty for one that only the cell's folder has."""
    info = _plugins().get((kind, name))
    return _digest(info.path) if info is not None else ""

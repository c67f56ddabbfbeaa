"""Writing ``best.toml`` from the searches of a store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.best import best_key, best_toml
from bench.config import Config
from bench.files import write_text
from bench.grid import Cell
from bench.store import Store

__all__ = ["BEST", "SEARCH", "budget_of", "budget_text", "write_best"]

BEST = "best.toml"
SEARCH = "tuning.json"
"""In a cell's folder: what its search has found, and what it cost."""


def budget_of(cell: Cell) -> str:
    """What every search on a dataset may spend, in a line."""
    return budget_text(cell.settings["tuning"], cell.settings["training"]["epochs"])


def budget_text(tuning: Mapping[str, Any], epochs: int) -> str:
    """The same from the settings of a search, and the epochs of a training."""
    text = f"{tuning['trials']} trials of at most {epochs} epochs"
    pruning = tuning["pruning"]
    if pruning and pruning["rungs"]:
        after = ", ".join(map(str, pruning["rungs"]))
        text += f"; one in {pruning['reduction']} goes on after epoch {after}"
    return text


def write_best(store: Store, config: Config, cells: Iterable[Cell]) -> Path | None:
    """Write best.toml into the store, for those of the cells that have been searched.

    Returns:
        Its path, or None where there is nothing to write.
    """
    found: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for cell in cells:
        try:
            search = json.loads((store.folder(cell.id) / SEARCH).read_text())
        except (OSError, json.JSONDecodeError):
            continue
        best = search["best"]
        size = None if "components" in best else cell.components
        comment = f"validation bound {search['validation_bound']:.4f} nats; {budget_of(cell)}"
        found[best_key(cell.dataset, cell.prior, cell.posterior, size)] = best, [comment]
    if not found:
        return None
    path = store.out / BEST
    with store.alone():  # another run sweeps what lies half written there
        write_text(path, best_toml(config, found, str(path)))
    return path

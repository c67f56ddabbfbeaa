"""What the searches of a store have found, and ``best.toml`` from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.best import best_key, best_toml
from bench.config import Config
from bench.files import read_json, write_json, write_text
from bench.grid import Cell
from bench.store import Store, names_of

__all__ = [
    "BEST",
    "SEARCH",
    "SEARCHED",
    "budget_of",
    "budget_text",
    "keep_searched",
    "read_search",
    "settings_text",
    "with_error",
    "write_best",
]

BEST = "best.toml"
SEARCH = "tuning.json"
"""In a cell's folder: what its search has found, and what it cost."""
SEARCHED = "searched.json"
"""In the folder of a cell that was searched for alone: which cell it is, and what was allowed."""


def budget_of(cell: Cell) -> str:
    """What every search on a dataset may spend, in a line."""
    return budget_text(cell.settings["tuning"], cell.settings["training"]["epochs"])


def budget_text(tuning: Mapping[str, Any], epochs: int) -> str:
    """The same from the settings of a search, and the epochs of a training."""
    text = f"{tuning['trials']} trials of at most {epochs} epochs"
    pruning = tuning["pruning"]
    if pruning and pruning["rungs"]:
        after = ", ".join(map(str, pruning["rungs"]))
        best = f"the best of all so far, one in {pruning['reduction']}"
        text += f"; after epoch {after}, {best}, go on"
    if finals := tuning.get("finals"):
        text += (
            f"; the best of those that ran to their end, at most {finals['settings']}, are trained "
            f"again, each on {finals['repeats']} further trial seeds"
        )
    return text


def write_best(store: Store, config: Config, cells: Iterable[Cell]) -> Path | None:
    """Write best.toml into the store, for those of the cells that have been searched.

    Returns:
        Its path, or None where there is nothing to write.
    """
    found: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for cell in cells:
        search = read_search(store, cell.id)
        if search is None:
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


def keep_searched(store: Store, cell: Cell) -> None:
    """Write which cell a search was for, where no row and no config.json will say it.

    The keys are those of a row and of config.json, so that a reader needs not know which it has.

    Args:
        store: where the cell's folder is.
        cell: what was searched for.
    """
    allowed = {
        "tuning": cell.settings["tuning"],
        "training": {"epochs": cell.settings["training"]["epochs"]},
    }
    write_json(store.folder(cell.id) / SEARCHED, {**names_of(cell), **allowed})


def read_search(store: Store, cell_id: str) -> dict[str, Any] | None:
    """What a cell's folder says of its search; None where it had none, or the file is damaged."""
    found = read_json(store.folder(cell_id) / SEARCH)
    sound = (
        isinstance(found, dict)
        and isinstance(found.get("best"), dict)
        and isinstance(found.get("validation_bound"), float)
        and isinstance(found.get("validation_bound_se"), float | None)
    )
    return found if sound else None


def settings_text(values: Mapping[str, Any]) -> str:
    """Settings in a line."""
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items())


def with_error(value: float, error: float | None) -> str:
    """A bound in nats, with its standard error where that is known."""
    return f"{value:.2f}" if error is None else f"{value:.2f} ± {error:.2f}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

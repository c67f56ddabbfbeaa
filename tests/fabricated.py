"""Stores made by hand: rows and per-example values that no model had to be trained for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.store import Store

Array = npt.NDArray[np.float64]
Row = dict[str, Any]

PAIRS = {
    "CP": ("conditional", "joint"),
    "VAE": ("standard", "continuous"),
    "VP": ("vamp", "continuous"),
    "MG": ("mog", "continuous"),
    "HVAE": ("hierarchical", "continuous"),
    "HVP": ("hierarchical_vamp", "continuous"),
    "INDqp": ("standard", "independent"),
    "INDp": ("standard", "joint"),
    "INDq": ("conditional", "independent"),
    "": ("mog", "joint"),
}


def row(seed: int = 0, model: str = "CP", **changes: Any) -> Row:
    """A finished cell's row."""
    prior, posterior = PAIRS.get(model, ("prior of " + model, "joint"))
    base: Row = {
        "cell": f"{model or 'unnamed'}{seed}".casefold(), "dataset": "digits", "prior": prior,
        "posterior": posterior, "model": model, "components": None if model == "VAE" else 10,
        "seed": seed, "status": "ok", "reason": "", "nelbo": 100.0 + seed, "nelbo_se": 0.7,
        "nll": 98.0, "nll_se": 0.6, "purity": 0.5, "purity_se": 0.01, "purity_chance": 0.1,
        "category_information": 1.0, "collapsed": False, "assignment": "posterior",
        "setting": "aaaaaa", "dataset_fingerprint": "0123",
    }  # fmt: skip
    return {**base, **changes}


def put(store: Store, cell: Row, **examples: Array) -> Row:
    """Write a cell; its nelbo is the mean of its examples' where those are given."""
    if "nelbo" in examples:
        cell = {**cell, "nelbo": float(np.mean(examples["nelbo"]))}
    folder = store.folder(cell["cell"])
    folder.mkdir(parents=True, exist_ok=True)
    if examples:
        single = {name: values.astype(np.float32) for name, values in examples.items()}
        np.savez_compressed(folder / "examples.npz", **single)
    (folder / "row.json").write_text(json.dumps(cell))
    return cell


def put_model(store: Store, costs: Array, model: str, **changes: Any) -> list[Row]:
    """One cell for every row of ``costs``, shape (S, N)."""
    tag = changes.pop("tag", "")
    return [
        put(
            store,
            row(seed, model, **{"cell": f"{model.casefold()}{tag}{seed}", **changes}),
            nelbo=values,
        )
        for seed, values in enumerate(costs)
    ]


def empty(folder: Path) -> Store:
    """A store without cells."""
    return Store(folder / "runs")

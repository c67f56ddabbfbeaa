"""What is said of a cell: flat parameters, and the dataset that it is trained and measured on."""

from __future__ import annotations

import math
from typing import Any

from bench.data.loading import LoadedData
from bench.grid import Cell
from bench.registry import Registry

SECTIONS = ("training", "model", "evaluation", "prior", "posterior", "dataset", "tuning")


def parameters(cell: Cell, registry: Registry) -> dict[str, Any]:
    """A cell's settings, flat, as MLflow's parameters: ``training.epochs``, ``prior.radius``.

    Options of plugins are there with the values that they have, whether or not they were set.
    """
    flat: dict[str, Any] = {
        "dataset": cell.dataset,
        "prior": cell.prior,
        "posterior": cell.posterior,
        "model": cell.model or f"{cell.prior} x {cell.posterior}",
        "components": cell.components,
        "seed": cell.seed,
        "device": cell.settings["device"],
    }
    for kind in ("prior", "posterior", "dataset"):
        defaults = registry.defaults(kind, getattr(cell, kind))
        flat.update({f"{kind}.{name}": value for name, value in defaults.items()})
    for section in SECTIONS:
        values = cell.settings.get(section) or {}
        flat.update({f"{section}.{k}": v for k, v in values.items() if not isinstance(v, dict)})
    return flat


def dataset_input(data: LoadedData) -> dict[str, Any]:
    """A dataset as MLflow's input of a run; its digest is the fingerprint of results.csv."""
    return {
        "name": data.name,
        "digest": data.fingerprint,
        "profile": {
            "train": len(data.train_x),
            "validation": len(data.validation_x),
            "test": len(data.test_x),
            "event_shape": list(data.event_shape),
            "coordinates": math.prod(data.event_shape),
            "labels": len(data.label_names),
            "likelihood": data.likelihood,
            "training_fingerprint": data.training_fingerprint,
            "verified": data.verified,
        },
    }

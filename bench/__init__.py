"""Benchmark variational autoencoders with mixture priors.

Priors are crossed with posterior factorizations over datasets; every reported number is a
valid bound or a metric with its standard error and its chance level.

    >>> import bench
    >>> table = bench.run(models="CP,VAE", datasets="digits", out="runs")  # doctest: +SKIP
    >>> cell = bench.load("CP", out="runs")  # doctest: +SKIP
    >>> cell.sample(16, category=3).shape  # doctest: +SKIP
    (16, 8, 8)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.interface import Encoded, TrainedCell, load, results
    from bench.interface_report import compare, page, sample, scorecard, tables
    from bench.interface_run import run, tune

__version__ = "0.1.0"

__all__ = [
    "Encoded", "TrainedCell", "__version__", "compare", "load", "page", "results", "run", "sample",
    "scorecard", "tables", "tune",
]  # fmt: skip

_HOMES = {
    "interface": ("Encoded", "TrainedCell", "load", "results"),
    "interface_report": ("compare", "page", "sample", "scorecard", "tables"),
    "interface_run": ("run", "tune"),
}


def __getattr__(name: str) -> Any:
    """The Python interface, imported when it is first used: it brings torch."""
    if name in __all__:
        for module, names in _HOMES.items():
            if name in names:
                return getattr(importlib.import_module(f"bench.{module}"), name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")

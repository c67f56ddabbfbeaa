"""The per-example values of finished cells, read when they are asked for."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence

import numpy as np

from bench.errors import UsageError
from bench.report.bootstrap import Array
from bench.store import Store

__all__ = ["load_examples"]


def load_examples(store: Store, cells: Sequence[str], metric: str) -> Array:
    """One value for every cell and test example, shape (S, N), nats.

    Raises:
        UsageError: a cell's file is missing or unreadable, or lacks the metric, or the cells
            have different numbers of examples.
    """
    found = [_load(store, cell, metric) for cell in cells]
    sizes = {len(values) for values in found}
    if len(sizes) != 1:
        raise UsageError(
            f"not the same test examples: the cells {', '.join(cells)} have "
            f"{', '.join(str(size) for size in sorted(sizes))} of them. Run them anew with --fresh."
        )
    return np.stack(found)


def _load(store: Store, cell: str, metric: str) -> Array:
    path = store.folder(cell) / "examples.npz"
    expected = f"expected {metric} of every test example in {path}"
    again = "Run the cell anew with `bench run --fresh`."
    try:
        with np.load(path) as arrays:
            if metric not in arrays:
                raise UsageError(f"{expected}, found only {', '.join(arrays)}. {again}")
            values: Array = arrays[metric].astype(np.float64)
    except FileNotFoundError as error:
        raise UsageError(f"{expected}, found no such file. {again}") from error
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise UsageError(f"{expected}, found a file that cannot be read. {again}") from error
    if values.ndim != 1 or not np.isfinite(values).all():
        raise UsageError(f"{expected}, found values that are not finite numbers. {again}")
    return values

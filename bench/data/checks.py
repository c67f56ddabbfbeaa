"""What the arrays of a dataset must be; each breach is told to the author of the plugin."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.base import Dataset, Split, Splits
from bench.errors import PluginError

__all__ = ["check_splits"]

_NAMES = ("train", "validation", "test")


def check_splits(dataset: Dataset, splits: Splits) -> None:
    """Check everything that the harness takes for granted about ``splits``.

    Raises:
        PluginError: with the dataset, the array, what was expected and what was found.
    """
    if not isinstance(splits, Splits):
        raise PluginError(
            f"dataset {dataset.name}: load() must return Splits, got {type(splits).__name__}"
        )
    if dataset.likelihood not in ("bernoulli", "gaussian"):
        raise PluginError(
            f"dataset {dataset.name}: likelihood must be 'bernoulli' or 'gaussian', "
            f"got {dataset.likelihood!r}"
        )
    if not 1 <= splits.levels <= 255:
        raise PluginError(f"dataset {dataset.name}: levels must lie in 1..255, got {splits.levels}")
    parts = [getattr(splits, name) for name in _NAMES]
    for name, split in zip(_NAMES, parts, strict=True):
        _check_split(f"dataset {dataset.name}: {name}", split, dataset.likelihood, splits)
    for name, split in zip(_NAMES[1:], parts[1:], strict=True):
        if split.x.shape[1:] != splits.train.x.shape[1:] or split.x.dtype != splits.train.x.dtype:
            raise PluginError(
                f"dataset {dataset.name}: {name}.x must be like train.x, events of shape "
                f"{splits.train.x.shape[1:]} and {splits.train.x.dtype}, "
                f"got {split.x.shape[1:]} and {split.x.dtype}"
            )
        if set(split.extra) != set(splits.train.extra):
            raise PluginError(
                f"dataset {dataset.name}: {name}.extra must have the labels of train.extra, "
                f"{sorted(splits.train.extra)}, got {sorted(split.extra)}"
            )
    for (one, first), (other, second) in combinations(zip(_NAMES, parts, strict=True), 2):
        if np.shares_memory(first.x, second.x):
            raise PluginError(
                f"dataset {dataset.name}: the splits must be disjoint, "
                f"but {one}.x and {other}.x are views of the same rows"
            )


def _check_split(where: str, split: Split, likelihood: str, splits: Splits) -> None:
    x = split.x
    if not isinstance(x, np.ndarray) or x.ndim < 2 or x.size == 0:
        found = f"shape {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise PluginError(f"{where}.x must be an array (N, *event_shape), N >= 1, got {found}")
    if likelihood == "gaussian":
        _check_dtype(f"{where}.x", x, ("float32",))
    else:
        _check_dtype(f"{where}.x", x, ("uint8", "float32"))
    low, high = x.min(), x.max()  # NaN and infinity both show in one of the two
    if not (np.isfinite(low) and np.isfinite(high)):
        raise PluginError(f"{where}.x must be finite, got NaN or infinity")
    if likelihood == "bernoulli":
        top = splits.levels if x.dtype == np.uint8 else 1
        if low < 0 or high > top:
            raise PluginError(
                f"{where}.x must lie in [0, {top}] for a Bernoulli likelihood, got [{low}, {high}]"
            )
    _check_labels(f"{where}.y", split.y, len(x), len(splits.label_names))
    for name, labels in split.extra.items():
        _check_labels(f"{where}.extra[{name!r}]", labels, len(x), None)


def _check_labels(where: str, y: npt.NDArray[Any], size: int, classes: int | None) -> None:
    if not isinstance(y, np.ndarray) or y.shape != (size,):
        found = f"shape {y.shape}" if isinstance(y, np.ndarray) else type(y).__name__
        raise PluginError(f"{where} must be an array of shape ({size},), got {found}")
    _check_dtype(where, y, ("int64",))
    low, high = int(y.min()), int(y.max())
    if low < 0 or (classes is not None and high >= classes):
        top = "" if classes is None else f"..{classes - 1}, the range of label_names"
        raise PluginError(f"{where} must hold labels from 0{top}, got {low}..{high}")


def _check_dtype(where: str, array: npt.NDArray[Any], dtypes: tuple[str, ...]) -> None:
    if array.dtype.name not in dtypes:
        raise PluginError(f"{where} must be {' or '.join(dtypes)}, got {array.dtype.name}")

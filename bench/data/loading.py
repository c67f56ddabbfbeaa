"""A dataset as the harness uses it: flat training data, frozen evaluation data, a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.base import Dataset, Likelihood, Split, Splits
from bench.data.checks import check_splits
from bench.data.files import AdvisedError, advice
from bench.errors import BenchError, DataError, PluginError

__all__ = ["Labels", "LoadedData", "fingerprint", "load_dataset", "load_splits"]

BINARIZATION_SEED = 777
"""The seed with which the VampPrior code, and with it the paper, binarized its evaluation data."""

LogDensity = Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Labels:
    """One kind of label for the three splits, int64 arrays of shape (N,)."""

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]


@dataclass(frozen=True)
class LoadedData:
    """A dataset, ready for training and evaluation.

    Labels are apart from the data, so that training code can be handed the arrays alone.

    Attributes:
        name: the key of the dataset.
        train_x: (N, P), uint8 grey levels or float32: to be binarized at every step where the
            likelihood is Bernoulli.
        validation_x, test_x: (N, P), what bounds are evaluated on: uint8 zeros and ones where the
            likelihood is Bernoulli, else float32.
        test_grey: the test set before it was binarized, as ``train_x``; None where nothing was.
        labels: the labels that purity, NMI and ARI are measured against.
        extra_labels: further labels by name.
        label_names: name of each value of ``labels``.
        event_shape: shape of one datum before flattening, P its product.
        likelihood: of x given the latents.
        levels: grey level in ``train_x`` that means probability one.
        verified: whether the files are the published ones.
        fingerprint: identifies the evaluation data; equal fingerprints mean comparable numbers.
        log_density: rows (N, P) to the log-density that they were drawn from, (N,) in float64
            nats; None where it is not known.
    """

    name: str
    train_x: npt.NDArray[Any]
    validation_x: npt.NDArray[Any]
    test_x: npt.NDArray[Any]
    labels: Labels
    extra_labels: Mapping[str, Labels]
    label_names: tuple[str, ...]
    event_shape: tuple[int, ...]
    likelihood: Likelihood
    levels: int
    verified: bool
    fingerprint: str
    log_density: LogDensity | None = None
    test_grey: npt.NDArray[Any] | None = None

    @property
    def white(self) -> int:
        """The value in ``train_x`` that means one: ``levels`` of grey levels, else 1."""
        return self.levels if self.train_x.dtype.kind == "u" else 1

    @property
    def training_fingerprint(self) -> str:
        """Identifies the training data, of which ``fingerprint`` says nothing."""
        return fingerprint(self.train_x, np.asarray(self.levels))


def load_dataset(dataset: Dataset, roots: Sequence[Path]) -> LoadedData:
    """Load, check, flatten and (for a Bernoulli likelihood) binarize a dataset.

    Raises:
        DataError: the data are missing, damaged or not the published ones.
        PluginError: the plugin returned arrays that the harness cannot use.
    """
    splits = load_splits(dataset, roots)
    validation_x = _evaluation_data(splits.validation, dataset.likelihood, splits.levels)
    test_x = _evaluation_data(splits.test, dataset.likelihood, splits.levels)
    mark = fingerprint(validation_x, test_x, splits.test.y)
    extra = {
        name: Labels(
            splits.train.extra[name], splits.validation.extra[name], splits.test.extra[name]
        )
        for name in splits.train.extra
    }
    return LoadedData(
        name=dataset.name,
        train_x=_flat(splits.train.x),
        validation_x=validation_x,
        test_x=test_x,
        labels=Labels(splits.train.y, splits.validation.y, splits.test.y),
        extra_labels=extra,
        label_names=tuple(splits.label_names),
        event_shape=splits.train.x.shape[1:],
        likelihood=dataset.likelihood,
        levels=splits.levels,
        verified=splits.verified,
        fingerprint=mark if splits.verified else f"unverified-{mark}",
        log_density=_known_density(dataset, splits),
        test_grey=_flat(splits.test.x) if dataset.likelihood == "bernoulli" else None,
    )


def load_splits(dataset: Dataset, roots: Sequence[Path]) -> Splits:
    """The checked splits of a dataset, as its plugin returns them.

    Raises:
        DataError, PluginError: as for :func:`load_dataset`.
    """
    try:
        splits = dataset.load(roots)
    except AdvisedError:
        raise
    except DataError as error:
        if not dataset.downloads:
            raise
        remedy = advice(dataset.name, dataset.downloads, roots)
        raise AdvisedError(f"dataset {dataset.name}: {error} {remedy}") from error
    except BenchError:
        raise
    except Exception as error:  # a plugin may raise anything
        what = f"{type(error).__name__}: {error}"
        raise PluginError(f"dataset {dataset.name} cannot be loaded: {what}") from error
    check_splits(dataset, splits)
    return splits


def fingerprint(*arrays: npt.NDArray[Any]) -> str:
    """The first 16 hexadecimal digits of a sha256 over type, shape and bytes of ``arrays``."""
    hasher = hashlib.sha256()
    for array in arrays:
        # byte order in the header and in the bytes, so that every machine computes the same
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        hasher.update(f"{little.dtype.str}{little.shape}".encode())
        hasher.update(little.data)
    return hasher.hexdigest()[:16]


def _evaluation_data(split: Split, likelihood: Likelihood, levels: int) -> npt.NDArray[Any]:
    x = _flat(split.x)
    if likelihood != "bernoulli":
        return x
    # float64 grey levels, so that a uint8 file and the same file read as float64 draw alike
    p = x / np.float64(levels) if x.dtype == np.uint8 else x.astype(np.float64)
    # numpy guarantees the stream of the legacy RandomState for ever, and that of a Generator only
    # within a version. Every split gets its own start: the test draws must not depend on the size
    # of the validation split.
    draws = np.random.RandomState(BINARIZATION_SEED).binomial(1, p)
    return draws.astype(np.uint8)


def _known_density(dataset: Dataset, splits: Splits) -> LogDensity | None:
    """The dataset's density over flat rows, or None where the plugin does not know it."""
    try:
        known = dataset.log_density(splits.test.x[:1]) is not None
    except Exception as error:  # a plugin may raise anything
        what = f"{type(error).__name__}: {error}"
        raise PluginError(f"dataset {dataset.name}: log_density cannot be used: {what}") from error
    return partial(_log_density, dataset, splits.test.x.shape[1:]) if known else None


def _log_density(
    dataset: Dataset, event_shape: tuple[int, ...], rows: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    found = np.asarray(dataset.log_density(rows.reshape(-1, *event_shape)), dtype=np.float64)
    if found.shape != (len(rows),) or np.isnan(found).any():
        raise PluginError(
            f"dataset {dataset.name}: log_density must return one number for each of {len(rows)} "
            f"data, got shape {found.shape} with {int(np.isnan(found).sum())} not a number"
        )
    return found


def _flat(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    # writable, because a tensor that shares the memory of a read-only array warns
    return np.require(x.reshape(len(x), -1), requirements=["C", "W"])

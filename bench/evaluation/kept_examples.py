"""Some test data of every dataset, kept in the store: pictures are then made from it alone."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.loading import LoadedData
from bench.files import atomic_write

__all__ = ["Kept", "keep_examples", "kept_examples"]

FOLDER = "examples"
MOST = 1000  # data, at most: 150 KiB of MNIST
SEED = 20200888


@dataclass(frozen=True)
class Kept:
    """N test data of one dataset.

    Attributes:
        x: what bounds are evaluated on, shape (N, P).
        labels: what each is, int64, shape (N,); they index ``names``.
        names: of the labels.
        event_shape: the shape of one datum before flattening.
    """

    x: NDArray[Any]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    event_shape: tuple[int, ...]


def keep_examples(out: Path, data: LoadedData) -> None:
    """Keep a random part of the test set, always the same one, in the store ``out``."""
    path = _path(out, data.fingerprint)
    if kept_examples(out, data.fingerprint) is not None:
        return
    count = len(data.test_x)
    chosen = np.random.default_rng(SEED).choice(count, min(count, MOST), replace=False)
    chosen.sort()
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        x=data.test_x[chosen],
        labels=data.labels.test[chosen],
        names=np.array(data.label_names, dtype=np.str_),
        event_shape=np.array(data.event_shape),
    )
    with atomic_write(path) as file:
        file.write(stream.getvalue())


def kept_examples(out: Path, fingerprint: str) -> Kept | None:
    """What was kept of the dataset with that fingerprint; None where nothing was."""
    try:
        with np.load(_path(out, fingerprint), allow_pickle=False) as found:
            return Kept(
                found["x"],
                found["labels"],
                tuple(str(name) for name in found["names"]),
                tuple(int(size) for size in found["event_shape"]),
            )
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile):
        return None  # of an earlier version, or damaged: the next evaluation keeps them again


def _path(out: Path, fingerprint: str) -> Path:
    return out / FOLDER / f"{fingerprint}.npz"

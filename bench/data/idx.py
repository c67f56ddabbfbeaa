"""The idx files of MNIST and its relatives, read without unpacking anything on disk."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.base import Dataset, Split, Splits
from bench.data.download import Download
from bench.data.files import read_bytes
from bench.errors import DataError

__all__ = ["idx_downloads", "load_idx_splits", "read_idx"]

_VALIDATION = 10_000


def read_idx(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Read the unsigned bytes of an idx file, plain or gzipped, that must have ``shape``.

    Raises:
        DataError: the magic number, the shape or the size is not what it must be.
    """
    data = read_bytes(path)
    magic = bytes((0, 0, 8, len(shape)))  # 8 is idx's code for unsigned bytes
    if data[:4] != magic:
        raise DataError(
            f"{path} is damaged or not an idx file of {len(shape)} dimensions: expected it to "
            f"begin with {magic.hex()}, found {data[:4].hex() or 'an empty file'}."
        )
    header = 4 + 4 * len(shape)
    if len(data) < header:
        raise DataError(
            f"{path} is truncated: expected {header} bytes of header, found {len(data)}."
        )
    found = struct.unpack(f">{len(shape)}I", data[4:header])
    if found != shape:
        raise DataError(f"{path} has the wrong size: expected shape {shape}, found {found}.")
    body = np.frombuffer(data, np.uint8, offset=header)
    size = int(np.prod(shape))
    if body.size != size:
        problem = "is truncated" if body.size < size else "has bytes left over"
        raise DataError(f"{path} {problem}: expected {size + header:,} bytes, found {len(data):,}.")
    return body.reshape(shape)


def idx_downloads(
    mirrors: Sequence[str],
    folder: str,
    checksums: Mapping[str, tuple[str, str]],
    elsewhere: str | None = None,
) -> tuple[Download, ...]:
    """The downloads of gzipped idx files.

    Args:
        mirrors: addresses of the folder on the web, each ending in a slash.
        folder: where the files go, relative to a data root.
        checksums: by file name without ``.gz``, the md5 of the gzip file and of what it unpacks to.
        elsewhere: another folder where a package may have put them.
    """
    return tuple(
        Download(
            urls=tuple(f"{mirror}{name}.gz" for mirror in mirrors),
            path=f"{folder}/{name}.gz",
            checksum=f"md5:{packed}",
            content=f"md5:{unpacked}",
            elsewhere=(f"{elsewhere}/{name}.gz",) if elsewhere else (),
        )
        for name, (packed, unpacked) in checksums.items()
    )


def load_idx_splits(dataset: Dataset, roots: Sequence[Path], label_names: Sequence[str]) -> Splits:
    """The splits of a dataset in MNIST's form; the last 10,000 training images are validation.

    Its downloads are the training images and labels, then the test images and labels.
    """
    paths = dataset.locate(roots)
    train_x = read_idx(paths[0], (60_000, 28, 28))
    train_y = read_idx(paths[1], (60_000,))
    test_x = read_idx(paths[2], (10_000, 28, 28))
    test_y = read_idx(paths[3], (10_000,))
    cut = len(train_x) - _VALIDATION
    return Splits(
        train=_split(train_x[:cut], train_y[:cut]),
        validation=_split(train_x[cut:], train_y[cut:]),
        test=_split(test_x, test_y),
        label_names=tuple(label_names),
        verified=dataset.verify(paths, roots),
    )


def _split(x: npt.NDArray[Any], y: npt.NDArray[np.uint8]) -> Split:
    return Split(x, y.astype(np.int64))

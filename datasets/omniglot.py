"""omniglot: Burda et al.'s 28×28 version, the one that papers report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.api import DataError, Dataset, Download, Split, Splits

_SHAPES = {
    "data": (784, 24345),
    "target": (50, 24345),
    "targetchar": (1, 24345),
    "testdata": (784, 8070),
    "testtarget": (50, 8070),
    "testtargetchar": (1, 8070),
}
_VALIDATION = 1345
_SEED = 777


class Omniglot(Dataset):
    """Characters of 50 alphabets, 28×28 grey levels; 23,000 / 1,345 / 8,070, labels = alphabets.

    Burda et al.'s chardata.mat. Its training images are shuffled with a fixed seed, and the last
    1,345 are the validation images. ``extra["character"]`` numbers the characters of all
    alphabets. The file does not name the alphabets.

    References:
        Lake, Salakhutdinov and Tenenbaum, "Human-level concept learning through probabilistic
        program induction", Science 350, 2015; Burda, Grosse and Salakhutdinov, "Importance
        weighted autoencoders", ICLR 2016.
    """

    downloads = (
        Download(
            urls=(
                "https://raw.githubusercontent.com/yburda/iwae/master/datasets/OMNIGLOT/chardata.mat",
                "https://github.com/yburda/iwae/raw/master/datasets/OMNIGLOT/chardata.mat",
            ),
            path="omniglot/chardata.mat",
            checksum="git-blob:016a3536ffe5e1d38e42563a18d7a78bfaf643ec",
        ),
    )

    def load(self, roots: Sequence[Path]) -> Splits:
        """Read the six variables of chardata.mat."""
        paths = self.locate(roots)
        mat = _read(paths[0])
        train_x, test_x = _images(mat["data"]), _images(mat["testdata"])
        if not (_is_grey(train_x) and _is_grey(test_x)):
            train_x, test_x = train_x.astype(np.float32), test_x.astype(np.float32)
        else:
            train_x = np.rint(train_x * 255).astype(np.uint8)
            test_x = np.rint(test_x * 255).astype(np.uint8)
        train_y, test_y = (
            _alphabets(paths[0], mat["target"]),
            _alphabets(paths[0], mat["testtarget"]),
        )
        within = np.concatenate([mat["targetchar"][0], mat["testtargetchar"][0]]).astype(np.int64)
        pairs = np.stack([np.concatenate([train_y, test_y]), within])
        character = np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)
        # The file may be ordered by alphabet: its last images would be a biased sample.
        order = np.random.RandomState(_SEED).permutation(len(train_y))
        train, validation = (
            Split(train_x[part], train_y[part], {"character": character[part]})
            for part in (order[:-_VALIDATION], order[-_VALIDATION:])
        )
        return Splits(
            train=train,
            validation=validation,
            test=Split(test_x, test_y, {"character": character[len(train_y) :]}),
            label_names=tuple(f"alphabet {number}" for number in range(1, 51)),
            verified=self.verify(paths, roots),
        )


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    from scipy.io import loadmat

    try:
        mat = loadmat(path, variable_names=list(_SHAPES))
    except Exception as error:  # scipy lets every kind of exception out of a damaged file
        raise DataError(
            f"{path}: expected a whole MATLAB file, found a damaged one: {error}."
        ) from error
    for name, shape in _SHAPES.items():
        if name not in mat:
            raise DataError(f"{path}: expected a variable {name!r}, found {sorted(mat)}.")
        if mat[name].shape != shape or mat[name].dtype.kind not in "buif":
            raise DataError(
                f"{path}: expected {name!r} to be numbers of shape {shape}, "
                f"found {mat[name].dtype} of shape {mat[name].shape}."
            )
    for name in ("data", "testdata"):
        low, high = mat[name].min(), mat[name].max()
        if not (low >= 0 and high <= 1):
            raise DataError(f"{path}: expected {name!r} in [0, 1], found [{low}, {high}].")
    return dict(mat)


def _images(columns: npt.NDArray[Any]) -> npt.NDArray[Any]:
    # MATLAB counts pixels down the columns of an image: transposed, the characters are upright.
    return columns.T.reshape(-1, 28, 28).transpose(0, 2, 1)  # (N, row, column)


def _is_grey(x: npt.NDArray[Any]) -> bool:
    """Whether every value is one of 255 grey levels, up to the rounding of float32."""
    return bool(np.abs(x * 255 - np.rint(x * 255)).max() < 1e-3)


def _alphabets(path: Path, target: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if not ((target == 0) | (target == 1)).all() or (target.sum(0) != 1).any():
        raise DataError(f"{path}: expected one-hot alphabets, found columns that are not.")
    labels: npt.NDArray[np.int64] = target.argmax(0).astype(np.int64)
    return labels

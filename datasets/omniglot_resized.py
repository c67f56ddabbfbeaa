"""omniglot_resized: Omniglot's original drawings averaged to 28×28."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.api import DataError, Dataset, Download, Split, Splits, cached_array, checksum_of_file

_URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
_IMAGES = 32_460
_SIZES = (23_000, 1_345, 8_070)
_SEED = 777
_MEMBER = re.compile(r"images_\w+/(?P<alphabet>[^/]+)/(?P<character>character\d+)/\d+_\d+\.png")
_RECIPE = "omniglot_resized-1"  # change it with whatever changes the averaged images


class OmniglotResized(Dataset):
    r"""Characters of 50 alphabets, 28×28; 23,000 / 1,345 / 8,070, labels = alphabets.

    torchvision's 105×105 drawings, white on black, averaged over squares 3.75 pixels wide. The
    square weights are multiples of 1/15 and the drawings black or white, so that every mean is
    exactly one of 225 grey levels. Not Burda et al.'s images: numbers are not comparable with
    those of ``omniglot``. ``extra["character"]`` numbers the 1,623 characters.

    References:
        Lake, Salakhutdinov and Tenenbaum, "Human-level concept learning through probabilistic
        program induction", Science 350, 2015.
    """

    downloads = (
        Download(
            urls=(f"{_URL}images_background.zip",),
            path="omniglot-py/images_background.zip",
            checksum="md5:68d2efa1b9178cc56df9314c21c6e718",
            lenient=True,
        ),
        Download(
            urls=(f"{_URL}images_evaluation.zip",),
            path="omniglot-py/images_evaluation.zip",
            checksum="md5:6b91aef0f799c5bb55b94e3f2daec811",
            lenient=True,
        ),
    )

    def load(self, roots: Sequence[Path]) -> Splits:
        """Read the drawings from inside the two zip files."""
        paths = self.locate(roots)
        members = [(path, name) for path in paths for name in _members(path)]
        if len(members) != _IMAGES:
            raise DataError(
                f"{paths[0].parent}: expected {_IMAGES:,} drawings in the two zip files, "
                f"found {len(members):,}."
            )
        hashes = [checksum_of_file(path, "sha256").removeprefix("sha256:")[:16] for path in paths]
        x = cached_array(
            roots,
            "-".join([_RECIPE, *hashes]),
            lambda: np.concatenate([_average(_drawings(path)) for path in paths]),
        )
        if x.shape != (_IMAGES, 28, 28) or x.dtype != np.uint8:
            raise DataError(
                f"the cached images of {self.name} are damaged: remove the .cache folder."
            )
        matches = [_MEMBER.fullmatch(name) for _, name in members]
        names = [match["alphabet"] for match in matches if match]
        alphabets, y = np.unique(names, return_inverse=True)
        drawn = [f"{match['alphabet']}/{match['character']}" for match in matches if match]
        character = np.unique(drawn, return_inverse=True)[1]
        # As many images in each split as Burda et al. have, so that the two are as hard to learn.
        # They sum to 32,415: the last 45 of the permutation stay unused.
        order = np.random.RandomState(_SEED).permutation(_IMAGES)
        train, validation, test, _ = (
            Split(
                x[part], y[part].astype(np.int64), {"character": character[part].astype(np.int64)}
            )
            for part in np.split(order, np.cumsum(_SIZES))
        )
        return Splits(
            train=train,
            validation=validation,
            test=test,
            label_names=tuple(str(name).replace("_", " ") for name in alphabets),
            levels=225,
            verified=self.verify(paths, roots),
        )


def _members(path: Path) -> list[str]:
    """The drawings in a zip file, sorted, so that the order of packing does not matter."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sorted(name for name in archive.namelist() if _MEMBER.fullmatch(name))
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: expected a whole zip file, found a damaged one: {error}."
        ) from error


def _drawings(path: Path) -> npt.NDArray[np.bool_]:
    """The strokes, True where the pen was, shape (N, 105, 105)."""
    from PIL import Image

    names = _members(path)
    strokes = np.empty((len(names), 105, 105), np.bool_)
    name = ""
    try:
        with zipfile.ZipFile(path) as archive:
            for index, name in enumerate(names):
                with Image.open(io.BytesIO(archive.read(name)), formats=("PNG",)) as image:
                    # paper is white in the files, and a stroke black
                    strokes[index] = ~np.asarray(image.convert("1"))
    except (OSError, ValueError, SyntaxError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path}: expected {name} to be a PNG of 105×105, found: {error}."
        ) from error
    return strokes


def _average(strokes: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Means over 3.75 × 3.75 pixels, times 225, which makes them whole numbers."""
    edges = 4 * np.arange(105)  # in quarters of a pixel, where both grids have whole coordinates
    starts = 15 * np.arange(28)[:, None]
    overlap = np.minimum(edges + 4, starts + 15) - np.maximum(edges, starts)
    weights = overlap.clip(min=0).astype(np.float32)  # (28, 105), rows sum to 15
    grey = np.empty((len(strokes), 28, 28), np.uint8)
    for start in range(0, len(strokes), 512):  # float32 copies of them all would take 1.4 GB
        block = strokes[start : start + 512].astype(np.float32)  # (B, 105, 105)
        rows = (block.reshape(-1, 105) @ weights.T).reshape(-1, 105, 28)
        grey[start : start + 512] = weights @ rows  # (B, 28, 28)
    return grey

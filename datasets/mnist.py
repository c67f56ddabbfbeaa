"""MNIST: handwritten digits, 28×28."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.api import Dataset, Splits, idx_downloads, load_idx_splits


class MNIST(Dataset):
    """Handwritten digits, 28×28 grey levels; 50,000 / 10,000 / 10,000, labels = 10 digits.

    The validation images are the last 10,000 training images. Read where torchvision puts them.

    References:
        LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
        recognition", Proceedings of the IEEE 86(11), 1998.
    """

    downloads = idx_downloads(
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        folder="MNIST/raw",
        checksums={
            "train-images-idx3-ubyte": (
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "6bbc9ace898e44ae57da46a324031adb",
            ),
            "train-labels-idx1-ubyte": (
                "d53e105ee54ea40749a09fcbcd1e9432",
                "a25bea736e30d166cdddb491f175f624",
            ),
            "t10k-images-idx3-ubyte": (
                "9fb629c4189551a2d022fa330f9573f3",
                "2646ac647ad5339dbf082846283269ea",
            ),
            "t10k-labels-idx1-ubyte": (
                "ec29112dd5afa0611ce80d1b7f02629c",
                "27ae3e4e09519cfbb04c329615203637",
            ),
        },
    )

    def load(self, roots: Sequence[Path]) -> Splits:
        """Read the four idx files, plain or gzipped."""
        return load_idx_splits(self, roots, [str(digit) for digit in range(10)])

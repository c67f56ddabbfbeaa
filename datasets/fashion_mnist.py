"""FashionMNIST: articles of clothing, 28×28."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.api import Dataset, Splits, idx_downloads, load_idx_splits

_LABELS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


class FashionMNIST(Dataset):
    """Articles of clothing, 28×28 grey levels; 50,000 / 10,000 / 10,000, labels = 10 kinds.

    The validation images are the last 10,000 training images. Read where torchvision puts them,
    or where Debian's package dataset-fashion-mnist does.

    References:
        Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
        learning algorithms", arXiv:1708.07747, 2017.
    """

    downloads = idx_downloads(
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        folder="FashionMNIST/raw",
        checksums={
            "train-images-idx3-ubyte": (
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            ),
            "train-labels-idx1-ubyte": (
                "25c81989df183df01b3e8a0aad5dffbe",
                "9018921c3c673c538a1fc5bad174d6f9",
            ),
            "t10k-images-idx3-ubyte": (
                "bef4ecab320f06d8554ea6380940ec79",
                "8181f5470baa50b63fa0f6fddb340f0a",
            ),
            "t10k-labels-idx1-ubyte": (
                "bb300cfdad3c16e7a12a480ee83cd310",
                "15d484375f8d13e6eb1aabb0c3f46965",
            ),
        },
        elsewhere="usr/share/datasets/fashion-mnist",
    )

    def load(self, roots: Sequence[Path]) -> Splits:
        """Read the four idx files, plain or gzipped."""
        return load_idx_splits(self, roots, _LABELS)

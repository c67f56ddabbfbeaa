"""The images that everybody trains on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench.data.loading import load_dataset
from bench.errors import DataError
from bench.registry import Registry

WHITE = 255


@dataclass(frozen=True)
class Images:
    """Grey training images and binary validation images.

    Attributes:
        train: uint8 grey levels, (N, P).
        validation: uint8 zeros and ones, (N', P).
        name: what they are.
        white: the grey level that means probability one.
    """

    train: Tensor
    validation: Tensor
    name: str
    white: int = WHITE

    def first(self, count: int) -> Images:
        """The same with only the first ``count`` training images.

        Raises:
            ValueError: there are not so many.
        """
        if count > len(self.train):
            raise ValueError(f"expected {count} training images, found {len(self.train)}")
        return Images(self.train[:count], self.validation, self.name, self.white)


def load_images(roots: Sequence[Path]) -> Images:
    """MNIST where it lies in one of ``roots``, else random images of its shape.

    No step looks at the pixels' values, so its time is the same.
    """
    try:
        found = load_dataset(Registry().load("dataset", "mnist")(), roots)
    except DataError:
        return random_images(50_000, 28 * 28, "random images of MNIST's shape (MNIST is not here)")
    train, validation = torch.from_numpy(found.train_x), torch.from_numpy(found.validation_x)
    return Images(train, validation, "MNIST", found.white)


def random_images(count: int, size: int, name: str) -> Images:
    """``count`` training images of ``size`` pixels with uniform grey levels, and a fifth as many
    validation images."""
    noise = torch.Generator().manual_seed(0)
    train = torch.randint(0, WHITE + 1, (count, size), generator=noise, dtype=torch.uint8)
    shape = (max(1, count // 5), size)
    return Images(train, torch.randint(0, 2, shape, generator=noise, dtype=torch.uint8), name)

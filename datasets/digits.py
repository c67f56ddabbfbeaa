"""digits: scikit-learn's handwritten digits, 8×8, which need no download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.api import Dataset, Split, Splits

_SEED = 777
_CUTS = (1197, 1397)


class Digits(Dataset):
    """Handwritten digits, 8×8, grey levels 0..16; 1,197 / 200 / 400, labels = 10 digits.

    Comes with scikit-learn; the splits are cut from one permutation with a fixed seed.

    References:
        Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning
        Repository, 1998.
    """

    embedded = True

    def load(self, roots: Sequence[Path]) -> Splits:
        """Permute and cut; ``roots`` are not read."""
        from sklearn.datasets import load_digits

        data = load_digits()
        # The file is ordered by writer, so cutting it unshuffled would test on other hands.
        order = np.random.RandomState(_SEED).permutation(len(data.target))
        x = data.images.astype(np.uint8)
        y = data.target.astype(np.int64)
        train, validation, test = (Split(x[part], y[part]) for part in np.split(order, _CUTS))
        names = tuple(str(digit) for digit in range(10))
        return Splits(train, validation, test, names, levels=16)

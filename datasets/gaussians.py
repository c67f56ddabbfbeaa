"""gaussians: two separate bumps on a line, the paper's synthetic experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.api import Dataset, Split, Splits

_MEANS = np.array([0.3, 0.7])
_STD = 0.05


class Gaussians(Dataset):
    r"""Two Gaussians in one dimension; 50,000 / 10,000 / 10,000, labels = the component.

    .. math:: p_0(x) = \tfrac12 N(x; .3, .05^2) + \tfrac12 N(x; .7, .05^2)

    The paper writes N(.3, .05): .05 is read as the standard deviation, because as a variance it
    gives one mode, not two. The entropy of p0 is -0.88374 nats, so no model's log-likelihood can
    stay above 0.88374 (up to the sampling error, 0.007 on the test set).

    References: section 6.1 of the paper; MATHS 8.
    """

    likelihood = "gaussian"
    embedded = True

    def load(self, roots: Sequence[Path]) -> Splits:
        """Draw the splits, each from its own seed; ``roots`` are not read."""
        return Splits(
            train=_draw(50_000, seed=611),
            validation=_draw(10_000, seed=612),
            test=_draw(10_000, seed=613),
            label_names=tuple(f"mean {mean}" for mean in _MEANS),
        )

    def log_density(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        r""":math:`\log p_0(x)` in nats, shape (N,), for x of shape (N, 1)."""
        distance = (x.astype(np.float64) - _MEANS) / _STD  # (N, 2)
        log_normal = -0.5 * np.square(distance) - np.log(_STD * np.sqrt(2.0 * np.pi))
        log_density: npt.NDArray[np.float64] = np.logaddexp.reduce(log_normal - np.log(2.0), axis=1)
        return log_density


def _draw(size: int, seed: int) -> Split:
    # the legacy generator, because its stream is the same in every version of numpy
    random = np.random.RandomState(seed)
    y = (random.random_sample(size) < 0.5).astype(np.int64)
    x = _MEANS[y] + _STD * random.standard_normal(size)  # (N,)
    return Split(x[:, None].astype(np.float32), y)

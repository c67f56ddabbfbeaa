"""Numbers as the evaluation reports them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["plain", "standard_error"]


def standard_error(values: NDArray[np.float64]) -> float:
    """Of the mean of independent values, shape (N,); nan where there is one."""
    if len(values) < 2:
        return math.nan
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def plain(values: Any) -> Any:
    """JSON's kinds of values: numpy's as Python's, and what is not finite as None."""
    if isinstance(values, Mapping):
        return {str(name): plain(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [plain(value) for value in values]
    if isinstance(values, np.ndarray | np.generic):
        return plain(values.tolist())
    if isinstance(values, float) and not math.isfinite(values):
        return None
    return values

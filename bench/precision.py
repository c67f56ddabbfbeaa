"""In which numbers the linear maps of a training step are multiplied.

Only those: densities, divergences, bounds and the optimiser are float32 in every training and
float64 where sums cancel, and evaluation never leaves float32. A reported number is therefore a
valid bound of the model that was trained, whatever it was trained in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

Precision = Literal["float32", "tf32", "bfloat16"]

_active: Precision = "float32"


@contextmanager
def computing_in(precision: Precision) -> Iterator[None]:
    """Linear maps inside are multiplied in ``precision``; the state before is restored.

    ``tf32`` rounds every float32 product of a CUDA device, so that the products that expand a
    square are taken in float64 meanwhile; on a CPU it is float32.
    """
    global _active
    before, allowed = _active, torch.backends.cuda.matmul.allow_tf32
    _active = precision
    if precision == "tf32":
        torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        _active = before
        if precision == "tf32":
            torch.backends.cuda.matmul.allow_tf32 = allowed


def lowered() -> bool:
    """Whether linear maps are multiplied in bfloat16."""
    return _active == "bfloat16"


def products_are_exact() -> bool:
    """Whether a product of float32 matrices is rounded as float32 numbers are."""
    return _active != "tf32"

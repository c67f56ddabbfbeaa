"""Contenders take turns, so that whatever else the machine does falls on all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

Work = Callable[[], object]
Spread = dict[str, Any]


def take_turns(work: Mapping[str, Work], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds that each contender took in each round.

    All run once beforehand, untimed. Every other round goes backwards, so that a drift of the
    machine's speed cancels.
    """
    names = list(work)
    for name in names:
        work[name]()
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            taken[name].append(seconds(work[name], device))
    return taken


def seconds(work: Work, device: str) -> float:
    """How long one call takes, until the device has finished it."""
    _wait(device)
    started = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def spread(values: Sequence[float]) -> Spread:
    """The median of the rounds, their quartiles, and all of them."""
    low, median, high = np.quantile(np.asarray(values, dtype=float), [0.25, 0.5, 0.75])
    return {
        "median": float(median),
        "low": float(low),
        "high": float(high),
        "rounds": [float(value) for value in values],
    }


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """``above / below`` round by round: both sides of a quotient saw the same machine."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


def scaled(values: Sequence[float], factor: float) -> list[float]:
    """Every value times ``factor``."""
    return [value * factor for value in values]

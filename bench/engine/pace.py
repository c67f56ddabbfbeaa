"""When to save: as often as is wished, and never for more than a fiftieth of the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SHARE = 0.02
"""Of the time that passes, what checkpoints may take."""


class Pace:
    """The time of the next checkpoint.

    A slow disk or a large model makes the interval longer than was asked for, so that what a kill
    can cost and what checkpoints cost stay in proportion.

    Args:
        interval: seconds from one checkpoint to the next, at least; 0 saves after every epoch,
            whatever it costs.
        clock: seconds, from any start.
    """

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.interval, self.clock = interval, clock
        self.saved, self.cost = clock(), 0.0

    def due(self) -> bool:
        """Whether it is time."""
        return self.affords() and self.clock() - self.saved >= self.interval

    def affords(self) -> bool:
        """Whether another one, which is wished before its time, still takes its share at most."""
        return not self.interval or self.clock() - self.saved >= self.cost / SHARE

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Take the time of a checkpoint, by which the next one is set."""
        begun = self.clock()
        yield
        self.saved = self.clock()
        self.cost = self.saved - begun

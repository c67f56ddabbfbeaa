"""Checkpoints: as often as asked for, and never for more than a fiftieth of the time."""

from __future__ import annotations

import pytest

from bench.engine.pace import SHARE, Pace


class Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def saved(interval: float, cost: float, total: float, epoch: float = 0.25) -> tuple[int, float]:
    """How many checkpoints are made in so many seconds, and the share of time that they take."""
    clock = Clock()
    pace, count = Pace(interval, clock), 0
    while clock.now < 100.0 + total:
        clock.now += epoch
        if pace.due():
            with pace.saving():
                clock.now += cost
            count += 1
    return count, count * cost / (clock.now - 100.0)


def test_cheap_checkpoints_come_as_often_as_asked_for() -> None:
    count, share = saved(30.0, 0.05, 3000.0)
    assert 95 <= count <= 100
    assert share < 0.2 * SHARE


@pytest.mark.parametrize("cost", [1.0, 4.0, 20.0])
def test_dear_ones_come_less_often(cost: float) -> None:
    count, share = saved(30.0, cost, 20_000.0)
    assert count > 1
    assert share <= SHARE


def test_zero_saves_after_every_epoch() -> None:
    assert saved(0.0, 1.0, 10.0)[0] == 8

"""What a run says of the time that is left."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from bench.engine.replica import Epoch
from bench.terminal import Display
from runs import plan_of


def said(monkeypatch: pytest.MonkeyPatch, *sets: str) -> tuple[str, str]:
    """The time left after 100 s, in the 10th of 100 epochs, and when one of two cells has ended."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    first, second = plan_of(*sets, models="VAE", seeds=2).cells
    console = Console(file=io.StringIO(), force_terminal=False)
    with Display(console, [first, second], {"digits": 100}) as display:
        display.started(first)
        now[0] += 100
        display.epoch(first, Epoch(10, -1.0, -1.0, 0.1, 1.0, 1.0, 1.0), None)
        early = display._left()
        display.ended(first, {"status": "ok", "nelbo": 1.0, "nelbo_se": 0.1})
        return early, display._left()


def test_epochs_tell_how_long_a_run_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    early, late = said(monkeypatch)
    assert early == "35 min left"  # .09 of a cell took 100 s, so 1.91 cells take 2122 s
    assert late == "2 min left"  # one took 100 s


def test_the_first_epochs_after_a_search_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search had most of the time: in proportion to it the cells would take for ever."""
    early, late = said(monkeypatch, "tuning.trials=4")
    assert early == "time left unknown"
    assert late == "2 min left"

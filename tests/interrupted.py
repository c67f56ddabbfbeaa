"""Ctrl-C at a chosen moment of a run in this process, and what the run must say then."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Any

from runs import Ended


def interrupting(real: Callable[..., Any], moments: Sequence[int], times: int = 1) -> Any:
    """The function, with a Ctrl-C (or two) at its calls of those numbers."""
    made = 0

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal made
        made += 1
        if made in moments:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return real(*arguments, **options)

    return call


def check_interrupted(ended: Ended) -> None:
    assert ended.status == 130, ended.out + ended.err
    assert "interrupted; run the same command again to go on from here" in ended.out
    assert "Traceback" not in ended.out + ended.err

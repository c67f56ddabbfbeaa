"""Which way steps run and how many replicas train together, where the user leaves it open.

Both follow from the settings alone, never from a clock: a run that goes on after a kill, or on
another day, chooses the same.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence

from bench.engine.graph import Captured
from bench.engine.steps import Compiled, Eager, Mode, Steps


def choose_mode(wanted: str, device: str, steps: int, break_even: int) -> Mode:
    """How steps run.

    Args:
        wanted: ``eager``, ``compile``, ``graph`` or ``auto``.
        device: ``cpu`` or ``cuda``, with or without a number.
        steps: the most that a replica may make.
        break_even: steps from which ``auto`` compiles on a CPU.
    """
    if wanted == "eager":
        return "eager"
    if wanted == "compile":
        return "compile"
    if device.startswith("cuda"):
        return "graph"
    return "compile" if wanted == "auto" and steps >= break_even else "eager"


def has_compiler() -> bool:
    """Whether there is the C++ compiler without which torch compiles nothing for a CPU."""
    return any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl"))


MOST_REPLICAS = {"cpu": 8, "cuda": 32}
SMALL_STEP = 5_000_000


def choose_replicas(wanted: int, device: str, cells: int, workers: int, step: int) -> int:
    """How many seeds of a cell train as one program, at most.

    On a CPU a large step keeps a core busy by itself, and replicas only push each other out of the
    cache. No worker is left without work for the sake of a larger group.

    Args:
        wanted: the user's number; 0 leaves it open.
        device: ``cpu`` or ``cuda``, with or without a number.
        cells: how many are to run.
        workers: processes that share them.
        step: ``size_of_step``.
    """
    kind = device.partition(":")[0]
    most = MOST_REPLICAS.get(kind, 1) if kind != "cpu" or step <= SMALL_STEP else 1
    return wanted or max(1, min(most, -(-cells // workers)))


def size_of_step(batch: int, hidden: int, event_shape: Sequence[int]) -> int:
    """A measure of the products of a step: batch x hidden units x (data + hidden units)."""
    return batch * hidden * (math.prod(event_shape) + hidden)


def make_steps(mode: Mode, eager: Eager, notice: Callable[[str], None]) -> Steps:
    """The steps of that mode; on CUDA a compiled step is captured too."""
    cuda = eager.adam.rates.is_cuda
    if mode == "graph":
        return Captured(eager, notice=notice)
    if mode == "compile":
        compiled = Compiled(eager, notice)
        return Captured(compiled, notice=notice) if cuda else compiled
    return eager

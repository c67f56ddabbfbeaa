"""What to do where memory does not suffice: less at once, down to a floor."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from bench.errors import BenchError, first_line
from bench.files import read_json, write_json

FLOOR = 64
"""Rows: a smaller chunk would save next to nothing, as the model itself is larger."""

MEMO = "chunk.json"
SIGNS = ("not enough memory", "out of memory", "can't allocate memory", "cannot allocate memory")

T = TypeVar("T")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory does not suffice: Python's, torch's on a CPU, or CUDA's."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in SIGNS)


def within_memory(
    chunk: int, folder: Path, work: Callable[[int], T], notice: Callable[[str], None]
) -> tuple[T, int]:
    """``work`` with the largest chunk that memory allows, halved down to ``FLOOR``.

    Random numbers are drawn chunk by chunk, so that results depend on it in their Monte Carlo
    error. A smaller chunk than was asked for is noted in the folder: work that is killed goes on
    with it, and gives the numbers that it would have given.

    Args:
        chunk: rows at once, as asked for.
        folder: of the cell.
        work: called with a chunk; from its start again after a failure.
        notice: told of each smaller chunk.

    Returns:
        What ``work`` returned, and the chunk.

    Raises:
        BenchError: memory does not suffice for the smallest chunk.
    """
    note = folder / MEMO
    noted = read_json(note)
    size = min(chunk, noted) if type(noted) is int and noted > 0 else chunk
    while True:
        try:
            return work(size), size
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            said = first_line(error)
        # Only here is the failed work's memory free: the error held it.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if size <= FLOOR:
            note.unlink(missing_ok=True)  # the next run, with more memory, begins as asked
            raise BenchError(
                f"out of memory in evaluation, even with {size} rows at once: {said} Run with "
                "fewer --workers, or close what else takes memory."
            )
        smaller = max(FLOOR, size // 2)
        notice(f"out of memory with evaluation.chunk = {size}: evaluates anew with {smaller}")
        size = smaller
        write_json(note, size)

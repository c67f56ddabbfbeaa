"""Freed memory is kept, unless the user has told the C library otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

WORK = """
import resource, torch
from bench.memory import keep_freed_memory
torch.set_num_threads(1)
kept = keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    for _ in range(20):
        x = torch.ones({bytes} // 4)
        y = x.exp()
work()
before = faults()
work()
print(int(kept), faults() - before)
"""
SIZE = 64 << 20
"""Bytes; above 32 MiB glibc by itself gives every block back."""


def measured(**variables: str) -> tuple[bool, int]:
    """Whether freed memory is kept, and the pages that work on large tensors asked for."""
    ended = subprocess.run(
        [sys.executable, "-c", WORK.format(bytes=SIZE)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, faults = ended.stdout.split()
    return bool(int(kept)), int(faults)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is absent")
def test_large_tensors_come_from_memory_that_was_freed_before() -> None:
    kept, faults = measured()
    assert kept
    assert faults * 4096 < SIZE  # 40 tensors


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is absent")
@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_what_the_user_told_the_c_library_stands(name: str) -> None:
    values = {"MALLOC_ARENA_MAX": "8", "GLIBC_TUNABLES": "glibc.malloc.arena_max=8"}
    kept, faults = measured(**{name: values[name]})
    assert not kept
    assert faults > 1000  # even with the huge pages that some systems give

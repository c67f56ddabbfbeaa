"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from bench.tuning import TuningResult
from bench.tuning.storage import Storage
from searches import Climbing, climb

pytest_plugins = ("_skips", "figured")

# Read by torch when it is imported, by subprocesses too. Threads that share products as small as
# these wait for each other, on a busy machine for twenty times as long as the product takes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What a shell may have exported changes tables, colours and memory. Tests that want one set it.
SHELL = ("COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "GLIBC_TUNABLES")
for name in [name for name in os.environ if name in SHELL or name.startswith("MALLOC_")]:
    del os.environ[name]

# A busy machine exceeds any deadline, and the same examples each time are found again by anybody.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real data: BENCH_TEST_DATA, else ../shared/data beside the checkout."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("BENCH_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"shared data: {folder} is absent (set BENCH_TEST_DATA to a data folder)")
    return folder


@pytest.fixture(scope="session")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> TuningResult:
    """A search over a function that nothing disturbs: what disturbed ones must end with."""
    return climb(Storage.at("", tmp_path_factory.mktemp("climbed")), Climbing())

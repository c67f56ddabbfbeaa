"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.tuning import TuningResult
from bench.tuning.storage import Storage
from searches import Climbing, climb

pytest_plugins = ("_skips", "figured")

# Read by torch when it is imported, by subprocesses too. Threads that share products as small as
# these wait for each other, on a busy machine for twenty times as long as the product takes.
os.environ.setdefault("OMP_NUM_THREADS", "1")


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

"""No process outlives its run, and a cell belongs to one process at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from bench.errors import Interrupted
from bench.store import Store
from runs import TINY, plan_of, start, wait_for


def children(parent: int) -> set[int]:
    """The processes that ``parent`` started."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    pairs = (line.split() for line in listed.stdout.splitlines())
    return {int(pid) for pid, ppid in pairs if int(ppid) == parent}


def alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return bool(state.stdout.strip()) and not state.stdout.strip().startswith("Z")


def evaluating(folder: Path, out: Path) -> subprocess.Popen[str]:
    """A run of two workers, both in an evaluation that takes minutes."""
    endless = ("--set", "evaluation.importance_samples=500000", "--workers", 2, "--epochs", 1)
    grid = ("--models", "VAE", "--datasets", "digits", "--seeds", 2, "--out", out)
    process = start(folder, "run", *TINY, *grid, *endless)
    wait_for(lambda: len([*out.glob("cells/*/model.pt")]) == 2, process)
    return process


@pytest.mark.slow
def test_workers_leave_with_a_killed_parent(tmp_path: Path) -> None:
    process = evaluating(tmp_path, tmp_path / "runs")
    workers = children(process.pid)
    assert len(workers) >= 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 120
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < end, "a worker outlived its run"
        time.sleep(0.1)


@pytest.mark.slow
def test_ctrl_c_ends_an_evaluation_between_blocks(tmp_path: Path) -> None:
    process = evaluating(tmp_path, tmp_path / "runs")
    time.sleep(3.0)  # from the model on to the long block
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGINT)  # the second does not wait for the block
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_a_cell_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    store, (cell,) = Store(tmp_path), plan_of(models="VAE").cells
    stop = threading.Event()
    stopped: list[Interrupted] = []

    def other() -> None:
        try:
            with store.hold(cell, stop.is_set):
                pass
        except Interrupted as error:
            stopped.append(error)

    with store.hold(cell):
        thread = threading.Thread(target=other)
        thread.start()
        stop.set()
        thread.join(10)
    assert len(stopped) == 1
    with store.hold(cell):  # free again
        pass

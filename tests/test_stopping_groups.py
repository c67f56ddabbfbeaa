"""Signals to a whole group of processes, as a terminal, `timeout` and `scancel` send them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.store import Store
from runs import SETTINGS

LONG = ("training.epochs=30000", "training.patience=30000", "engine.mode=eager")
WAIT = 400.0


@contextmanager
def running(out: Path) -> Iterator[subprocess.Popen[str]]:
    """A run of four cells with two workers, in a group of its own."""
    words = ["run", "--models", "VAE,MG", "--datasets", "digits", "--seeds", "2", "--workers", "2"]
    words += ["--preset", "demo", "--device", "cpu", "--out", str(out)]
    words += [word for setting in (*SETTINGS, *LONG) for word in ("--set", setting)]
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def workers(parent: int) -> list[int]:
    """The spawned processes of a run, from the moment that they have their program."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, line = int(path.parent.name), path.read_text()
            command = (path.parent / "cmdline").read_text()
        except (OSError, ValueError):
            continue
        if int(line.rpartition(")")[2].split()[1]) == parent and "spawn_main" in command:
            found.append(number)
    return found


def wait_for(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("moment", ["at the start", "in training"])
def test_a_group_that_is_told_to_stop_saves_and_says_so(
    tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    with running(tmp_path) as process:
        if moment == "at the start":
            wait_for(lambda: len(workers(process.pid)) == 2)
        else:
            assert process.stdout is not None
            assert any(": epoch " in line for line in process.stdout)
        os.killpg(process.pid, number)
        said, _ = process.communicate(timeout=WAIT)
    assert process.returncode == 130, said
    assert "interrupted; run the same command again to go on from here" in said
    assert "Traceback" not in said
    assert Store(tmp_path).rows() == []
    if moment == "in training":
        assert list(tmp_path.rglob("checkpoint.pt"))

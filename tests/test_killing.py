"""SIGKILL at any moment: the finished run has the numbers of one that nothing disturbed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import killing


@pytest.mark.slow
@pytest.mark.parametrize(("only", "kills"), [("alone", 20), ("workers", 4), ("finals", 4)])
def test_a_run_killed_at_random_moments_loses_nothing(
    tmp_path: Path, only: str, kills: int
) -> None:
    """What it says, on failure, begins with the seed that shows it again."""
    seed = random.randrange(10**6)
    words = ["--kills", str(kills), "--seed", str(seed), "--only", only]
    ended = subprocess.run(
        [sys.executable, killing.__file__, *words],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{kills} kills in" in ended.stdout


def test_what_is_lost_is_seen(tmp_path: Path) -> None:
    """The comparison that the kills are judged by finds each kind of loss."""
    for name in ("found", "expected"):
        cell = tmp_path / name / "cells" / "a"
        cell.mkdir(parents=True)
        (cell / "history.csv").write_text("epoch,seconds\n1,0.25\n")
        (tmp_path / name / "results.csv").write_text("cell,nelbo,seconds\na,1.5,3\n")
    found, expected = tmp_path / "found", tmp_path / "expected"
    (found / "results.csv").write_text("cell,nelbo,seconds\na,1.5,4\n")
    assert killing.differences(found, expected) == []
    (found / "results.csv").write_text("cell,nelbo,seconds\na,1.500001,4\n")
    (found / "cells" / "a" / ".row.json.half").write_text("{")
    assert killing.differences(found, expected) == [
        "cells/a/.row.json.half: only in one of them",
        "results.csv: differs",
    ]

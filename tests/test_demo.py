"""The presets that ship do what the README says of them."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import pytest

from runs import bench, results


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["demo", "quick"])
def test_cp_finds_digits_and_does_not_collapse(tmp_path: Path, preset: str) -> None:
    """Per-label purity, mean of three seeds, far above its chance of about .10."""
    arguments = ("--preset", preset, "--models", "CP", "--datasets", "digits", "--seeds", 3)
    quiet = ("--set", "tracking.enabled=false", "--out", tmp_path)
    ended = bench("run", *arguments, *quiet)
    assert ended.status == 0, ended.err
    rows = results(tmp_path)
    assert len(rows) == 3
    assert fmean(float(row["purity"]) for row in rows) >= 0.30
    assert max(float(row["purity_chance"]) for row in rows) < 0.13
    assert [row["collapsed"] for row in rows] == ["no"] * 3

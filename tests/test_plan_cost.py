"""The simulation of a large plan runs, and counts what it says."""

from __future__ import annotations

from pathlib import Path

from benchmarked import load

plan = load("plan")


def test_a_small_plan_is_simulated(tmp_path: Path) -> None:
    found = plan.simulate(8, tmp_path)
    assert found["cells"] == 8
    assert min(found["run"], found["again"], found["peak"]) > 0
    assert len([*tmp_path.glob("cells/*/row.json")]) == 8
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 9

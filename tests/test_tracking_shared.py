"""Two `bench run`s that tell one SQLite store at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs import TINY, bench, results, start
from tracked import snapshot

pytestmark = pytest.mark.slow

CELLS = {"digits CP K=3 seed 0", "digits VAE seed 0", "digits MG K=3 seed 0"}


def test_two_runs_on_one_sqlite_store_lose_nothing(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/team.db"
    processes = []
    for name in ("one", "two"):
        sets = ("tracking.enabled=true", f"tracking.uri={uri}", f"tracking.experiment={name}")
        flags = [word for text in sets for word in ("--set", text)]
        grid = ("--models", "CP,VAE,MG", "--datasets", "digits", "--components", 3)
        out = tmp_path / name
        processes.append(start(tmp_path, "run", *TINY, *grid, "--epochs", 3, "--out", out, *flags))
    for process in processes:
        said = "".join(process.communicate(timeout=500))
        assert process.returncode == 0, said
        assert "MLflow" not in said
    held = {name: snapshot(uri, name) for name in ("one", "two")}
    assert held["one"] == held["two"]
    assert set(held["one"]) == {"bench", *CELLS}
    for name, runs in held.items():
        assert {run["status"] for run in runs.values()} == {"FINISHED"}
        assert len(results(tmp_path / name)) == len(CELLS)
        assert "nothing waits" in bench("sync", "--out", tmp_path / name).out
    for run in CELLS:
        steps = [step for step, _ in held["one"][run]["metrics"]["objective"]]
        assert steps == [1, 2, 3]
        assert "model/data/cell/model.pt" in held["one"][run]["artifacts"]

"""What MLflow holds of cells that one run began and another ended."""

from __future__ import annotations

import csv
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from bench.tracking.location import locate
from interrupted import check_interrupted, interrupting
from runs import run_tiny

EPOCHS = 4
TRACKED = ("--models", "VAE", "--datasets", "digits", "--set", "tracking.enabled=true")
CURVES = ("objective", "validation_bound", "beta", "temperature", "epoch_seconds")


def runs_of_cells(out: Path) -> tuple[Any, dict[str, list[Any]]]:
    """A client of the store in a results folder, and its cells' runs by their status."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=locate("", out).uri)
    found = client.get_experiment_by_name("bench")
    held: dict[str, list[Any]] = {}
    for run in client.search_runs([found.experiment_id]):
        if run.info.run_name == "digits VAE seed 0":
            held.setdefault(run.info.status, []).append(run)
    return client, held


def test_a_resumed_cell_has_its_whole_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = "bench.training.validation_bound"
    with monkeypatch.context() as patch:
        patch.setattr(where, interrupting(resolve_name(where), [2]))
        check_interrupted(run_tiny(tmp_path, *TRACKED, epochs=EPOCHS))
    assert run_tiny(tmp_path, *TRACKED, epochs=EPOCHS).status == 0
    client, held = runs_of_cells(tmp_path)
    assert {status: len(runs) for status, runs in held.items()} == {"KILLED": 1, "FINISHED": 1}
    (run,) = held["FINISHED"]
    (path,) = tmp_path.glob("cells/*/history.csv")
    with path.open(newline="") as stream:
        history = list(csv.DictReader(stream))
    assert len(history) == EPOCHS
    for key in CURVES:
        points = client.get_metric_history(run.info.run_id, key)
        column = key.removeprefix("epoch_")
        expected = [(number, float(line[column])) for number, line in enumerate(history, 1)]
        assert sorted((point.step, point.value) for point in points) == expected, key
        assert run.data.metrics[key] == expected[-1][1]

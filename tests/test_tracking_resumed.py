"""What MLflow holds of cells that one run began and another ended."""

from __future__ import annotations

import csv
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest

from bench.burial import Burials
from bench.cells import ELSEWHERE
from bench.recorder import Recorder
from bench.store import Store
from bench.tracking import CellRun
from bench.tracking.location import locate
from bench.tuning import TrialRecord
from interrupted import check_interrupted, interrupting
from runs import plan_of, run_tiny

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


def test_a_cell_that_another_run_trained_is_tracked_by_that_run_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*TRACKED, "--set", "tracking.register_models_as=mine")
    real, others = resolve_name("bench.cells.hold_all"), []

    def after_another(*arguments: Any) -> Any:
        if not others:  # this run has chosen its cells, and has come too late for the first
            others.append(None)
            others[0] = run_tiny(tmp_path, *words)
        return real(*arguments)

    monkeypatch.setattr("bench.cells.hold_all", after_another)
    assert run_tiny(tmp_path, *words).status == 0
    assert others[0].status == 0
    client, held = runs_of_cells(tmp_path)
    assert {status: len(runs) for status, runs in held.items()} == {"KILLED": 1, "FINISHED": 1}
    (taken,), (trained,) = held["KILLED"], held["FINISHED"]
    assert taken.data.metrics == {}
    assert client.list_artifacts(taken.info.run_id) == []
    assert taken.data.tags["bench.trained_by"] == "another run on this results folder"
    assert "bench.trained_by" not in trained.data.tags
    versions = client.search_model_versions("name = 'mine'")
    assert [version.run_id for version in versions] == [trained.info.run_id]


@pytest.mark.parametrize("heard", [True, False], ids=["trained here", "trained elsewhere"])
def test_a_cell_that_is_found_finished_is_the_runs_own_if_it_was_heard_training(
    tmp_path: Path, heard: bool
) -> None:
    """As on a cluster, where a task is repeated that was lost just after it had written the row."""
    (cell,) = plan_of(models=["VAE"]).cells
    ended: list[tuple[str, dict[str, Any]]] = []
    run = SimpleNamespace(epochs=0, finish=lambda status, *_, **told: ended.append((status, told)))
    recorder = Recorder(Mock(), Mock(), Store(tmp_path), {}, {}, Mock())
    recorder.runs[cell.id] = cast(CellRun, run)
    recorder.phase(cell, "tune")
    if heard:
        recorder.phase(cell, "train")
    recorder.ended(cell, {"status": "ok", "nelbo": 1.0, ELSEWHERE: True})
    ((status, told),) = ended
    assert status == ("FINISHED" if heard else "KILLED")
    assert ("folder" in told) == heard


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("heard", [True, False], ids=["trained here", "waited for"])
def test_a_worker_that_dies_over_a_finished_cell_tracks_it_if_it_was_heard_training(
    tmp_path: Path, heard: bool, fresh: bool
) -> None:
    """It had written the row and not told of it, or had waited for another run to train it."""
    store, (cell,) = Store(tmp_path), plan_of(models=["VAE"]).cells
    ended: list[tuple[str, dict[str, Any]]] = []
    run = SimpleNamespace(epochs=0, finish=lambda status, *_, **told: ended.append((status, told)))
    recorder = Recorder(Mock(), Mock(), store, {}, {}, Mock())
    recorder.runs[cell.id] = cast(CellRun, run)
    burials = Burials([cell], store, fresh=fresh, search_only=False)
    if heard:
        recorder.phase(cell, "train")
    store.finish(cell, {"status": "ok", "reason": "", "nelbo": 1.0})
    recorder.ended(cell, burials.bury(cell, "its worker process ended"))
    ((status, told),) = ended
    assert status == ("FINISHED" if heard else "KILLED")
    assert ("folder" in told) == heard
    assert ELSEWHERE not in (store.row(cell.id) or {})


@pytest.mark.parametrize(
    ("row", "metrics"),
    [
        (
            {"status": "ok", "nelbo": 21.0, "validation_bound": -23.0},
            {"nelbo": 21.0, "best_validation_bound": -23.0},
        ),
        (  # of `bench tune`
            {"status": "ok", "validation_bound": -23.0, "validation_bound_se": 0.1},
            {"judged_bound": -23.0, "judged_bound_se": 0.1},
        ),
    ],
)
def test_bounds_that_were_taken_otherwise_are_metrics_of_their_own(
    tmp_path: Path, row: dict[str, Any], metrics: dict[str, float]
) -> None:
    (cell,) = plan_of(models=["VAE"]).cells
    ended: list[tuple[Any, ...]] = []
    run = SimpleNamespace(
        epochs=0, finish=lambda *told, **more: ended.append((*told, more.get("tags")))
    )
    recorder = Recorder(Mock(), Mock(), Store(tmp_path), {}, {}, Mock())
    for record in (
        TrialRecord(3, {}, -24.0, "complete"),
        TrialRecord(8, {}, -24.5, "complete", repeats=3),
    ):
        recorder.trials[cell.id, record.number] = cast(CellRun, run)
        recorder.trial(cell, record)
    recorder.runs[cell.id] = cast(CellRun, run)
    recorder.ended(cell, row)
    assert ended == [
        ("FINISHED", {"judged_bound": -24.0}, {}),
        ("FINISHED", {"judged_bound": -24.5}, {"repeats": "3"}),
        ("FINISHED", metrics, None),
    ]

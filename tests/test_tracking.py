"""Tracking: what a real MLflow store holds after a run."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.tracking import git_commit, open_ui
from bench.tracking.location import locate
from bench.tracking.purity import table
from tracked import PURITY, Story, epoch

EPOCHS = 300  # 1500 metrics: more than one call takes


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    told = Story(tmp_path_factory.mktemp("with space") / "runs")
    folder = told.out / "cells" / "abc"
    folder.mkdir(parents=True)
    for name in ("config.json", "metrics.json", "history.csv", "model.pt", "bounds.npy"):
        (folder / name).write_text(name)
    tracker = told.tracker()
    tracker.start("demo", {"preset": "demo", "seeds": [0, 1]}, {"version": "1", "git_commit": "f0"})
    params = {"components": 10, "training.learning_rate": 1e-3, "categories": None}
    tags = {"model": "CP", "fingerprint": "ab12"}
    cell = tracker.cell("digits CP", params | {f"p{i}": i for i in range(120)}, tags)
    trial = tracker.cell("trial 0", {"components": 20}, {}, parent=cell)
    trial.epoch(epoch(1))
    trial.finish("FINISHED", {"objective": -25.0})
    for number in range(1, EPOCHS + 1):
        cell.epoch(epoch(number))
    numbers = {"nelbo": 21.5, "kl_c": None, "nmi": math.nan, "purity": 0.5}
    cell.finish("FINISHED", numbers, folder=folder, purity=PURITY)
    tracker.cell("digits VAE", {}, {}).finish("FAILED", {}, folder=folder / "absent")
    tracker.cell("digits MG", {}, {}).epoch(epoch(1))
    tracker.close(timeout=300)  # on a busy machine it opens a new store for long
    told.read()
    return told


def test_runs_are_nested(story: Story) -> None:
    names = {run.info.run_id: name for name, run in story.runs.items()}
    parents = {
        name: names.get(run.data.tags.get("mlflow.parentRunId")) for name, run in story.runs.items()
    }
    assert parents == {
        "demo": None,
        "digits CP": "demo",
        "digits VAE": "demo",
        "digits MG": "demo",
        "trial 0": "digits CP",
    }
    assert story.notices == []


def test_statuses(story: Story) -> None:
    assert {name: run.info.status for name, run in story.runs.items()} == {
        "demo": "FINISHED",
        "digits CP": "FINISHED",
        "digits VAE": "FAILED",
        "digits MG": "KILLED",
        "trial 0": "FINISHED",
    }


def test_parameters_and_tags(story: Story) -> None:
    data = story.runs["digits CP"].data
    assert len(data.params) == 122
    assert data.params["training.learning_rate"] == "0.001"
    assert "categories" not in data.params
    assert data.tags["model"] == "CP"
    parent = story.runs["demo"].data.tags
    assert (parent["version"], parent["mlflow.source.git.commit"]) == ("1", "f0")


def test_every_epoch_is_in_the_history(story: Story) -> None:
    run = story.runs["digits CP"].info.run_id
    for key in ("objective", "validation_bound", "beta", "temperature", "epoch_seconds"):
        history = story.client.get_metric_history(run, key)
        assert sorted(metric.step for metric in history) == list(range(1, EPOCHS + 1))
    bounds = story.client.get_metric_history(run, "validation_bound")
    assert {metric.step: metric.value for metric in bounds}[7] == -23.0


def test_final_numbers_leave_out_what_does_not_apply(story: Story) -> None:
    metrics = story.runs["digits CP"].data.metrics
    assert (metrics["nelbo"], metrics["purity"]) == (21.5, 0.5)
    assert not {"kl_c", "nmi"} & metrics.keys()


def test_artifacts_are_the_known_files_and_the_purity(story: Story) -> None:
    run = story.runs["digits CP"].info.run_id
    names = {artifact.path for artifact in story.client.list_artifacts(run)}
    files = {"config.json", "metrics.json", "history.csv"}
    assert names == files | {"purity.json", "purity.png"}
    figure = Path(story.client.download_artifacts(run, "purity.png"))
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert (story.out / "mlartifacts").is_dir()


def test_mlflow_reads_the_purity_as_a_table(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", locate("", story.out).uri)
    info = story.runs["digits CP"].info
    frame = story.client.load_table(info.experiment_id, "purity.json", [info.run_id])
    assert list(frame.columns) == ["label", "purity", "chance", "count"]
    assert frame["count"].tolist() == [12, 0]
    assert frame["purity"].isna().tolist() == [False, True]


def test_a_table_takes_numpy_values_and_uneven_rows() -> None:
    import numpy as np

    rows = table([{"label": np.int64(3)}, {"label": "b", "purity": np.float32(0.5)}])
    assert json.dumps(rows) == '{"columns": ["label", "purity"], "data": [[3, null], ["b", 0.5]]}'


def test_importing_tracking_imports_no_mlflow() -> None:
    heavy = "{'mlflow', 'matplotlib', 'torch', 'pandas', 'filelock'}"
    code = f"import sys, bench.tracking; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_ui_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no MLflow store at .*mlflow\.db yet: .*`bench run`"):
        open_ui("", tmp_path, 5000)


def test_a_server_has_its_own_ui(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"open https://mlflow\.example"):
        open_ui("https://mlflow.example", tmp_path, 5000)


def test_the_ui_listens_on_loopback_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlflow.db").write_text("")
    commands: list[list[str]] = []

    class Server:
        def __init__(self, command: list[str], **_: object) -> None:
            commands.append(command)

        def wait(self) -> int:
            return 0

    monkeypatch.setattr("bench.tracking.ui.subprocess.Popen", Server)
    assert open_ui("", tmp_path, 5001) == 0
    command = " ".join(commands[0])
    assert f"--backend-store-uri sqlite:///{tmp_path / 'mlflow.db'}" in command
    assert "--host 127.0.0.1 --port 5001" in command


@pytest.mark.parametrize(
    ("uri", "artifacts"),
    [
        ("", "runs/mlartifacts"),
        ("sqlite:///{0}/team/all.db", "team/mlartifacts"),
        ("postgresql://db.example/mlflow", "runs/mlartifacts"),
        ("https://mlflow.example", None),
    ],
)
def test_artifacts_never_go_to_the_working_directory(
    tmp_path: Path, uri: str, artifacts: str | None
) -> None:
    found = locate(uri.format(tmp_path), tmp_path / "runs").artifacts
    assert found == (None if artifacts is None else (tmp_path / artifacts).as_uri())


def test_the_commit_is_a_hash_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    commit = git_commit()
    assert commit is None or (len(commit) >= 40 and int(commit, 16))
    monkeypatch.setenv("PATH", "")
    assert git_commit() is None

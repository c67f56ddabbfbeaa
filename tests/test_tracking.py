"""Tracking against real MLflow stores, and against everything that can be wrong with one."""

from __future__ import annotations

import json
import math
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.tracking import CellRun, Tracker, git_commit, open_ui
from bench.tracking import runs as runs_module
from bench.tracking.location import locate
from bench.tracking.purity import table
from bench.tracking.session import open_client
from bench.training import Epoch

PURITY = [
    {"label": "0", "purity": 0.5, "chance": 0.1, "count": 12},
    {"label": "1", "purity": math.nan, "chance": 0.1, "count": 0},
]
EPOCHS = 300  # 1500 metrics: more than one call takes


def epoch(number: int) -> Epoch:
    return Epoch(number, -20.0 - number, -30.0 + number, 0.1, number / 10, 0.5, 0.25)


@dataclass
class Story:
    """A ``bench run`` that has been tracked, and what its store says."""

    out: Path
    notices: list[str] = field(default_factory=list)
    runs: dict[str, Any] = field(default_factory=dict)
    client: Any = None

    def tracker(self, **changes: Any) -> Tracker:
        settings = {"uri": "", "out": self.out, "experiment": "bench", **changes}
        return Tracker(notice=self.notices.append, **settings)

    def read(self) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=locate("", self.out).uri)
        experiment = self.client.get_experiment_by_name("bench")
        found = self.client.search_runs([experiment.experiment_id])
        self.runs = {run.info.run_name: run for run in found}


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
    tracker.close()
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
    files = {"config.json", "metrics.json", "history.csv", "model.pt"}
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


def test_a_store_of_an_older_mlflow_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    location = locate("", tmp_path)
    (tmp_path / "mlflow.db").write_text("old")
    answers: list[Any] = [RuntimeError("Detected out-of-date database schema (found ...)"), "new"]
    commands: list[list[str]] = []

    def client(tracking_uri: str) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    # MLflow cannot downgrade a store, so there is no old one to open; a user's own is left alone.
    monkeypatch.setattr(mlflow, "MlflowClient", client)
    monkeypatch.setattr(
        "bench.tracking.session.subprocess.run", lambda command, **_: commands.append(command)
    )
    assert open_client(location) == "new"
    assert commands == [[sys.executable, "-m", "mlflow", "db", "upgrade", location.uri]]
    assert (tmp_path / "mlflow.db.old").read_text() == "old"
    answers[:] = [RuntimeError("Detected out-of-date database schema (found ...)")]
    with pytest.raises(RuntimeError, match="out-of-date"):
        open_client(locate(location.uri, tmp_path))


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def a_file(folder: Path) -> Path:
    path = folder / "file"
    path.write_text("")
    return path


def hide_mlflow(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "mlflow.py").write_text("raise ModuleNotFoundError('No module named mlflow')")
    patch.setenv("PYTHONPATH", str(folder))


def end_at_once(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(runs_module, "command", lambda: [sys.executable, "-c", "import os; os.abort()"])


def no_python(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(runs_module, "command", lambda: [str(folder / "absent")])


def nothing(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong with the process itself."""


@pytest.mark.parametrize(
    ("settings", "prepare", "reason"),
    [
        (lambda _: {"uri": f"http://127.0.0.1:{closed_port()}"}, nothing, "Connection refused"),
        (lambda folder: {"out": a_file(folder) / "below"}, nothing, "NotADirectoryError"),
        (lambda _: {"uri": "nonsense://somewhere"}, nothing, "nonsense"),
        (lambda _: {}, hide_mlflow, "ModuleNotFoundError: No module named mlflow"),
        (lambda _: {}, end_at_once, "its process ended with status -6"),
        (lambda _: {}, no_python, "No such file or directory"),
    ],
    ids=["dead server", "unwritable store", "unknown uri", "no mlflow", "crash", "no process"],
)
def test_a_broken_store_gives_one_notice_and_no_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: Callable[[Path], dict[str, Any]],
    prepare: Callable[[Path, pytest.MonkeyPatch], None],
    reason: str,
) -> None:
    prepare(tmp_path, monkeypatch)
    story = Story(tmp_path)
    tracker = story.tracker(**settings(tmp_path))
    started = time.monotonic()
    tracker.start("demo", {}, {})
    for number in range(3):
        cell = tracker.cell(f"cell {number}", {"a": 1}, {})
        cell.epoch(epoch(1))
        cell.finish("FINISHED", {"nelbo": 1.0}, purity=PURITY)
    assert time.monotonic() - started < 1.0
    tracker.close(timeout=30)
    assert time.monotonic() - started < 20
    assert len(story.notices) == 1
    assert story.notices[0].startswith("MLflow tracking has stopped: ")
    assert reason in story.notices[0]
    assert "its results are in" in story.notices[0]


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that never answers."""
    sleeps = [sys.executable, "-c", "import time; time.sleep(100)"]
    monkeypatch.setattr(runs_module, "command", lambda: sleeps)


@pytest.mark.usefixtures("stuck")
def test_closing_waits_only_so_long(tmp_path: Path) -> None:
    story = Story(tmp_path)
    tracker = story.tracker()
    tracker.start("demo", {}, {})
    tracker.close(timeout=0.1)
    assert len(story.notices) == 1
    assert "did not answer within 0.1 seconds" in story.notices[0]


@pytest.mark.usefixtures("stuck")
def test_a_store_that_falls_behind_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "QUEUE_LENGTH", 5)
    story = Story(tmp_path)
    tracker = story.tracker()
    tracker.start("demo", {}, {})
    for number in range(20):
        tracker.cell(f"cell {number}", {"long": "x" * 100_000}, {}).finish("FINISHED", {})
    tracker.close(timeout=0.1)
    assert len(story.notices) == 1
    assert "5 records behind" in story.notices[0]


def test_a_notice_that_fails_is_nobodys_problem(tmp_path: Path) -> None:
    def notice(text: str) -> None:
        raise OSError("the terminal is gone")

    tracker = Tracker(uri="nonsense://", out=tmp_path, experiment="bench", notice=notice)
    tracker.start("demo", {}, {})
    tracker.close(timeout=30)


@pytest.mark.parametrize("enabled", [True, False], ids=["not started", "disabled"])
def test_without_a_start_nothing_happens(tmp_path: Path, enabled: bool) -> None:
    story = Story(tmp_path)
    tracker = story.tracker(enabled=enabled)
    if not enabled:
        tracker.start("demo", {}, {})
    cell: CellRun = tracker.cell("cell", {}, {})
    cell.epoch(epoch(1))
    cell.finish("FINISHED", {})
    tracker.close()
    assert list(tmp_path.iterdir()) == []
    assert story.notices == []


@pytest.mark.slow
def test_two_processes_share_one_new_store(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from bench.tracking import Tracker\n"
        "t = Tracker(uri='', out=Path(sys.argv[1]), experiment='bench', notice=print)\n"
        "t.start(sys.argv[2], {}, {})\n"
        "for i in range(5):\n"
        "    c = t.cell(f'{sys.argv[2]} {i}', {'a': 1}, {})\n"
        "    c.finish('FINISHED', {f'm{k}': k for k in range(50)})\n"
        "t.close()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    both = [
        subprocess.Popen([*command, name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for name in ("one", "two")
    ]
    assert [process.communicate()[0] for process in both] == [b"", b""]
    story = Story(tmp_path)
    story.read()
    assert len(story.runs) == 12
    assert {run.info.status for run in story.runs.values()} == {"FINISHED"}
    assert all(len(r.data.metrics) == 50 for name, r in story.runs.items() if " " in name)


@pytest.mark.slow
def test_what_a_killed_run_left_open_is_ended(tmp_path: Path, story: Story) -> None:
    shutil.copy(story.out / "mlflow.db", tmp_path)  # it takes seconds to make one
    script = (
        "import os, signal, sys, time; from pathlib import Path\n"
        "from bench.tracking import Tracker\n"
        "t = Tracker(uri='', out=Path(sys.argv[1]), experiment='bench', notice=print)\n"
        "t.start('killed', {}, {})\n"
        "t.cell('done', {}, {}).finish('FINISHED', {'nelbo': 1.0})\n"
        "t.cell('open', {}, {})\n"
        "time.sleep(0.5)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    statuses: dict[str, str] = {}
    deadline = time.monotonic() + 60
    while statuses.get("killed") != "KILLED" and time.monotonic() < deadline:
        time.sleep(0.2)
        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
            statuses = dict(database.execute("select name, status from runs"))
    assert statuses["done"] == "FINISHED"
    assert (statuses["killed"], statuses["open"]) == ("KILLED", "KILLED")


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

"""Tracking against everything that can be wrong with a store, a server or the run itself."""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from bench.tracking import CellRun, Tracker
from bench.tracking import runs as runs_module
from bench.tracking.location import locate
from bench.tracking.session import open_client
from bench.tracking.spool import Writer, spools
from tracked import PURITY, Story, epoch


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
        (lambda _: {"uri": "nonsense://somewhere"}, nothing, "nonsense"),
        (lambda _: {}, hide_mlflow, "ModuleNotFoundError: No module named mlflow"),
        (lambda _: {}, end_at_once, "its process ended with status -6"),
        (lambda _: {}, no_python, "No such file or directory"),
    ],
    ids=["dead server", "unknown uri", "no mlflow", "crash", "no process"],
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
    assert time.monotonic() - started < 10  # it waits for nobody
    tracker.close(timeout=300)  # where MLflow's import is slow, too
    assert time.monotonic() - started < 250
    assert len(story.notices) == 1
    assert story.notices[0].startswith("MLflow tracking waits: ")
    assert reason in story.notices[0]
    assert f"`bench sync --out {tmp_path}` sends them" in story.notices[0]
    (spool,) = spools(tmp_path)
    assert len(list(spool.records(0))) == 1 + 2 + 3 * 3


def test_records_that_cannot_be_written_end_tracking_with_one_notice(tmp_path: Path) -> None:
    story = Story(tmp_path)
    tracker = story.tracker(out=a_file(tmp_path) / "below")
    tracker.start("demo", {}, {})
    tracker.cell("cell", {}, {}).finish("FINISHED", {"nelbo": 1.0})
    tracker.close()
    assert len(story.notices) == 1
    assert story.notices[0].startswith("MLflow tracking has stopped: NotADirectoryError")
    assert "its results are in" in story.notices[0]


def test_a_full_disk_ends_tracking_with_one_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(tmp_path)
    tracker = story.tracker()
    tracker.start("demo", {}, {})

    def full(writer: Writer, record: dict[str, Any]) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Writer, "write", full)
    for number in range(3):
        tracker.cell(f"cell {number}", {}, {}).finish("FINISHED", {"nelbo": 1.0})
    tracker.close(timeout=180)
    assert [notice[:48] for notice in story.notices] == [
        "MLflow tracking has stopped: OSError: [Errno 28]"
    ]


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
    assert "took nothing for 0.1 seconds" in story.notices[0]


def test_a_notice_that_fails_is_nobodys_problem(tmp_path: Path) -> None:
    def notice(text: str) -> None:
        raise OSError("the terminal is gone")

    tracker = Tracker(uri="nonsense://", out=tmp_path, experiment="bench", notice=notice)
    tracker.start("demo", {}, {})
    tracker.close(timeout=300)


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
        "t.close(timeout=300)\n"
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
def test_what_a_killed_run_left_open_is_ended(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, time; from pathlib import Path\n"
        "from bench.tracking import Tracker\n"
        "t = Tracker(uri='', out=Path(sys.argv[1]), experiment='bench', notice=print)\n"
        "t.start('killed', {}, {})\n"
        "t.cell('done', {}, {}).finish('FINISHED', {'nelbo': 1.0})\n"
        "t.cell('open', {}, {})\n"
        "end = time.monotonic() + 300\n"
        "while t._process is None and time.monotonic() < end:\n"
        "    time.sleep(0.01)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    statuses: dict[str, str] = {}
    deadline = time.monotonic() + 300
    while statuses.get("killed") != "KILLED" and time.monotonic() < deadline:
        time.sleep(0.2)
        # Not through MLflow, which would begin to make the store that is still being made.
        with suppress(sqlite3.Error), closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
            statuses = dict(database.execute("select name, status from runs"))
    assert statuses == {"killed": "KILLED", "done": "FINISHED", "open": "KILLED"}

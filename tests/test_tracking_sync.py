"""`bench sync`: what waits on disk is sent once, whatever happened before and meanwhile."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.tracking import Tracker
from bench.tracking import runs as runs_module
from bench.tracking.environment import ENVIRONMENT
from bench.tracking.location import locate
from bench.tracking.session import Session
from bench.tracking.spool import Spool, Writer, spools, without_password
from runs import Ended, bench
from tracked import PURITY, Story, epoch, snapshot

DATA = {"name": "digits", "digest": "ab12", "profile": {"train": 10}}


def sync(out: Path, *arguments: object) -> Ended:
    return bench("sync", "--out", out, *arguments)


@pytest.fixture
def nobody_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracking process that does nothing."""
    monkeypatch.setattr(runs_module, "command", lambda: [sys.executable, "-c", "exit(3)"])


def tell(tracker: Tracker, out: Path) -> None:
    """A run of two cells, one of which has a trial."""
    folder = out / "cells" / "abc"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.csv").write_text("epoch")
    tracker.start("demo", {"seeds": [0]}, {"git_commit": "f0"}, [DATA])
    for name in ("one", "two"):
        cell = tracker.cell(name, {"k": 10}, {"model": "CP"}, datasets=[DATA])
        trial = tracker.cell(f"trial of {name}", {"k": 3}, {}, parent=cell)
        trial.finish("FAILED", {"best": 2.0})
        cell.epoch(epoch(1))
        cell.epoch(epoch(2))
        tuned = {"tuned.k": 3}
        cell.finish("FINISHED", {"nelbo": 1.0}, folder=folder, purity=PURITY, params=tuned)
    tracker.close()


@pytest.mark.usefixtures("nobody_sends")
@pytest.mark.slow
def test_nothing_is_doubled_though_every_answer_is_lost_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm, storm = Story(tmp_path / "calm"), Story(tmp_path / "storm")
    for story in (calm, storm):
        tell(story.tracker(), story.out)
    assert sync(calm.out).status == 0

    answered: set[str] = set()

    def losing(done: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(done)
        def call(session: Session, *arguments: Any, **named: Any) -> Any:
            answer = done(session, *arguments, **named)
            key = f"{done.__name__}{arguments}{named}"
            if key not in answered:
                answered.add(key)
                raise ConnectionError("the answer is lost")
            return answer

        return call

    for name in ("create", "log", "end", "attach_datasets", "attach_files", "attach_purity"):
        monkeypatch.setattr(Session, name, losing(getattr(Session, name)))
    tries = 1
    while (ended := sync(storm.out)).status == 1:
        assert "the answer is lost" in ended.err
        tries += 1
        assert tries < 100
    assert ended.status == 0, ended.err
    assert tries > 25
    uris = [locate("", story.out).uri for story in (calm, storm)]
    assert snapshot(uris[0], "bench") == snapshot(uris[1], "bench")
    assert snapshot(uris[1], "bench")["two"]["status"] == "FINISHED"


@pytest.mark.usefixtures("nobody_sends")
def test_a_run_that_goes_on_is_sent_bit_by_bit(tmp_path: Path) -> None:
    story = Story(tmp_path)
    tracker = story.tracker()
    tracker.start("demo", {}, {})
    cell = tracker.cell("cell", {}, {})
    said = sync(tmp_path)
    assert said.status == 0, said.err
    assert "2 records, 2 runs" in said.out
    assert "its `bench run` goes on writing" in said.out
    story.read()
    assert {run.info.status for run in story.runs.values()} == {"RUNNING"}
    cell.finish("FINISHED", {"nelbo": 1.0})
    tracker.close()
    (spool,) = spools(tmp_path)
    with spool.sending():
        assert "is sending it" in sync(tmp_path).out
    assert "3 records, 2 runs" in sync(tmp_path).out
    assert "nothing waits" in sync(tmp_path).out
    story.read()
    assert {run.info.status for run in story.runs.values()} == {"FINISHED"}


def senders(spool: Spool, count: int) -> list[subprocess.Popen[str]]:
    """Tracking processes of a run that has ended."""
    opening = json.dumps({"uri": "", "spool": str(spool.path)})
    started = [
        subprocess.Popen(
            runs_module.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**ENVIRONMENT, **os.environ},
        )
        for _ in range(count)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write(f"{opening}\n")
        process.stdin.close()
        process.stdin = None
    return started


def test_a_second_sender_waits_for_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(runs_module, "command", lambda: [sys.executable, "-c", "exit(3)"])
        tell(story.tracker(), tmp_path)
    (spool,) = spools(tmp_path)
    with spool.sending() as alone:
        assert alone
        waiting = senders(spool, 2)
        time.sleep(3.0)
        assert [process.poll() for process in waiting] == [None, None]
        assert not (tmp_path / "mlflow.db").exists()
    for process in waiting:
        answer, _ = process.communicate(timeout=400)
        assert (process.returncode, answer) == (0, "")
    found = snapshot(locate("", tmp_path).uri, "bench")  # refuses a run that is there twice
    assert sorted(found) == ["demo", "one", "trial of one", "trial of two", "two"]
    assert {run["status"] for run in found.values()} == {"FINISHED", "FAILED"}


# It dies when its sender has begun: one that is still being forked holds the run's lock as well.
KILLED = """
import os, signal, sys, time
from pathlib import Path
from bench.tracking import Tracker
from bench.tracking import runs
runs.command = lambda: [sys.executable, "-c", "exit(3)"]
t = Tracker(uri="", out=Path(sys.argv[1]), experiment="bench", notice=lambda text: None)
t.start("killed", {}, {})
t.cell("done", {}, {}).finish("FINISHED", {"nelbo": 1.0})
t.cell("open", {"a": 1}, {})
while t._process is None and t._thread.is_alive():
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_of_everything_loses_nothing(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (spool,) = spools(tmp_path)
    with spool.path.open("ab") as stream:
        stream.write(b'{"run": 2, "metr')  # it died while it wrote this
    said = sync(tmp_path)
    assert said.status == 0, said.err
    held = snapshot(locate("", tmp_path).uri, "bench")
    assert {name: run["status"] for name, run in held.items()} == {
        "killed": "KILLED",
        "done": "FINISHED",
        "open": "KILLED",
    }
    assert held["open"]["params"] == {"a": "1"}
    assert all(run["ended"] for run in held.values())


@pytest.mark.slow
def test_the_next_run_sends_what_waits(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    story = Story(tmp_path)
    tracker = story.tracker()
    tracker.start("next", {}, {})
    tracker.close(timeout=180)
    assert story.notices == []
    assert set(snapshot(locate("", tmp_path).uri, "bench")) == {"killed", "done", "open", "next"}


@pytest.mark.usefixtures("nobody_sends")
def test_everything_can_be_sent_to_another_store_too(tmp_path: Path) -> None:
    out, other = tmp_path / "runs", f"sqlite:///{tmp_path}/team.db"
    tell(Story(out).tracker(), out)
    assert sync(out).status == 0
    assert "nothing waits" in sync(out, "--uri", locate("", out).uri).out  # the same, spelled out
    said = sync(out, "--uri", other)
    assert f"5 runs, to {other}" in said.out
    held = snapshot(other, "bench")
    assert held == snapshot(locate("", out).uri, "bench")
    assert {"history.csv", "purity.png"} <= set(held["one"]["artifacts"])


@pytest.mark.usefixtures("nobody_sends")
def test_a_password_is_asked_for_not_kept(tmp_path: Path) -> None:
    uri = "http://me:secret@127.0.0.1:1"
    story = Story(tmp_path)
    tracker = story.tracker(uri=uri)
    tracker.start("demo", {}, {})
    tracker.close()
    (spool,) = spools(tmp_path)
    assert b"secret" not in spool.path.read_bytes()
    said = sync(tmp_path)
    assert said.status == 1
    assert "whose password is not kept on disk: name the store with --uri" in said.err
    config = tmp_path / "mine.toml"
    config.write_text(f'[tracking]\nuri = "{uri}"\n')
    said = sync(tmp_path, "--config", config)
    assert said.status == 1
    assert "onnection refused" in said.err
    assert "secret" not in said.err


def test_one_damaged_spool_does_not_stop_the_others(tmp_path: Path) -> None:
    for name in ("20200101-bad", "20210101-good"):
        path = tmp_path / "tracking" / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"uri": "", "experiment": "bench", "register": ""}\n')
        rest = "nonsense\n" if name.endswith("bad") else ""
        with path.open("a") as stream:
            stream.write(
                '{"run": 0, "time": 1, "create": "' + name + '", "params": {}, "tags": {}, '
                '"parent": null}\n' + rest
            )
    said = sync(tmp_path)
    assert said.status == 1
    assert "bad.jsonl is damaged: expected a JSON object at byte" in said.err
    assert "20210101-good: 1 records, 1 runs" in said.out
    held = snapshot(locate("", tmp_path).uri, "bench")
    assert held["20210101-good"]["status"] == "KILLED"


def test_a_missing_folder_is_bad_usage(tmp_path: Path) -> None:
    said = sync(tmp_path / "absent")
    assert said.status == 2
    assert "there is no results folder" in said.err


def test_records_survive_short_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(tmp_path, {"uri": ""})
    stream = writer._stream

    class Slow:
        def write(self, data: bytes) -> int:
            return os.write(stream.fileno(), data[:3])

    monkeypatch.setattr(writer, "_stream", Slow())
    writer.write({"run": 1, "metrics": []})
    assert [record for record, _ in Spool(writer.spool.path).records(0)] == [
        {"uri": ""},
        {"run": 1, "metrics": []},
    ]


def test_passwords_are_hidden() -> None:
    hidden = "postgresql://me:***@db.example:5432/team"
    assert without_password("postgresql://me:s3cr:t@db.example:5432/team") == hidden
    for plain in ("", "sqlite:////a/b.db", "http://mlflow.example:5000", "https://me@h.example"):
        assert without_password(plain) == plain

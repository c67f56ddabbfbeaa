"""What --ray refuses before anything trains, and what is made of the news of tasks that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import exceptions

from bench import ray_cluster, ray_nodes
from bench.config import load_config
from bench.errors import BenchError, UsageError
from bench.execution import Job, devices, share_cores
from bench.grid import Cell
from bench.ray_cluster import Cluster, Node
from bench.ray_tasks import CRASHES, LOSSES, Ledger, Task
from bench.store import Row, Store
from bench.workers import place
from runs import Ended, bench, plan_of, write_prior

LOST = exceptions.NodeDiedError("gone")
CRASHED = exceptions.WorkerCrashedError()
OK: Row = {"status": "ok", "nelbo": 1.0}


def refused(*words: object) -> Ended:
    return bench("run", "--models", "VAE", "--datasets", "digits", *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--ray", "127.0.0.1:1"), "no Ray cluster can be joined at '127.0.0.1:1'"),
        (("--ray", "somewhere"), "expected HOST:PORT"),
        (("--ray", "127.0.0.1:99999"), "no Ray cluster can be joined"),
        (("--ray", "ray://127.0.0.1:10001"), "Run bench on a node of the cluster"),
        (("--ray", "auto", "--workers", 2), "--workers 2 does not go with --ray"),
        (("--ray", "auto", "--set", "engine.ray_gpus=0"), "engine.ray_gpus"),
    ],
)
def test_a_wrong_address_is_refused_in_seconds(
    tmp_path: Path, words: tuple[object, ...], said: str
) -> None:
    began = time.monotonic()
    ended = refused(*words, "--out", tmp_path / "runs")
    assert ended.status == 2
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "runs").exists()
    assert time.monotonic() - began < 60


def test_auto_without_a_cluster_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: Any) -> None:
        raise ConnectionError("Could not find any running Ray instance.\nLong advice.")

    monkeypatch.setattr(ray_cluster.ray, "init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ended = refused("--ray", "auto", "--out", tmp_path)
    assert ended.status == 2
    assert "Could not find any running Ray instance. Expected one" in ended.err


def test_without_ray_the_message_has_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "bench.ray_cluster")
    ended = refused("--ray", "auto", "--out", tmp_path)
    assert ended.status == 2
    assert "pip install 'vae-prior-bench[ray]'" in ended.err


def cluster(monkeypatch: pytest.MonkeyPatch, *sizes: tuple[float, float]) -> Cluster:
    nodes = tuple(Node(str(i), f"node{i}", cpus, gpus) for i, (cpus, gpus) in enumerate(sizes))
    monkeypatch.setattr(Cluster, "nodes", nodes)
    return Cluster("here:1", 0.25)


def test_resources_follow_from_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    big = cluster(monkeypatch, (8, 2), (4, 1))
    assert [big.device(name) for name in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]
    assert (big.slots("cuda"), big.slots("cpu")) == ((12, 12), (12, 12))
    assert big.resources(2, "cuda") == {"num_cpus": 2, "num_gpus": 0.25}
    assert big.resources(2, "cpu") == {"num_cpus": 2}
    assert big.fits(big.resources(8, "cuda"))
    assert not big.fits(big.resources(9, "cpu"))
    assert big.most_threads(12) == 8
    with pytest.raises(UsageError, match="Ray gives each task its GPU"):
        big.device("cuda:1")
    small = cluster(monkeypatch, (8, 0))
    assert small.device("auto") == "cpu"
    with pytest.raises(UsageError, match="no node of the Ray cluster at here:1 offers a GPU"):
        small.device("cuda")


def job(out: Path, *plugins: Path) -> Job:
    return Job(load_config(), plugins, (Path("data"),), "cpu", out, 1)


def test_a_node_that_does_not_see_the_results_says_so(tmp_path: Path) -> None:
    question = ray_nodes.Question(job(tmp_path), {}, tmp_path / "absent", "token")
    (problem,) = ray_nodes.answer(question)["problems"]
    assert "Expected storage that all nodes share" in problem


def test_a_node_whose_plugins_or_data_differ_says_so(tmp_path: Path) -> None:
    (tmp_path / "marker").write_text("token")
    sources = {("prior", "vamp"): "other", ("dataset", "mnist"): "other"}
    there = ray_nodes.shipped(job(tmp_path))
    question = ray_nodes.Question(there, sources, tmp_path / "marker", "token")
    found = ray_nodes.answer(question)
    text = "\n".join(found["problems"])
    assert "prior 'vamp' is another file there" in text
    assert "mnist" in text
    assert not found["locked"]  # nobody held the lock


def test_versions_and_locks_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = {"problems": [], "locked": False, "torch": "1.0", "Python": "3.0"}
    notices: list[str] = []
    here = cluster(monkeypatch, (1, 0))
    cells = plan_of(models="VAE").cells

    def check(version: str) -> Job:
        answers = [("node7", {**theirs, "version": version})]
        monkeypatch.setattr(ray_nodes, "_ask", lambda *_: answers)
        return ray_nodes.check_nodes(here, job(tmp_path), cells, notices.append)

    with pytest.raises(UsageError, match=r"node node7 has bench 0\.0, numerics 1\.1; expected "):
        check("bench 0.0, numerics 1.1")
    assert check(ray_nodes.numerics()).out.is_absolute()
    assert [text.split()[0] for text in notices] == ["torch", "Python", "locks"]
    assert not [*(tmp_path / ".ray").iterdir()]


def test_plugins_go_where_every_node_sees_them(tmp_path: Path) -> None:
    plugin = write_prior(tmp_path / "mine.py")
    out = tmp_path / "runs"
    (copy,) = ray_nodes.shipped(job(out, plugin)).plugins
    assert copy.is_relative_to(out)
    assert copy.name == "mine.py"
    assert copy.read_text() == plugin.read_text()
    assert ray_nodes.shipped(job(out, plugin)).plugins == (copy,)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("", ""),
        ("shared/t.journal", "{}/shared/t.journal"),
        ("sqlite:///t.db", "sqlite:///{}/t.db"),
        ("/shared/t.journal", "/shared/t.journal"),
        ("postgresql://bench:secret@db/tuning", "postgresql://bench:secret@db/tuning"),
    ],
)
def test_nodes_keep_trials_where_the_driver_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    sets = (f"tuning.storage={place}",) if place else ()
    there = ray_nodes.shipped(replace(job(tmp_path), config=load_config(None, None, sets)))
    assert there.config.tuning.storage == expected.format(tmp_path)


class Heard:
    """A listener that writes down what it hears."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []

    def __getattr__(self, kind: str) -> Any:
        return lambda cell, *rest: self.lines.append((kind, cell.seed, *rest))


class Book:
    """A ledger whose tasks are submitted to nobody."""

    def __init__(self, out: Path, seeds: int = 2, fresh: bool = False) -> None:
        self.cells: tuple[Cell, ...] = plan_of(models="VAE", seeds=list(range(seeds))).cells
        self.heard, self.submitted = Heard(), dict[int, Task]()
        self.store = Store(out)
        hand_over = self.submitted.__setitem__
        self.ledger = Ledger([self.cells], fresh, self.store, self.heard, hand_over)

    def news(self, attempt: int, kind: str, seed: int, *rest: Any) -> None:
        self.ledger.hear(attempt, kind, self.cells[seed].id, rest)

    def epoch(self, attempt: int, number: int, trial: int | None = None) -> None:
        self.news(attempt, "epoch", 0, SimpleNamespace(epoch=number), trial)

    def kinds(self) -> list[tuple[Any, ...]]:
        return [line[:2] for line in self.heard.lines]


def test_what_is_done_twice_is_heard_once(tmp_path: Path) -> None:
    book = Book(tmp_path)
    for seed in (0, 1):
        book.news(1, "started", seed)
    book.epoch(1, 1)
    book.epoch(1, 2)
    book.news(1, "ended", 1, OK)
    book.ledger.settle(1, LOST, stopping=False)
    assert [cell.seed for cell in book.submitted[2].group] == [0]  # the other has ended
    book.news(2, "started", 0)
    book.epoch(2, 2)  # again, from the checkpoint after the first
    book.epoch(2, 3)
    book.epoch(1, 4)  # of the process that was given up
    book.news(1, "ended", 1, OK)
    book.news(2, "ended", 0, OK)
    book.news(1, "ended", 0, OK)
    book.ledger.settle(2, None, stopping=False)
    assert book.kinds() == [
        ("started", 0), ("started", 1), ("epoch", 0), ("epoch", 0), ("ended", 1), ("notice", 0),
        ("epoch", 0), ("ended", 0),
    ]  # fmt: skip
    assert book.ledger.complete
    assert not book.ledger.tasks


@pytest.mark.parametrize(
    ("error", "most", "reason"),
    [
        (LOST, LOSSES, "the node that it was on was lost, 10 times"),
        (CRASHED, CRASHES, "its worker process died 3 times"),
        (exceptions.OutOfMemoryError("memory"), CRASHES, "its worker process died 3 times"),
    ],
)
def test_a_group_that_dies_without_an_epoch_between_has_failed(
    tmp_path: Path, error: Exception, most: int, reason: str
) -> None:
    book = Book(tmp_path, seeds=1)
    for attempt in range(1, most):
        book.ledger.settle(attempt, error, stopping=False)
    last = max(book.submitted)
    assert last == most
    book.epoch(last, 1)  # an epoch that is new: counting begins anew
    for attempt in range(last, last + most):
        assert not book.ledger.complete
        book.ledger.settle(attempt, error, stopping=False)
    assert book.ledger.complete
    row = book.store.row(book.cells[0].id)
    assert row is not None
    assert reason in row["reason"]
    assert [kind for kind, _ in book.kinds()].count("ended") == 1


def test_a_row_that_was_written_outlives_its_process(tmp_path: Path) -> None:
    book = Book(tmp_path, seeds=1)
    book.store.finish(book.cells[0], OK)
    book.ledger.settle(1, BenchError("its node is odd"), stopping=False)
    assert book.heard.lines[-1][0] == "ended"
    assert book.heard.lines[-1][2]["status"] == "ok"


def test_an_error_of_a_node_is_the_cell_s_reason(tmp_path: Path) -> None:
    book = Book(tmp_path, seeds=1)
    book.ledger.settle(1, BenchError("its node has other data"), stopping=False)
    assert book.heard.lines[-1][2] == {"status": "failed", "reason": "its node has other data"}


def test_what_was_to_be_forgotten_is_forgotten_once(tmp_path: Path) -> None:
    book = Book(tmp_path, seeds=1, fresh=True)
    book.ledger.settle(1, LOST, stopping=False)
    assert book.submitted[2].fresh  # it had not begun
    book.news(2, "phase", 0, "train")
    book.ledger.settle(2, LOST, stopping=False)
    assert not book.submitted[3].fresh


def test_a_trial_is_heard_once(tmp_path: Path) -> None:
    book = Book(tmp_path, seeds=1)
    book.news(1, "trying", 0, 0, {})
    book.epoch(1, 1, trial=0)
    book.news(1, "trial", 0, SimpleNamespace(number=0))
    book.ledger.settle(1, LOST, stopping=False)
    book.news(2, "trying", 0, 0, {})
    book.epoch(2, 2, trial=0)
    book.news(2, "trial", 0, SimpleNamespace(number=0))
    book.news(2, "trying", 0, 1, {})
    kinds = [kind for kind, _ in book.kinds() if kind != "notice"]
    assert kinds == ["trying", "epoch", "trial", "trying"]


def test_gpus_are_divided_among_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert devices("cuda") == ["cuda:0", "cuda:1", "cuda:2"]
    assert devices("cuda:1") == ["cuda:1"]
    assert devices("cpu") == ["cpu"]
    assert share_cores(0, 1, 10, "cuda", 300) == (3, 1)
    assert share_cores(0, 1, 10, "cuda:1", 300) == (1, 1)
    taken: list[str] = []
    for _ in range(5):
        taken.append(place(devices("cuda"), taken))
    assert taken == ["cuda:0", "cuda:1", "cuda:2", "cuda:0", "cuda:1"]
    taken.remove("cuda:1")  # one of its two has died
    taken.remove("cuda:1")
    assert place(devices("cuda"), taken) == "cuda:1"


def test_a_task_leaves_with_its_node_s_ray() -> None:
    """Ray itself lets a process train on whose raylet was killed."""
    task = (
        "import os; from bench.ray_worker import _leave_with_raylet as leave;"
        "print(os.getpid(), flush=True); leave(os.getppid())"
    )
    raylet = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    process = subprocess.Popen(
        [sys.executable, "-c", raylet, task], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert int(process.stdout.readline()) > 0
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout.read() == ""  # at its end: nobody holds the pipe any more

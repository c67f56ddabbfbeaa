"""What --ray refuses before anything trains, what it asks of nodes, and how GPUs are divided."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import ray_cluster, ray_nodes
from bench.config import load_config
from bench.errors import UsageError
from bench.execution import Job, devices, share_cores
from bench.ray_cluster import Cluster, Node
from bench.workers import place
from runs import Ended, bench, plan_of, write_prior


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

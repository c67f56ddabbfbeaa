"""Ctrl-C in every phase: what is done is saved, and the same command goes on to the same end."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from bench.recorder import Recorder
from bench.tracking import Tracker, runs
from bench.training import ReplicaTrainer
from interrupted import check_interrupted, interrupting
from killing import differences
from runs import results, run_tiny

PAIR = ("--models", "VAE,CP", "--datasets", "digits")
SEARCH = (*PAIR, "--trials", 8, "--set", "model.latent_dim=3")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "runs"
    assert run_tiny(out, *PAIR).status == 0
    return out


PHASES = [
    ("bench.training.validation_bound", 2),
    ("bench.evaluation.report_card.measure_bounds", 1),
    ("bench.evaluation.report_card.measure_decomposition", 1),
    ("bench.evaluation.report_card.measure_generation", 2),
]


@pytest.mark.parametrize(("where", "moment"), PHASES, ids=lambda value: str(value).split("_")[-1])
def test_a_run_goes_on_after_ctrl_c(
    tmp_path: Path,
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    moment: int,
) -> None:
    out = tmp_path / "runs"
    with monkeypatch.context() as patch:
        patch.setattr(where, interrupting(resolve_name(where), [moment]))
        check_interrupted(run_tiny(out, *PAIR))
    assert differences(out, undisturbed) != []
    assert run_tiny(out, *PAIR).status == 0
    assert differences(out, undisturbed) == []


@pytest.mark.parametrize("where", [where for where, _ in PHASES[:2]])
def test_the_second_ctrl_c_ends_at_once(
    tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    out = tmp_path / "runs"
    with monkeypatch.context() as patch:
        patch.setattr(where, interrupting(resolve_name(where), [1], times=2))
        ended = run_tiny(out, *PAIR)
    assert ended.status == 130
    assert "Traceback" not in ended.out + ended.err
    assert run_tiny(out, *PAIR).status == 0
    assert differences(out, undisturbed) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_after_the_last_cell_interrupts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(Recorder, "ended", interrupting(Recorder.ended, [2]))
    ended = run_tiny(tmp_path, *PAIR, "--workers", workers)
    assert ended.status == 0, ended.out + ended.err
    assert "interrupted" not in ended.out
    assert {row["status"] for row in results(tmp_path)} == {"ok"}


def test_ctrl_c_ends_the_waiting_for_a_store_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All cells have ended: that records wait on disk is no reason for the exit status 130."""
    sleeps = [sys.executable, "-c", "import time; time.sleep(100)"]
    monkeypatch.setattr(runs, "command", lambda: sleeps)  # a store that never answers
    stopped, began = interrupting(Tracker._settle, [1]), list[float]()

    def settle(*arguments: Any) -> None:
        began.append(time.monotonic())
        stopped(*arguments)

    monkeypatch.setattr(Tracker, "_settle", settle)
    ended = run_tiny(tmp_path, "--set", "tracking.enabled=true", *PAIR)
    assert ended.status == 0, ended.out + ended.err
    assert "MLflow tracking waits: its sending was interrupted." in " ".join(ended.out.split())
    assert {row["status"] for row in results(tmp_path)} == {"ok"}
    assert time.monotonic() - began[0] < 55  # it would wait for a minute, and longer


def best(out: Path) -> list[dict[str, Any]]:
    """What each cell's search has chosen."""
    kept = sorted(p for name in ("config", "training") for p in out.glob(f"cells/*/{name}.json"))
    return [json.loads(path.read_text())["tuned"] for path in kept]


def test_an_interrupted_search_ends_with_the_same_best_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two systems, eight trials each; interrupted again and again, in one process."""
    expected, out = tmp_path / "expected", tmp_path / "runs"
    assert run_tiny(expected, *SEARCH).status == 0
    for moment in (1, 4, 6, 3, 9):
        with monkeypatch.context() as patch:
            patch.setattr(ReplicaTrainer, "epoch", interrupting(ReplicaTrainer.epoch, [moment]))
            check_interrupted(run_tiny(out, *SEARCH))
    assert run_tiny(out, *SEARCH).status == 0
    assert len(best(expected)) == 4  # config.json and training.json of two cells
    assert best(out) == best(expected)
    assert differences(out, expected) == []

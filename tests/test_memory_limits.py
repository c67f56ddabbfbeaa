"""Where memory does not suffice: fewer rows at once, or one seed after the other, or a reason."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.evaluation.report_card import evaluate
from bench.memory_limits import FLOOR, MEMO, out_of_memory, within_memory
from bench.training import ReplicaTrainer
from killing import content
from runs import Ended, results, run_tiny

WORDS = ("--models", "CP", "--datasets", "digits", "--components", 3)
CPU = "[enforce fail at alloc_cpu.cpp:116] . DefaultCPUAllocator: can't allocate memory: you tried"
ERRORS = [MemoryError(), torch.OutOfMemoryError("CUDA out of memory."), RuntimeError(CPU)]
each_error = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)


def limited(monkeypatch: pytest.MonkeyPatch, error: Exception, most: int) -> list[int]:
    """Evaluation needs more memory than there is for larger chunks; gives those that were tried."""
    tried: list[int] = []

    def measure(model: Any, data: Any, config: Any, *rest: Any) -> Any:
        tried.append(config.chunk)
        if config.chunk > most:
            raise error
        return evaluate(model, data, config, *rest)

    monkeypatch.setattr("bench.cells.evaluate", measure)
    return tried


def run(out: Path, *more: object, chunk: int = 512) -> Ended:
    return run_tiny(out, *WORDS, "--set", f"evaluation.chunk={chunk}", *more)


def said(ended: Ended) -> str:
    return " ".join(ended.out.split())


@each_error
def test_evaluation_goes_on_with_fewer_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    tried = limited(monkeypatch, error, 128)
    ended = run(tmp_path)
    assert ended.status == 0, ended.out
    assert tried == [512, 256, 128]
    assert "out of memory with evaluation.chunk = 512: evaluates anew with 256" in said(ended)
    (row,) = results(tmp_path)
    assert row["evaluation_chunk"] == "128"


def test_its_numbers_are_those_of_the_smaller_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit what the chunk gives that the row names."""
    assert run(tmp_path / "asked", chunk=128).status == 0
    limited(monkeypatch, MemoryError(), 128)
    assert run(tmp_path / "found").status == 0
    found, asked = (next((tmp_path / n).glob("cells/*/examples.npz")) for n in ("found", "asked"))
    assert content(found) == content(asked)


def test_a_killed_evaluation_goes_on_with_the_chunk_that_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "runs"
    with monkeypatch.context() as patch:
        limited(patch, MemoryError(), 256)
        assert run(out).status == 0
        expected = results(out)
        (row,) = out.glob("cells/*/row.json")
        row.unlink()  # as if it had been killed before that
    tried = limited(monkeypatch, MemoryError(), 10**6)  # now there is room
    assert run(out).status == 0
    assert tried == [256]
    clocks = ("seconds", "evaluation_seconds")
    assert [{k: v for k, v in row.items() if k not in clocks} for row in results(out)] == [
        {k: v for k, v in row.items() if k not in clocks} for row in expected
    ]


def test_below_the_floor_the_cell_fails_and_the_next_run_begins_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        tried = limited(patch, RuntimeError(CPU), 0)
        ended = run(tmp_path, chunk=200)
    assert ended.status == 1
    assert tried == [200, 100, FLOOR]
    (row,) = results(tmp_path)
    assert row["status"] == "failed"
    assert f"out of memory in evaluation, even with {FLOOR} rows at once: " in row["reason"]
    assert "can't allocate memory" in row["reason"]
    tried = limited(monkeypatch, MemoryError(), 200)
    assert run(tmp_path, chunk=200).status == 0
    assert tried == [200]


@pytest.mark.parametrize("note", ["", "-3", "true", '"many"', "[]", "4096"])
def test_a_note_that_makes_no_sense_is_no_note(tmp_path: Path, note: str) -> None:
    (tmp_path / MEMO).write_text(note)
    assert within_memory(512, tmp_path, lambda chunk: chunk, pytest.fail) == (512, 512)


def test_other_errors_are_not_for_want_of_memory(tmp_path: Path) -> None:
    def fail(_: int) -> None:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        within_memory(512, tmp_path, fail, pytest.fail)
    assert [*tmp_path.iterdir()] == []


def test_what_the_allocators_really_say_is_understood() -> None:
    huge = 2**56
    for make in (lambda: torch.empty(huge), lambda: np.empty(huge)):
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            make()
        assert out_of_memory(caught.value)
    assert not out_of_memory(ValueError("out of memory"))


def short_of_memory(together: int) -> Callable[[ReplicaTrainer], Any]:
    """An epoch that takes too much where so many replicas train together."""
    real = ReplicaTrainer.epoch

    def epoch(self: ReplicaTrainer) -> Any:
        if len(self.replicas) >= together:
            raise RuntimeError(CPU)
        return real(self)

    return epoch


GROUP = (*WORDS, "--seeds", 2, "--set", "engine.replicas=2")


def test_seeds_that_do_not_fit_together_train_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ReplicaTrainer, "epoch", short_of_memory(2))
    ended = run_tiny(tmp_path, *GROUP)
    assert ended.status == 0, ended.out
    assert "its 2 seeds train one after the other" in said(ended)
    assert [row["replicas"] for row in results(tmp_path)] == ["1", "1"]


def test_neither_does_what_a_larger_machine_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is a checkpoint of both, but no epoch more can be made of it here."""
    real = ReplicaTrainer.epoch

    def interrupted(self: ReplicaTrainer) -> Any:
        found = real(self)
        signal.raise_signal(signal.SIGINT)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(ReplicaTrainer, "epoch", interrupted)
        assert run_tiny(tmp_path, *GROUP).status == 130
    assert len([*tmp_path.glob("cells/*/checkpoint.pt")]) == 1
    monkeypatch.setattr(ReplicaTrainer, "epoch", short_of_memory(2))
    assert run_tiny(tmp_path, *GROUP).status == 0
    assert [row["replicas"] for row in results(tmp_path)] == ["1", "1"]


def test_a_seed_that_does_not_fit_alone_fails_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ReplicaTrainer.epoch

    def epoch(self: ReplicaTrainer) -> Any:
        if any(replica.seed == 1 for replica in self.replicas):
            raise RuntimeError(CPU)
        return real(self)

    monkeypatch.setattr(ReplicaTrainer, "epoch", epoch)
    assert run_tiny(tmp_path, *GROUP).status == 1
    assert [row["status"] for row in results(tmp_path)] == ["ok", "failed"]
    assert "can't allocate memory" in results(tmp_path)[1]["reason"]

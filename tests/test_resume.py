"""Whatever ends a run, the next one goes on from there and arrives at the same numbers."""

from __future__ import annotations

import csv
import os
import signal
from dataclasses import astuple
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.config import TrainingConfig, load_config
from bench.training import Interrupted, Pixels
from killing import differences
from pairs import build, data
from runs import TINY, bench, results, run_tiny, start, wait_for
from trainings import Trainer

GRID = ("--models", "VAE,CP", "--datasets", "digits", "--components", 3)
EPOCHS = 60
OFTEN = ("--set", "training.checkpoint_seconds=0")
PAIRS = [("vamp", "continuous"), ("conditional", "joint"), ("hierarchical_vamp", "independent")]


def numbers(out: Path) -> list[dict[str, str]]:
    """The rows without the columns that a clock fills."""
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in results(out)]


def arguments(out: Path) -> list[object]:
    return ["run", *TINY, *GRID, *OFTEN, "--epochs", EPOCHS, "--out", out]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "runs"
    assert bench(*arguments(out)).status == 0
    return out


def files(out: Path) -> dict[Path, tuple[int, int]]:
    """Every file of the finished cells, with what changes when it is written again."""
    cells = [row.parent for row in out.glob("cells/*/row.json")]
    found = [path for cell in cells for path in cell.iterdir()]
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in found}


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_numbers(
    tmp_path: Path, undisturbed: Path
) -> None:
    out = tmp_path / "runs"
    process = start(tmp_path, *arguments(out))
    wait_for(
        lambda: bool([*out.glob("cells/*/row.json")] and [*out.glob("cells/*/checkpoint.pt")]),
        process,
    )
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = files(out)
    (checkpoint,) = out.glob("cells/*/checkpoint.pt")
    before = torch.load(checkpoint, weights_only=True)["replicas"][0]["progress"]["history"]
    assert len(kept) > 0
    assert len(before) >= 1

    ended = bench(*arguments(out))
    assert ended.status == 0, ended.err
    assert "finished before" in ended.out
    assert {path: stat for path, stat in files(out).items() if path in kept} == kept
    assert numbers(out) == numbers(undisturbed)
    with (checkpoint.parent / "history.csv").open() as stream:
        history = list(csv.DictReader(stream))
    assert len(history) == EPOCHS
    # The seconds of an epoch are never the same twice: these epochs were not trained again.
    assert [line["seconds"] for line in history[: len(before)]] == [
        str(record["seconds"]) for record in before
    ]
    assert not [*out.glob("cells/*/checkpoint.pt")]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_stops_after_the_epoch_and_says_how_to_go_on(tmp_path: Path, workers: int) -> None:
    out = tmp_path / "runs"
    # So many epochs would be worth compiling, which takes a busy machine longer than the wait.
    eager = ("--epochs", 5000, "--set", "training.patience=5000", "--set", "engine.mode=eager")
    process = start(tmp_path, *arguments(out), "--workers", workers, *eager)
    wait_for(lambda: len([*out.glob("cells/*/checkpoint.pt")]) == workers, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    text, errors = process.communicate(timeout=400)
    assert process.returncode == 130, text + errors
    assert "interrupted; run the same command again" in text
    assert "Traceback" not in text + errors
    assert not [*out.glob("cells/*/row.json")]
    assert len([*out.glob("cells/*/checkpoint.pt")]) == workers
    assert not results(out)


@pytest.mark.slow
def test_a_killed_compiled_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    words = (*TINY, "--models", "CP", "--datasets", "digits", "--components", 3)
    # So many epochs that a kill, late on a busy machine, still comes before the last.
    words = (*words, *OFTEN, "--epochs", 100, "--set", "training.patience=100")
    words = (*words, "--set", "engine.mode=compile")
    expected, out = tmp_path / "expected", tmp_path / "runs"
    assert bench("run", *words, "--out", expected).status == 0
    process = start(tmp_path, "run", *words, "--out", out)
    wait_for(lambda: bool([*out.glob("cells/*/checkpoint.pt")]), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert bench("run", *words, "--out", out).status == 0
    assert [row["engine_mode"] for row in results(out)] == ["compile"]
    assert differences(out, expected) == []


def test_fresh_trains_finished_cells_again(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    words = ("--models", "VAE", "--datasets", "digits")
    assert run_tiny(out, *words).status == 0
    before, rows = files(out), numbers(out)
    ended = run_tiny(out, *words, "--fresh")
    assert (ended.status, "finished before" in ended.out) == (0, False)
    after = files(out)
    assert after.keys() == before.keys()
    assert all(after[path] != before[path] for path in before)
    assert numbers(out) == rows


def config(**changes: object) -> TrainingConfig:
    sets = [f"training.{key}={value}" for key, value in changes.items()]
    sets += ["training.batch_size=16", "training.warmup_epochs=2", "training.learning_rate=1e-2"]
    return load_config(None, None, sets).training


def pixels() -> Pixels:
    grey = torch.randint(0, 256, (100, 4), generator=torch.Generator().manual_seed(1))
    return Pixels(grey.to(torch.uint8), data(40).to(torch.uint8), 1 / 255, True)


def trained(trainer: Trainer) -> tuple[dict[str, Tensor], list[tuple[float, ...]]]:
    progress = trainer.run()
    history = [astuple(record)[:-1] for record in progress.history]
    return trainer.model.state_dict(), history


@pytest.mark.parametrize("stopped", [1, 3, 6])
@pytest.mark.parametrize(("prior", "posterior"), PAIRS)
def test_a_stopped_training_goes_on_bit_for_bit(
    tmp_path: Path, prior: str, posterior: str, stopped: int
) -> None:
    def make(checkpoint: Path | None) -> Trainer:
        model = build(prior, posterior, dtype=torch.float32)
        return Trainer(model, pixels(), config(epochs=7), 5, checkpoint)

    expected, whole = trained(make(None))
    path = tmp_path / "checkpoint.pt"
    first = make(path)
    with pytest.raises(Interrupted, match=f"stopped after epoch {stopped}"):
        first.run(stop=lambda: first.progress.epoch == stopped)
    second = make(path)
    assert second.progress.epoch == stopped
    found, history = trained(second)
    assert history == whole
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_spent_patience_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed between its last epoch and its row must not train on."""
    monkeypatch.setattr("bench.training.validation_bound", lambda *_: ([-1.0], [0.1]))
    path = tmp_path / "checkpoint.pt"
    settings = config(epochs=50, patience=2)
    first = Trainer(build("mog", "continuous"), pixels64(), settings, 5, path)
    epochs = first.run().epoch
    first.save()
    second = Trainer(build("mog", "continuous"), pixels64(), settings, 5, path)
    assert second.finished()
    assert second.run().epoch == epochs < 50


def pixels64() -> Pixels:
    whole = pixels()
    return Pixels(whole.train.double() / 255, whole.validation.double(), 1.0, False)

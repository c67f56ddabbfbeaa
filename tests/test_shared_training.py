"""Cells that differ only in how they are evaluated share their trained model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.training import ReplicaTrainer
from runs import plan_of, results, run_tiny

GRID = ("--models", "CP", "--datasets", "digits", "--components", 3)
MORE = ("--set", "evaluation.importance_samples=3")


def models(out: Path) -> list[dict[str, torch.Tensor]]:
    return [torch.load(path, weights_only=True) for path in sorted(out.glob("cells/*/model.pt"))]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "runs"
    assert run_tiny(out, *GRID).status == 0
    return out


def forbidden(*_: object) -> None:
    raise AssertionError("trained again")


def test_another_evaluation_trains_nothing(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReplicaTrainer, "run", forbidden)
    ended = run_tiny(trained, *GRID, *MORE)
    assert ended.status == 0, ended.out + ended.err
    first, second = results(trained)
    assert first["cell"] != second["cell"]
    assert first["importance_samples"] != second["importance_samples"]
    for name in ("epochs", "seconds", "nelbo", "A", "B1", "purity"):
        assert first[name] == second[name], name
    a, b = models(trained)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_numbers_are_those_of_a_cell_that_trained_itself(trained: Path, tmp_path: Path) -> None:
    assert run_tiny(trained, *GRID, *MORE).status == 0
    assert run_tiny(tmp_path, *GRID, *MORE).status == 0
    (alone,) = results(tmp_path)
    (shared,) = [row for row in results(trained) if row["cell"] == alone["cell"]]
    clock = [name for name in alone if "seconds" in name]
    assert {**alone, **dict.fromkeys(clock)} == {**shared, **dict.fromkeys(clock)}


@pytest.mark.parametrize("change", ["fresh", "lost"])
def test_a_model_that_is_not_to_be_had_is_trained(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_tiny(tmp_path, *GRID).status == 0
    if change == "lost":
        next(tmp_path.glob("cells/*/model.pt")).unlink()
    monkeypatch.setattr(ReplicaTrainer, "run", forbidden)
    ended = run_tiny(tmp_path, *GRID, *MORE, *(["--fresh"] if change == "fresh" else []))
    assert ended.status == 1
    assert "trained again" in ended.out


@pytest.mark.parametrize(
    ("change", "shares"),
    [
        ("evaluation.seed=1", True),
        ("evaluation.decomposition_points=7", True),
        ("training.learning_rate=0.1", False),
        ("model.hidden=7", False),
        ("priors.conditional.radius=1.5", False),
        ("tuning.trials=2", False),
    ],
)
def test_what_training_depends_on(change: str, shares: bool) -> None:
    (usual,) = plan_of(models="CP").cells
    (other,) = plan_of(change, models="CP").cells
    assert other.id != usual.id
    assert (other.training_id == usual.training_id) == shares

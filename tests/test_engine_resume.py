"""A group of replicas that was stopped goes on bit for bit, whoever had ended before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.engine.steps import Mode
from bench.errors import Interrupted
from bench.training import Replica, ReplicaTrainer
from trainings import each_kind, history, pixels, replicas

ENDS = (3, 6, 7)  # so that some checkpoints are of fewer replicas


def group(prior: str, posterior: str) -> list[Replica]:
    made = replicas(prior, posterior)
    for one, epochs in zip(made, ENDS, strict=True):
        one.config = one.config.model_copy(update={"epochs": epochs})
    return made


def ended(trained: list[Replica]) -> tuple[list[object], list[dict[str, Tensor]]]:
    stories = [
        (history(r), r.progress.epoch, r.progress.best_epoch, r.progress.stale, r.progress.failure)
        for r in trained
    ]
    return list(stories), [replica.model.state_dict() for replica in trained]


def check_resumes(
    groups: list[list[Replica]], path: Path, stopped: int, mode: Mode = "eager"
) -> None:
    whole, first, second = groups
    ReplicaTrainer(whole, pixels(), mode).run()
    stories, models = ended(whole)
    begun = ReplicaTrainer(first, pixels(), mode, path)
    with pytest.raises(Interrupted, match=f"stopped after epoch {stopped}"):
        begun.run(stop=lambda: begun.number == stopped)
    resumed = ReplicaTrainer(second, pixels(), mode, path)
    assert resumed.number == stopped
    resumed.run()
    found, parameters = ended(second)
    assert found == stories
    for mine, expected in zip(parameters, models, strict=True):
        assert all(torch.equal(mine[name], value) for name, value in expected.items())


@pytest.mark.parametrize("stopped", [1, 3, 6])
@each_kind
def test_a_stopped_group_goes_on_bit_for_bit(
    tmp_path: Path, prior: str, posterior: str, stopped: int
) -> None:
    groups = [group(prior, posterior) for _ in range(3)]
    check_resumes(groups, tmp_path / "checkpoint.pt", stopped)


@pytest.mark.parametrize("stopped", [3, 4, 6])
def test_so_does_one_that_keeps_those_that_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: int
) -> None:
    """Steps of fixed size go on with the first, which has ended, until the second has too."""
    monkeypatch.setattr("bench.training.make_steps", lambda mode, eager, notice: eager)
    groups = [group("conditional", "joint") for _ in range(3)]
    check_resumes(groups, tmp_path / "checkpoint.pt", stopped, "graph")


def test_a_failure_is_remembered(tmp_path: Path) -> None:
    """A group that is killed before its rows are written must not train the failed one again."""
    path = tmp_path / "checkpoint.pt"

    def failing() -> list[Replica]:
        made = replicas("mog", "continuous")
        made[1].config = made[1].config.model_copy(update={"learning_rate": 1e30})
        return made

    first, second = failing(), failing()
    trainer = ReplicaTrainer(first, pixels(), checkpoint=path)
    trainer.run()
    trainer.save()
    resumed = ReplicaTrainer(second, pixels(), checkpoint=path)
    assert resumed.finished()
    resumed.run()
    (stories, models), (found, parameters) = ended(first), ended(second)
    assert found == stories
    assert first[1].progress.failure
    for index in (0, 2):
        pairs = zip(models[index].values(), parameters[index].values(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)

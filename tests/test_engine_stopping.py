"""Each replica stops when it would alone, keeps its best, and leaves the others to go on."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from bench.engine.population import Population
from bench.engine.steps import Mode
from bench.training import Epoch, Replica, ReplicaTrainer
from trainings import pixels, replica

LAST = 12
# seed -> warm-up, patience, bounds; then the epoch at which it stops and its best one (PROTOCOL:
# when the bound has not risen for more than `patience` epochs after warm-up)
SCRIPTS: dict[int, tuple[int, int, list[float]]] = {
    3: (0, 1, [-5.0, -4.0, -6.0, -6.0]),
    5: (0, 3, [-9.0, -8.0, -8.0, -8.0, -7.0] + [-7.5] * LAST),
    8: (4, 2, [-3.0] + [-5.0] * LAST),
    9: (0, 1, [float(k - LAST) for k in range(LAST)]),
}
ENDS = {3: (4, 2), 5: (9, 5), 8: (6, 1), 9: (LAST, LAST)}
# how many are trained in each epoch
SIZES: dict[Mode, list[int]] = {
    "eager": [4] * 4 + [3] * 2 + [2] * 3 + [1] * 3,
    "graph": [4] * 6 + [2] * 3 + [1] * 3,
}


@dataclass
class Scripted:
    """A training whose validation bounds are known beforehand."""

    mode: Mode
    sizes: list[int] = field(default_factory=list)
    parameters: dict[tuple[int, int], dict[str, Tensor]] = field(default_factory=dict)

    def bounds(self, population: Population, *_: object) -> tuple[list[float], list[float]]:
        self.sizes.append(len(population))
        number = self.trainer.number + 1
        found = []
        for index, one in enumerate(self.trainer.packed):
            self.parameters[one.seed, number] = population.state(index)
            script = SCRIPTS[one.seed][2]
            found.append(script[min(number, len(script)) - 1])
        return found, [0.1] * len(found)

    def run(self) -> list[Replica]:
        made = [
            replica("mog", "joint", seed, epochs=LAST, warmup_epochs=warmup, patience=patience)
            for seed, (warmup, patience, _) in SCRIPTS.items()
        ]
        self.told: list[tuple[int, int]] = []
        self.trainer = ReplicaTrainer(made, pixels(), self.mode)
        self.trainer.run(self.tell)
        return made

    def tell(self, one: Replica, record: Epoch) -> None:
        self.told.append((one.seed, record.epoch))


@pytest.fixture(params=SIZES)
def scripted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    made = Scripted(request.param)
    monkeypatch.setattr("bench.training.validation_bound", made.bounds)
    # Whatever the mode, steps run eagerly: it decides here about packing alone.
    monkeypatch.setattr("bench.training.make_steps", lambda mode, eager, notice: eager)
    return made


def test_each_stops_at_its_own_epoch(scripted: Scripted) -> None:
    trained = scripted.run()
    found = {one.seed: (one.progress.epoch, one.progress.best_epoch) for one in trained}
    assert found == ENDS
    for one in trained:
        assert [record.epoch for record in one.progress.history] == [
            *range(1, found[one.seed][0] + 1)
        ]
        assert one.progress.best_bound == SCRIPTS[one.seed][2][ENDS[one.seed][1] - 1]


def test_each_keeps_the_parameters_of_its_best_epoch(scripted: Scripted) -> None:
    for one in scripted.run():
        best = scripted.parameters[one.seed, ENDS[one.seed][1]]
        state = one.model.state_dict()
        assert all(torch.equal(state[name], value) for name, value in best.items())


def test_those_that_have_stopped_leave_the_program(scripted: Scripted) -> None:
    scripted.run()
    assert scripted.sizes == SIZES[scripted.mode]


def test_nobody_is_told_of_epochs_after_the_last(scripted: Scripted) -> None:
    scripted.run()
    expected = {(seed, epoch) for seed, (last, _) in ENDS.items() for epoch in range(1, last + 1)}
    assert set(scripted.told) == expected
    assert len(scripted.told) == len(expected)


def test_packing_changes_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that trains longest sees the same steps, whoever is beside it."""
    ends = {}
    for mode in SIZES:
        made = Scripted(mode)
        with monkeypatch.context() as patch:
            patch.setattr("bench.training.validation_bound", made.bounds)
            patch.setattr("bench.training.make_steps", lambda mode, eager, notice: eager)
            made.run()
        ends[mode] = made.parameters[9, LAST]
    for name, value in ends["eager"].items():
        assert torch.allclose(value, ends["graph"][name], rtol=0, atol=1e-5)

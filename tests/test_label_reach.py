"""Where labels can be reached from: not from training, and read by no phase before evaluation."""

from __future__ import annotations

import gc
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bench.group_training
import bench.trials
from bench.cells import Events, run_group
from bench.data.loading import Labels, LoadedData
from bench.preparation import Prepared
from bench.store import Store
from bench.training import Pixels, ReplicaTrainer
from bench.workshop import Workshop
from labelled import prepared, write_dataset


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("labels"))


@dataclass
class Watched:
    """Labels that note the phase in which they are read."""

    labels: Labels
    phase: list[str]
    read: list[str]

    def __getattr__(self, name: str) -> np.ndarray:
        values: np.ndarray = getattr(self.labels, name)
        self.read.append(self.phase[-1])
        return values


class WatchedNames(Mapping[str, Watched]):
    """Further labels that do the same."""

    def __init__(self, labels: Mapping[str, Watched], watch: Watched) -> None:
        self.labels, self.watch = labels, watch

    def __getitem__(self, name: str) -> Watched:
        return self.labels[name]

    def __iter__(self) -> Iterator[str]:
        self.watch.read.append(self.watch.phase[-1])
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)


def run_watched(made: Prepared, out: Path) -> tuple[list[str], Watched]:
    """The phases of the run's one cell, and the labels that watched them."""
    phases = ["prepare"]
    data = made.workshop.data("mine")
    watch = Watched(data.labels, phases, [])
    extra = {name: Watched(value, phases, watch.read) for name, value in data.extra_labels.items()}
    made.workshop._data["mine"] = replace(
        data,
        labels=watch,  # type: ignore[arg-type]
        extra_labels=WatchedNames(extra, watch),  # type: ignore[arg-type]
    )
    (cell,) = made.plan.cells
    events = Events(phase=lambda _, phase: phases.append(phase))
    ((_, row),) = run_group((cell,), made.workshop, Store(out), events)
    assert row["status"] == "ok", row["reason"]
    return phases, watch


def check_read_late(watch: Watched) -> None:
    assert watch.read
    assert {phase.split(":")[0] for phase in watch.read} == {"evaluate"}


@pytest.mark.parametrize("model", ["CP", "VP"])
def test_labels_are_read_by_the_evaluation_alone(plugin: Path, tmp_path: Path, model: str) -> None:
    phases, watch = run_watched(prepared(plugin, tmp_path, model), tmp_path)
    assert phases[:3] == ["prepare", "tune", "train"]
    check_read_late(watch)


def test_a_training_that_reads_labels_is_found(
    plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Workshop.pixels

    def curious(self: Workshop, name: str) -> Pixels:
        _ = self.data(name).labels.validation
        return right(self, name)

    monkeypatch.setattr(Workshop, "pixels", curious)
    _, watch = run_watched(prepared(plugin, tmp_path, "CP"), tmp_path)
    with pytest.raises(AssertionError):
        check_read_late(watch)


def reachable(start: object) -> Iterator[object]:
    """Every object that one leads to: attributes, containers, closures; no module, no class."""
    seen, queue = {id(start)}, deque([start])
    while queue:
        found = queue.popleft()
        yield found
        parts: list[object] = gc.get_referents(found)
        if isinstance(found, types.FunctionType):  # not its globals, which are all modules
            parts = [found.__closure__, found.__defaults__, found.__kwdefaults__]
        for part in parts:
            if not isinstance(part, types.ModuleType | type) and id(part) not in seen:
                seen.add(id(part))
                queue.append(part)


def check_blind(trainer: ReplicaTrainer, labels: Labels) -> None:
    """Nothing that a trainer leads to is labelled data, or holds a label's memory."""
    arrays = [getattr(labels, field.name) for field in fields(Labels)]
    for found in reachable(trainer):
        assert not isinstance(found, LoadedData | Labels | Workshop), type(found)
        if isinstance(found, torch.Tensor):
            found = found.detach().numpy()
        if isinstance(found, np.ndarray):
            assert not any(np.shares_memory(found, array) for array in arrays)


Harm = Callable[[ReplicaTrainer, LoadedData], None]
HARMS: dict[str, Harm] = {
    "data": lambda trainer, data: setattr(trainer, "data", data),
    "labels in a closure": lambda trainer, data: setattr(trainer, "hook", lambda: data.labels),
    "a view of the labels": lambda trainer, data: setattr(trainer, "y", data.labels.train[3:]),
    "a tensor on them": lambda trainer, data: setattr(
        trainer.replicas[0].model, "y", torch.from_numpy(data.labels.test)
    ),
}


@pytest.fixture(scope="module")
def trainers(plugin: Path) -> tuple[list[ReplicaTrainer], LoadedData]:
    """Those that a tuned run has made, and the data that they were made from."""
    kept: list[ReplicaTrainer] = []

    class Kept(ReplicaTrainer):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            kept.append(self)

    made = prepared(plugin, plugin.parent / "kept", "CP")
    with pytest.MonkeyPatch.context() as patch:
        for module in (bench.trials, bench.group_training):
            patch.setattr(module, "ReplicaTrainer", Kept)
        (cell,) = made.plan.cells
        list(run_group((cell,), made.workshop, Store(plugin.parent / "kept"), Events()))
    return kept, made.workshop.data("mine")


def test_trainers_lead_to_no_label(trainers: tuple[list[ReplicaTrainer], LoadedData]) -> None:
    kept, data = trainers
    assert sum(len(trainer.replicas) for trainer in kept) == 3
    for trainer in kept:
        check_blind(trainer, data.labels)
        spec = trainer.replicas[0].model.spec
        assert spec.source is not None
        assert len(spec.examples(5)) == 5


@pytest.mark.parametrize("harm", HARMS)
def test_a_trainer_that_leads_to_labels_is_found(
    trainers: tuple[list[ReplicaTrainer], LoadedData], harm: str
) -> None:
    (first, *_), data = trainers
    trainer = ReplicaTrainer(first.replicas, first.pixels)
    check_blind(trainer, data.labels)
    HARMS[harm](trainer, data)
    with pytest.raises(AssertionError):
        check_blind(trainer, data.labels)
    model = first.replicas[0].model
    if hasattr(model, "y"):
        del model.y


def test_what_training_sees_has_no_place_for_labels() -> None:
    assert {field.name for field in fields(Pixels)} == {"train", "validation", "scale", "binary"}

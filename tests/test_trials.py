"""Real trials of a search: stopped at rungs, gone on with after an interruption."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bench.cells import Events
from bench.engine.replica import Epoch, Replica
from bench.errors import Interrupted
from bench.grid import Cell
from bench.preparation import Request, prepare
from bench.registry import Registry
from bench.searching import tune
from bench.store import Store
from bench.training import ReplicaTrainer
from bench.trials import Trials
from bench.tuning import TuningResult
from runs import SETTINGS, run_tiny

SETS = (
    *SETTINGS,
    "training.warmup_epochs=1",
    "tuning.reduction=2",
    "tuning.batch=4",
    "training.checkpoint_seconds=0",
)
ONE_SHAPE = ("tuning.space.model.latent_dim=false", "tuning.space.components=false")


@dataclass
class Heard:
    """What a search tells, and when it is to stop."""

    most: int = 10**9
    epochs: list[tuple[int, int]] = field(default_factory=list)

    def epoch(self, _: Cell, epoch: Epoch, trial: int | None) -> None:
        assert trial is not None
        self.epochs.append((trial, epoch.epoch))

    def events(self) -> Events:
        return Events(epoch=self.epoch, stop=lambda: len(self.epochs) >= self.most)


def search(out: Path, heard: Heard, *sets: str, trials: int = 6, **changes: Any) -> TuningResult:
    flags: dict[str, Any] = {
        "run.models": "MG", "run.datasets": "digits", "run.out": str(out),
        "training.epochs": 4, "tuning.trials": trials, "engine.device": "cpu", **changes,
    }  # fmt: skip
    made = prepare(Request(None, None, (), (*SETS, *sets), flags, 1), lambda _: None)
    return tune(made.plan.cells[0], made.workshop, Store(out), heard.events())


@pytest.mark.parametrize("model", ["MG", "CP"])
def test_a_search_begins_with_the_settings_of_its_cell(tmp_path: Path, model: str) -> None:
    """Of bench.toml, of the command line, and a plugin's default."""
    own = {"training.learning_rate": 0.0017, "model.latent_dim": 11, "components": 17}
    sets = [f"{key}={value}" for key, value in own.items() if key != "components"]
    flags = {"run.components": [17], "run.models": model}
    found = search(tmp_path, Heard(), *sets, trials=1, **flags)
    (trial,) = found.trials
    shared = {key: trial.params[key] for key in own if key in trial.params}
    assert shared == {key: own[key] for key in shared}
    assert len(shared) >= 2
    option = {"MG": "priors.mog.radius", "CP": "priors.conditional.radius"}[model]
    assert (
        trial.params[option]
        == Registry().defaults("prior", option.split(".")[1])[option.split(".")[2]]
    )


class Watched(ReplicaTrainer):
    """Notes what is made and saved."""

    made: ClassVar[list[tuple[int, str]]] = []
    seeds: ClassVar[set[int]] = set()
    saves: ClassVar[list[int]] = []
    seconds = 0.0

    def __init__(self, replicas: Sequence[Replica], pixels: Any, mode: Any, *rest: Any, **o: Any):
        self.made.append((len(replicas), mode))
        self.seeds.update(replica.seed for replica in replicas)
        super().__init__(replicas, pixels, "eager", *rest, **o)

    def save(self) -> None:
        self.saves.append(self.number)
        time.sleep(self.seconds)
        super().save()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> type[Watched]:
    for noted in (Watched.made, Watched.seeds, Watched.saves):
        noted.clear()
    monkeypatch.setattr("bench.trials.ReplicaTrainer", Watched)
    return Watched


@pytest.mark.slow
@pytest.mark.parametrize("sets", [(), ONE_SHAPE], ids=["shapes differ", "one shape"])
def test_an_interrupted_search_goes_on_where_it_was(tmp_path: Path, sets: tuple[str, ...]) -> None:
    whole = Heard()
    expected = search(tmp_path / "whole", whole, *sets)
    assert expected.count("pruned") > 0
    assert expected.epochs == len(whole.epochs) == len(set(whole.epochs))
    heard: list[tuple[int, int]] = []
    for _ in range(2):
        part = Heard(most=4)
        with pytest.raises(Interrupted):
            search(tmp_path / "cut", part, *sets)
        heard += part.epochs
    last = Heard()
    assert search(tmp_path / "cut", last, *sets) == expected
    heard += last.epochs
    assert sorted(heard) == sorted(whole.epochs)  # no epoch was trained twice
    assert not list((tmp_path / "cut" / "trials").glob("*.pt"))


@pytest.mark.slow
def test_finalists_that_train_again_go_on_where_they_were(tmp_path: Path) -> None:
    whole, first, last = Heard(), Heard(), Heard()
    expected = search(tmp_path / "whole", whole, *ONE_SHAPE, trials=20)
    assert len(expected.repeats) == 6
    assert expected.epochs == len(whole.epochs) == len(set(whole.epochs))
    first.most = len(whole.epochs) - 10  # of the 24 of the repeats
    with pytest.raises(Interrupted):
        search(tmp_path / "cut", first, *ONE_SHAPE, trials=20)
    assert list((tmp_path / "cut" / "trials").glob("*.pt"))
    assert search(tmp_path / "cut", last, *ONE_SHAPE, trials=20) == expected
    assert sorted(first.epochs + last.epochs) == sorted(whole.epochs)
    assert not list((tmp_path / "cut" / "trials").glob("*.pt"))


def test_trials_of_one_shape_train_in_a_program_that_shrinks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real = Trials.start

    def start(self: Trials, proposals: Any) -> Any:
        made = real(self, proposals)
        advance = made._advance

        def watched(epoch: int | None) -> Any:
            found = advance(epoch)
            assert made.trainer is not None
            sizes.append(len(made.trainer.packed))
            return found

        monkeypatch.setattr(made, "_advance", watched)
        return made

    monkeypatch.setattr(Trials, "start", start)
    search(tmp_path, Heard(), *ONE_SHAPE)
    assert sizes[:3] == [4, 2, 1]


@pytest.mark.parametrize("seconds", ["0", "3600"])
def test_other_seeds_and_more_trials_go_on_from_the_same_checkpoints(
    tmp_path: Path, seconds: str
) -> None:
    """Also where no checkpoint was due: one that is asked to stop saves what waits at a rung."""
    part, last, often = Heard(most=5), Heard(), f"training.checkpoint_seconds={seconds}"
    with pytest.raises(Interrupted):
        search(tmp_path, part, often)
    found = search(tmp_path, last, often, "run.seeds=[3,4]", trials=7)
    heard = part.epochs + last.epochs
    assert len(heard) == len(set(heard)) == found.epochs


def test_a_search_goes_on_in_the_way_in_which_it_began(
    tmp_path: Path, watched: type[Watched]
) -> None:
    """Another machine, or other settings of the engine, would give other sums."""
    with pytest.raises(Interrupted):
        search(tmp_path, Heard(most=4), *ONE_SHAPE, "engine.mode=eager", "engine.replicas=2")
    begun = len(watched.made)
    search(tmp_path, Heard(), *ONE_SHAPE, "engine.mode=compile", "engine.replicas=0")
    assert len(watched.made) > begun
    assert set(watched.made) == {(2, "eager")}


def test_trials_that_an_earlier_process_had_to_part_stay_apart(
    tmp_path: Path, watched: type[Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory did not suffice there for all of them together; here it would."""
    real = Watched.epoch

    def epoch(self: Watched) -> Any:
        if len(self.replicas) > 1:
            raise MemoryError
        return real(self)

    with monkeypatch.context() as patch:
        patch.setattr(Watched, "epoch", epoch)
        with pytest.raises(Interrupted):
            search(tmp_path, Heard(most=3), *ONE_SHAPE, trials=4)
    watched.made.clear()
    search(tmp_path, Heard(), *ONE_SHAPE, trials=4)
    assert {size for size, _ in watched.made} == {1}


def test_dear_checkpoints_of_trials_are_rare(tmp_path: Path, watched: type[Watched]) -> None:
    """One costs two seconds, so that the next may come after a hundred."""
    watched.seconds = 2.0
    try:
        found = search(tmp_path, Heard(), *ONE_SHAPE, "training.checkpoint_seconds=1e-6")
    finally:
        watched.seconds = 0.0
    assert found.epochs > 10
    assert len(watched.saves) == 2  # the first of each round


def test_trials_train_on_seeds_that_no_run_can_have(tmp_path: Path, watched: type[Watched]) -> None:
    search(tmp_path, Heard(), trials=2)
    assert watched.seeds == {2**31, 2**31 + 1}
    for seed, status in ((2**31 - 1, 0), (2**31, 2)):
        ended = run_tiny(tmp_path, "--models", "MG", "--dry-run", "--seeds", f"0,{seed}")
        assert ended.status == status
    assert "less than 2147483648" in ended.err


def test_what_ended_trials_left_goes_with_the_end_of_their_search(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        search(tmp_path, Heard(most=1), *ONE_SHAPE)
    folder = tmp_path / "trials"
    (begun,) = folder.iterdir()
    study = begun.name.partition("-")[0]
    digest, half = "0" * 16, "a" * 32
    left = [f"{study}-0-2-{digest}.pt", f".{study}-0-2-{digest}.pt.{half}"]
    others = [f"{'1' * 16}-0-2-{digest}.pt", "mine.txt"]
    open_ = f"{study}-2-3-{digest}.pt"  # of the round that a larger budget has begun
    ended = f"{study}-0-1-{digest}.pt"
    for name in (*left, *others, open_, ended):
        (folder / name).write_text("")
    search(tmp_path, Heard(), *ONE_SHAPE, trials=2)
    assert {path.name for path in folder.iterdir()} == {begun.name, open_, *others, *left}
    search(tmp_path, Heard(), *ONE_SHAPE)
    assert {path.name for path in folder.iterdir()} == set(others)

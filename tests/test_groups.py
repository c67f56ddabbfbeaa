"""Seeds that train as one program: who is together, and that nobody's numbers show it."""

from __future__ import annotations

import csv
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.engine.population import NotStackable, Population
from bench.grid import Cell
from bench.group_training import _keep as bench_keep
from bench.grouping import make_groups, recorded, whole_groups
from bench.store import Store
from bench.training import ReplicaTrainer
from pairs import build
from runs import TINY, Ended, bench, plan_of, results, run_tiny, start, wait_for, write_prior

WORDS = ("--models", "CP,VP", "--datasets", "digits", "--components", 3)


def cells(seeds: int = 5) -> tuple[Cell, ...]:
    return plan_of(models=["VAE", "CP"], components=[2], seeds=list(range(seeds))).cells


@pytest.mark.parametrize(
    ("size", "expected"),
    [(1, [1] * 10), (2, [1, 2, 2] * 2), (3, [2, 3] * 2), (4, [2, 3] * 2), (8, [5, 5])],
)
def test_groups_are_nearly_equal_and_hold_seeds_of_one_cell(
    tmp_path: Path, size: int, expected: list[int]
) -> None:
    groups = make_groups(cells(), {"digits": size}, Store(tmp_path))
    assert [len(group) for group in groups] == expected
    assert [cell for group in groups for cell in group] == list(cells())
    for group in groups:
        assert len({cell.family for cell in group}) == 1


def begin(store: Store, members: tuple[Cell, ...]) -> None:
    """As a run leaves them that is killed while they train."""
    for cell in members:
        folder = store.folder(cell.id)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"group": [c.seed for c in members]}))
    (store.folder(members[0].id) / "checkpoint.pt").write_bytes(b"state")


def test_what_was_begun_together_goes_on_together(tmp_path: Path) -> None:
    store, all_cells = Store(tmp_path), cells()
    vae = [cell for cell in all_cells if cell.model == "VAE"]
    begin(store, (vae[1], vae[3]))
    groups = make_groups(all_cells, {"digits": 8}, store)
    seeds = [[cell.seed for cell in group] for group in groups if group[0].model == "VAE"]
    assert seeds == [[0, 2, 4], [1, 3]]
    assert recorded(vae[3], store) == (1, 3)
    assert [[c.seed for c in g] for g in whole_groups([vae[0], vae[3]], store)] == [[1, 3], [0]]
    (store.folder(vae[1].id) / "checkpoint.pt").unlink()
    assert recorded(vae[3], store) == ()
    anew = make_groups(all_cells, {"digits": 8}, None)
    assert [len(group) for group in anew] == [5, 5]


def numbers(out: Path) -> dict[tuple[str, str], dict[str, str]]:
    return {(row["model"], row["seed"]): row for row in results(out)}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "runs"
    assert run_with(out, 1).status == 0
    return out


def run_with(out: Path, replicas: int, *words: object) -> Ended:
    size = ("--set", f"engine.replicas={replicas}")
    return run_tiny(out, *WORDS, "--seeds", 3, *size, *words, epochs=4)


def test_seeds_that_train_together_have_the_numbers_of_each_alone(
    tmp_path: Path, alone: Path
) -> None:
    """Up to what float32 sums taken in another order change in 4 epochs."""
    ended = run_with(tmp_path, 3)
    assert ended.status == 0, ended.out
    together, apart = numbers(tmp_path), numbers(alone)
    assert together.keys() == apart.keys()
    for key, row in together.items():
        assert (row["replicas"], apart[key]["replicas"]) == ("3", "1")
        assert row["cell"] == apart[key]["cell"]
        assert row["epochs"] == apart[key]["epochs"]
        for name in ("nelbo", "nll", "entropy", "purity"):
            assert float(row[name]) == pytest.approx(float(apart[key][name]), rel=2e-4), name
    assert len({row["nelbo"] for row in together.values()}) == 6


def test_workers_share_the_seeds_of_a_cell(tmp_path: Path, alone: Path) -> None:
    ended = run_with(tmp_path, 0, "--workers", 2)
    assert ended.status == 0, ended.out
    found = numbers(tmp_path)
    assert {key: row["cell"] for key, row in found.items()} == {
        key: row["cell"] for key, row in numbers(alone).items()
    }
    assert {row["replicas"] for row in found.values()} == {"3"}
    assert sum(" seed " in line for line in ended.out.splitlines() if "[" in line) == 6


def test_a_narrower_run_goes_on_with_the_whole_group(tmp_path: Path) -> None:
    """A killed group of three, of which one seed is asked for again: its numbers are those of an
    undisturbed run, and the other two have kept their models for the next run."""
    # So many epochs that a kill, late on a busy machine, still comes before the last.
    words = ["--models", "CP", "--datasets", "digits", "--components", 3, "--epochs", 100]
    words += ["--set", "training.patience=100", "--set", "engine.replicas=3"]
    expected = tmp_path / "expected"
    assert bench("run", *TINY, *words, "--seeds", 3, "--out", expected).status == 0
    out = tmp_path / "runs"
    often = ("--set", "training.checkpoint_seconds=0")
    process = start(tmp_path, "run", *TINY, *words, *often, "--seeds", 3, "--out", out)
    wait_for(lambda: bool([*out.glob("cells/*/checkpoint.pt")]), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (checkpoint,) = out.glob("cells/*/checkpoint.pt")
    state = torch.load(checkpoint, weights_only=True)
    assert len(state["replicas"]) == 3
    done = len(state["replicas"][0]["progress"]["history"])

    assert bench("run", *TINY, *words, "--set", "run.seeds=[1]", "--out", out).status == 0
    (row,) = results(out)
    wanted = numbers(expected)
    assert unclocked(row) == unclocked(wanted["CP", "1"])
    with (out / "cells" / row["cell"] / "history.csv").open() as stream:
        history = list(csv.DictReader(stream))
    kept = state["replicas"][1]["progress"]["history"]
    assert [line["seconds"] for line in history[:done]] == [str(e["seconds"]) for e in kept]
    assert len([*out.glob("trained/*")]) == 3

    assert bench("run", *TINY, *words, "--seeds", 3, "--out", out).status == 0
    assert {k: unclocked(r) for k, r in numbers(out).items()} == {
        k: unclocked(r) for k, r in wanted.items()
    }


def unclocked(row: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in row.items() if "seconds" not in key}


def test_a_prior_that_does_not_stack_trains_its_seeds_one_after_the_other(tmp_path: Path) -> None:
    plugin = write_prior(tmp_path / "looks.py", "if float(self.loc.sum()) > 1e9: raise ValueError")
    words = ("--plugin", plugin, "--priors", "looks", "--posteriors", "continuous")
    out = tmp_path / "runs"
    words = (*words, "--datasets", "digits", "--seeds", 2, "--set", "engine.replicas=2")
    ended = run_tiny(out, *words)
    assert ended.status == 0, ended.out
    notices = [line for line in ended.out.splitlines() if "one after the other" in line]
    assert len(notices) == 1
    assert "its 2 seeds train one after the other: " in notices[0]
    assert [(row["status"], row["replicas"]) for row in results(out)] == [("ok", "1")] * 2


def test_one_seed_that_diverges_does_not_take_the_others_along(tmp_path: Path) -> None:
    plugin = write_prior(tmp_path / "odd.py")
    text = plugin.read_text().replace(
        "torch.zeros(spec.latent_dim)",
        "torch.full((spec.latent_dim,), 1e30 if spec.seed == 1 else 0.0)",
    )
    plugin.write_text(text)
    words = ("--plugin", plugin, "--priors", "odd", "--posteriors", "continuous")
    words = (*words, "--datasets", "digits", "--seeds", 3, "--set", "engine.replicas=3")
    out = tmp_path / "runs"
    ended = run_tiny(out, *words)
    assert ended.status == 1
    assert [row["status"] for row in results(out)] == ["ok", "failed", "ok"]
    assert "finite numbers were expected" in results(out)[1]["reason"]


def test_the_family_is_all_but_the_seed() -> None:
    first, *_ = cells()
    assert replace(first, seed=7).family == first.family != replace(first, components=9).family


def test_another_group_s_checkpoint_is_not_taken_for_its_own(tmp_path: Path) -> None:
    """Seeds 0 and 2 were begun, then 0 and 1: what lies there now is of 0 and 1."""
    store, all_cells = Store(tmp_path), cells(3)
    vae = [cell for cell in all_cells if cell.model == "VAE"]
    begin(store, (vae[0], vae[1]))
    folder = store.folder(vae[2].id)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"group": [0, 2]}))
    assert recorded(vae[2], store) == ()
    assert recorded(vae[1], store) == recorded(vae[0], store) == (0, 1)


def test_a_kill_between_two_models_of_a_group_ends_each_cell_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--models", "CP", "--datasets", "digits", "--components", 3, "--seeds", 3)
    words = (*words, "--set", "engine.replicas=3")
    expected = tmp_path / "expected"
    assert run_tiny(expected, *words).status == 0
    out, real, count = tmp_path / "runs", bench_keep, 0

    def keep(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("bench.group_training._keep", keep)
        run_tiny(out, *words)
    assert len([*out.glob("trained/*")]) == 1
    ended = run_tiny(out, *words)
    assert ended.status == 0, ended.out
    assert sum(" seed " in line for line in ended.out.splitlines() if "/3]" in line) == 3
    assert {k: unclocked(r) for k, r in numbers(out).items()} == {
        k: unclocked(r) for k, r in numbers(expected).items()
    }


def test_an_error_late_in_training_keeps_what_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--models", "CP", "--datasets", "digits", "--components", 3, "--seeds", 2)
    words = (*words, "--set", "engine.replicas=2", "--set", "training.checkpoint_seconds=0")
    real = ReplicaTrainer.epoch

    def epoch(self: ReplicaTrainer) -> Any:
        if self.number == 2:
            raise RuntimeError("out of memory")
        return real(self)

    with monkeypatch.context() as patch:
        patch.setattr(ReplicaTrainer, "epoch", epoch)
        ended = run_tiny(tmp_path, *words, epochs=4)
    assert ended.status == 1
    assert [row["reason"] for row in results(tmp_path)] == ["RuntimeError: out of memory"] * 2
    (checkpoint,) = tmp_path.glob("cells/*/checkpoint.pt")
    assert torch.load(checkpoint, weights_only=True)["number"] == 2
    assert run_tiny(tmp_path, *words, epochs=4).status == 0
    assert {row["replicas"] for row in results(tmp_path)} == {"2"}


def test_replicas_that_differ_in_an_option_do_not_stack() -> None:
    """One model's code runs for all: with another's option it would be another model's numbers."""
    models = [build("standard", "independent", dtype=torch.float32) for _ in range(2)]
    Population(models)
    models[1].posterior.category.activation = "elu"  # type: ignore[union-attr]
    with pytest.raises(NotStackable, match=r"posterior\.category\.activation is 'linear'"):
        Population(models)

"""`bench tune`, and best.toml as a configuration."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from bench.best import best_values
from bench.searching import Found
from runs import TINY, Ended, bench, plan_of, results, run_tiny

PAIRS = ("--models", "CP,VAE", "--datasets", "gaussians", "--components", "2,3", "--seeds", "0,4")
SEARCH = ("--trials", "4", "--set", "training.warmup_epochs=1")


def tune(out: Path, *arguments: object) -> Ended:
    return bench("tune", *TINY, "--epochs", 3, "--out", out, *arguments)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    out = tmp_path_factory.mktemp("tuned")
    ended = tune(out, *PAIRS, *SEARCH)
    assert ended.status == 0, ended.out + ended.err
    return out, ended


def test_it_says_what_was_found_and_what_it_cost(tuned: tuple[Path, Ended]) -> None:
    out, ended = tuned
    assert "budget on gaussians, the same for every prior: 4 trials of at most 3" in ended.out
    assert "after epoch 1, the best of all so far, one in 3, go on" in " ".join(ended.out.split())
    assert f"optuna-dashboard {out / 'tuning.journal'}" in ended.out
    assert f"bench run --config {out / 'best.toml'}" in ended.out
    assert not results(out)  # nothing was trained but trials


def table(said: str) -> list[str]:
    """The table of the searches, with the budget below it."""
    lines = said.splitlines()
    (first,) = (i for i, line in enumerate(lines) if line.startswith("searches, validation bound"))
    (last,) = (i for i, line in enumerate(lines) if line.startswith("budget on gaussians"))
    return lines[first : last + 1]


@pytest.mark.slow
def test_a_tuned_run_and_its_report_say_what_the_searches_cost(tmp_path: Path) -> None:
    words = ("--models", "VAE", "--datasets", "gaussians", *SEARCH, "--seeds", "0,4")
    first = run_tiny(tmp_path, *words, epochs=3)
    assert first.status == 0, first.out + first.err
    again = run_tiny(tmp_path, *words, epochs=3)
    (cell, _) = (tmp_path / "cells").iterdir()
    found = json.loads((cell / "tuning.json").read_text())
    shown = " ".join(table(first.out))
    counts = [found[f"trials_{state}"] for state in ("complete", "pruned", "failed")]
    assert sum(counts) == 4
    for number in (*counts, found["trial_epochs"]):
        assert f" {number} " in shown
    assert table(again.out) == table(first.out)
    report = bench("report", "--out", tmp_path, "--section", "searches", "--format", "csv")
    (row,) = csv.DictReader(report.out.splitlines())
    assert [int(row[f"trials_{state}"]) for state in ("complete", "pruned", "failed")] == counts
    assert int(row["trial_epochs"]) == found["trial_epochs"]
    assert float(row["validation_bound"]) == found["validation_bound"]
    whole = " ".join(bench("report", "--out", tmp_path).out.split())
    assert "The searches and their budgets" in whole
    assert "Budget, the same for every system: on gaussians 4 trials of at most 3 epochs" in whole


def test_a_run_whose_searches_fail_says_what_they_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # a narrow column would break the reason into words
    words = ("--models", "VAE", "--datasets", "gaussians", "--trials", "2")
    huge = 'tuning.space={"training.learning_rate"={type="choice",options=[1e30,1e35]}}'
    ended = run_tiny(tmp_path, *words, "--set", huge)
    assert ended.status == 1
    assert "all 2 trials of" in " ".join(table(ended.out))


def test_a_search_leaves_its_table_and_figures(tuned: tuple[Path, Ended]) -> None:
    out, _ = tuned
    folders = list((out / "cells").iterdir())
    assert len(folders) == 3  # CP at two K, VAE; a search serves all seeds
    for folder in folders:
        lines = (folder / "trials.csv").read_text().splitlines()
        assert lines[0].startswith("trial,state,validation_bound,epochs,")
        assert len(lines) == 5
        for name in ("tuning_history.png", "tuning_slices.png"):
            assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_a_second_call_trains_nothing(tuned: tuple[Path, Ended]) -> None:
    out, first = tuned
    before = (out / "best.toml").read_text()
    again = tune(out, *PAIRS, *SEARCH)
    assert "trial 0 of" in first.out
    assert "trial 0 of" not in again.out
    assert (out / "best.toml").read_text() == before


@pytest.mark.slow
def test_best_toml_trains_what_a_tuned_run_trains(tuned: tuple[Path, Ended]) -> None:
    out, _ = tuned
    whole = run_tiny(out.with_name("whole"), *PAIRS, *SEARCH, epochs=3)
    assert whole.status == 0, whole.out + whole.err
    words = ("--workers", "1", "--out", out.with_name("again"), "--set", "engine.threads=1")
    again = bench("run", "--config", out / "best.toml", *words)
    assert again.status == 0, again.out + again.err
    assert (out.with_name("whole") / "best.toml").is_file()
    assert table(whole.out) == table(tuned[1].out)
    expected, found = results(out.with_name("whole")), results(out.with_name("again"))
    own = {"cell", "setting", "seconds", "evaluation_seconds"}
    assert len(found) == 6
    for one, other in zip(found, expected, strict=True):
        assert one["cell"] != other["cell"]
        assert {k: v for k, v in one.items() if k not in own} == {
            k: v for k, v in other.items() if k not in own
        }
        assert json.loads(one["tuned"])
        config = out.with_name("again") / "cells" / one["cell"] / "config.json"
        assert json.loads(config.read_text())["best"] == json.loads(one["tuned"])


def test_the_files_of_a_search_are_written_by_whoever_holds_the_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []
    real = Found.keep

    def keep(self: Found, folder: Path) -> None:
        lock = FileLock(tmp_path / ".locks" / f"{folder.name}.lock", is_singleton=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            held.append(folder.name)
        else:
            lock.release()
        real(self, folder)

    monkeypatch.setattr(Found, "keep", keep)
    words = ("--models", "VAE", "--datasets", "gaussians", "--trials", 1)
    assert tune(tmp_path, *words).status == 0
    assert held == [path.name for path in (tmp_path / "cells").iterdir()]
    assert (tmp_path / "cells" / held[0] / "tuning.json").is_file()


def test_best_values_make_other_cells() -> None:
    words = [f'best."digits conditional joint 10"."training.learning_rate"={v}' for v in (0.1, 0.2)]
    cells = [plan_of(word, models="CP").cells[0] for word in words]
    usual = plan_of(models="CP").cells[0]
    assert len({cell.id for cell in (*cells, usual)}) == 3
    assert "best" not in usual.settings


def test_k_that_a_search_chose_gives_way_to_the_users() -> None:
    sections = {"digits conditional joint": {"components": 7}}
    names = "digits", "conditional", "joint"
    assert best_values(sections, names, 10, components_fixed=False) == {"components": 7}
    assert best_values(sections, names, 10, components_fixed=True) == {}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ('best."digits joint"={components=7}', 'expected "DATASET PRIOR POSTERIOR K"'),
        ('best."digits conditional joint"={"training.rate"=7}', "training.rate"),
        ('best."digits conditional joint"={"training.learning_rate"=-1}', "greater than 0"),
        ('best."digits conditional joint"={"run.out"="x"}', "expected components, or a key of"),
        ('best."digits conditionl joint"={components=7}', "Did you mean 'conditional'"),
        ('best."digits conditional joint"={"priors.conditional.x"=7}', "unknown option"),
    ],
)
def test_a_wrong_best_section_is_refused(tmp_path: Path, word: str, message: str) -> None:
    ended = run_tiny(tmp_path, "--models", "CP", "--datasets", "digits", "--set", word)
    assert ended.status == 2
    assert message in ended.err


@pytest.mark.parametrize("words", [("--trials", "0"), ("--set", "tuning.storage=mysql://x/y")])
def test_a_search_that_cannot_be_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = tune(tmp_path, "--models", "CP", "--datasets", "digits", *words)
    assert ended.status == 2
    assert "expected" in ended.err

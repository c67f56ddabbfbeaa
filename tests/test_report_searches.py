"""The searches behind the numbers, in the report: what each was allowed, spent and chose."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pytest

from bench.best_file import SEARCH, SEARCHED
from bench.interface_report import page, tables
from bench.report.figures.making import make_figures
from bench.report.figures.searches import histories
from bench.report.figures.source import Source
from bench.report.page import write_page
from bench.report.search_lines import searched_rows
from bench.report.searches import find_searches, searches_table
from bench.report.summary import summarise
from bench.store import Store
from runs import TINY, bench, run_tiny

WORDS = ("--models", "VAE,CP", "--datasets", "digits", "--seeds", 2, "--trials", 5)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Searches, and nothing that was trained with what they found."""
    out = tmp_path_factory.mktemp("alone") / "runs"
    small = ("--set", "tuning.batch=5", "--set", "tuning.pruning=false", "--epochs", 1)
    ended = bench("tune", *TINY, *WORDS, *small, "--out", out)
    assert ended.status == 0, ended.out + ended.err
    return Store(out, create=False)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Store:
    out = tmp_path_factory.mktemp("searched") / "runs"
    small = ("--set", "tuning.batch=5", "--set", "tuning.pruning=false")
    # Importances need trials that ran to their end.
    ended = run_tiny(out, *WORDS, *small)
    assert ended.status == 0, ended.out + ended.err
    return Store(out, create=False)


def test_the_seeds_of_a_setting_have_one_search(searched: Store) -> None:
    found = find_searches(searched, summarise(searched.rows()))
    assert sorted(one.model for one in found) == ["CP", "VAE"]
    for one in found:
        assert len(one.cells) == 2
        assert one.budget.startswith("5 trials of at most 2 epochs")
        facts = json.loads((searched.folder(one.cells[0]) / SEARCH).read_text())
        assert one.result.best == facts["best"]
        values = [t.value for t in one.result.trials if t.value is not None]
        assert one.result.value == facts["validation_bound"] == max(values)
        assert one.result.epochs == facts["trial_epochs"]
        (best,) = [t for t in one.result.trials if t.value == one.result.value]
        assert best.params == one.result.best


def test_every_search_is_a_line_of_the_table(searched: Store) -> None:
    said = bench("report", "--section", "searches", "--format", "csv", "--out", searched.out)
    assert said.status == 0, said.err
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert sorted(row["model"] for row in rows) == ["CP", "VAE"]
    for row in rows:
        states = [int(row[f"trials_{state}"]) for state in ("complete", "pruned", "failed")]
        assert sum(states) == 5
        assert row["budget"].startswith("5 trials")
        assert "training.learning_rate=" in row["chosen"]
    shown = " ".join(bench("report", "--out", searched.out).out.split())
    assert "The searches and their budgets" in shown
    assert "Budget, the same for every system: on digits 5 trials of at most 2 epochs" in shown
    for format_ in ("latex", "markdown", "html"):
        words = ("--section", "searches", "--format", format_, "--out", searched.out)
        assert "model.latent" in bench("report", *words).out


def test_budgets_that_differ_are_said_to_differ(searched: Store, tmp_path: Path) -> None:
    shutil.copytree(searched.out, tmp_path / "copy")
    copy = Store(tmp_path / "copy", create=False)
    for row in copy.rows():
        path = copy.folder(row["cell"]) / "config.json"
        config = json.loads(path.read_text())
        config["tuning"]["trials"] += row["model"] == "CP"
        path.write_text(json.dumps(config))
    shown = " ".join(bench("report", "--section", "searches", "--out", copy.out).out.split())
    assert "NOT the same for every system" in shown


def test_searches_that_differ_in_their_finals_are_two_and_keep_their_errors(
    searched: Store, tmp_path: Path
) -> None:
    """One study, and two choices: each cell was trained with its own."""
    shutil.copytree(searched.out, tmp_path / "copy")
    store = Store(tmp_path / "copy", create=False)
    first, second = [row["cell"] for row in store.rows() if row["model"] == "VAE"]
    config = json.loads((store.folder(second) / "config.json").read_text())
    config["tuning"]["finals"] = {"settings": 2, "repeats": 3}
    (store.folder(second) / "config.json").write_text(json.dumps(config))
    facts = json.loads((store.folder(second) / SEARCH).read_text())
    facts["best"]["training.normalise_gradients"] = True  # is "True" in trials.csv
    facts |= {"validation_bound": -99.0, "validation_bound_se": 0.25}
    (store.folder(second) / SEARCH).write_text(json.dumps(facts))
    found = [one for one in find_searches(store, summarise(store.rows())) if one.model == "VAE"]
    assert {one.cells for one in found} == {(first, second)}
    assert len({one.key for one in found}) == len({one.name for one in found}) == 2
    (table,) = searches_table(store, summarise(store.rows()))
    rows = [row for row in table.rows if row[0].startswith("digits VAE")]
    assert len(rows) == 2
    assert "-99.00 ± 0.25" in {row[6] for row in rows}
    assert any("at most 2, are trained again" in row[0] for row in rows)
    assert "NOT the same for every system" in table.caption


def test_a_search_that_was_extended_is_a_line_for_each_budget(tmp_path: Path) -> None:
    words = ("--models", "VAE", "--datasets", "digits", "--seeds", 2)
    for trials in (2, 4):
        ended = run_tiny(tmp_path, *words, "--trials", trials, epochs=1)
        assert ended.status == 0, ended.out + ended.err
    store = Store(tmp_path, create=False)
    found = sorted(find_searches(store, summarise(store.rows())), key=lambda one: one.trials or 0)
    assert len({one.study for one in found}) == 1
    assert [one.trials for one in found] == [len(one.result.trials) for one in found] == [2, 4]
    assert len({cell for one in found for cell in one.cells}) == 4
    names = [f"digits VAE ({trials} trials of at most 1 epochs)" for trials in (2, 4)]
    assert [one.name for one in found] == names
    (table,) = searches_table(store, summarise(store.rows()))
    assert sorted(row[0] for row in table.rows) == names
    assert sorted(record["budget"][:8] for record in table.records) == ["2 trials", "4 trials"]
    drawn = list(histories(Source(store, store.rows())))
    assert len({drawing.key for drawing in drawn}) == 2
    assert len({drawing.caption for drawing in drawn}) == 2


def test_what_is_damaged_costs_no_report(searched: Store, tmp_path: Path) -> None:
    shutil.copytree(searched.out, tmp_path / "copy")
    copy = Store(tmp_path / "copy", create=False)
    for row in copy.rows():
        if row["model"] == "CP":
            (copy.folder(row["cell"]) / "trials.csv").write_text("trial\nx\n")
    (left,) = find_searches(copy, summarise(copy.rows()))
    assert left.model == "VAE"
    assert bench("report", "--out", copy.out).status == 0


def test_history_importances_and_slices_are_figures_and_on_the_page(searched: Store) -> None:
    told: list[str] = []
    figures = [f for f in make_figures(searched, searched.rows(), told.append) if "search" in f.key]
    assert told == []
    titles = {"history", "importance of settings", "the bound over each setting"}
    assert {figure.title for figure in figures} == {f"Searches: {title}" for title in titles}
    for figure in figures:
        assert figure.png.read_bytes().startswith(b"\x89PNG")
        assert figure.svg is not None
        assert "</svg>" in figure.svg.read_text()
    page = write_page(searched, searched.rows()).read_text()
    for words in (*(f"Searches: {title}" for title in titles), "The searches and their budgets"):
        assert words in page
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page, re.S)
    assert sum("in the search of digits CP" in caption for caption in captions) == 3


def test_a_store_without_searches_has_no_table_of_them(tmp_path: Path) -> None:
    assert run_tiny(tmp_path, "--models", "VAE", "--datasets", "digits", epochs=1).status == 0
    assert "searches" not in bench("report", "--out", tmp_path).out
    said = bench("report", "--section", "searches", "--out", tmp_path)
    assert "searches: nothing to show" in said.out


def test_a_store_of_searches_alone_shows_them(alone: Store) -> None:
    assert alone.rows() == []
    for words in ((), ("--section", "searches")):
        shown = " ".join(bench("report", *words, "--out", alone.out).out.split())
        assert "The searches and their budgets" in shown
        assert "Budget, the same for every system: on digits 5 trials of at most 1 epochs" in shown
        said = bench("report", *words, "--format", "csv", "--out", alone.out)
        rows = list(csv.DictReader(io.StringIO(said.out)))
        assert sorted(row["model"] for row in rows) == ["CP", "VAE"]
    (row,) = csv.DictReader(
        io.StringIO(bench("report", "--models", "VAE", "--format", "csv", "--out", alone.out).out)
    )
    assert row["model"] == "VAE"
    mistaken = bench("report", "--models", "VAW", "--out", alone.out)
    assert (mistaken.status, "VAE" in mistaken.err) == (2, True)
    found = tables(alone.out)
    assert list(found) == ["searches"]
    assert len(found["searches"]) == 2


def test_the_page_of_searches_alone_has_their_figures(alone: Store) -> None:
    said = bench("report", "--format", "html", "--out", alone.out)
    assert said.status == 0, said.err
    assert "left out" not in said.out
    text = (alone.out / "report" / "index.html").read_text()
    assert "No cell was trained" in text
    assert "The searches and their budgets" in text
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text, re.S)
    assert sum("in the search of digits CP" in caption for caption in captions) == 3
    assert page(alone.out, print).is_file()


def test_commands_that_need_a_trained_cell_still_say_so(alone: Store) -> None:
    for words in (("report", "--scorecard"), ("compare", "CP", "VAE")):
        ended = bench(*words, "--out", alone.out)
        assert (ended.status, "no results in" in ended.err) == (2, True)


def test_a_search_alone_is_shown_beside_trained_cells_and_once(
    alone: Store, tmp_path: Path
) -> None:
    shutil.copytree(alone.out, tmp_path / "copy")
    small = ("--set", "tuning.batch=5", "--set", "tuning.pruning=false")
    words = ("--models", "VAE", *WORDS[2:], *small)
    assert run_tiny(tmp_path / "copy", *words, epochs=1).status == 0
    copy = Store(tmp_path / "copy", create=False)
    said = bench("report", "--section", "searches", "--format", "csv", "--out", copy.out)
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert sorted(row["model"] for row in rows) == ["CP", "VAE"]
    drawn = list(histories(Source(copy, copy.rows())))
    assert sorted(drawing.models for drawing in drawn) == [("CP",), ("VAE",)]
    bounds = bench("report", "--section", "bounds", "--out", copy.out).out
    assert "CP" not in bounds  # what was not trained has no bound


@pytest.mark.parametrize("content", ["[]", "{", '{"cell": "x"}', '{"cell": 3, "dataset": []}'])
def test_a_damaged_description_of_a_search_costs_it_alone(
    alone: Store, tmp_path: Path, content: str
) -> None:
    shutil.copytree(alone.out, tmp_path / "copy")
    copy = Store(tmp_path / "copy", create=False)
    first = next(row for row in searched_rows(copy) if row["model"] == "CP")
    (copy.folder(first["cell"]) / SEARCHED).write_text(content)
    said = bench("report", "--section", "searches", "--format", "csv", "--out", copy.out)
    assert [row["model"] for row in csv.DictReader(io.StringIO(said.out))] == ["VAE"]

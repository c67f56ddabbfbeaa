"""The verdict on every claim, in stores where it is true, false and neither."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.report.scorecard import CLAIMS, Verdict, judge
from bench.report.scorecard.show import as_table
from bench.report.scorecard.verdict import Claim, Finding, conclude
from bench.store import Store
from claimed import (
    FALSE,
    OPEN,
    TRUE,
    WORLDS,
    put_bounds,
    put_cell,
    put_values,
)
from fabricated import empty, put, row
from runs import bench

MNIST = ("mnist", 10)


def verdict(store: Store, key: str) -> Verdict:
    return next(found for found in judge(store, store.rows()) if found.key == key)


@pytest.mark.parametrize("outcome", [TRUE, FALSE, OPEN])
@pytest.mark.parametrize("key", [claim.key for claim in CLAIMS])
def test_every_claim_has_all_three_verdicts(tmp_path: Path, key: str, outcome: str) -> None:
    store = empty(tmp_path)
    WORLDS[key](store, outcome)
    found = verdict(store, key)
    assert found.verdict == outcome, found
    assert found.here == outcome
    assert found.numbers
    assert "Missing" not in found.detail
    assert "protocol" not in found.detail


@pytest.mark.parametrize("key", [claim.key for claim in CLAIMS])
def test_without_cells_nothing_can_be_told_and_it_says_which(tmp_path: Path, key: str) -> None:
    store = empty(tmp_path)
    put(store, row(model="CP-pi"))
    found = verdict(store, key)
    assert (found.verdict, found.here, found.numbers) == (OPEN, OPEN, "")
    assert "Missing: " in found.detail
    assert "no finished" in found.detail


def test_keys_and_sources_are_there_once() -> None:
    keys = [claim.key for claim in CLAIMS]
    assert len(set(keys)) == len(keys) == len(WORLDS)
    assert all(claim.claim and claim.source and claim.test for claim in CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.key)
def test_a_claim_quotes_the_paper_or_says_that_it_is_none_of_its(claim: Claim) -> None:
    quoted = claim.source.count('"') == 2 and "section 6" in claim.source
    assert quoted != (claim.source.startswith("not in the paper"))


def test_a_missing_column_keeps_a_claim_open_but_not_what_was_run(tmp_path: Path) -> None:
    store = empty(tmp_path)
    put_bounds(store, {"CP": 99.0, "INDq": 100.0}, MNIST)
    found = verdict(store, "cp-beats-indq")
    assert (found.verdict, found.here) == (OPEN, TRUE)
    assert found.numbers.startswith("mnist K=10: -1.00 [")
    assert found.numbers.endswith("] yes")
    assert "mnist K=150, 500" in found.detail
    assert "In what was run: holds." in found.detail


def test_one_column_is_enough_to_refute(tmp_path: Path) -> None:
    store = empty(tmp_path)
    put_bounds(store, {"CP": 101.0, "INDq": 100.0}, MNIST)
    assert verdict(store, "cp-beats-indq").verdict == FALSE


def test_other_data_refute_nothing_of_the_papers(tmp_path: Path) -> None:
    store = empty(tmp_path)
    put_bounds(store, {"CP": 101.0, "INDq": 100.0}, ("digits", 10))
    found = verdict(store, "cp-beats-indq")
    assert (found.verdict, found.here) == (OPEN, FALSE)


def test_a_match_is_within_the_margin_and_not_merely_undecided(tmp_path: Path) -> None:
    close, noisy = empty(tmp_path / "a"), empty(tmp_path / "b")
    put_bounds(close, {"INDp": 100.1, "CP": 100.0}, MNIST)
    put_bounds(noisy, {"INDp": 100.1, "CP": 100.0}, MNIST, spread=5.0)
    assert verdict(close, "indp-matches-cp").here == TRUE
    assert verdict(noisy, "indp-matches-cp").here == OPEN


def test_one_seed_is_compared_over_the_test_examples(tmp_path: Path) -> None:
    store = empty(tmp_path)
    put_bounds(store, {"CP": 99.0, "INDq": 100.0}, MNIST, seeds=1)
    assert verdict(store, "cp-beats-indq").here == TRUE


@pytest.mark.parametrize(("error", "here"), [(0.01, TRUE), (0.5, OPEN), (None, OPEN)])
def test_one_seed_has_the_error_of_its_measurement(
    tmp_path: Path, error: float | None, here: str
) -> None:
    store = empty(tmp_path)
    for model, purity in (("CP", 0.8), ("INDq", 0.4), ("INDp", 0.4), ("INDqp", 0.4)):
        put_cell(store, model, ("mnist", 150), 0, purity_corrected=purity, purity_se=error)
    found = verdict(store, "cp-purer")
    assert found.here == here
    assert ("run more seeds" in found.detail) == (error is None)


def test_several_tests_of_a_claim_are_adjusted() -> None:
    claim = Claim("k", "c", "s", "t", lambda _: [])
    one = Finding("mnist K=10", True, p=0.03, favours=True)
    other = Finding("mnist K=150", True, p=0.04, favours=True)
    assert conclude(claim, [one]).verdict == TRUE
    assert conclude(claim, [one, other]).verdict == OPEN
    assert conclude(claim, [one, replace(other, paper=False)]).verdict == TRUE


def marks(found: Verdict) -> list[str]:
    return [said.rpartition(" ")[2] for said in found.numbers.split("; ")]


def test_a_mark_says_what_the_verdict_takes_its_test_to_say() -> None:
    claim = Claim("k", "c", "s", "t", lambda _: [])
    counts = Finding("mnist K=10", True, numbers="-1", p=0.03, favours=True, seeds=3)
    ours = replace(counts, place="digits K=10", paper=False, p=0.04)
    others = replace(counts, place="mnist K=150", p=0.04)
    for aside in (ours, replace(others, other="epochs 20"), replace(others, seeds=1)):
        for favours, outcome, mark in ((True, TRUE, "yes"), (False, FALSE, "no")):
            tests = [replace(test, favours=favours) for test in (counts, aside)]
            found = conclude(claim, tests)
            assert (found.here, marks(found)) == (outcome, [mark, mark])
            # A place of the paper's that does not count leaves the claim open.
            assert found.verdict == (OPEN if favours and aside.paper else outcome)
    found = conclude(claim, [counts, *(replace(ours, place=f"digits K={k}") for k in (2, 3))])
    assert (found.verdict, found.here, marks(found)) == (TRUE, OPEN, ["yes", "?", "?"])


def test_the_families_of_the_marks_are_explained(store: Store) -> None:
    assert "The tests that the verdict counts are one family" in as_table([]).caption
    ended = bench("report", "--scorecard", "--out", store.out)
    assert "The tests that the verdict counts are one family" in " ".join(ended.out.split())


def test_counts_that_agree_by_chance_are_not_certain(tmp_path: Path) -> None:
    store = empty(tmp_path)
    for model, marked in (("CP", 9), ("INDq", 10), ("INDp", 10), ("INDqp", 10)):
        put_values(store, model, ("mnist", 150), [{"top_marked": marked}] * 2)
    assert verdict(store, "cp-lists-apart").here == OPEN


def test_the_error_over_test_examples_is_part_of_it(tmp_path: Path) -> None:
    for error, here in ((0.001, TRUE), (0.3, OPEN)):
        store = empty(tmp_path / str(error))
        for model, mean in (("CP", 2.0), ("INDq", 1.6)):
            values = [{"entropy": mean + s / 1000, "entropy_se": error} for s in range(3)]
            put_values(store, model, ("mnist", 150), values)
        assert verdict(store, "cp-more-categories").here == here


def test_the_monte_carlo_error_of_both_ways_of_sampling_counts(tmp_path: Path) -> None:
    for error, here in ((0.001, TRUE), (0.1, OPEN), (None, OPEN)):
        store = empty(tmp_path / str(error))
        values = {"recovered": True, "js": 0.1, "js_mc_se": 0.001, "js_uniform": 0.15}
        name = put_cell(store, "CP", ("gaussians", 150), 0, **values)
        found = {} if error is None else {"weightings": {"c ~ p(c)": {"js_mc_se": error}}}
        (store.folder(name) / "density.json").write_text(json.dumps(found))
        assert verdict(store, "marginal-beats-uniform").here == here


@pytest.mark.parametrize(
    ("key", "model", "name", "content", "said"),
    [
        ("marginal-beats-uniform", "CP", "density", '{"weightings": [1]}', "at weightings: "),
        ("marginal-beats-uniform", "CP", "density", "{", "it is no JSON"),
        ("few-labels", "MG", "generation", '{"marginal": {"samples": "many"}}',
         "at marginal.samples: "),
    ],
)  # fmt: skip
def test_a_damaged_file_leaves_a_claim_open_and_is_named(
    tmp_path: Path, key: str, model: str, name: str, content: str, said: str
) -> None:
    store = empty(tmp_path)
    if model == "CP":
        values = {"recovered": True, "js": 0.1, "js_mc_se": 0.001, "js_uniform": 0.15}
        cell = put_cell(store, model, ("gaussians", 150), 0, **values)
    else:
        cell = put_cell(store, model, ("mnist", 10), 0, marginal_labels=2.0)
    (store.folder(cell) / f"{name}.json").write_text(content)
    found = verdict(store, key)
    assert found.here == OPEN
    assert f"{name}.json of cell {cell} is damaged: {said}" in found.detail


@pytest.mark.parametrize("done", range(6))
def test_most_recover_or_fail_in_either_direction(tmp_path: Path, done: int) -> None:
    store = empty(tmp_path)
    for model, size in (("CP", 2), ("MG", 2)):
        put_values(store, model, ("gaussians", size), [
            {"recovered": s < done, "js": 0.01} for s in range(5)
        ])  # fmt: skip
    told = {0: (FALSE, TRUE), 5: (TRUE, FALSE)}.get(done, (OPEN, OPEN))
    found = tuple(verdict(store, key).verdict for key in ("cp-recovers-2", "mg-fails-2"))
    assert found == told


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"setting": "other", "cell": "other"}, "several settings"),
        ({"status": "failed"}, "no finished INDq"),
        ({"dataset_fingerprint": "unverified"}, "different test examples"),
        ({"config": {"training": {"epochs": 20}, "model": {"hidden": 300}}}, "training.epochs"),
    ],
)
def test_what_cannot_be_compared_is_not(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    store = empty(tmp_path)
    put_bounds(store, {"CP": 99.0, "INDq": 100.0}, MNIST, seeds=1)
    other = {"training": {"epochs": 2000}, "model": {"hidden": 300}}
    (store.folder("CP-mnist-10-0") / "config.json").write_text(json.dumps(other))
    put_cell(store, "INDq", MNIST, 0, **changes)
    found = verdict(store, "cp-beats-indq")
    assert found.here == OPEN
    assert said in found.detail


def test_bounds_that_are_not_on_disk_are_missing(tmp_path: Path) -> None:
    store = empty(tmp_path)
    put_bounds(store, {"CP": 99.0, "INDq": 100.0}, MNIST, seeds=1)
    (store.folder("CP-mnist-10-0") / "examples.npz").unlink()
    found = verdict(store, "cp-beats-indq")
    assert (found.here, "found no such file" in found.detail) == (OPEN, True)


def test_of_many_rivals_the_nearest_is_shown(tmp_path: Path) -> None:
    store = empty(tmp_path)
    put_bounds(store, {"HVP": 99.0, "CP": 103.0, "VP": 100.0, "HVAE": 102.0}, MNIST)
    found = verdict(store, "hvp-best")
    assert found.numbers.startswith("mnist K=10 against VP: -1.00")
    assert found.numbers.count(";") == 0
    assert "Tested too, not shown: 2 yes." in found.detail


def test_the_published_table_is_held_beside(tmp_path: Path) -> None:
    remarks = {claim.key: claim.remark for claim in CLAIMS}
    assert remarks["cp-beats-indq"].endswith("in 8 of 8.")
    assert remarks["hvp-best"].endswith("in 7 of 8.")  # INDqp is lower on FashionMNIST at 10
    assert remarks["vp-improves"].endswith("in 4 of 5.")  # VP at 500 on FashionMNIST is not


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = empty(tmp_path)
    put_bounds(made, {"CP": 101.0, "INDq": 100.0}, MNIST)
    put_bounds(made, {"CP": 99.0, "INDq": 100.0}, ("digits", 10))
    return made


def test_on_a_terminal(store: Store) -> None:
    ended = bench("report", "--scorecard", "--out", store.out)
    assert ended.status == 0, ended.err
    assert "does not hold  CP has a better bound" in ended.out
    assert "0 holds, 1 does not hold, 24 cannot be told" in " ".join(ended.out.split())


def test_as_json_and_csv(store: Store) -> None:
    words = ("report", "--scorecard", "--out", store.out, "--format")
    (first, *rest) = json.loads(bench(*words, "json").out)
    assert len(rest) == len(CLAIMS) - 1
    assert (first["key"], first["verdict"]) == ("cp-beats-indq", FALSE)
    rows = list(csv.DictReader(io.StringIO(bench(*words, "csv").out)))
    assert rows[0] == {name: str(value) for name, value in first.items()}


@pytest.mark.parametrize("format_", ["markdown", "html", "latex"])
def test_as_a_table(store: Store, format_: str) -> None:
    ended = bench("report", "--scorecard", "--out", store.out, "--format", format_)
    assert ended.status == 0, ended.err
    assert "does not hold" in ended.out
    assert ended.out.count("CP has a better bound") == 1


def test_chosen_datasets_alone_count(store: Store) -> None:
    words = ("--datasets", "digits", "--format", "json")
    (first, *_) = json.loads(bench("report", "--scorecard", "--out", store.out, *words).out)
    assert (first["verdict"], first["here"]) == (OPEN, TRUE)


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--section", "bounds"], "without --section"), (["--datasets", "dogits"], "digits"),
     (["--format", "pdf"], "json")],
)  # fmt: skip
def test_a_mistake_is_one_message(store: Store, words: list[str], said: str) -> None:
    ended = bench("report", "--scorecard", "--out", store.out, *words)
    assert (ended.status, said in ended.err) == (2, True)


def test_its_table_has_a_row_for_every_claim(store: Store) -> None:
    table = as_table(judge(store, store.rows()))
    assert [line[0] for line in table.rows] == [claim.claim for claim in CLAIMS]

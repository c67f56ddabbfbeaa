"""The summary: what a line of a table averages, with which error, and what it must confess."""

from __future__ import annotations

import csv
import io
from statistics import stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bench.report.shown import HEADINGS, cells
from bench.report.summary import AVERAGED, Line, Value, summarise
from bench.report.tables import to_csv, to_markdown
from bench.report.tables_terminal import FULL_WIDTH, to_terminal
from fabricated import Row, row


def only(*rows: Row) -> Line:
    (line,) = summarise(rows)
    return line


def test_one_seed_has_the_error_over_test_examples() -> None:
    line = only(row())
    assert line.seeds == 1
    assert line.values["nelbo"] == Value(100.0, se=0.7, pooled=0.7)
    assert line.values["purity"] == Value(0.5, se=0.01, pooled=0.01)
    assert line.values["nelbo"].error == 0.7
    assert line.values["category_information"].error is None


def test_errors_of_different_kinds_stay_apart() -> None:
    """Over examples: shared by the seeds; Monte Carlo: its own in each, so it averages out."""
    rows = [row(k, nelbo_se=se, nelbo_mc_se=mc) for k, (se, mc) in enumerate([(3, 0.3), (4, 0.4)])]
    value = only(*rows).values["nelbo"]
    assert value.sd == pytest.approx(stdev([100.0, 101.0]))
    assert value.se == pytest.approx(12.5**0.5)
    assert value.mc == pytest.approx(0.25)
    assert value.pooled == pytest.approx(2.5)


def test_a_yes_or_no_is_a_share_of_seeds() -> None:
    value = only(*(row(k, recovered=k > 0) for k in range(4))).values["recovered"]
    assert value == Value(0.75)


def test_every_column_is_averaged_or_an_error_or_a_name() -> None:
    assert {"nelbo", "ess", "C2", "recovered", "ami", "seconds"} <= set(AVERAGED)
    assert not {"nelbo_se", "nelbo_mc_se", "seed", "components", "cell", "reason"} & set(AVERAGED)


def test_tuning_without_k_does_not_join_different_k() -> None:
    tuned = {"training.learning_rate": 0.1}
    lines = summarise([row(0, tuned=tuned), row(1, tuned=tuned, components=150)])
    assert [line.components for line in lines] == ["10", "150"]


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=6))
def test_several_seeds_have_the_deviation_over_seeds(bounds: list[float]) -> None:
    line = only(*(row(seed, nelbo=bound) for seed, bound in enumerate(bounds)))
    assert line.seeds == len(bounds)
    assert line.values["nelbo"].mean == pytest.approx(sum(bounds) / len(bounds), abs=1e-9)
    assert line.values["nelbo"].sd == pytest.approx(stdev(bounds), abs=1e-9)
    assert line.values["nelbo"].error == line.values["nelbo"].sd


def test_what_does_not_apply_has_no_value() -> None:
    line = only(row(model="VAE", components=None, purity=None, assignment="none"))
    assert "purity" not in line.values
    shown = dict(zip(HEADINGS, cells(line), strict=True))
    assert (shown["K"], shown["purity (chance)"], shown["NLL"]) == ("", "", "98.00")


@pytest.mark.parametrize(
    ("collapsed", "marks"),
    [
        ([False, False], []),
        ([True, True, True], ["collapsed"]),
        ([True, False, True], ["collapsed 2/3"]),
        ([None], []),
    ],
)
def test_collapsed_seeds_are_marked(collapsed: list[bool | None], marks: list[str]) -> None:
    assert only(*(row(k, collapsed=value) for k, value in enumerate(collapsed))).marks == marks


def test_failed_seeds_are_marked_and_not_averaged() -> None:
    failed = row(1, status="failed", reason="RuntimeError: no", nelbo=None)
    line = only(row(0), failed)
    assert (line.seeds, line.marks, line.note) == (1, ["failed 1"], "RuntimeError: no")
    assert line.values["nelbo"] == Value(100.0, se=0.7, pooled=0.7)
    assert only(failed).marks == ["failed"]
    assert only(failed).seeds == 0


def test_skipped_pairs_say_why() -> None:
    line = only(row(status="skipped", reason="no meaning", model="", nelbo=None))
    assert (line.model, line.marks, line.note) == ("mog x joint", ["skipped"], "no meaning")


def test_unverified_data_and_tuning_are_marked() -> None:
    line = only(row(dataset_fingerprint="unverified-0123", tuned={"components": 7}, collapsed=True))
    assert line.marks == ["collapsed", "unverified data", "tuned"]


def test_tuned_seeds_that_differ_in_size_share_a_line() -> None:
    rows = [
        row(seed, tuned={"components": size}, components=size) for seed, size in ((0, 7), (1, 9))
    ]
    line = only(*rows, row(2, tuned={"components": 7}, components=7))
    assert (line.components, line.seeds) == ("7, 9", 3)


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "gaussians"},
        {"prior": "mog"},
        {"posterior": "independent"},
        {"components": 20},
        {"dataset_fingerprint": "unverified-0123"},
        {"setting": "bbbbbb"},
    ],
    ids=str,
)
def test_what_is_not_a_seed_of_one_model_is_never_averaged(change: Row) -> None:
    lines = summarise([row(0), row(1, **change)])
    assert [line.seeds for line in lines] == [1, 1]
    assert {line.values["nelbo"].mean for line in lines} == {100.0, 101.0}


def test_other_settings_of_one_model_are_told_apart() -> None:
    first, second = summarise([row(0), row(0, setting="bbbbbb", nelbo=90.0)])
    assert (first.marks, second.marks) == (["settings bbbbbb"], ["settings aaaaaa"])
    assert only(row(0), row(1)).marks == []


def test_the_best_bound_comes_first_within_its_dataset() -> None:
    rows = [
        row(model="failed", prior="f", status="failed", reason="x", nelbo=None),
        row(model="worse", prior="a", nelbo=110.0),
        row(model="other", dataset="gaussians", nelbo=-1.0),
        row(model="best", prior="b", nelbo=90.0),
        row(model="skipped", prior="s", status="skipped", reason="y", nelbo=None),
    ]
    found = [line.model for line in summarise(rows)]
    assert found == ["best", "worse", "failed", "skipped", "other"]


@pytest.mark.parametrize(
    ("sides", "assignment"),
    [(["prior"], "prior"), (["posterior"] * 2, "posterior"), (["prior", "posterior"], "mixed")],
)
def test_the_side_of_the_categories(sides: list[str], assignment: str) -> None:
    line = only(*(row(k, assignment=side, effective_categories=4) for k, side in enumerate(sides)))
    assert line.assignment == assignment
    assert ("4.0°" in cells(line)) == (assignment == "prior")


def shown(lines: list[Line], width: int) -> str:
    stream = io.StringIO()
    to_terminal(lines, Console(file=stream, width=width, force_terminal=False))
    return stream.getvalue()


NOTE = "ValueError: expected [/dim], found [a] and [/]"


@pytest.mark.parametrize("width", [80, FULL_WIDTH])
def test_the_terminal_shows_numbers_marks_and_reasons_as_they_are(width: int) -> None:
    rows = [
        row(0, collapsed=True),
        row(1, prior="mine", model="[b]", status="failed", reason=NOTE, nelbo=None),
        row(1, status="skipped", prior="other", model="", reason="no meaning", nelbo=None),
    ]
    text = shown(summarise(rows), width)
    assert "100.00 ± 0.70" in " ".join(text.split())
    assert "0.50 ± 0.01 (0.10)" in " ".join(text.split())
    assert "collapsed" in text
    assert f"failed: [b]: {NOTE}" in text
    assert "skipped: other x joint: no meaning" in text
    assert ("NLL" in text.splitlines()[2]) == (width == FULL_WIDTH)
    assert shown([], width) == ""


def test_markdown_is_a_table_whatever_the_names_hold() -> None:
    text = to_markdown(summarise([row(model="a|b"), row(dataset="gaussians")]))
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len(tables) == 6
    assert len({line.replace(r"\|", "").count("|") for line in tables}) == 1
    assert r"| a\|b | 10 | 1 | 100.00 ± 0.70 |" in text
    assert "### gaussians" in text


def test_csv_has_every_average_with_its_errors() -> None:
    lines = summarise([row(0), row(1), row(0, prior="x", model='a,"b"', components=None)])
    first, second = csv.DictReader(io.StringIO(to_csv(lines)))
    assert (first["model"], first["components"], first["seeds"]) == ('a,"b"', "", "1")
    assert float(second["nelbo"]) == 100.5
    assert float(second["nelbo_sd"]) == pytest.approx(stdev([100.0, 101.0]))
    assert (first["nelbo_sd"], first["nelbo_se"]) == ("", "0.7")
    assert "category_information_se" not in first

"""The report's sections: what each shows, of which lines, in every format."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from bench.report.columns import Column, Section
from bench.report.sections import SECTIONS
from bench.report.summary import AVERAGED, Line, summarise
from bench.report.tables import to_csv, to_markdown
from bench.report.tables_terminal import to_terminal
from fabricated import empty, put, put_model, row
from runs import Ended, bench

SHARES = (
    "collapsed", "weights_trusted", "rb_weights_trusted", "at_ceiling", "recovered",
    "recovered_uniform",
)  # fmt: skip
BY_KEY = {section.key: section for section in SECTIONS}


def full(seed: int = 0, model: str = "CP", **changes: Any) -> dict[str, Any]:
    """A row in which everything applies, each metric another number."""
    values: dict[str, Any] = {name: 1 + 0.01 * k for k, name in enumerate(AVERAGED)}
    values |= {f"{name}_se": 0.25 for name in ("nelbo", "nll", "A", "log_likelihood")}
    noisy = ("nelbo", "nll", "nll_rb", "log_likelihood", "js")
    values |= {f"{name}_mc_se": 0.125 for name in noisy}
    values |= dict.fromkeys(SHARES, True)
    return {**row(seed, model), **values, **changes}


def shown(lines: list[Line], section: str, width: int = 200) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=False)
    to_terminal(lines, console, [BY_KEY[section]])
    return stream.getvalue()


def test_every_metric_of_a_section_is_a_column_of_the_results() -> None:
    for section in SECTIONS:
        named = {name for column in section.columns for name in column.metrics}
        assert named <= set(AVERAGED), section.key
        assert set(section.needs) <= named, section.key


def test_every_measurement_is_in_a_section() -> None:
    named = {name for section in SECTIONS for column in section.columns for name in column.metrics}
    named |= {name for section in SECTIONS for name in section.needs}
    elsewhere = {
        "epochs", "seconds", "evaluation_seconds", "parameters", "collapsed", "entropy_max",
        "nmi_hard",
    }  # fmt: skip
    assert set(AVERAGED) - named == elsewhere


COLUMNS = [(section, column) for section in SECTIONS for column in section.columns]


@pytest.mark.parametrize(
    ("section", "column"), COLUMNS, ids=[f"{s.key} {c.heading}" for s, c in COLUMNS]
)
def test_a_column_is_blank_exactly_where_it_does_not_apply(
    section: Section, column: Column
) -> None:
    (line,) = summarise([full()])
    assert column.show(line)
    for name in column.metrics:
        line.values.pop(name, None)
    assert column.show(line) == ""
    meant = column.meaning or column.heading.endswith(" u")
    assert meant, "every heading has a definition"


@pytest.mark.parametrize("section", BY_KEY)
@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_narrow_terminal_loses_no_column(section: str, width: int) -> None:
    text = shown(summarise([full(), full(1), full(0, "VAE")]), section, width)
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    if section != "bounds":
        for column in BY_KEY[section].columns:
            assert f" {column.heading} " in words
        assert "…" not in text


def test_lines_to_which_nothing_applies_are_left_out() -> None:
    blank = {name: None for name in AVERAGED if name.startswith("kmeans")}
    lines = summarise([full(0, "CP", **blank), full(0, "VAE")])
    text = shown(lines, "kmeans")
    assert "VAE" in text
    assert "CP" not in text
    assert shown(summarise([full(0, "CP", **blank)]), "kmeans") == ""


def test_columns_that_are_blank_everywhere_are_left_out() -> None:
    text = shown(summarise([full(T1=None), full(0, "VAE", T1=None)]), "decomposition")
    assert " B2 " in text
    assert "T1" not in text.split("gap:")[0].replace("C2 - T1", "")


def test_what_must_be_known_of_a_number_stands_at_it() -> None:
    lines = summarise([full(0, at_ceiling=True), full(0, "VAE", at_ceiling=False)])
    show = {c.heading: c.show for c in BY_KEY["decomposition"].columns}["I(z,c;x)"]
    assert [show(line).endswith("†") for line in lines] == [True, False]


@pytest.mark.parametrize(
    ("trusted", "text"),
    [([True, True], "trusted"), ([False] * 2, "untrusted"), ([True, False], "untrusted 50%")],
)
def test_weights_are_said_to_be_untrusted(trusted: list[bool], text: str) -> None:
    (line,) = summarise([full(k, weights_trusted=value) for k, value in enumerate(trusted)])
    (column,) = (c for c in BY_KEY["likelihood"].columns if c.heading == "weights")
    assert column.show(line) == text


def test_monte_carlo_error_is_apart_from_that_over_seeds() -> None:
    (line,) = summarise([full(k, nelbo=90.0 + k) for k in range(4)])
    show = {c.heading: c.show for c in BY_KEY["likelihood"].columns}
    assert show["NELBO"](line) == "91.50 ± 1.29"
    assert show["NELBO MC"](line) == "0.062"


def test_what_should_be_zero_has_its_own_error() -> None:
    """A gap of 0.3 in seeds that agree is far from zero, whatever the seeds vary by."""
    rows = [
        full(k, decomposition_gap=gap, decomposition_gap_se=se)
        for k, (gap, se) in enumerate([(0.2, 0.03), (0.4, 0.04)])
    ]
    show = {c.heading: c.show for c in BY_KEY["decomposition"].columns}["gap"]
    assert show(summarise(rows)[0]) == "0.300 ± 0.025"
    assert show(summarise(rows[:1])[0]) == "0.200 ± 0.030"


def test_a_bound_is_shown_as_its_samples_grow() -> None:
    (line,) = summarise([full(nll_1=95.0, nll_100=91.0, nll_1000=None, nll=90.5)])
    section = BY_KEY["convergence"]
    texts = {column.heading: column.show(line) for column in section.columns}
    wanted = {"NLL 1": "95.00", "NLL 100": "91.00", "NLL 1000": "", "NLL S": "90.50"}
    assert wanted.items() <= texts.items()
    assert (texts["MC"], texts["rb MC"]) == ("0.125", "0.125")


@pytest.mark.parametrize(
    ("heading", "text"),
    [
        ("classifier", "0.960 (0.950)"),
        ("corrected", "0.80 ± 0.02 (0.70)"),
        ("majority", "0.90 (0.20)"),
        ("by label", "0.60 (0.10)"),
    ],
)
def test_what_is_generated_stands_beside_its_reference(heading: str, text: str) -> None:
    found: dict[str, Any] = {
        "classifier_accuracy": 0.96, "classifier_accuracy_drawn": 0.95,
        "generation_purity_corrected": 0.8, "generation_purity_corrected_se": 0.02,
        "generation_ceiling": 0.7, "generation_majority": 0.9, "generation_majority_chance": 0.2,
        "label_generation": 0.6, "label_generation_chance": 0.1,
    }  # fmt: skip
    (line,) = summarise([full(**found)])
    (column,) = (c for c in BY_KEY["generation"].columns if c.heading == heading)
    assert column.show(line) == text


@pytest.mark.parametrize("width", [80, 137])
def test_a_mark_is_explained_only_where_it_is_shown(width: int) -> None:
    text = shown(summarise([full(assignment="prior")]), "bounds", width)
    assert text.count("°") == (2 if width == 137 else 0)


def test_settings_are_told_apart_in_every_section() -> None:
    lines = summarise([full(), full(0, setting="bbbbbb")])
    text = shown(lines, "likelihood")
    assert "CP settings aaaaaa" in text
    assert "CP settings bbbbbb" in text


def test_markdown_has_every_section() -> None:
    text = to_markdown(summarise([full()]), SECTIONS)
    for section in SECTIONS:
        assert f"## {section.key}: {section.title}" in text
    assert text.count("in nats") == 1


def test_csv_has_a_chosen_section_alone() -> None:
    lines = summarise([full(), full(1)])
    (record,) = csv.DictReader(io.StringIO(to_csv(lines, [BY_KEY["density"]])))
    assert {"js", "js_sd", "js_mc_se", "log_likelihood_se", "recovered"} <= set(record)
    assert not {"nelbo", "recovered_sd", "js_se"} & set(record)
    (record,) = csv.DictReader(io.StringIO(to_csv(lines)))
    assert {"nelbo", "nelbo_sd", "nelbo_se", "nelbo_mc_se", "js", "seconds"} <= set(record)


LABELS = [
    {
        "label": name, "count": 40, "purity": 0.5, "purity_se": 0.01, "chance": 0.1,
        "corrected": None, "top_categories": [[3, 0.5], [1, 0.25]],
    }
    for name in ("zero", "one")
]  # fmt: skip


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models on digits and one on gaussians, with everything."""
    store = empty(tmp_path_factory.mktemp("sections"))
    for model in ("CP", "VAE"):
        for seed in range(2):
            put(store, full(seed, model, cell=f"{model}{seed}"), nelbo=np.arange(5.0) + seed)
    put(store, full(0, dataset="gaussians", dataset_fingerprint="9", cell="g"), nelbo=np.ones(5))
    for folder in (store.out / "cells").iterdir():
        (folder / "purity.json").write_text(json.dumps(LABELS))
    return store.out


def report(out: Path, *words: str) -> Ended:
    return bench("report", "--out", out, *words)


@pytest.mark.parametrize("format_", ["terminal", "markdown"])
def test_all_sections_are_shown_unless_some_are_chosen(out: Path, format_: str) -> None:
    everything = report(out, "--format", format_).out
    for section in SECTIONS:
        assert f"{section.key}: {section.title}" in everything
    assert "zero" in everything
    chosen = report(out, "--format", format_, "--section", "density,kmeans").out
    shown = [s.key for s in SECTIONS if f"{s.key}: {s.title}" in chosen]
    assert shown == ["kmeans", "density"]
    assert "zero" not in chosen


def test_models_and_datasets_are_chosen(out: Path) -> None:
    text = report(out, "--models", "cp", "--datasets", "digits", "--format", "csv").out
    assert [(r["model"], r["dataset"]) for r in csv.DictReader(io.StringIO(text))] == [
        ("CP", "digits")
    ]
    text = report(out, "--models", "standard x continuous", "--format", "csv").out
    assert [r["model"] for r in csv.DictReader(io.StringIO(text))] == ["VAE"]


def test_labels_of_each_line(out: Path) -> None:
    text = report(out, "--section", "labels").out
    for title in ("digits CP K=10 seed 0", "digits VAE", "gaussians CP"):
        assert title in text
    assert "seed 1" not in text
    records = list(
        csv.DictReader(io.StringIO(report(out, "--section", "labels", "--format", "csv").out))
    )
    assert len(records) == 6
    assert records[0]["top_categories"] == "3:0.5 1:0.25"
    assert (records[0]["label"], records[0]["corrected"]) == ("zero", "")
    assert records[0]["marked"] == "3 1"  # of the lists: these rows have no such key
    assert records[0]["prior_purity"] == ""


def test_both_sides_of_a_label_are_shown(tmp_path: Path) -> None:
    store = empty(tmp_path)
    put(store, row())
    other = {"prior_purity": 0.4, "prior_purity_se": 0.02, "prior_chance": 0.1}
    rows = [
        {**LABELS[0], "purity_hard": 0.75, "top_mass": 0.625, **other},
        {**LABELS[1], "top_categories": [[3, 0.5], [7, 0.25]]},
    ]
    (store.folder("cp0") / "purity.json").write_text(json.dumps(rows))
    for format_ in ("terminal", "markdown"):
        text = report(store.out, "--section", "labels", "--format", format_).out
        assert "0.40 ± 0.02 (0.10)" in text
        assert "2 places, in bold" in text
    text = report(store.out, "--section", "labels", "--format", "csv").out
    first, second = csv.DictReader(io.StringIO(text))
    wanted = {"purity_hard": "0.75", "top_mass": "0.625", "marked": "3", "prior_chance": "0.1"}
    assert wanted.items() <= first.items()
    assert (first["prior_purity"], first["prior_purity_se"]) == ("0.4", "0.02")
    assert (second["marked"], second["prior_purity"]) == ("3", "")


def test_labels_of_many_lines_wait_to_be_asked_for(tmp_path: Path) -> None:
    store = empty(tmp_path)
    for k in range(13):
        put(store, row(0, f"m{k}"))
        (store.folder(f"m{k}0") / "purity.json").write_text(json.dumps(LABELS))
    ended = report(store.out)
    assert "labels: left out for 13 lines" in ended.out
    assert "--section labels" in ended.out
    assert "zero" not in ended.out
    assert "zero" in report(store.out, "--section", "labels").out


def test_a_section_without_values_says_so(tmp_path: Path) -> None:
    store = empty(tmp_path)
    put(store, row())
    for section in ("density", "labels"):
        for format_ in ("terminal", "markdown"):
            text = report(store.out, "--section", section, "--format", format_).out
            assert text == f"{section}: nothing to show; no line has any of its values\n"
    assert "density" not in report(store.out).out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--section", "denisty"], ["unknown section 'denisty'", "Did you mean 'density'?"]),
        (["--models", "CPP"], ["unknown model 'CPP'", "Did you mean 'CP'?"]),
        (["--datasets", "digist"], ["unknown dataset", "Did you mean 'digits'?"]),
        (["--section", "labels,bounds", "--format", "csv"], ["labels alone"]),
    ],
    ids=lambda words: " ".join(words),
)
def test_mistakes(out: Path, words: list[str], expected: list[str]) -> None:
    ended = report(out, *words)
    assert ended.status == 2
    for part in expected:
        assert part in ended.err


def test_a_store_of_the_demo_is_quick(tmp_path: Path) -> None:
    """46 lines of 3 seeds, half of them with 10,000 test examples."""
    store = empty(tmp_path)
    random = np.random.default_rng(0)
    for dataset, size in (("digits", 400), ("gaussians", 10_000)):
        for k in range(23):
            costs = random.standard_normal((3, size))
            put_model(store, costs, f"m{k}", dataset=dataset, dataset_fingerprint=dataset,
                      tag=dataset)  # fmt: skip
    report(store.out)  # what is imported is not counted
    started = time.process_time()
    assert "≈" in report(store.out).out
    assert time.process_time() - started < 2.0

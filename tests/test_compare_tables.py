"""What bench compare says: on a terminal, as plain lines, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench.report.compare import Report, compare_models
from bench.report.compare_tables import to_csv, to_markdown, to_terminal
from bench.report.selection import Filter
from bench.store import Store
from fabricated import Array, empty, put, put_model, row

N = 50


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return empty(tmp_path)


def costs(seeds: int, mean: float = 100.0, *, stream: int = 0) -> Array:
    found: Array = mean + np.random.default_rng(stream).standard_normal((seeds, N))
    return found


def run(store: Store, a: str, b: str, metric: str = "nelbo") -> Report:
    return compare_models(store, store.rows(), a, b, metric, Filter())


def shown(report: Report, *, terminal: bool, width: int = 200) -> str:
    stream = io.StringIO()
    to_terminal(report, Console(file=stream, width=width, force_terminal=terminal, no_color=True))
    return stream.getvalue()


@pytest.fixture
def far_apart(store: Store) -> Store:
    put_model(store, costs(5, 90.0, stream=1), "CP")
    put_model(store, costs(5, stream=2), "VP")
    return store


@pytest.mark.parametrize("terminal", [True, False])
def test_words_say_which_is_better(far_apart: Store, terminal: bool) -> None:
    text = shown(run(far_apart, "CP", "VP"), terminal=terminal)
    for part in (
        "a negative difference means that CP is lower", "CP is better", "these trained models",
        "the training procedures", "50 examples, seeds 5", "CP is lower on 100% of the examples",
        "bootstrap over seeds and examples", "<.0001",
    ):  # fmt: skip
        assert part in text
    assert ("─" in text) == terminal
    assert "VP is better" not in text
    assert "CP is better" in shown(run(far_apart, "VP", "CP"), terminal=terminal)


@pytest.mark.parametrize("width", [60, 80, 110, 130, 200])
def test_no_terminal_is_too_narrow(far_apart: Store, width: int) -> None:
    text = shown(run(far_apart, "CP", "VP"), terminal=True, width=width)
    assert "…" not in text
    for part in ("these trained models", "CP is better", "-10.", "<.0001"):
        assert part in text
    assert ("─" in text) == (width >= 110)
    assert ("df" in text.split("Claim 1")[0]) == (width != 110)


def test_equal_models_cannot_be_told_apart(store: Store) -> None:
    put_model(store, costs(1, stream=1), "CP")
    put_model(store, costs(1, stream=1), "VP")
    text = shown(run(store, "CP", "VP"), terminal=False)
    assert "these trained models: cannot be told apart" in text
    assert "the training procedures are not compared: a side has one seed" in text
    assert "better" not in text


def test_a_divergence_is_lower_not_better(store: Store) -> None:
    for model, mean in (("CP", 5.0), ("VP", 9.0)):
        put(store, row(0, model, kl_z=mean), nelbo=costs(1)[0], kl_z=costs(1, mean)[0])
    text = shown(run(store, "CP", "VP", "kl_z"), terminal=False)
    assert "CP is lower;" in text
    assert "better" not in text


def test_names_are_printed_as_they_are(store: Store) -> None:
    put_model(store, costs(1, stream=1), "[bold]x[/]|y", cell="odd")
    put_model(store, costs(1, stream=2), "VP")
    report = run(store, "[bold]x[/]|y", "VP")
    assert "[bold]x[/]|y" in shown(report, terminal=True)
    tables = [line for line in to_markdown(report).splitlines() if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in tables}) == 1


def test_csv_has_every_number(far_apart: Store) -> None:
    report = run(far_apart, "CP", "VP")
    (record,) = csv.DictReader(io.StringIO(to_csv(report)))
    found = report.compared[0].found
    assert found.procedures is not None
    assert float(record["difference"]) == found.models.difference
    assert float(record["seeds_se"]) == found.procedures.se
    assert (float(record["bootstrap_low"]), float(record["bootstrap_high"])) == (
        found.models_bootstrap
    )
    assert (record["fingerprint"], record["components_a"], record["seeds_b"]) == ("0123", "10", "5")
    assert float(record["seeds_bootstrap_low"]) < found.models.difference

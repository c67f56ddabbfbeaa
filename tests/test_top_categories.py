"""The largest categories of every label: which are shared, what chance gives, how they look."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from bench.evaluation.assignments import Assigned, measure_assignment
from bench.evaluation.entropy import category_use
from bench.evaluation.purity import purity
from bench.evaluation.top_categories import random_picks, top_categories
from bench.report.labels import top_markdown, top_table

SHARE = [
    [0.40, 0.05, 0.20, 0.15, 0.05, 0.10, 0.05],
    [0.00, 0.30, 0.00, 0.60, 0.00, 0.00, 0.10],
    [0.10, 0.20, 0.30, 0.00, 0.00, 0.00, 0.40],
]


def test_lists_are_descending_with_ties_to_the_lower_category() -> None:
    found = top_categories(SHARE)
    assert [[k for k, _ in ks] for ks in found.lists] == [
        [0, 2, 3, 5, 1],
        [3, 1, 6],
        [6, 2, 1, 0],
    ]
    assert found.lists[0][0] == (0, 0.40)


def test_categories_of_several_labels_are_marked() -> None:
    found = top_categories(SHARE)
    assert found.repeated == (0, 1, 2, 3, 6)
    assert (found.distinct, found.marked, found.places) == (6, 11, 15)
    assert found.mass == pytest.approx((0.90 + 1.0 + 1.0) / 3)


def test_a_shorter_list_shares_less() -> None:
    found = top_categories(SHARE, top=1)
    assert [ks[0][0] for ks in found.lists] == [0, 3, 6]
    assert (found.repeated, found.distinct, found.marked, found.places) == ((), 3, 0, 3)


def test_fewer_categories_than_places_fill_the_lists_they_can() -> None:
    found = top_categories([[0.5, 0.5], [0.1, 0.9]])
    assert [[k for k, _ in ks] for ks in found.lists] == [[0, 1], [1, 0]]
    assert (found.places, found.distinct, found.marked, found.mass) == (4, 2, 4, 1.0)
    assert found.random.distinct == 2.0
    assert found.random.marked == 4.0


def test_purity_lists_what_the_table_lists() -> None:
    rng = np.random.default_rng(0)
    a, y = rng.dirichlet(np.ones(12), 300), rng.integers(0, 4, 300)
    share = np.stack([a[y == label].mean(0) for label in range(4)])
    found = purity(a, y)
    for mine, theirs in zip(found.top.lists, top_categories(share).lists, strict=True):
        assert [k for k, _ in mine] == [k for k, _ in theirs]
    assert found.top.mass == pytest.approx(np.sort(share)[:, -5:].sum(1).mean())
    assert [line.top for line in found.labels] == list(found.top.lists)


def test_random_picks_of_the_papers_tables() -> None:
    """MATHS 6: K = 150, L = 10 give 43.13 distinct and 13.15 marked."""
    found = random_picks(categories=150, labels=10)
    assert found.distinct == pytest.approx(43.13, abs=0.005)
    assert found.marked == pytest.approx(13.15, abs=0.005)
    assert found.mass == pytest.approx(1 / 30)


@pytest.mark.parametrize(
    ("categories", "labels", "top"), [(150, 10, 5), (20, 10, 5), (500, 50, 5), (6, 3, 5), (9, 4, 2)]
)
def test_random_picks_agree_with_a_simulation(categories: int, labels: int, top: int) -> None:
    rng = np.random.default_rng(categories)
    distinct, marked = [], []
    for _ in range(400):
        lists = [rng.choice(categories, min(top, categories), replace=False) for _ in range(labels)]
        times = np.bincount(np.concatenate(lists), minlength=categories)
        distinct.append((times > 0).sum())
        marked.append(times[times > 1].sum())
    found = random_picks(categories, labels, top)
    for mean, draws in ((found.distinct, distinct), (found.marked, marked)):
        error = np.std(draws) / np.sqrt(len(draws))
        assert mean == pytest.approx(np.mean(draws), abs=4 * error + 1e-9)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: top_categories([0.5, 0.5]), "shape (L, K) with L, K >= 1, got (2,)"),
        (lambda: top_categories(np.zeros((0, 3))), "got (0, 3)"),
        (lambda: top_categories([[1.0]], top=0), "got 1, 1 and 0"),
        (lambda: random_picks(0, 10), "got 0, 10 and 5"),
    ],
)
def test_errors_say_what_they_got(call: Callable[[], object], match: str) -> None:
    with pytest.raises(ValueError, match=re.escape(match)):
        call()


def labels(names: Sequence[str] = ("a|b", "[red]")) -> list[dict[str, Any]]:
    """Two labels that share category 1."""
    a = np.array([[0.7, 0.3, 0.0], [0.5, 0.5, 0.0], [0.0, 0.2, 0.8], [0.0, 0.0, 1.0]])
    found = measure_assignment(Assigned(a, category_use(a)), np.array([0, 0, 1, 1]), names, 0)
    return found.rows


def printed(rows: list[dict[str, Any]], width: int = 120, **options: Any) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system="standard")
    top_table(rows, "CP [x], seed 0", console, **options)
    return stream.getvalue()


def test_rows_hold_what_the_table_needs() -> None:
    first, second = labels()
    assert first["top_categories"] == [[0, 0.6], [1, 0.4]]
    assert first["marked"] == [1]
    assert second["top_categories"] == [[2, 0.9], [1, 0.1]]
    assert second["top_mass"] == pytest.approx(1.0)
    assert first["purity_hard"] == 1.0


def test_the_terminal_shows_shared_categories_in_bold_and_names_as_they_are() -> None:
    text = printed(labels())
    assert "\x1b[1m1:.40\x1b[0m" in text
    assert "\x1b[1m0:.60" not in text
    assert "0:.60" in text
    for name in ("a|b", "[red]", "CP [x], seed 0"):
        assert name in text
    plain = re.sub("\x1b\\[[0-9;]*m", "", text)
    assert "3 categories in 4 places; 2 places, in bold" in " ".join(plain.split())


def test_markdown_shows_shared_categories_in_bold() -> None:
    text = top_markdown(labels(), "CP, seed 0")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in table}) == 1
    assert table[2].startswith(r"| a\|b | 2 | 0.92 ± ")
    assert table[2].endswith("| 1.00 | 0 .60, **1** .40 | 1.00 |")
    assert text.startswith("#### CP, seed 0\n")
    assert "a list holds 1.00 of its label on average" in text


@pytest.mark.parametrize("show", [printed, lambda rows, **o: top_markdown(rows, "t", **o)])
def test_chance_is_said_where_the_number_of_categories_is_known(
    show: Callable[..., str],
) -> None:
    assert "random" not in show(labels())
    text = " ".join(show(labels(), categories=3).split())
    # two of three for both labels: 3 (1 - 1/9) distinct, 4 (1 - 1/3) marked
    assert "Picked at random from 3: 2.7 categories, 2.7 such places, 0.67 of a label." in text


def test_what_was_not_measured_is_blank() -> None:
    old = {"label": "x", "count": 3, "purity": 0.5, "purity_se": None, "chance": None}
    rows = [{**old, "top_categories": [[4, 1.0]]}]
    assert "| x | 3 | 0.50 |  | 4 1.00 |  |" in top_markdown(rows, "t")
    assert "4:1.00" in printed(rows, width=60)


def test_a_model_without_categories_has_no_table() -> None:
    assert printed([]) == ""
    assert top_markdown([], "t") == ""

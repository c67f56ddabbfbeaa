"""The best of a dataset and all that cannot be told from it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench.report import best
from bench.report.best import BEST, TIED, UNKNOWN, WORSE, mark_best
from bench.report.statistics import holm, models_test, procedures_test
from bench.report.summary import Line, Value, summarise
from bench.report.tables import to_csv, to_markdown
from bench.report.tables_terminal import to_terminal
from bench.store import Store
from fabricated import Array, empty, put, put_model, row

N = 60


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return empty(tmp_path)


def costs(seeds: int, mean: float, stream: int) -> Array:
    random = np.random.default_rng(stream)
    found: Array = mean + random.standard_normal((seeds, N))
    return found


def ranks(store: Store) -> dict[str, str]:
    lines = summarise(store.rows())
    mark_best(lines, store)
    return {line.model: line.rank for line in lines}


@pytest.mark.parametrize("seeds", [1, 3])
def test_what_differs_clearly_is_worse_and_what_does_not_is_tied(store: Store, seeds: int) -> None:
    put_model(store, costs(seeds, 90.0, 1), "CP")
    put_model(store, costs(seeds, 90.05, 2), "VP")
    put_model(store, costs(seeds, 99.0, 3), "VAE")
    assert ranks(store) == {"CP": BEST, "VP": TIED, "VAE": WORSE}


@pytest.mark.parametrize(("seeds", "test"), [(1, models_test), (3, procedures_test)])
def test_p_values_are_those_of_the_comparison_adjusted(
    store: Store, seeds: int, test: object
) -> None:
    means = np.linspace(90.0, 91.0, 8)
    sides = [costs(seeds, mean, stream) for stream, mean in enumerate(means)]
    for index, side in enumerate(sides):
        put_model(store, side, f"m{index}")
    order = sorted(range(8), key=lambda index: float(sides[index].mean()))
    adjusted = holm([test(sides[k], sides[order[0]]).p for k in order[1:]])  # type: ignore[operator]
    found = ranks(store)
    assert found[f"m{order[0]}"] == BEST
    assert [found[f"m{k}"] for k in order[1:]] == [WORSE if p < 0.05 else TIED for p in adjusted]
    assert {WORSE, TIED} <= set(found.values())


def test_seeds_that_vary_tie_what_examples_alone_would_tell_apart(store: Store) -> None:
    """Every model is told from every other, the procedures are not: their seeds differ more."""
    for model, mean in (("CP", 90.0), ("VP", 93.0)):
        put_model(store, costs(3, mean, len(model)) + 5.0 * np.arange(3)[:, None], model)
    assert ranks(store)["VP"] == TIED


def test_other_test_examples_are_another_contest(store: Store) -> None:
    put_model(store, costs(1, 90.0, 1), "CP")
    put_model(store, costs(1, 80.0, 2), "VP", dataset_fingerprint="4567")
    put_model(store, costs(1, 99.0, 3), "VAE")
    assert ranks(store) == {"CP": BEST, "VP": "", "VAE": WORSE}


def test_without_examples_a_line_is_not_compared(store: Store) -> None:
    put_model(store, costs(1, 90.0, 1), "CP")
    put(store, row(0, "VP", nelbo=91.0))
    put_model(store, costs(1, 99.0, 3), "VAE")
    put(store, row(0, "", status="failed", nelbo=None))
    found = ranks(store)
    assert found == {"CP": BEST, "VP": UNKNOWN, "VAE": WORSE, "mog x joint": ""}
    (store.folder("cp0") / "examples.npz").unlink()
    assert ranks(store)["VAE"] == UNKNOWN


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_truly_best_is_kept(monkeypatch: pytest.MonkeyPatch, seeds: int) -> None:
    """In at least 95% of all stores, though the one to compare with is chosen for being low."""
    random = np.random.default_rng(0)
    kept = 0
    runs = 200
    for _ in range(runs):
        sides = {
            str(k): (0.02 * k + random.standard_normal(N))
            + 0.1 * random.standard_normal((seeds, N))
            + (0.1 * random.standard_normal((seeds, 1)) if seeds > 1 else 0.0)
            for k in range(6)
        }
        lines = [
            Line("d", k, "", values={"nelbo": Value(float(side.mean()))}, cells=(k,))
            for k, side in sides.items()
        ]
        monkeypatch.setattr(best, "load_examples", lambda _, cells, __, at=sides: at[cells[0]])
        mark_best(lines, Store(Path("unused"), create=False))
        kept += lines[0].rank != WORSE
    assert kept / runs > 0.95 - 3 * (0.05 * 0.95 / runs) ** 0.5
    assert any(line.rank == TIED for line in lines)


def shown(lines: list[Line]) -> str:
    stream = io.StringIO()
    to_terminal(lines, Console(file=stream, width=200, force_terminal=False))
    return " ".join(stream.getvalue().split())


def lines_of(*kinds: tuple[str, int]) -> list[Line]:
    return [
        Line("d", f"m{k}", "", seeds, {"nelbo": Value(90.0 + k, 0.5)}, rank=rank)
        for k, (rank, seeds) in enumerate(kinds)
    ]


def test_marks_are_shown_and_explained() -> None:
    text = shown(lines_of((BEST, 3), (TIED, 3), (WORSE, 3), (UNKNOWN, 3)))
    for part in ("● 90.00 ± 0.50", "≈ 91.00 ± 0.50", "3 92.00 ± 0.50", "? 93.00 ± 0.50"):
        assert part in text
    for part in ("●: the lowest", "≈: not told from it", "Holm", "the training procedures", "?:"):
        assert part in text
    assert "these trained models" not in text
    assert "●" not in shown(lines_of(("", 3)))


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ((1, 1), "What is compared: these trained models, over examples alone."),
        ((3, 1), "over seeds and examples; where either has one seed, these trained models"),
    ],
)
def test_the_legend_says_what_one_seed_can_claim(seeds: tuple[int, int], words: str) -> None:
    assert words in shown(lines_of((BEST, seeds[0]), (TIED, seeds[1])))


@pytest.mark.parametrize("rank", [TIED, WORSE])
def test_the_legend_says_what_is_unmarked_and_how_often_2_seeds_err(rank: str) -> None:
    text = shown(lines_of((BEST, 2), (rank, 2)))
    assert "unmarked: worse by it" in text
    assert "up to 12%" in text
    assert "12%" not in shown(lines_of((BEST, 3), (rank, 3)))


def test_the_best_is_bold_in_markdown_and_named_in_csv() -> None:
    lines = lines_of((BEST, 3), (TIED, 3))
    assert "| **● 90.00 ± 0.50** |" in to_markdown(lines)
    assert "| ≈ 91.00 ± 0.50 |" in to_markdown(lines)
    assert ",best," in to_csv(lines)
    assert ",not told from the best," in to_csv(lines)

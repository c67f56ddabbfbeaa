"""The tables of results in docs/ are made of the columns of results.csv kept in docs/results/."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.report.papertables.published import TABLE_3

DOCS = Path(__file__).parents[1] / "docs"


def stored(name: str, run: str) -> pd.DataFrame:
    """The cells of one run, seeds in order."""
    table = pd.read_csv(DOCS / "results" / f"{name}.csv")
    found = table[table["run"] == run].sort_values("seed")
    assert len(found)
    return found


def of(table: pd.DataFrame, model: str, components: int | None = None) -> pd.DataFrame:
    found = table[table["model"] == model]
    return found if components is None else found[found["components"] == components]


def page(name: str) -> str:
    return " ".join((DOCS / f"{name}.md").read_text().split())


def short(value: float, digits: int) -> str:
    """As .0003 and -.0075."""
    return f"{value:.{digits}f}".replace("0.", ".", 1)


def spread(values: pd.Series, digits: int = 2) -> str:
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"


def densities(table: pd.DataFrame) -> str:
    """How many seeds recover both modes, and the distance with its spread."""
    js = table["js"]
    recovered = int((table["recovered"] == "yes").sum())
    return f"{recovered} of {len(table)} | {short(js.mean(), 4)} ± {short(js.std(ddof=1), 4)}"


@pytest.mark.parametrize("model", ["MG", "VP", "HVP", "INDqp", "INDp", "INDq", "CP"])
def test_the_synthetic_mixture(model: str) -> None:
    cells = of(stored("synthetic", "preset synthetic"), model)
    few, many = (densities(of(cells, model, size)) for size in (2, 150))
    assert f"| {model} | {few} | {many} |" in page("reproduction")


@pytest.mark.parametrize("model", ["VAE", "HVAE"])
def test_the_synthetic_mixture_without_components(model: str) -> None:
    cells = of(stored("synthetic", "preset synthetic"), model)
    assert f"| {model} (no K) | {densities(cells)} | | |" in page("reproduction")


@pytest.mark.parametrize(("model", "size"), [("MG", 2), ("INDq", 150)])
def test_priors_that_are_not_learned(model: str, size: int) -> None:
    frozen = of(stored("synthetic", "priors not learned"), model, size)
    learned = of(stored("synthetic", "preset synthetic"), model, size)["js"]
    beside = f"{short(learned.mean(), 4)} ± {short(learned.std(ddof=1), 4)}"
    assert f"| {model}, K = {size}, not learned | {densities(frozen)} | {beside} |" in page(
        "reproduction"
    )


def tuned(model: str, run: str) -> str:
    """Default, tuned, and Welch's interval over fresh seeds."""
    default, found = of(stored("tuning", run), model), of(stored("tuning", f"{run}, tuned"), model)
    assert list(default["seed"]) == list(found["seed"]) == list(range(5))
    test = stats.ttest_ind(found["nelbo"], default["nelbo"], equal_var=False)
    low, high = test.confidence_interval(0.95)
    gain = float(np.mean(found["nelbo"]) - np.mean(default["nelbo"]))
    means = " | ".join(spread(one["nelbo"]) for one in (default, found))
    return f"{means} | {gain:+.2f} [{low:+.2f}, {high:+.2f}]"


@pytest.mark.parametrize("model", ["VAE", "MG", "VP", "INDqp", "CP"])
def test_what_tuning_gains(model: str) -> None:
    text = page("tuning")
    assert f"| {model} | {tuned(model, 'paper, 200 epochs')} |" in text
    assert f"| {model} | {tuned(model, 'quick')} | {tuned(model, 'demo')} |" in text
    assert spread(of(stored("tuning", "paper, all epochs"), model)["nelbo"]) in text


@pytest.mark.parametrize("model", ["VAE", "INDq", "CP"])
def test_mnist_by_the_papers_protocol(model: str) -> None:
    (cell,) = of(stored("mnist", "paper"), model).to_dict("records")
    published = float(TABLE_3[model][0])
    line = f"| {model} | {cell['epochs']} | {cell['nelbo']:.2f} ± {cell['nelbo_se']:.2f} | "
    line += f"{published:.2f} | {cell['nelbo'] - published:+.2f} | "
    if model != "VAE":
        line += f"{cell['relaxed_gap']:.2f} ± {cell['relaxed_gap_se']:.2f} | "
        line += f"{cell['effective_categories']:.1f} | {cell['category_information']:.2f} | "
        line += f"{cell['purity']:.2f} ({cell['purity_chance']:.2f}) |"
    assert line.strip() in page("reproduction")


@pytest.mark.parametrize(
    ("model", "size"), [("MG", 2), ("VP", 2), ("INDq", 150), ("INDqp", 150), ("CP", 150)]
)
def test_the_synthetic_mixture_at_the_stated_sizes(model: str, size: int) -> None:
    (cell,) = of(stored("stated", "paper"), model, size).to_dict("records")
    line = f"| {model} | {size} | {cell['epochs']} | {short(cell['js'], 4)} | {cell['recovered']} |"
    assert line in page("reproduction")

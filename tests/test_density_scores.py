"""Scores on a grid, and how a dataset tells its density."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon
from scipy.special import logsumexp

from bench.data.base import Dataset, Split, Splits
from bench.data.loading import load_dataset
from bench.errors import PluginError
from bench.evaluation.density_scores import (
    Truth,
    covering_grid,
    js_divergence,
    score,
    wasserstein,
)

Array = npt.NDArray[np.float64]

GRID = np.linspace(-1.0, 2.0, 3001)


def three(x: Array) -> Array:
    parts = stats.norm.logpdf(x, [0.1, 0.5, 0.9], 0.05)
    total: Array = logsumexp(parts, axis=1) - math.log(3)
    return total


def test_other_numbers_of_modes_have_no_valley() -> None:
    truth = Truth.over(GRID, three)
    assert truth.modes.tolist() == pytest.approx([0.1, 0.5, 0.9], abs=1e-3)
    assert truth.mode_purity_ceiling is None
    found = score(truth, truth.density)
    assert (found.valley, found.mass_left, found.mass_right, found.recovered) == (None,) * 4
    assert found.density_score == pytest.approx(1.0)


def test_scores_agree_with_scipy() -> None:
    p, q = stats.norm.pdf(GRID, 0.4, 0.1), stats.norm.pdf(GRID, 0.6, 0.05)
    assert js_divergence(GRID, p, q) == pytest.approx(jensenshannon(p, q) ** 2, rel=1e-9)
    expected = stats.wasserstein_distance(GRID, GRID, p, q)
    assert wasserstein(GRID, p, q) == pytest.approx(expected, rel=1e-7)  # scipy's are rectangles


def test_mass_beyond_the_grid_is_disjoint() -> None:
    p, far = stats.norm.pdf(GRID, 0.5, 0.1), stats.norm.pdf(GRID, -9.0, 0.1)
    assert js_divergence(GRID, p, far) == pytest.approx(math.log(2.0))
    assert wasserstein(GRID, p, far, below=1.0) == pytest.approx(1.5)  # of 9.5, what the grid sees


@pytest.mark.parametrize(
    ("low", "high", "first", "last"),
    [
        (0.09, 0.91, -1, 2),
        (-310.0, 420.0, -1500, 1500),
        (2.01, 2.04, 1.96, 2.08),
        (0.0, np.nextafter(0.1, 0), -0.1, 0.2),
    ],
)
def test_grid(low: float, high: float, first: float, last: float) -> None:
    grid = covering_grid([high, low])
    assert (len(grid), grid[0], grid[-1]) == (3001, pytest.approx(first), pytest.approx(last))


def test_a_grid_needs_width() -> None:
    with pytest.raises(ValueError, match="width"):
        covering_grid([0.5, 0.5])


class Line(Dataset):
    """Data whose density is as the test says."""

    name, likelihood, embedded = "line", "gaussian", True
    result: Any = None

    def load(self, roots: Sequence[Path]) -> Splits:
        x, y = np.arange(6, dtype=np.float32)[:, None, None], np.zeros(6, np.int64)
        parts = [Split(x[i : i + 2].copy(), y[i : i + 2]) for i in (0, 2, 4)]
        return Splits(*parts, label_names=("all",))

    def log_density(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float64] | None:
        found: npt.NDArray[np.float64] | None = self.result(x) if self.result else None
        return found


def test_a_density_is_not_known_unless_a_plugin_says_so() -> None:
    assert load_dataset(Line(), []).log_density is None


def test_a_density_gets_events_of_the_plugins_shape() -> None:
    dataset = Line()
    dataset.result = lambda x: -x[:, 0, 0]
    log_density = load_dataset(dataset, []).log_density
    assert log_density is not None
    assert log_density(np.array([[1.0], [2.0]])).tolist() == [-1.0, -2.0]


@pytest.mark.parametrize("wrong", [lambda x: -x[:, 0], lambda x: x[:, 0, 0] * np.nan])
def test_a_density_of_another_form_is_told(wrong: Callable[[Any], Any]) -> None:
    dataset = Line()
    dataset.result = wrong
    log_density = load_dataset(dataset, []).log_density
    assert log_density is not None
    with pytest.raises(PluginError, match="line: log_density must return one number"):
        log_density(np.array([[1.0], [2.0]]))


def test_a_density_that_raises_is_told() -> None:
    dataset = Line()
    dataset.result = lambda x: x[:, 5]
    with pytest.raises(PluginError, match="line: log_density cannot be used: IndexError"):
        load_dataset(dataset, [])

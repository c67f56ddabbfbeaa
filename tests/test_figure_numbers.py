"""What figures draw, as numbers: histograms, ranks and cliques, from made-up values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.report.figures.critical import Ranking, cliques, rank
from bench.report.figures.density import heights_of, panel
from bench.report.figures.style import axes_grid


def test_a_histogram_is_a_density_of_all_samples() -> None:
    random = np.random.default_rng(0)
    values = np.concatenate([random.uniform(0.0, 1.0, 600), random.uniform(5.0, 6.0, 380),
                             np.full(20, np.nan)])  # fmt: skip
    heights, edges, outside = heights_of(values, (0.0, 2.0), bins=20)
    assert heights.sum() * 0.1 == pytest.approx(0.6)
    assert heights[:10].mean() == pytest.approx(0.6)
    assert outside == pytest.approx(0.4)
    assert (edges[0], edges[-1], len(edges)) == (0.0, 2.0, 21)


@pytest.mark.parametrize(
    ("values", "top", "said", "marks"),
    [
        (np.linspace(0.0, 1.0, 1000), 2.0, [], 0),
        (np.linspace(0.0, 2.0, 1000), 2.0, ["50.0% outside"], 0),
        (np.full(1000, 0.5), 2.0, ["peak 80"], 1),
        (np.array([0.5] * 750 + [9.0] * 250), 2.0, ["25.0% outside\npeak 60"], 1),
    ],
)
def test_a_panel_says_what_it_cuts_off(
    values: np.ndarray, top: float, said: list[str], marks: int
) -> None:
    _, grid = axes_grid(1, 1, height=2.0)
    axes = grid[0, 0]
    panel(axes, values, (0.0, 1.0), top, "#123456")
    assert [text.get_text() for text in axes.texts] == said
    assert len(axes.lines) == marks
    assert axes.get_ylim() == (0.0, top)
    if marks:
        assert axes.lines[0].get_xdata()[0] == pytest.approx(0.5, abs=1 / 80)


AUC = np.array([
    [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.97501, 0.975], [0.957, 0.978, 0.946, 0.970],
])  # fmt: skip
"""Demšar 2006, Table 6: four learners on 14 datasets. The paper ranks its two .975 apart."""


def test_the_published_example_has_its_ranks_statistic_and_difference() -> None:
    found = rank(-AUC)
    np.testing.assert_allclose(found.ranks, [3.143, 2.000, 2.893, 1.964], atol=5e-4)
    n, m = AUC.shape
    plain = 12 * n / (m * (m + 1)) * ((found.ranks**2).sum() - m * (m + 1) ** 2 / 4)
    assert plain == pytest.approx(9.28, abs=5e-3)  # the paper's, which has no correction for ties
    assert found.difference == pytest.approx(1.25, abs=5e-3)
    expected = stats.friedmanchisquare(*AUC.T)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.statistic > plain


@pytest.mark.parametrize(
    ("systems", "q"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031),
     (9, 3.102), (10, 3.164)],
)  # fmt: skip
def test_critical_values_are_the_published_ones(systems: int, q: float) -> None:
    costs = np.random.default_rng(systems).normal(size=(6, systems))
    expected = q * np.sqrt(systems * (systems + 1) / (6 * 6))
    assert rank(costs).difference == pytest.approx(expected, rel=6e-4)


@pytest.mark.parametrize(
    ("ranks", "p", "groups"),
    [
        ([1.0, 1.5, 3.0, 3.5], 0.01, [(1.0, 1.5), (3.0, 3.5)]),
        ([3.5, 1.0, 2.4, 1.9], 0.01, [(1.0, 1.9), (1.9, 2.4)]),
        ([1.0, 2.0, 3.0], 0.01, []),  # a difference that reaches the critical one is told
        ([1.0, 1.2, 1.4], 0.01, [(1.0, 1.4)]),
        ([1.0, 2.0, 3.0], 0.2, [(1.0, 3.0)]),
        ([1.0, 2.0], float("nan"), []),
        ([1.3, 1.7], float("nan"), [(1.3, 1.7)]),
    ],
)
def test_cliques_are_the_largest_groups_that_cannot_be_told_apart(
    ranks: list[float], p: float, groups: list[tuple[float, float]]
) -> None:
    assert cliques(Ranking(np.array(ranks), 0.0, p, difference=1.0)) == groups

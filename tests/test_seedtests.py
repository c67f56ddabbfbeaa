"""Tests over training seeds, against scipy's and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.report.seedtests import Sample, above, contrast, majority


def test_several_seeds_a_side_are_welchs_test() -> None:
    a, b = (1.0, 1.4, 0.9, 1.2), (0.2, 0.8, 0.5)
    found = contrast(Sample(a), Sample(b))
    expected = stats.ttest_ind(a, b, equal_var=False)
    assert found is not None
    assert (found.t, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    low, high = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((low, high))


def test_against_a_threshold_it_is_students_test() -> None:
    a = (1.0, 1.4, 0.9, 1.2)
    found, expected = above(Sample(a), 0.9), stats.ttest_1samp(a, 0.9)
    assert found is not None
    assert (found.t, found.p) == pytest.approx((expected.statistic, expected.pvalue))


def test_one_seed_has_the_error_of_its_measurement() -> None:
    found = contrast(Sample((1.0,), (0.3,)), Sample((0.0, 0.2), (0.4, 0.4)))
    assert found is not None
    assert found.difference == pytest.approx(0.9)
    assert found.se == pytest.approx(0.5)  # seeds share their examples: 0.4, not 0.4 / sqrt 2
    assert found.p == pytest.approx(2 * stats.norm.sf(0.9 / 0.5), abs=1e-6)
    alone = above(Sample((1.0,), (0.3,)), 0.4)
    assert alone is not None
    assert alone.se == pytest.approx(0.3)


def test_without_seeds_and_errors_there_is_no_test() -> None:
    one, known = Sample((1.0,), (None,)), Sample((1.0,), (0.3,))
    assert contrast(one, known) is None
    assert above(one, 0.0) is None
    assert above(Sample((1.0,), (float("nan"),)), 0.0) is None


def test_counts_vary_by_what_rounding_hides() -> None:
    found = contrast(Sample((9.0, 9.0), least_sd=0.5), Sample((10.0, 10.0), least_sd=0.5))
    assert found is not None
    assert found.se == pytest.approx(0.5)
    assert found.p > 0.05


def test_numbers_without_any_spread_have_no_test() -> None:
    assert contrast(Sample((9.0, 9.0)), Sample((10.0, 10.0))) is None
    assert above(Sample((9.0, 9.0)), 9.0) is None
    assert contrast(Sample((1.0,), (0.0,)), Sample((2.0,), (0.0,))) is None


@pytest.mark.parametrize("shared", [True, False])
def test_seeds_that_agree_have_the_error_of_their_measurement(shared: bool) -> None:
    same = (9.0, 9.0, 9.0, 9.0)
    one, other = (Sample(same, (0.6,) * 4, shared=shared) for _ in range(2))
    found, alone = contrast(one, other), above(one, 8.0)
    assert found is not None
    assert alone is not None
    assert alone.se == pytest.approx(0.6 if shared else 0.3)  # draws of its own: 0.6 / sqrt 4
    assert found.se == pytest.approx(alone.se * 2**0.5)
    tail = stats.norm.sf(1 / 0.6) if shared else stats.t.sf(1 / 0.3, 3)
    assert alone.p == pytest.approx(2 * tail, abs=1e-6)


def test_the_error_of_shared_examples_is_added_and_that_of_own_draws_is_there_already() -> None:
    values, errors = (1.0, 1.4, 0.9, 1.2), (0.1, 0.1, 0.1, 0.1)
    spread = float(np.var(values, ddof=1))
    added, there = (above(Sample(values, errors, shared=shared), 0.9) for shared in (True, False))
    assert added is not None
    assert there is not None
    assert added.se**2 == pytest.approx(spread / 4 + 0.01)
    assert added.df == pytest.approx((spread / 4 + 0.01) ** 2 / ((spread / 4) ** 2 / 3))
    assert there.se**2 == pytest.approx(spread / 4)
    assert there.df == pytest.approx(3)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("count", range(1, 13))
def test_neither_false_verdict_on_a_majority_is_more_likely_than_it_says(
    count: int, share: float
) -> None:
    chance = stats.binom(count, share).pmf
    told = {True: 0.0, False: 0.0}
    for successes in range(count + 1):
        p, most = majority(successes, count)
        told[most] += chance(successes) * (p < 0.05)
    assert told[True] <= 0.05 or share > 0.5  # "most succeed", where no more than half do
    assert told[False] <= 0.05 or share < 0.5
    assert (told[True] > 0) == (told[False] > 0) == (count >= 5)  # both can be told, from 5 seeds


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_a_majority_is_the_exact_binomial_test(count: int) -> None:
    for successes in range(count + 1):
        p, most = majority(successes, count)
        assert most == (successes > count / 2)
        side = "greater" if most else "less"
        expected = stats.binomtest(successes, count, 0.5, alternative=side).pvalue
        assert p == pytest.approx(expected)


REPEATS = 4000
SLACK = 3.29 * (0.05 * 0.95 / REPEATS) ** 0.5
"""How far a rate of 5% lies from it, by chance alone, in 999 of 1000 simulations."""


def rejections(
    seeds: tuple[int, int], training: float, error: float, own: float = 0.0, other: float = 1.0
) -> float:
    """How often two systems of one mean are told apart.

    ``own`` is the part of the error's variance that is each seed's own, and with 1 the samples say
    so; the second system's numbers vary ``other`` times as much as the first's.
    """
    random = np.random.default_rng(5)
    rejected = 0
    for _ in range(REPEATS):
        sides = []
        for count, scale in zip(seeds, (1.0, other), strict=True):
            common = error * (1 - own) ** 0.5 * random.normal()
            mine = error * own**0.5 * random.normal(size=count)
            values = scale * training * random.normal(size=count) + common + mine
            sides.append(Sample(tuple(values), (error,) * count, shared=own < 1))
        found = contrast(*sides)
        rejected += found is not None and found.p < 0.05
    return rejected / REPEATS


@pytest.mark.parametrize("seeds", [(3, 3), (3, 5), (5, 5)])
@pytest.mark.parametrize(("training", "error"), [(1.0, 0.3), (1.0, 1.0), (0.1, 1.0)])
def test_a_true_null_is_rejected_as_often_as_it_says(
    seeds: tuple[int, int], training: float, error: float
) -> None:
    assert rejections(seeds, training, error) == pytest.approx(0.05, abs=SLACK)


@pytest.mark.parametrize(("seeds", "most"), [((2, 2), 0.13), ((3, 3), 0.08), ((5, 5), 0.06)])
def test_where_seeds_are_few_and_vary_unequally_it_is_as_documented(
    seeds: tuple[int, int], most: float
) -> None:
    assert rejections(seeds, 1.0, 0.1, other=0.1) <= most + SLACK


@pytest.mark.parametrize("own", [0.5, 1.0])
@pytest.mark.parametrize(("training", "error"), [(1.0, 0.3), (0.1, 1.0)])
def test_where_an_error_is_counted_twice_it_is_rejected_less_often(
    training: float, error: float, own: float
) -> None:
    assert rejections((3, 3), training, error, own) <= 0.05 + SLACK


def test_draws_of_each_seeds_own_cost_welchs_test_little() -> None:
    assert rejections((5, 5), 1.0, 0.3, own=1.0) == pytest.approx(0.05, abs=2 * SLACK)


def test_welchs_test_rejects_a_true_null_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    rejected = 0
    for _ in range(2000):
        a, b = random.normal(size=3), random.normal(scale=3.0, size=5)
        found = contrast(Sample(tuple(a)), Sample(tuple(b)))
        rejected += found is not None and found.p < 0.05
    assert rejected / 2000 == pytest.approx(0.05, abs=0.02)

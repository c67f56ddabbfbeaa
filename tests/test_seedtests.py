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


def test_numbers_without_any_spread_are_certain() -> None:
    found = contrast(Sample((9.0, 9.0)), Sample((10.0, 10.0)))
    assert found is not None
    assert found.p == 0.0
    same = above(Sample((9.0, 9.0)), 9.0)
    assert same is not None
    assert same.p == 1.0


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_a_majority_is_the_exact_binomial_test(count: int) -> None:
    for successes in range(count + 1):
        p, most = majority(successes, count)
        assert most == (successes > count / 2)
        side = "greater" if most else "less"
        expected = stats.binomtest(successes, count, 0.5, alternative=side).pvalue
        assert p == pytest.approx(expected)


def test_welchs_test_rejects_a_true_null_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    rejected = 0
    for _ in range(2000):
        a, b = random.normal(size=3), random.normal(scale=3.0, size=5)
        found = contrast(Sample(tuple(a)), Sample(tuple(b)))
        rejected += found is not None and found.p < 0.05
    assert rejected / 2000 == pytest.approx(0.05, abs=0.02)

"""Paired comparisons: against textbook code, and by simulation of what they promise."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats

from bench.report.bootstrap import bootstrap_examples, bootstrap_seeds
from bench.report.statistics import Estimate, compare, holm, models_test, procedures_test

Array = npt.NDArray[np.float64]


def draw(
    random: np.random.Generator,
    seeds: tuple[int, int] = (3, 3),
    n: int = 200,
    *,
    shift: float = 0.0,
    seed_sd: float = 0.1,
    example_sd: float = 1.0,
    interaction_sd: float = 0.3,
) -> tuple[Array, Array]:
    """Costs of two procedures whose expectations differ by ``shift``."""
    shared = 5.0 * random.standard_normal(n)
    sides = []
    for count in seeds:
        own = example_sd * random.standard_normal(n) / np.sqrt(2)
        offsets = seed_sd * random.standard_normal((count, 1))
        sides.append(shared + own + offsets + interaction_sd * random.standard_normal((count, n)))
    return sides[0] + shift, sides[1]


def test_one_seed_each_is_the_paired_t_test() -> None:
    a, b = draw(np.random.default_rng(0), (1, 1), shift=0.1)
    found = models_test(a, b)
    known = scipy.stats.ttest_rel(a[0], b[0])
    low, high = known.confidence_interval(0.95)
    assert found.difference == pytest.approx((a - b).mean())
    assert (found.t, found.p) == pytest.approx((known.statistic, known.pvalue))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.df == 199


def test_several_seeds_are_averaged_before_the_trained_models_are_tested() -> None:
    a, b = draw(np.random.default_rng(1), (3, 2), shift=0.1)
    known = scipy.stats.ttest_rel(a.mean(0), b.mean(0))
    found = models_test(a, b)
    assert (found.t, found.p) == pytest.approx((known.statistic, known.pvalue))


def anova(a: list[list[float]], b: list[list[float]]) -> tuple[float, float]:
    """Variance of the difference and its degrees of freedom, by sums over single cells."""
    n = len(a[0])
    means = [[sum(side[s][i] for s in range(len(side))) / len(side) for i in range(n)]
             for side in (a, b)]  # fmt: skip
    gaps = [left - right for left, right in zip(*means, strict=True)]
    centre = sum(gaps) / n
    examples = sum((gap - centre) ** 2 for gap in gaps) / (n - 1) / n
    variance, spread = 0.0, examples**2 / (n - 1)
    for side, over in zip((a, b), means, strict=True):
        count = len(side)
        grand = sum(over) / n
        rows = [sum(row) / n for row in side]
        between = n * sum((row - grand) ** 2 for row in rows) / (count - 1)
        residual = sum(
            (side[s][i] - rows[s] - over[i] + grand) ** 2 for s in range(count) for i in range(n)
        ) / ((count - 1) * (n - 1))
        variance += (between - residual) / (count * n)
        spread += (between / (count * n)) ** 2 / (count - 1)
    total = examples + max(0.0, variance)
    return total, max(total**2 / spread, min(len(a), len(b)) - 1)


@pytest.mark.parametrize("seed_sd", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("seeds", [(2, 2), (3, 5)])
def test_procedures_are_a_two_way_analysis_of_variance(
    seeds: tuple[int, int], seed_sd: float
) -> None:
    a, b = draw(np.random.default_rng(2), seeds, 40, shift=0.2, seed_sd=seed_sd)
    variance, df = anova(a.tolist(), b.tolist())
    found = procedures_test(a, b)
    assert found.se**2 == pytest.approx(variance)
    assert found.df == pytest.approx(df)
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(abs(found.t), df))
    assert found.high - found.difference == pytest.approx(scipy.stats.t.ppf(0.975, df) * found.se)


def test_without_spread_over_examples_it_is_the_test_of_welch() -> None:
    random = np.random.default_rng(3)
    shared = random.standard_normal(50)
    a, b = (shared + sd * random.standard_normal((n, 1)) for sd, n in ((1.0, 3), (0.2, 5)))
    known = scipy.stats.ttest_ind(a.mean(1), b.mean(1), equal_var=False)
    found = procedures_test(a, b)
    assert (found.t, found.p) == pytest.approx((known.statistic, known.pvalue))
    assert found.df == pytest.approx(known.df)


def test_seeds_that_agree_leave_the_error_over_examples() -> None:
    a, b = draw(np.random.default_rng(4), (1, 1))
    found = procedures_test(np.repeat(a, 3, 0), np.repeat(b, 3, 0))
    assert (found.se, found.p) == pytest.approx(
        (models_test(a, b).se, models_test(a, b).p), rel=1e-6
    )


def test_degrees_of_freedom_are_those_of_the_smaller_side_at_least() -> None:
    """Where what is subtracted is as large as the seed part, nearly no variance is left."""
    a, _ = draw(np.random.default_rng(0), seed_sd=0.0, interaction_sd=1.0)
    found = procedures_test(a, a[::-1] + 1e-4 * np.arange(200.0))
    assert found.se < 0.1 * a.mean(1).std()
    assert found.df == 2.0


Test = Callable[[Array, Array], Estimate]


def rejections(test: Test, runs: int, **settings: object) -> float:
    random = np.random.default_rng(5)
    hits = [test(*draw(random, **settings)).p < 0.05 for _ in range(runs)]  # type: ignore[arg-type]
    return float(np.mean(hits))


RUNS = 1000
SLACK = 4 * (0.05 * 0.95 / RUNS) ** 0.5


def test_trained_models_are_wrongly_told_apart_in_five_percent() -> None:
    assert abs(rejections(models_test, RUNS, seeds=(1, 1), seed_sd=0.0, n=60) - 0.05) < SLACK


@pytest.mark.parametrize("seeds", [(3, 3), (5, 5)], ids=str)
@pytest.mark.parametrize(
    "spread",
    [
        {"seed_sd": 0.1, "interaction_sd": 1.0},
        {"seed_sd": 0.1, "interaction_sd": 0.1},
        {"seed_sd": 0.5, "example_sd": 0.1},
        {"seed_sd": 0.0, "interaction_sd": 0.0},
    ],
    ids=str,
)
def test_procedures_are_wrongly_told_apart_in_five_percent(
    seeds: tuple[int, int], spread: dict[str, float]
) -> None:
    rate = rejections(procedures_test, RUNS, seeds=seeds, **spread)
    assert 0.015 < rate < 0.05 + SLACK


def test_a_test_over_examples_alone_would_be_wrong_about_procedures() -> None:
    """The simulation notices: seeds vary, and what is tested is not these models."""
    assert rejections(models_test, RUNS, seeds=(3, 3), seed_sd=0.1) > 0.15


def coverage(
    interval: Callable[[Array, Array], tuple[float, float]], runs: int, **how: object
) -> float:
    random = np.random.default_rng(6)
    hits = []
    for _ in range(runs):
        low, high = interval(*draw(random, shift=0.7, **how))  # type: ignore[arg-type]
        hits.append(low <= 0.7 <= high)
    return float(np.mean(hits))


def of_models(a: Array, b: Array) -> tuple[float, float]:
    found = models_test(a, b)
    return found.low, found.high


def of_procedures(a: Array, b: Array) -> tuple[float, float]:
    found = procedures_test(a, b)
    return found.low, found.high


def test_intervals_of_trained_models_cover() -> None:
    assert 0.92 < coverage(of_models, 600, seeds=(1, 1), seed_sd=0.0, n=60) < 0.98


def test_intervals_of_procedures_cover() -> None:
    assert 0.92 < coverage(of_procedures, 600) < 0.98


def test_bootstrap_over_examples_covers_a_skewed_difference() -> None:
    random = np.random.default_rng(7)
    hits = []
    for run in range(200):
        low, high = bootstrap_examples(random.exponential(size=80), run, resamples=400)
        hits.append(low <= 1.0 <= high)
    assert 0.88 < np.mean(hits) < 0.99


def test_bootstrap_over_seeds_and_examples_covers_as_documented() -> None:
    def interval(a: Array, b: Array) -> tuple[float, float]:
        return bootstrap_seeds(a, b, 0, resamples=300)

    assert 0.88 < coverage(interval, 200, seeds=(5, 5), n=60) < 0.99


def test_bootstrap_agrees_with_the_normal_interval_of_many_examples() -> None:
    values = np.random.default_rng(8).normal(0.3, 2.0, 5000)
    low, high = bootstrap_examples(values, 0)
    half = 1.96 * values.std(ddof=1) / np.sqrt(5000)
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_examples_are_resampled_for_both_models_at_once() -> None:
    a, _ = draw(np.random.default_rng(9))
    assert bootstrap_seeds(a[[0, 0]], a[[0, 0]], 0) == (0.0, 0.0)


def test_one_seed_fewer_is_drawn_than_there_are() -> None:
    """Of 4 seeds 3 are drawn: two of three are the odd one in 14% of all draws, all in 1.6%."""
    a = np.repeat([[0.0], [0.0], [0.0], [1.0]], 10, axis=1)
    low, high = bootstrap_seeds(a, np.zeros((4, 10)), 0)
    assert (low, high) == pytest.approx((0.0, 2 / 3))


def test_bootstraps_are_bounded_in_memory() -> None:
    random = np.random.default_rng(10)
    a, b = random.standard_normal((2, 5, 10_000))
    bootstrap_seeds(a, b, 0, resamples=10)  # what is imported is not counted
    bootstrap_examples(a[0], 0, resamples=10)
    tracemalloc.start()
    bootstrap_seeds(a, b, 0, resamples=400)
    bootstrap_examples(a[0] - b[0], 0, resamples=400)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 2**20


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_holm_is_the_closure_of_bonferroni(count: int) -> None:
    """Rejected is what every subset that holds it rejects (Marcus, Peritz and Gabriel 1976)."""
    p = np.random.default_rng(count).uniform(0, 0.4, count).tolist()
    closed = [
        max(
            min(1.0, size * min(p[k] for k in subset))
            for size in range(1, count + 1)
            for subset in combinations(range(count), size)
            if index in subset
        )
        for index in range(count)
    ]
    assert holm(p) == pytest.approx(closed)


def test_equal_costs_are_not_told_apart() -> None:
    a, _ = draw(np.random.default_rng(11))
    found = compare(a[:1], a[:1])
    assert (found.models.difference, found.models.p) == (0.0, 1.0)
    assert found.models_bootstrap == (0.0, 0.0)
    assert found.share == 0.0


def test_a_constant_difference_is_certain() -> None:
    a = np.zeros((2, 10))
    found = compare(a, a + 0.5)
    assert (found.models.difference, found.models.p, found.share) == (-0.5, 0.0, 1.0)
    assert found.models_bootstrap == (-0.5, -0.5)
    assert found.procedures is not None
    assert found.procedures.p == 0.0


def test_what_is_not_tested_is_none() -> None:
    a, b = draw(np.random.default_rng(12), (5, 5))
    assert compare(a[:1], b).procedures is None
    assert compare(a[:2], b).procedures is not None
    assert compare(a[:4], b).procedures_bootstrap is None
    assert compare(a, b).procedures_bootstrap is not None


def test_a_comparison_repeats() -> None:
    a, b = draw(np.random.default_rng(13), (5, 5))
    state = np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    assert compare(a, b) == compare(a, b)
    assert compare(a, b, seed=1).models_bootstrap != compare(a, b).models_bootstrap
    assert np.random.get_state()[1].tolist() == state  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("a", "b"),
    [((1, 5), (1, 6)), ((1, 1), (1, 1)), ((5,), (5,))],
    ids=str,
)
def test_unlike_examples_are_an_error(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="same N >= 2 examples"):
        compare(np.zeros(a), np.zeros(b))


@pytest.mark.parametrize("test", [procedures_test, lambda a, b: bootstrap_seeds(a, b, 0)])
def test_one_seed_says_nothing_of_procedures(test: Callable[[Array, Array], object]) -> None:
    with pytest.raises(ValueError, match="at least 2 seeds a side, found 1 and 2"):
        test(np.zeros((1, 5)), np.ones((2, 5)))

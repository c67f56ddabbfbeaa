"""Purity of what is generated, against brute force, closed forms and simulation."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from bench.evaluation import generation_metrics
from bench.evaluation.generation_metrics import (
    active_set,
    agreement,
    collision,
    consistency,
    coverage,
    js_divergence,
    label_table,
    majority_chance,
    present_set,
    weighted_mean,
)

K, L = 4, 3
SHARES = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5], [0.0, 0.4, 0.6]])
WEIGHTS = np.array([0.4, 0.3, 0.2, 0.1])


def within(values: np.ndarray, truth: float, errors: float = 4.0) -> None:
    """The mean of independent values is ``truth`` up to its standard error."""
    assert values.mean() == pytest.approx(
        truth, abs=errors * values.std(ddof=1) / math.sqrt(len(values))
    )


def tau(shares: np.ndarray, weights: np.ndarray) -> float:
    """Goodman and Kruskal's tau of a population, from its joint table."""
    joint = {(k, y): weights[k] * shares[k, y] for k in range(len(shares)) for y in range(L)}
    row = [sum(joint[k, y] for y in range(L)) for k in range(len(shares))]
    column = [sum(joint[k, y] for k in range(len(shares))) for y in range(L)]
    concentration = sum(p**2 / row[k] for (k, _), p in joint.items())
    chance = sum(p**2 for p in column)
    return (concentration - chance) / (1 - chance)


# --- one category


@pytest.mark.parametrize("counts", [(3, 2, 0), (1, 1, 1), (5, 0, 0), (2, 0, 0)])
def test_collision_is_the_share_of_equal_pairs(counts: tuple[int, ...]) -> None:
    labels = [y for y, n in enumerate(counts) for _ in range(n)]
    pairs = list(itertools.combinations(labels, 2))
    equal = sum(a == b for a, b in pairs) / len(pairs)
    assert collision(np.array(counts), sum(counts)) == pytest.approx(equal)


def test_collision_of_weighted_data_is_over_weighted_pairs() -> None:
    random = np.random.default_rng(0)
    labels, weights = random.integers(0, L, 12), random.random(12)
    pairs = list(itertools.combinations(range(12), 2))
    equal = sum(weights[i] * weights[j] for i, j in pairs if labels[i] == labels[j])
    mass = np.bincount(labels, weights, L)
    found = collision(mass, (weights**2).sum())
    assert found == pytest.approx(equal / sum(weights[i] * weights[j] for i, j in pairs))


def test_collision_of_a_single_datum_is_unknown() -> None:
    assert np.isnan(collision(np.array([0.3, 0.0]), 0.3**2))
    assert np.isnan(collision(np.array([0.0, 0.0]), 0.0))


@pytest.mark.parametrize(("count", "chance"), [(25, 0.207), (100, 0.151), (200, 0.136)])
def test_majority_chance_is_that_of_maths(count: int, chance: float) -> None:
    assert majority_chance(np.full(10, 0.1), count) == pytest.approx(chance, abs=0.003)
    assert majority_chance(np.full(10, 0.1), 5000) == pytest.approx(0.107, abs=0.001)


def exact_majority(count: int, labels: int) -> float:
    """E[max/n] for uniform labels: P(max <= m) = n!/L^n [t^n] (sum_{j<=m} t^j/j!)^L."""
    total = Fraction(0)
    for m in range(count):
        power = [Fraction(1)]
        for _ in range(labels):
            series = [Fraction(1, math.factorial(j)) for j in range(m + 1)]
            size = min(len(power) + m, count + 1)
            power = [
                sum(
                    (
                        power[i] * series[n - i]
                        for i in range(max(0, n - m), min(n, len(power) - 1) + 1)
                    ),
                    Fraction(0),
                )
                for n in range(size)
            ]
        below = power[count] if len(power) > count else Fraction(0)
        total += 1 - below * math.factorial(count) / Fraction(labels) ** count
    return float(total / count)


def test_majority_chance_is_the_exact_expectation() -> None:
    assert majority_chance([0.5, 0.5], 1) == 1.0
    assert majority_chance(np.full(4, 0.25), 12) == pytest.approx(exact_majority(12, 4), abs=0.01)


# --- all categories


def test_corrected_purity_of_a_population_is_goodman_and_kruskals_tau() -> None:
    found = agreement(1e9 * SHARES, WEIGHTS)
    assert found.corrected == pytest.approx(tau(SHARES, WEIGHTS), rel=1e-7)
    assert found.purity == pytest.approx(WEIGHTS @ (SHARES**2).sum(1), rel=1e-7)
    np.testing.assert_allclose(found.label_probs, WEIGHTS @ SHARES)
    assert found.majority_mean == pytest.approx(WEIGHTS @ SHARES.max(1))


def test_categories_that_determine_the_label_score_one() -> None:
    found = agreement(50.0 * np.eye(L)[[0, 1, 2, 1]], WEIGHTS)
    for value in (found.purity, found.corrected, found.majority_mean):
        assert value == pytest.approx(1.0)
    probs = np.array([0.4, 0.4, 0.2])
    assert found.labels == pytest.approx(math.exp(-(probs * np.log(probs)).sum()))


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation_metrics, "RESAMPLES", 2)


@pytest.mark.usefixtures("few_resamples")
def test_neither_part_of_corrected_purity_has_a_bias() -> None:
    random = np.random.default_rng(1)
    found = [agreement(random.multinomial(5, SHARES), WEIGHTS) for _ in range(3000)]
    probs = WEIGHTS @ SHARES
    within(np.array([f.purity for f in found]), WEIGHTS @ (SHARES**2).sum(1))
    within(np.array([f.pooled for f in found]), (probs**2).sum())
    shares = np.array([f.label_probs for f in found])
    plug_in = (shares**2).sum(1)  # what would be biased
    assert plug_in.mean() - (probs**2).sum() > 10 * plug_in.std() / math.sqrt(len(plug_in))


@pytest.mark.usefixtures("few_resamples")
def test_categories_that_do_not_matter_score_nothing_on_average() -> None:
    random = np.random.default_rng(2)
    found = [agreement(random.multinomial(200, [SHARES[1]] * K), WEIGHTS) for _ in range(1000)]
    for name in ("corrected", "information"):
        within(np.array([getattr(f, name) for f in found]), 0.0)


def test_information_of_a_population() -> None:
    probs = WEIGHTS @ SHARES
    within_k = -(SHARES * np.log(np.where(SHARES > 0, SHARES, 1.0))).sum(1)
    truth = -(probs * np.log(probs)).sum() - WEIGHTS @ within_k
    assert agreement(1e9 * SHARES, WEIGHTS).information == pytest.approx(truth, rel=1e-7)


def test_the_error_of_purity_is_that_of_a_mean_over_categories() -> None:
    random = np.random.default_rng(3)
    counts = random.multinomial(200, random.dirichlet(np.ones(L), 40))
    found = agreement(counts, np.ones(40))
    expected = found.collision.std(ddof=0) / math.sqrt(40)
    assert found.purity_se == pytest.approx(expected, rel=0.1)
    assert 0.0 < found.corrected_se < 0.5


def test_errors_need_categories_that_can_be_resampled() -> None:
    counts = np.array([[8.0, 2.0], [3.0, 7.0], [5.0, 5.0]])
    assert agreement(counts[:1], [1.0]).purity_se is None
    two = agreement(counts[:2], [0.5, 0.5])
    assert two.purity_se > 0.0
    assert two.corrected_se is None
    assert agreement(counts, np.ones(3)).corrected_se > 0.0


def test_the_same_error_again() -> None:
    first, second, other = (agreement(100 * SHARES, WEIGHTS, seed=s) for s in (0, 0, 1))
    assert first.purity_se == second.purity_se != other.purity_se


def test_one_label_leaves_nothing_to_correct() -> None:
    found = agreement(np.array([[9.0, 0.0], [7.0, 0.0]]), [0.5, 0.5])
    assert found.purity == 1.0
    assert found.corrected is None
    assert found.labels == 1.0


def test_categories_without_data_are_left_out() -> None:
    counts = np.vstack([100 * SHARES, np.zeros(L)])
    found, plain = agreement(counts, [*WEIGHTS, 0.5]), agreement(100 * SHARES, WEIGHTS)
    for name in ("purity", "corrected", "information", "majority_mean", "purity_se"):
        assert getattr(found, name) == pytest.approx(getattr(plain, name))
    assert np.isnan(found.collision[-1])
    nothing = agreement(np.zeros((2, L)), [1.0, 1.0])
    assert nothing.purity is nothing.corrected is nothing.information is None


@pytest.mark.parametrize("weights", [[1.0, 1.0], [0.0] * K, [-1.0, 1.0, 1.0, 1.0], [math.nan] * K])
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"expected .*weights"):
        agreement(SHARES, weights)


def test_the_papers_active_categories() -> None:
    q = np.array([0.5, 0.26, 0.239, 0.001])
    assert active_set(q).tolist() == [True, True, False, False]
    assert present_set(q).tolist() == [True, True, True, False]
    assert active_set(np.full(7, 1 / 7)).all()


def test_coverage_counts_labels_that_some_chosen_category_gives() -> None:
    counts = np.array([[5, 5, 0], [0, 9, 1], [0, 1, 9]])
    assert coverage(counts, np.array([True, True, False])) == 2
    assert coverage(counts, np.ones(3, dtype=bool)) == 3
    assert coverage(np.zeros((1, 3)), np.ones(1, dtype=bool)) == 0


def test_js_equals_scipy() -> None:
    other = SHARES[::-1]
    expected = [jensenshannon(p, q) ** 2 for p, q in zip(SHARES, other, strict=True)]
    np.testing.assert_allclose(js_divergence(SHARES, other), expected, atol=1e-12)
    assert js_divergence([1.0, 0.0], [0.0, 1.0]) == pytest.approx(math.log(2))


def test_consistency_is_the_weighted_divergence_of_known_categories() -> None:
    real = np.array([[2.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.1, 0.1, 0.2], [0.0, 4.0, 6.0]])
    parts = [jensenshannon(SHARES[k], real[k]) ** 2 for k in (0, 2, 3)]
    expected = np.average(parts, weights=WEIGHTS[[0, 2, 3]])
    assert consistency(50 * SHARES, real, WEIGHTS) == pytest.approx(expected)
    assert consistency(50 * SHARES, 3 * SHARES, WEIGHTS) == pytest.approx(0.0, abs=1e-12)
    assert consistency(SHARES, np.zeros_like(SHARES), WEIGHTS) is None


def test_label_table_adds_up_assignments() -> None:
    a, y = np.array([[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]]), np.array([1, 0, 1])
    np.testing.assert_allclose(label_table(a, y, 3), [[0.3, 1.4, 0.0], [0.7, 0.6, 0.0]])


def test_weighted_mean_skips_what_is_unknown() -> None:
    assert weighted_mean([1.0, math.nan, 4.0], [0.5, 0.3, 0.25]) == pytest.approx(2.0)
    assert weighted_mean([math.nan], [1.0]) is None

"""T11 and T7's entropies: purity, its chance level by brute force, and its standard error."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict

import numpy as np
import pytest
from sklearn import metrics

from bench.evaluation.entropy import category_use, disagreement, harden
from bench.evaluation.purity import Purity, cluster_purity_chance, hard_agreement, purity

Y = np.array([0, 0, 0, 1, 1, 2])
A = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.7, 0.2, 0.1],
        [0.2, 0.6, 0.2],
        [0.1, 0.8, 0.1],
        [0.3, 0.3, 0.4],
        [0.05, 0.15, 0.8],
    ]
)
SOFT = {
    "micro": 0.4979024168,
    "macro": 0.4617495060,
    "cluster": 0.6,
    "mutual_information": 0.1824091621,
    "homogeneity": 0.1803523758,
    "completeness": 0.1669145646,
    "nmi": 0.1733734761,
    "overlap": 0.4722222222,
    "freedom": 0.7259461924,
    "micro_chance": 0.4676394589,
    "micro_corrected": 0.0568467337,
}
HARD = {
    "micro": 0.6666667,
    "cluster": 0.6666667,
    "nmi": 0.5206652464,
    "micro_chance": 0.6333333,
    "micro_corrected": 0.0909090909,
}


@pytest.mark.parametrize("field", SOFT)
def test_t11_soft(field: str) -> None:
    assert getattr(purity(A, Y), field) == pytest.approx(SOFT[field], abs=1e-9)


@pytest.mark.parametrize("field", HARD)
def test_t11_hard(field: str) -> None:
    assert getattr(purity(harden(A), Y), field) == pytest.approx(HARD[field], abs=1e-7)


def test_t11_by_label() -> None:
    soft = [line.purity for line in purity(A, Y).labels]
    assert soft == pytest.approx([0.6050159599, 0.3921340629, 0.3880984952], abs=1e-9)
    hard = [line.purity for line in purity(harden(A), Y).labels]
    assert hard == pytest.approx([0.8333333, 0.5, 0.5], abs=1e-7)
    assert [line.count for line in purity(A, Y).labels] == [3, 2, 1]


def test_t11_hard_assignments() -> None:
    assert harden(A).argmax(1).tolist() == [0, 0, 1, 1, 2, 2]
    assert purity(harden(A), Y).macro == pytest.approx((5 / 6 + 0.5 + 0.5) / 3)


def test_t11_agreement_and_information() -> None:
    found = hard_agreement(A, Y)
    assert (found.nmi, found.ari, found.ami) == pytest.approx(
        (0.5206652464, 0.0740740741, 0.0837267838), abs=1e-9
    )
    assert category_use(A).category_information == pytest.approx(0.3041758047, abs=1e-9)


@pytest.mark.parametrize("a", [A, harden(A)], ids=["soft", "hard"])
def test_t11_chance_is_the_mean_of_all_permutations(a: np.ndarray) -> None:
    found = purity(a, Y)
    all_of_them = [purity(a, np.array(order)) for order in itertools.permutations(Y)]
    assert len(all_of_them) == 720

    def mean(read: object) -> float:
        return float(np.mean([read(result) for result in all_of_them]))  # type: ignore[operator]

    assert mean(lambda p: p.micro) == pytest.approx(found.micro_chance, abs=1e-12)
    assert mean(lambda p: p.macro) == pytest.approx(found.macro_chance, abs=1e-12)
    for i, line in enumerate(found.labels):
        assert mean(lambda p, i=i: p.labels[i].purity) == pytest.approx(line.chance, abs=1e-12)
    sampled = cluster_purity_chance(a, Y, permutations=4000)
    assert mean(lambda p: p.cluster) == pytest.approx(sampled, abs=0.01)


@pytest.mark.parametrize(
    "a", [np.full((6, 3), 1 / 3), np.eye(3)[[1] * 6]], ids=["uniform", "one category"]
)
def test_t11_uninformative(a: np.ndarray) -> None:
    found = purity(a, Y)
    assert found.micro == pytest.approx(0.3888889, abs=1e-7)
    assert found.macro == pytest.approx(1 / 3)
    assert found.cluster == pytest.approx(0.5)
    assert found.micro_corrected == pytest.approx(0.0, abs=1e-12)
    assert found.macro_corrected == pytest.approx(0.0, abs=1e-12)
    assert found.mutual_information == pytest.approx(0.0, abs=1e-12)


def test_singletons_are_pure_and_say_nothing() -> None:
    found = purity(np.eye(6), Y)
    assert (found.micro, found.macro, found.cluster) == pytest.approx((1.0, 1.0, 1.0))
    assert found.freedom == 0.0
    assert found.micro_corrected is None
    assert found.macro_corrected is None
    assert all(line.corrected is None for line in found.labels)


def test_t7_entropy_of_the_aggregated_posterior() -> None:
    found = category_use([[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]])
    assert found.entropy == pytest.approx(0.6842317651, abs=1e-9)
    assert found.effective_categories == pytest.approx(1.9822484181, abs=1e-9)
    assert found.category_information == pytest.approx(0.1412002798, abs=1e-9)
    kl_c = found.entropy_max - found.mean_conditional_entropy
    assert kl_c == pytest.approx(0.1501156952, abs=1e-9)
    assert found.categories_used == 1
    assert found.categories_present == 2


def _sample(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    y = rng.integers(0, 4, count)
    logits = rng.normal(size=(count, 6))
    logits[np.arange(count), y] += 1.5
    a = np.exp(logits)
    return a / a.sum(1, keepdims=True), y


def test_standard_errors_match_a_bootstrap() -> None:
    rng = np.random.default_rng(0)
    a, y = _sample(rng, 800)
    rows = [rng.integers(0, 800, 800) for _ in range(300)]
    again = [purity(a[i], y[i]) for i in rows]
    found = purity(a, y)
    uses = [category_use(a[i]) for i in rows]
    use = category_use(a)
    pairs = [
        (found.macro_se, [p.macro for p in again]),
        (found.micro_se, [p.micro for p in again]),
        (found.labels[1].se, [p.labels[1].purity for p in again]),
        (use.category_information_se, [u.category_information for u in uses]),
        (use.entropy_se, [u.entropy for u in uses]),
    ]
    for error, values in pairs:
        assert error == pytest.approx(np.std(values), rel=0.2)


NUMBERS = (*SOFT, "micro_se", "macro_se", "macro_chance", "macro_corrected")


@pytest.mark.parametrize("field", NUMBERS)
def test_names_of_categories_do_not_matter(field: str) -> None:
    a, y = _sample(np.random.default_rng(4), 300)
    order = np.random.default_rng(5).permutation(6)
    found = getattr(purity(a[:, order], y), field)
    assert found == pytest.approx(getattr(purity(a, y), field), abs=1e-12)


def test_names_of_categories_do_not_matter_to_their_use_and_agreement() -> None:
    a, y = _sample(np.random.default_rng(4), 300)
    b = a[:, np.random.default_rng(5).permutation(6)]
    assert hard_agreement(b, y) == hard_agreement(a, y)
    first, second = (asdict(category_use(x)) for x in (a, b))
    assert sorted(second.pop("probs")) == pytest.approx(sorted(first.pop("probs")))
    assert second == pytest.approx(first)
    chances = [cluster_purity_chance(x, y, seed=1) for x in (a, b)]
    assert chances[0] == pytest.approx(chances[1], abs=1e-12)
    assert disagreement(a, a) == 0.0


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        ([[1.0, 0.0]], [[0.0, 1.0]], 1.0),
        ([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0]], [[0.5, 0.2, 0.3], [0.5, 0.5, 0.0]], 0.35),
    ],
)
def test_disagreement_is_the_mean_total_variation(
    first: list[list[float]], second: list[list[float]], apart: float
) -> None:
    assert disagreement(first, second) == pytest.approx(apart, abs=1e-12)


def test_invariants_on_random_assignments() -> None:
    a, y = _sample(np.random.default_rng(1), 500)
    found: Purity = purity(a, y)
    assert found.cluster**2 <= found.micro <= found.cluster
    assert found.mutual_information <= category_use(a).category_information
    order = np.random.default_rng(2).permutation(6)
    assert purity(a[:, order], y).macro == pytest.approx(found.macro, abs=1e-12)
    hard = purity(harden(a), y)
    assert hard.nmi == pytest.approx(metrics.normalized_mutual_info_score(y, a.argmax(1)))
    assert hard.homogeneity == pytest.approx(metrics.homogeneity_score(y, a.argmax(1)))
    assert hard.completeness == pytest.approx(metrics.completeness_score(y, a.argmax(1)))


def test_random_hard_assignments_reach_only_chance() -> None:
    """MATHS 6: K = 150, N = 10,000, L = 10 by luck alone gives micro .1135, E0 .1134."""
    rng = np.random.default_rng(3)
    a, y = np.eye(150)[rng.integers(0, 150, 10_000)], rng.integers(0, 10, 10_000)
    found = purity(a, y)
    assert found.micro == pytest.approx(0.1135, abs=2e-3)
    assert found.micro_chance == pytest.approx(0.1134, abs=2e-4)
    assert abs(found.micro_corrected or math.inf) < 1e-3
    assert found.cluster == pytest.approx(0.164, abs=0.01)


def test_many_categories_and_many_labels_are_pure_by_luck() -> None:
    """MATHS 6, Omniglot-like: K = 500, N = 8,070, L = 1,623 give E0 = .0625, not .0007."""
    rng = np.random.default_rng(6)
    a, y = np.eye(500)[rng.integers(0, 500, 8070)], rng.integers(0, 1623, 8070)
    found = purity(a, y)
    assert found.micro_chance == pytest.approx(0.0625, abs=2e-4)
    assert np.square(np.bincount(y) / 8070).sum() == pytest.approx(0.0007, abs=5e-5)
    assert found.micro == pytest.approx(found.micro_chance, abs=2e-3)


def test_soft_and_hard_can_disagree_totally() -> None:
    """MATHS 6: near-uniform rows whose argmax is the label: soft .1000, hard 1.0000."""
    y = np.arange(1000) % 10
    a = np.full((1000, 10), 0.1) + 1e-5 * (np.eye(10)[y] - 0.1)
    assert purity(a, y).micro == pytest.approx(0.1, abs=5e-5)
    assert purity(harden(a), y).micro == 1.0


def test_overlap_is_the_mean_over_pairs() -> None:
    a, y = _sample(np.random.default_rng(7), 200)
    share = [a[y == label].mean(0) for label in range(4)]
    pairs = [np.minimum(p, q).sum() for p, q in itertools.combinations(share, 2)]
    assert purity(a, y).overlap == pytest.approx(np.mean(pairs), abs=1e-12)

"""Information that is measured from draws is not made by the number of draws."""

from __future__ import annotations

import numpy as np
import pytest

from bench.evaluation.entropy import category_use, sampled_use


def halves(components: int, draws: int, sharp: float, rows: int = 400) -> list[np.ndarray]:
    """Averages of responsibilities that do not depend on the datum: true information is zero."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(2):
        logits = sharp * generator.standard_normal((rows, draws // 2, components))
        single = np.exp(logits - logits.max(-1, keepdims=True))
        found.append((single / single.sum(-1, keepdims=True)).mean(1))
    return found


@pytest.mark.parametrize(("components", "draws"), [(10, 100), (50, 500)])
@pytest.mark.parametrize("sharp", [1.0, 5.0])
def test_no_information_stays_below_the_mark(components: int, draws: int, sharp: float) -> None:
    first, second = halves(components, draws, sharp)
    plain = category_use((first + second) / 2.0).category_information
    corrected = sampled_use(first, second).category_information
    assert abs(corrected) < 0.01
    assert abs(corrected) < plain / 3.0


def test_equal_halves_are_left_alone() -> None:
    a = np.random.default_rng(1).dirichlet(np.ones(4), size=50)
    plain, corrected = category_use(a), sampled_use(a, a)
    assert corrected.category_information == pytest.approx(plain.category_information, abs=1e-12)

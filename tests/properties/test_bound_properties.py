"""The invariants of MATHS 3 on random small models."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings

from bench.bounds import elbo_enumerated, log_weights_over_categories
from pairs import build, data, seeded
from properties import weight_checks as checks
from properties.small import Small, few, smalls

CATEGORICAL = smalls(posteriors=("independent", "joint"))


@few
@given(CATEGORICAL)
def test_summing_the_category_out(small: Small) -> None:
    checks.summing_out(small)


@few
@given(smalls())
def test_smaller_samples(small: Small) -> None:
    checks.smaller_samples_are_lower(small, over_categories=False)


@few
@given(CATEGORICAL)
def test_smaller_samples_with_the_category_summed_out(small: Small) -> None:
    checks.smaller_samples_are_lower(small, over_categories=True)


@settings(few, max_examples=10)
@given(smalls(largest=2, dims=1))
def test_weights_are_unbiased(small: Small) -> None:
    checks.weights_are_unbiased(small)


@pytest.mark.parametrize("posterior", ["independent", "joint", "joint_pi"])
@pytest.mark.parametrize("prior", ["mog", "vamp"])
def test_one_summed_out_weight_is_above_the_enumerated_bound(prior: str, posterior: str) -> None:
    """Where neither has a closed form they see the same draws: no tolerance but rounding."""
    model, x = build(prior, posterior, noise=0.7), data(16)
    with torch.no_grad():
        bound = elbo_enumerated(model, x, seeded()).elbo()
        (weight,) = log_weights_over_categories(model, x, 1, seeded())
    assert (bound <= weight[0] + 1e-10).all()
    assert (bound < weight[0] - 1e-3).any()

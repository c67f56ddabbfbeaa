"""The invariants of MATHS 4 on random small models, and on every pair of the registry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.bounds import elbo_enumerated
from bench.evaluation.decomposition import decompose
from pairs import PAIRS, build, data, each_pair, seeded
from properties import checks
from properties.small import Small, few, smalls

REPEATS = 400
ROUNDING = {torch.float64: 1e-10, torch.float32: 1e-6}
WITH_CATEGORIES = ("independent", "joint")
VAMPS = [pair for pair in PAIRS if hasattr(build(*pair).prior, "pseudo_inputs")]
each_vamp = pytest.mark.parametrize(("prior", "posterior"), VAMPS)
ALL = smalls()
CATEGORICAL = smalls(posteriors=WITH_CATEGORIES)
ON_A_LINE = smalls(largest=4, dims=1)


@few
@given(ALL)
def test_terms_are_what_they_are_called(small: Small) -> None:
    checks.same_numbers(small)


@few
@given(ALL)
def test_memory_changes_nothing(small: Small) -> None:
    checks.blocks_do_not_show(small)


@few
@given(ALL)
def test_terms_sum_to_the_bound(small: Small) -> None:
    checks.telescopes(small)


@few
@given(ALL)
def test_terms_of_the_category(small: Small) -> None:
    checks.categories_add_up(small)


@few
@given(ALL)
def test_informations_add_up(small: Small) -> None:
    checks.information_adds_up(small)


@few
@given(smalls(posteriors=("continuous",)))
def test_ceiling(small: Small) -> None:
    checks.information_has_a_ceiling(small)


@few
@given(ON_A_LINE)
def test_signs_and_order(small: Small) -> None:
    checks.in_order(small)


@few
@given(ON_A_LINE)
def test_closed_forms(small: Small) -> None:
    checks.quadrature_agrees(small)


@few
@given(smalls(priors=("standard", "conditional"), largest=3))
def test_draws_are_from_the_posterior(small: Small) -> None:
    checks.draws_are_from_q(small)


@few
@given(CATEGORICAL)
def test_uniform_categories(small: Small) -> None:
    checks.uniform_categories_say_nothing(small)


@few
@given(smalls(priors=("vamp",)))
def test_vamp_at_the_data(small: Small) -> None:
    checks.vamp_at_the_data_has_no_c1(small)


@few
@given(CATEGORICAL)
def test_aggregate_as_prior(small: Small) -> None:
    checks.using_the_aggregate_gains_c2(small)


@few
@given(smalls(posteriors=WITH_CATEGORIES, largest=3, dims=1), st.data())
def test_names_of_categories(small: Small, choice: st.DataObject) -> None:
    assert small.pi is not None
    order = choice.draw(st.permutations(range(small.pi.shape[1])))
    checks.names_of_categories_do_not_matter(small, order)


@few
@given(CATEGORICAL, st.floats(0.0, 0.6))
def test_pruning(small: Small, prune: float) -> None:
    assume(small.prior != "vamp")  # whose density is made of the posterior as it is, not pruned
    checks.pruning_is_another_posterior(small, prune)


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@each_pair
def test_every_pair(prior: str, posterior: str, dtype: torch.dtype) -> None:
    """Two layers included: the terms sum to the bound, the informations add up."""
    model, x = build(prior, posterior, noise=0.7, dtype=dtype), data(7)
    found = decompose(model, x, seeded(), draws=4)
    terms = {name: term.mean for name, term in found.terms.items()}
    assert ("T1" in terms) == (len(model.spec.latents) == 2)
    assert found.total == pytest.approx(found.elbo.mean(), abs=1e-10)
    assert found.conditional == type(model.prior).categorical
    about_x = found.information_x.mean - terms["B2"]
    expected = about_x if found.conditional else about_x + found.information_zc.mean
    assert terms["B1"] == pytest.approx(expected, abs=1e-10)
    if model.spec.categories is not None:
        with torch.no_grad():
            pi = model.posterior(x.to(dtype)).given("c", {}).mean.double()
        kl = (pi * (pi.log() + math.log(3))).sum(-1).mean()
        assert terms["B2"] + terms["C2"] == pytest.approx(float(kl), abs=ROUNDING[dtype])


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@each_vamp
def test_every_vamp_at_the_data(prior: str, posterior: str, dtype: torch.dtype) -> None:
    """p(z) = q(z) for the latent on top, in the precision of training too."""
    model, x = build(prior, posterior, noise=0.7, dtype=dtype), data(5, dtype=dtype)
    model.prior.pseudo_inputs.data = x.clone()  # type: ignore[union-attr]
    term = decompose(model, x, seeded(), draws=3).terms["C1"]
    rounding = ROUNDING[dtype]  # of the prior's log-weights
    assert term.mean == pytest.approx(0.0, abs=rounding)
    assert term.se == pytest.approx(0.0, abs=rounding)


@each_pair
def test_every_pair_sums_to_the_reported_bound(prior: str, posterior: str) -> None:
    """Up to the noise of both, for each datum: neither takes anything from the other."""
    model, x = build(prior, posterior, noise=0.1), data(3).repeat(REPEATS, 1)
    sums = decompose(model, x, seeded(), draws=2).elbo.reshape(REPEATS, 3)
    bound = elbo_enumerated(model, x, seeded(1)).elbo().detach().numpy().reshape(REPEATS, 3)
    error = np.sqrt((sums.var(0) + bound.var(0)) / REPEATS)
    assert error.max() < 0.15
    assert (np.abs(sums.mean(0) - bound.mean(0)) < 4 * error).all()

"""T4c: dropping unlikely categories is a bound where the rest is renormalised."""

from __future__ import annotations

import math

import torch

from bench.bounds import elbo_enumerated
from bench.posteriors.joint import JointPosterior
from maths.cases import T4_SPEC, case
from maths.cells import assemble, copies, set_head
from maths.paths import DRAWS, close, expectations, generator, named, within

PRUNED = -1.4764977830


def test_t4c_pruned_bound() -> None:
    subject = case("t4b")
    x = copies(subject.x, DRAWS)
    terms = elbo_enumerated(subject.model, x, generator(), prune=0.15)
    within(terms.elbo(), PRUNED, "the pruned bound")
    assert PRUNED < subject.elbo < subject.log_p


def test_t4c_equals_the_renormalised_posterior() -> None:
    """Pruning is nothing but another posterior, whose bound the unpruned paths give."""
    subject = case("t4b")
    posterior = set_head(
        JointPosterior(T4_SPEC),
        (1 / 3, 2 / 3, 1e-300),
        [[-0.5], [0.6], [1.2]],
        [[0.5], [0.45], [0.6]],
    )
    model = assemble(T4_SPEC, subject.model.prior, posterior, subject.model.decoder)
    other = type(subject)(model, subject.x, PRUNED, subject.log_p)
    close(expectations(other)["elbo"], PRUNED, "the renormalised bound")
    x = copies(subject.x, 50)
    pruned = named(elbo_enumerated(subject.model, x, generator(), prune=0.15))
    whole = named(elbo_enumerated(model, x, generator()))
    for name, value in pruned.items():
        assert torch.allclose(value, whole[name], atol=1e-12), name


def test_a_threshold_below_every_probability_changes_nothing() -> None:
    subject = case("t4b")
    x = copies(subject.x, 20)
    whole = elbo_enumerated(subject.model, x, generator()).elbo()
    assert torch.equal(elbo_enumerated(subject.model, x, generator(), prune=0.05).elbo(), whole)


def test_chunks_change_nothing() -> None:
    subject = case("t4b")
    x = copies(subject.x, 20)
    whole = elbo_enumerated(subject.model, x, generator()).elbo()
    small = elbo_enumerated(subject.model, x, generator(), chunk=7).elbo()
    assert torch.allclose(small, whole, atol=1e-12)


def test_the_likeliest_category_is_never_dropped() -> None:
    """A threshold above every probability leaves one category, not none."""
    subject = case("t4b")
    terms = elbo_enumerated(subject.model, copies(subject.x, 50), generator(), prune=0.95)
    assert bool(terms.elbo().isfinite().all())
    close(float(terms.kl_c.mean()), math.log(3.0), "kl_c of a certain posterior")

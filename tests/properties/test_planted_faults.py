"""Each invariant can fail: a planted fault in the estimators breaks those that name it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

import bench.bounds
import bench.evaluation.aggregate
import bench.evaluation.decomposition
from bench.distributions import OneHotCategorical
from bench.evaluation.aggregate import AggregatedPosterior
from bench.joint import Joint
from bench.weights import _Groups
from properties import checks, weight_checks
from properties.small import Small, example

log_prob = AggregatedPosterior.log_prob
LogProbs = tuple[Tensor, Tensor]


def inner_sum_over_a_batch(patch: pytest.MonkeyPatch) -> None:
    """Each half of the data as if it were all: what a minibatch estimator does."""

    def wrong(self: AggregatedPosterior, z: Tensor, c: Tensor | None = None) -> LogProbs:
        half = (len(self.x) + 1) // 2
        parts = []
        for rows in (slice(half), slice(half, None)):
            mine = AggregatedPosterior(self.model, self.x[rows], self.prune)
            parts.append(log_prob(mine, z[rows], None if c is None else c[rows]))
        return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])

    patch.setattr(AggregatedPosterior, "log_prob", wrong)


def moved_by(sign: float) -> object:
    """log q(z) off by log N; so is log q(z | c) where there is no category."""

    def wrong(self: AggregatedPosterior, z: Tensor, c: Tensor | None = None) -> LogProbs:
        whole, given = log_prob(self, z, c)
        error = sign * math.log(len(self.x))
        return whole + error, given + (error if c is None else 0.0)

    return wrong


def log_n_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AggregatedPosterior, "log_prob", moved_by(1.0))


def log_n_taken_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AggregatedPosterior, "log_prob", moved_by(-1.0))


def category_mass_forgotten(patch: pytest.MonkeyPatch) -> None:
    """q(z, c) in the place of q(z | c)."""

    def wrong(self: AggregatedPosterior, z: Tensor, c: Tensor | None = None) -> LogProbs:
        whole, given = log_prob(self, z, c)
        probs = self.category_probs
        return whole, given if probs is None or c is None else given + (c @ probs).log()

    patch.setattr(AggregatedPosterior, "log_prob", wrong)


def mass_of_the_next_category(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: AggregatedPosterior, z: Tensor, c: Tensor | None = None) -> LogProbs:
        whole, given = log_prob(self, z, c)
        probs = self.category_probs
        if probs is None or c is None:
            return whole, given
        return whole, given + (c @ probs).log() - (c @ probs.roll(1)).log()

    patch.setattr(AggregatedPosterior, "log_prob", wrong)


def families_swapped(patch: pytest.MonkeyPatch) -> None:
    right = bench.evaluation.decomposition._reads_category
    patch.setattr(bench.evaluation.decomposition, "_reads_category", lambda *args: not right(*args))


def pruned_without_renormalising(patch: pytest.MonkeyPatch) -> None:
    def wrong(category: OneHotCategorical, prune: float) -> Tensor:
        log_pi = category.logits.double()
        kept = (log_pi.exp() > prune) | (log_pi == log_pi.amax(-1, keepdim=True))
        return log_pi.masked_fill(~kept, -math.inf)

    patch.setattr(bench.evaluation.aggregate, "prune_categories", wrong)


def category_drawn_evenly(patch: pytest.MonkeyPatch) -> None:
    sample = Joint.sample

    def wrong(self: Joint, *arguments: object, **options: object) -> object:
        if "c" not in self.factors:
            return sample(self, *arguments, **options)  # type: ignore[arg-type]
        even = OneHotCategorical(torch.zeros_like(self.given("c", {}).logits))  # type: ignore[attr-defined]
        return sample(Joint(**{**self.factors, "c": even}), *arguments, **options)  # type: ignore[arg-type]

    patch.setattr(Joint, "sample", wrong)


def category_left_out_of_the_bound(patch: pytest.MonkeyPatch) -> None:
    right = bench.evaluation.decomposition._categories

    def wrong(log_pi: Tensor, log_p: Tensor) -> tuple[Tensor, float, float]:
        kl, b2, c2 = right(log_pi, log_p)
        return torch.zeros_like(kl), b2, c2

    patch.setattr(bench.evaluation.decomposition, "_categories", wrong)


def hard_categories(patch: pytest.MonkeyPatch) -> None:
    """The histogram of the likeliest categories in the place of q(c)."""
    right = bench.evaluation.decomposition._categories

    def wrong(log_pi: Tensor, log_p: Tensor) -> tuple[Tensor, float, float]:
        hard = torch.nn.functional.one_hot(log_pi.argmax(-1), log_pi.shape[1]).double()
        return (right(log_pi, log_p)[0], *right(hard.clamp_min(1e-300).log(), log_p)[1:])

    patch.setattr(bench.evaluation.decomposition, "_categories", wrong)


def prior_of_the_category_forgotten(patch: pytest.MonkeyPatch) -> None:
    right = bench.bounds.category_of

    def wrong(joint: Joint) -> OneHotCategorical:
        category = right(joint)
        if not category.batch_shape:
            category.logits = torch.zeros_like(category.logits)
        return category

    patch.setattr(bench.bounds, "category_of", wrong)


def groups_summed(patch: pytest.MonkeyPatch) -> None:
    """log-sum-exp without the logarithm of the size."""
    right = _Groups.mean
    patch.setattr(_Groups, "mean", lambda self: right(self) + math.log(self.size))


def groups_of_logs(patch: pytest.MonkeyPatch) -> None:
    """The largest weight in the place of the mean: above every bound on log p(x)."""

    def add(self: _Groups, block: Tensor) -> None:
        self.total, self.complete = self.total + block.amax(0), self.complete + 1

    patch.setattr(_Groups, "add", add)


Check = Callable[[Small], None]
CP, INDQ = example("conditional", "joint"), example("conditional", "independent")
INDP, INDQP = example("standard", "joint"), example("standard", "independent")
VAE, MG = example("standard", "continuous"), example("mog", "continuous")
APART = replace(VAE, scale=np.full_like(VAE.scale, 0.01))
permuted = partial(checks.names_of_categories_do_not_matter, order=(1, 0, 2))
pruned = partial(checks.pruning_is_another_posterior, prune=0.3)
smaller = partial(weight_checks.smaller_samples_are_lower, over_categories=False)


@dataclass(frozen=True)
class Fault:
    plant: Callable[[pytest.MonkeyPatch], None]
    check: Check
    small: Small


FAULTS = [
    Fault(inner_sum_over_a_batch, checks.same_numbers, VAE),
    Fault(inner_sum_over_a_batch, checks.same_numbers, CP),
    Fault(inner_sum_over_a_batch, checks.vamp_at_the_data_has_no_c1, INDP),
    Fault(log_n_forgotten, checks.same_numbers, INDQP),
    Fault(log_n_forgotten, checks.vamp_at_the_data_has_no_c1, VAE),
    Fault(log_n_forgotten, checks.in_order, MG),
    Fault(log_n_taken_twice, checks.information_has_a_ceiling, APART),
    Fault(log_n_taken_twice, checks.in_order, INDQP),
    Fault(category_mass_forgotten, checks.same_numbers, CP),
    Fault(category_mass_forgotten, checks.in_order, INDQ),
    Fault(mass_of_the_next_category, checks.same_numbers, INDQ),
    Fault(mass_of_the_next_category, permuted, CP),
    Fault(families_swapped, checks.information_adds_up, CP),
    Fault(families_swapped, checks.information_adds_up, INDQP),
    Fault(families_swapped, checks.same_numbers, INDQ),
    Fault(families_swapped, checks.vamp_at_the_data_has_no_c1, INDP),
    Fault(pruned_without_renormalising, pruned, CP),
    Fault(pruned_without_renormalising, pruned, INDQP),
    Fault(category_drawn_evenly, checks.draws_are_from_q, CP),
    Fault(category_drawn_evenly, checks.draws_are_from_q, INDQ),
    Fault(category_left_out_of_the_bound, checks.telescopes, INDP),
    Fault(category_left_out_of_the_bound, checks.same_numbers, INDQ),
    Fault(hard_categories, checks.categories_add_up, INDP),
    Fault(hard_categories, checks.telescopes, CP),
    Fault(hard_categories, checks.using_the_aggregate_gains_c2, CP),
    Fault(prior_of_the_category_forgotten, weight_checks.summing_out, CP),
    Fault(prior_of_the_category_forgotten, weight_checks.summing_out, INDQP),
    Fault(groups_summed, smaller, VAE),
    Fault(groups_of_logs, smaller, VAE),
]


def name(fault: Fault) -> str:
    check = getattr(fault.check, "func", fault.check)
    kind = "within" if fault.small.within else "product"
    return f"{fault.plant.__name__}-{check.__name__}-{kind}"


@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_fault_is_found(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    fault.check(fault.small)
    fault.plant(monkeypatch)
    with pytest.raises(AssertionError):
        fault.check(fault.small)

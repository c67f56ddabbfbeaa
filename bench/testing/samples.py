"""The prior's sampler draws from the prior's density (T23): per category and per component."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.stats import chisquare, kstest
from torch import Tensor

from bench.distributions import Mixture, OneHotCategorical
from bench.joint import Joint
from bench.testing.factors import DRAWS, Array, Conditional, Grid, conditionals, grid
from bench.testing.finding import Breach
from bench.testing.subject import Subject, seeded

CHANCE = 1e-6  # how rarely a sound sampler may be accused


@torch.no_grad()
def check_samples(subject: Subject) -> None:
    """Draws of each factor against its own density: Kolmogorov-Smirnov on a grid at D = 1."""
    prior = subject.model(subject.spec(latent_dim=1)).joint_prior()
    check_category(prior)
    for factor in conditionals(prior):
        cells = grid(factor.draws)
        log_density = factor.log_prob(cells.nodes)
        check_distance(factor.draws, cells, log_density, factor.label)


@torch.no_grad()
def check_components(subject: Subject) -> None:
    r"""Component by component: how often each is drawn, and what is drawn from it.

    A draw z of a mixture is given to component j with probability p(j | z). Where sampler and
    density agree, the counts are then multinomial with the declared weights, and what component j
    was given is distributed as it, however much components overlap.
    """
    for size in (1, subject.spec().latent_dim):
        prior = subject.model(subject.spec(latent_dim=size)).joint_prior()
        for factor in conditionals(prior):
            mixture = factor.given(DRAWS)
            if not isinstance(mixture, Mixture):
                continue
            draws = factor.draws
            joint = mixture.component_log_prob(draws).double()  # (N, J)
            log_weights = mixture.log_weights.double()
            posterior = (joint + log_weights).softmax(-1)
            uniform = torch.rand(DRAWS, 1, generator=seeded(6), dtype=torch.float64)
            last = posterior.shape[-1] - 1
            chosen = (posterior.cumsum(-1) < uniform).sum(-1).clamp_max(last)
            weights = log_weights.exp().expand(joint.shape)[0]
            check_counts(chosen, weights, f"components of {factor.label}")
            if size == 1:
                _check_each(factor, mixture, chosen)


def _check_each(factor: Conditional, mixture: Mixture, chosen: Tensor) -> None:
    cells = grid(factor.draws)
    nodes = cells.nodes
    at_nodes = factor.given(len(nodes))
    assert isinstance(at_nodes, Mixture)
    log_density = at_nodes.component_log_prob(nodes).double()  # (N, J)
    for j in range(log_density.shape[-1]):
        draws = factor.draws[chosen == j]
        if len(draws) >= 20:
            check_distance(draws, cells, log_density[:, j], f"component {j} of {factor.label}")


def check_category(prior: Joint) -> None:
    """Categories are drawn as often as their probabilities say."""
    if "c" not in prior.names:
        return
    category = prior.given("c", {})
    assert isinstance(category, OneHotCategorical)
    drawn = prior.sample((DRAWS,), seeded(7))["c"].argmax(-1)
    check_counts(drawn, category.probs.double(), "categories")


def check_counts(chosen: Tensor, weights: Tensor, what: str) -> None:
    """Chi-square of the counts of ``chosen`` (N,) against ``weights`` (J,).

    Raises:
        Breach: such counts would come by chance less than once in a million.
    """
    counts = torch.bincount(chosen, minlength=len(weights)).double().numpy()
    expected = (weights / weights.sum()).numpy() * len(chosen)
    rare = expected < 5.0
    if rare.any():  # the chi-square distribution holds for counts that are not small
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    if len(counts) > 1 and chisquare(counts, expected).pvalue < CHANCE:
        worst = int(np.abs(counts / expected - 1.0).argmax())
        raise Breach(
            f"{what} drawn as often as their weights say, number {worst} about "
            f"{expected[worst]:,.0f} times in {len(chosen):,}",
            f"{counts[worst]:,.0f} times",
        )


def check_distance(draws: Tensor, cells: Grid, log_density: Tensor, what: str) -> None:
    """Kolmogorov-Smirnov distance between draws (N, 1) and a density on a grid.

    Raises:
        Breach: such a distance would come by chance less than once in a million.
    """
    cumulative: Array = np.concatenate([[0.0], cells.integrate(log_density).cumsum()])
    total = cumulative[-1]
    if not (math.isfinite(total) and total > 0.0):
        raise Breach(f"a density of {what} that can be integrated", f"an integral of {total}")
    values = draws.double().numpy()[:, 0]
    test = kstest(values, lambda z: np.interp(z, cells.edges, cumulative / total))
    if test.pvalue < CHANCE:
        middle, spread = _moments(cells, log_density, total)
        raise Breach(
            f"draws of {what} distributed as its density: mean {middle:.3f}, standard "
            f"deviation {spread:.3f}",
            f"mean {values.mean():.3f}, standard deviation {values.std():.3f} over {len(values):,} "
            f"draws (Kolmogorov-Smirnov distance {test.statistic:.3f})",
        )


def _moments(cells: Grid, log_density: Tensor, total: float) -> tuple[float, float]:
    """Mean and standard deviation of a density on a grid."""
    mass = cells.weights * log_density.exp().numpy().reshape(cells.points.shape) / total
    mean = float((mass * cells.points).sum())
    return mean, math.sqrt(float((mass * (cells.points - mean) ** 2).sum()))

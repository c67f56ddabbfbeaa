"""What MATHS 4 says of every model, as functions that fail with an AssertionError.

They take a ``Small`` model, so that hypothesis can search for one that breaks them and a planted
fault can be shown to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import entropy
from torch import Tensor

from bench.bounds import elbo_enumerated
from bench.evaluation import aggregate
from bench.evaluation.aggregate import AggregatedPosterior
from bench.evaluation.decomposition import Decomposition, decompose
from bench.joint import Joint, Values
from maths.cells import tensor
from maths.exact import decomposition
from maths.paths import SIGMAS, generator
from properties.small import Small, uniform_categories

Array = NDArray[np.float64]

ROUNDING = 1e-8  # of densities that are products in float64
QUADRATURE = 1e-6


def equal(found: object, expected: object, what: str, tolerance: float = ROUNDING) -> None:
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=what)


def at_most(low: object, high: object, what: str, tolerance: float = ROUNDING) -> None:
    excess = float(np.max(np.asarray(low) - np.asarray(high)))
    assert excess <= tolerance, f"{what}: above by {excess:.3g}"


def rows(small: Small) -> Tensor:
    return tensor(small.x).unsqueeze(1)


def decomposed(small: Small, **options: float) -> tuple[Decomposition, Array, Array, Array]:
    """``decompose``, and the draws (z, i, c) that it made."""
    seen: list[tuple[slice, Values]] = []
    original = AggregatedPosterior.draw

    def draw(
        self: AggregatedPosterior, generator: torch.Generator
    ) -> Iterator[tuple[slice, Joint, Values]]:
        for block, q, values in original(self, generator):
            seen.append((block, values))
            yield block, q, values

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AggregatedPosterior, "draw", draw)
        found = decompose(small.model(), rows(small), generator(), draws=3, **options)  # type: ignore[arg-type]
    z = torch.cat([values["z"] for _, values in seen]).numpy()
    i = np.concatenate([np.arange(small.count)[block] for block, _ in seen])
    c = np.zeros_like(i)
    if small.pi is not None:
        c = torch.cat([values["c"] for _, values in seen]).argmax(-1).numpy()
    return found, z, i, c


def same_numbers(small: Small) -> None:
    """Every term is the mean that MATHS 4 defines, on the draws that were made."""
    found, z, i, c = decomposed(small)
    log = small.densities(z, i, c)
    middle = log["log q(z|c)"] if small.within else log["log q(z)"]
    terms = {
        "A": log["A"],
        "B1": log["log q(z|x,c)"] - middle,
        "C1": middle - log["log p(z|c)"],
        "I(z;c)": log["log q(z|c)"] - log["log q(z)"],
        "I(z;x|c)": log["log q(z|x,c)"] - log["log q(z|c)"],
        "h": -log["log q(z)"],
    }
    for name in ("A", "B1", "C1"):
        equal(found.terms[name].mean, terms[name].mean(), name)
        if len(z) > 1:
            error = terms[name].std(ddof=1) / math.sqrt(len(z))
            equal(found.terms[name].se, error, f"the error of {name}")
    equal(found.latent_entropy.mean, terms["h"].mean(), "h(q(z))")
    information = terms["I(z;x|c)"].mean() + found.terms["B2"].mean
    equal(found.information_x.mean, information, "I((z,c);x)")
    equal(found.information_zc.mean, terms["I(z;c)"].mean(), "I(z;c)")
    bound = log["A"] - log["log q(z|x,c)"] + log["log p(z|c)"]
    bound = bound.reshape(3, -1).mean(0) - category_divergences(small)
    equal(found.elbo, bound, "the bound of each datum")
    assert found.conditional == small.within


def category_divergences(small: Small) -> Array:
    """KL(q(c | x_i) || p(c)), (N,)."""
    if small.pi is None:
        return np.zeros(small.count)
    divergence: Array = entropy(small.pi, np.exp(small.log_p_c()), axis=1)
    return divergence


def telescopes(small: Small) -> None:
    found, *_ = decomposed(small)
    equal(found.total, found.elbo.mean(), "A - B1 - B2 - C1 - C2", 1e-10)


def categories_add_up(small: Small) -> None:
    found, *_ = decomposed(small)
    b2, c2 = found.terms["B2"], found.terms["C2"]
    assert b2.se == c2.se == 0.0
    equal(b2.mean + c2.mean, category_divergences(small).mean(), "B2 + C2", 1e-10)
    if small.pi is None:
        assert b2.mean == c2.mean == found.information_zc.mean == 0.0
        return
    used = entropy(small.pi.mean(0))
    at_most(0.0, b2.mean, "0 <= B2", 1e-12)
    at_most(b2.mean, min(used, math.log(small.count)), "B2 <= min(H, log N)", 1e-12)
    at_most(0.0, c2.mean, "0 <= C2", 1e-12)
    equal(b2.mean, used - entropy(small.pi, axis=1).mean(), "B2", 1e-10)
    if small.p_c is None:
        equal(c2.mean, math.log(small.pi.shape[1]) - used, "C2", 1e-10)


def information_adds_up(small: Small) -> None:
    """B1 + B2 = I((z, c); x) within categories; else B1 = I(z; x | c) + I(z; c)."""
    found, *_ = decomposed(small)
    b1, b2 = found.terms["B1"].mean, found.terms["B2"].mean
    if small.within:
        equal(b1 + b2, found.information_x.mean, "B1 + B2", 1e-10)
    else:
        sum_of_both = found.information_x.mean - b2 + found.information_zc.mean
        equal(b1, sum_of_both, "B1", 1e-10)


def information_has_a_ceiling(small: Small) -> None:
    """Without categories every draw's log q(z | x_i) / q(z) is at most log N: no error at all."""
    assert small.pi is None
    found, *_ = decomposed(small)
    at_most(found.information_x.mean, math.log(small.count), "I(z; x) <= log N", 1e-12)
    assert found.ceiling == pytest.approx(math.log(small.count))


def in_order(small: Small) -> None:
    """The signs of all parts, and what bounds the informations, in expectation."""
    found = decomposition(small.model(), rows(small), small.within)
    for name in ("B1", "B2", "C1", "C2", "I(z;c)", "I((z,c);x)"):
        at_most(0.0, found[name], f"0 <= {name}", QUADRATURE)
    at_most(found["I((z,c);x)"], math.log(small.count), "I((z,c);x) <= log N", QUADRATURE)
    mean, gaussian = AggregatedPosterior(small.model(), rows(small)).moments()
    at_most(mean, found["h(q(z))"], "mean h <= h(q(z))", QUADRATURE)
    at_most(found["h(q(z))"], gaussian, "h(q(z)) <= the Gaussian's", QUADRATURE)
    if not small.joint:
        about_x = found["h(q(z))"] - mean  # I(z; x)
        at_most(found["I(z;c)"], min(about_x, found["B2"]), "I(z;c) <= I(z;x), B2", QUADRATURE)
        at_most(found["h(q(z))"], mean + math.log(small.count), "h <= mean h + log N", QUADRATURE)


def closed_forms(small: Small) -> dict[str, Array]:
    """A, and kl_z under a Gaussian prior, of each datum: decoders are affine, (N,)."""
    pi, loc, scale = small.posterior_table()
    error = (small.x[:, None] - (loc @ small.slope + small.offset[: pi.shape[1]])) ** 2
    error = error + scale**2 @ small.slope**2  # (N, K)
    density = -0.5 * np.log(2 * np.pi * small.noise**2) - 0.5 * error / small.noise**2
    found = {"A": (pi * density).sum(1)}
    if small.prior in ("standard", "conditional"):
        m, s = (small.m, small.s) if small.within else (0.0, 1.0)
        kl = (np.log(s / scale) + (scale**2 + (loc - m) ** 2) / (2 * s**2) - 0.5).sum(-1)
        found["kl_z"] = (pi * kl).sum(1)
    return found


def quadrature_agrees(small: Small) -> None:
    """Integrals on a grid are the closed forms, and the bound is below log p(x)."""
    found = decomposition(small.model(), rows(small), small.within)
    exact = closed_forms(small)
    for name, values in exact.items():
        equal(found[name], values.mean(), name, QUADRATURE)
    if "kl_z" in exact:
        bounds = elbo_enumerated(small.model(), rows(small), generator())
        equal(bounds.kl_z, exact["kl_z"], "the enumerated kl_z")
    at_most(found["ELBO"], small.log_evidence().mean(), "ELBO <= log p(x)", QUADRATURE)


def draws_are_from_q(small: Small) -> None:
    """The mean of many draws is the bound of each datum, up to 4 standard errors."""
    exact, repeats = closed_forms(small), 400
    x = rows(small).repeat(repeats, 1)
    found = decompose(small.model(), x, generator()).elbo.reshape(repeats, -1)
    expected = exact["A"] - exact["kl_z"] - category_divergences(small)
    error = found.std(0, ddof=1) / math.sqrt(repeats)
    at_most(np.abs(found.mean(0) - expected), SIGMAS * error + ROUNDING, "the bound", 0.0)


def uniform_categories_say_nothing(small: Small) -> None:
    found, *_ = decomposed(uniform_categories(small))
    for name, value in (("B2", found.terms["B2"].mean), ("C2", found.terms["C2"].mean)):
        equal(value, 0.0, name, 1e-12)
    if not small.joint:
        equal(found.information_zc.mean, 0.0, "I(z;c)", 1e-10)


def vamp_at_the_data_has_no_c1(small: Small) -> None:
    """p(z) = q(z), draw by draw."""
    here = replace(small, prior="vamp", anchors=tuple(range(small.count)))
    found, *_ = decomposed(here)
    equal(found.terms["C1"].mean, 0.0, "C1", 1e-10)
    equal(np.nan_to_num(found.terms["C1"].se), 0.0, "the error of C1", 1e-10)


def using_the_aggregate_gains_c2(small: Small) -> None:
    """p(c) = q(c) raises the mean bound by exactly C2, and leaves none."""
    assert small.pi is not None
    plain, *_ = decomposed(small)
    moved, *_ = decomposed(replace(small, p_c=small.pi.mean(0)))
    equal(moved.total - plain.total, plain.terms["C2"].mean, "the gain", 1e-9)
    equal(moved.terms["C2"].mean, 0.0, "C2 of q(c) itself", 1e-10)
    bounds = [
        float(elbo_enumerated(s.model(), rows(s), generator()).elbo().mean())
        for s in (small, replace(small, p_c=small.pi.mean(0)))
    ]
    equal(bounds[1] - bounds[0], plain.terms["C2"].mean, "the gain of the reported bound", 1e-9)


def names_of_categories_do_not_matter(small: Small, order: Sequence[int]) -> None:
    other = small.relabelled(list(order))
    first, second = (decomposition(s.model(), rows(s), s.within) for s in (small, other))
    for name, value in first.items():
        equal(second[name], value, name, QUADRATURE)


def pruning_is_another_posterior(small: Small, prune: float) -> None:
    """What is aggregated, drawn and bounded is q without unlikely categories, renormalised."""
    assert small.pi is not None
    kept = (small.pi > prune) | (small.pi == small.pi.max(1, keepdims=True))
    pi = np.where(kept, small.pi, 0.0)
    pi = pi / pi.sum(1, keepdims=True)
    pruned, *_ = decomposed(small, prune=prune)
    whole, *_ = decomposed(replace(small, pi=np.maximum(pi, 1e-300)))
    for name, term in whole.terms.items():
        equal(pruned.terms[name].mean, term.mean, name)
    equal(pruned.information_zc.mean, whole.information_zc.mean, "I(z;c)")
    terms = elbo_enumerated(small.model(), rows(small), generator(), prune=prune)
    equal(pruned.terms["B2"].mean + pruned.terms["C2"].mean, float(terms.kl_c.mean()), "kl_c")


def blocks_do_not_show(small: Small) -> None:
    """Sums over data, categories and draws are the same however little fits in memory."""
    model, x, rng = small.model(), rows(small), np.random.default_rng(0)
    z = tensor(2.0 * rng.standard_normal((13, small.loc.shape[-1])))
    c = None
    if small.pi is not None:
        size = small.pi.shape[1]
        c = torch.eye(size, dtype=torch.float64)[rng.integers(0, size, 13)]
    whole = AggregatedPosterior(model, x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aggregate, "BLOCK", 3)
        patch.setattr(aggregate, "TABLE", 4 * 8 * 2)  # two rows
        parts = AggregatedPosterior(model, x)
        found = parts.log_prob(z, c), parts.moments()
    for one, other in zip(found, (whole.log_prob(z, c), whole.moments()), strict=True):
        equal(np.asarray(one), np.asarray(other), "in small blocks", 1e-10)
    index = np.zeros(13, int) if c is None else c.argmax(-1).numpy()
    log = small.densities(z.numpy(), np.zeros(13, int), index)
    equal(found[0][0], log["log q(z)"], "log q(z)")
    equal(found[0][1], log["log q(z|c)"], "log q(z | c)")

"""Valid bounds on log p(x): the ELBO with the category enumerated, and importance weighting.

Float64 where sums cancel, as long as gradients are off. MATHS 2.2 (b) and 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from bench.distributions import TABLE, DiagNormal, OneHotCategorical
from bench.joint import Joint, Values, enumerate_category
from bench.model import Model, Terms, category_of, divergence, enumerated_kl, normal_factor
from bench.weights import Weights, WeightSummary


@torch.no_grad()
def elbo_enumerated(
    model: Model,
    x: Tensor,
    generator: torch.Generator,
    *,
    prior: Joint | None = None,
    prune: float = 0.0,
    chunk: int = 8192,
) -> Terms:
    """The terms of the ELBO with c summed out exactly and one z a (datum, category).

    Unbiased for the bound (MATHS 2.2b). Categories with q(c | x) <= ``prune`` are dropped and
    the rest renormalised, which is again a posterior and hence again a bound (T4c).

    Args:
        model: the model.
        x: data, shape (B, P).
        generator: noise for z.
        prior: ``model.joint_prior()``, where the caller has it already.
        prune: probability at or below which a category is dropped.
        chunk: rows that are decoded at once.

    Returns:
        Float64 terms, shape (B,) each.
    """
    prior = model.joint_prior() if prior is None else prior
    if model.spec.categories is None:
        parts = [
            model.terms(rows, model.noise((len(rows),), generator), prior=prior)
            for rows in x.split(chunk)
        ]
        return _join(parts)
    return _join(
        [_enumerate(model, rows, generator, prior, prune, chunk) for rows in _slabs(model, x)]
    )


def _slabs(model: Model, x: Tensor) -> tuple[Tensor, ...]:
    """Rows of data whose (K, B, width) tables fit in memory."""
    width = model.spec.latent_dim if len(model.spec.latents) == 1 else 4 * model.spec.hidden
    rows = max(1, TABLE // ((model.spec.categories or 1) * width))
    slabs: tuple[Tensor, ...] = x.split(rows)
    return slabs


def _join(parts: list[Terms]) -> Terms:
    names = parts[0].kl.keys()
    return Terms(
        torch.cat([part.reconstruction.double() for part in parts]),
        {name: torch.cat([part.kl[name].double() for part in parts]) for name in names},
    )


def _enumerate(
    model: Model, x: Tensor, generator: torch.Generator, prior: Joint, prune: float, chunk: int
) -> Terms:
    q = model.posterior(x)
    category = category_of(q)
    log_pi = prune_categories(category, prune)
    kept = log_pi.isfinite()  # (B, K)
    pi = log_pi.exp()
    k, i = kept.mT.nonzero(as_tuple=True)  # synchronises: the pairs that will be decoded

    values: dict[str, Tensor] = {"c": enumerate_category(category)}  # (K, 1, K)
    factors: dict[str, DiagNormal] = {}
    for name in model.spec.latents:
        factor = normal_factor(q, name, values)
        factors[name] = factor
        values[name] = factor.rsample(generator=generator)  # (K, B, D), or (B, D) if c-free

    p_c = category_of(prior).logits.double()
    kl = {"c": (pi * (log_pi.masked_fill(~kept, 0.0) - p_c)).sum(-1)}
    sampled: dict[str, DiagNormal] = {}  # whole tables, so that no chunk forms them again
    for name in model.spec.latents:
        if name in model.exact:
            exact = enumerated_kl(name, q, prior).double()
            kl[name] = exact if exact.ndim == 1 else (pi.mT * exact).sum(0)
        else:
            kl[name] = pi.new_zeros(len(x))
            sampled[name] = factors[name].expand((pi.shape[1], len(x)))

    reconstruction = pi.new_zeros(len(x))
    for k_part, i_part in zip(k.split(chunk), i.split(chunk), strict=True):
        at = {name: _pairs(value, k_part, i_part) for name, value in values.items()}
        weight = pi[i_part, k_part]
        log_likelihood = model.decode(at).log_prob(x[i_part])
        reconstruction.index_add_(0, i_part, weight * log_likelihood.double())
        for name, table in sampled.items():
            factor = table.gather((k_part, i_part))
            term = divergence(factor, prior.given(name, at), at[name])
            kl[name].index_add_(0, i_part, weight * term.double())
    return Terms(reconstruction, kl)


def prune_categories(category: OneHotCategorical, prune: float) -> Tensor:
    """log q(c | x), float64, without categories at or below ``prune``, renormalised (T4c)."""
    log_pi = category.logits.double()
    pi = log_pi.exp()
    kept = (pi > prune) | (pi == pi.amax(-1, keepdim=True))  # never none
    return torch.log_softmax(log_pi.masked_fill(~kept, -math.inf), dim=-1)


def _pairs(value: Tensor, k: Tensor, i: Tensor) -> Tensor:
    """Rows of an enumerated value (K, B, E), (K, 1, E) or (B, E) at pairs (k, i)."""
    if value.ndim == 2:
        return value[i]
    return value[k, i] if value.shape[1] > 1 else value[k, 0]


def log_weights(
    model: Model,
    x: Tensor,
    samples: int,
    generator: torch.Generator,
    *,
    prior: Joint | None = None,
    chunk: int = 8192,
) -> Iterator[Tensor]:
    """Importance log-weights log p(x, z, c) - log q(z, c | x) at exact draws from q (MATHS 3).

    Yields:
        Float64 blocks of shape (S', B) whose S' add up to ``samples``; a block holds about
        ``chunk`` rows, so that memory does not grow with S.
    """
    prior = model.joint_prior() if prior is None else prior
    q = model.posterior(x)
    step = max(1, chunk // len(x))
    for start in range(0, samples, step):
        count = min(step, samples - start)
        values = q.sample((count,), generator)
        yield log_weight(model, x, q, prior, values)


def log_weight(model: Model, x: Tensor, q: Joint, prior: Joint, values: Values) -> Tensor:
    """log p(x | v) + log p(v) - log q(v | x), float64, at given draws v."""
    likelihood = model.decode(values).log_prob(x).double()
    return likelihood + prior.log_prob(values).double() - q.log_prob(values).double()


def log_weights_over_categories(
    model: Model,
    x: Tensor,
    samples: int,
    generator: torch.Generator,
    *,
    prior: Joint | None = None,
    chunk: int = 8192,
) -> Iterator[Tensor]:
    r"""Log-weights with the category summed out instead of drawn (Rao-Blackwellised).

    .. math:: w_s = \sum_k p(c_k) \frac{p(z_{ks} \mid c_k)\, p(x \mid z_{ks}, c_k)}
                        {q(z_{ks} \mid x, c_k)}, \qquad z_{ks} \sim q(z \mid x, c_k)

    Where z does not depend on c given x all k share one draw, and this is RB-I; else RB-J. Both
    are unbiased for p(x), and q(c | x) plays no part. A weight takes K decodes. With one sample
    the bound is above the ELBO, not equal to it.

    Yields:
        Float64 blocks of shape (S', B) whose S' add up to ``samples``.

    References: MATHS 3, T4b, T4d, T18.
    """
    prior = model.joint_prior() if prior is None else prior
    q = model.posterior(x)
    size = category_of(q).event_shape[0]
    vertices = torch.eye(size, device=x.device, dtype=category_of(q).logits.dtype)
    log_p_c = category_of(prior).logits.double().reshape(size, 1, 1)
    step = max(1, chunk // (size * len(x)))
    for start in range(0, samples, step):
        count = min(step, samples - start)
        values: dict[str, Tensor] = {"c": vertices.reshape(size, 1, 1, size)}
        log_weight = log_p_c
        for name in model.spec.latents:
            factor = normal_factor(q, name, values)
            factor = factor.expand(torch.broadcast_shapes(factor.batch_shape, (count, len(x))))
            values[name] = factor.rsample(generator=generator)  # ([K,] S', B, D)
            log_weight = log_weight - factor.log_prob(values[name]).double()
            term = prior.given(name, values).log_prob(values[name])
            log_weight = log_weight + term.double()
        log_weight = log_weight + model.decode(values).log_prob(x).double()  # (K, S', B)
        yield torch.logsumexp(log_weight, dim=0)


@torch.no_grad()
def importance_weights(
    model: Model,
    x: Tensor,
    samples: int,
    generator: torch.Generator,
    *,
    prior: Joint | None = None,
    chunk: int = 8192,
    over_categories: bool = False,
) -> WeightSummary:
    """The importance-weighted bound with all that tells how far it can be trusted.

    Args:
        model: the model.
        x: data, shape (B, P).
        samples: S.
        generator: noise for c and z.
        prior: ``model.joint_prior()``, where the caller has it already.
        chunk: rows that are decoded at once; memory does not grow with S.
        over_categories: sum the category out in each weight instead of drawing it.

    References: MATHS 3.
    """
    prior = model.joint_prior() if prior is None else prior
    stream = log_weights_over_categories if over_categories else log_weights
    rows_at_once = chunk // (model.spec.categories or 1) if over_categories else chunk // 8
    parts = []
    for rows in x.split(max(1, rows_at_once)):
        weights = Weights(len(rows), samples, x.device)
        for block in stream(model, rows, samples, generator, prior=prior, chunk=chunk):
            weights.add(block)
        parts.append(weights.summary())
    return WeightSummary.concatenate(parts)


def importance_log_likelihood(
    model: Model,
    x: Tensor,
    samples: int,
    generator: torch.Generator,
    *,
    prior: Joint | None = None,
    chunk: int = 8192,
) -> Tensor:
    """log 1/S sum_s w_s, shape (B,), float64: a bound in expectation, tighter as S grows.

    With one sample its expectation is the ELBO (MATHS 3, T9).
    """
    return importance_weights(model, x, samples, generator, prior=prior, chunk=chunk).log_mean

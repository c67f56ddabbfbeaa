"""What a trained model does with data, read from its latents: components and active units."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.distributions import TABLE, DiagNormal, Mixture
from bench.joint import Joint, enumerate_category
from bench.model import Model, category_of

__all__ = ["active_units", "prior_responsibilities"]

# Burda et al.'s threshold on the variance over data of a latent's posterior mean.
ACTIVE_VARIANCE = 0.01


@torch.no_grad()
def prior_responsibilities(
    model: Model,
    x: Tensor,
    samples: int,
    generator: torch.Generator,
    prior: Joint | None = None,
) -> Tensor | None:
    r"""Which component of the prior explains each datum, :math:`r_j(x) = E_{q(z|x)}[p(j|z)]`.

    The average over ``samples`` draws is of probabilities (at the posterior's mean they would
    be another, biased number). Components are those of the first continuous latent: a mixture's,
    with inner mixtures summed (the J pseudo-inputs of a VampPrior, whatever its categories), or
    the categories of a prior whose z depends on c. Where the posterior has a category, c is
    drawn with z.

    Args:
        model: the model.
        x: data, shape (N, P).
        samples: draws a datum.
        generator: noise for c and z.
        prior: ``model.joint_prior()``, where the caller has it already.

    Returns:
        Float64 rows of probabilities, shape (N, J), or None where the prior has no components.

    References: MATHS 5 (b), T2b.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}")
    prior = model.joint_prior() if prior is None else prior
    name = model.spec.latents[0]
    mixture = _components(prior, name)
    if mixture is None:
        return None
    size = max(mixture.log_weights.shape[-1], model.spec.latent_dim)
    rows_at_once = max(1, TABLE // (size * samples))
    parts = []
    for rows in x.split(rows_at_once):
        q = model.posterior(rows)
        # Lower layers play no part, so they are not drawn.
        upper = Joint(**{n: q.factors[n] for n in q.names[: q.names.index(name) + 1]})
        step = max(1, TABLE // (size * len(rows)))
        total = torch.zeros(len(rows), mixture.groups, dtype=torch.float64, device=x.device)
        for start in range(0, samples, step):
            draws = upper.sample((min(step, samples - start),), generator)[name]  # (S', B, D)
            total += mixture.responsibilities(draws).double().sum(0)
        parts.append(total / samples)
    return torch.cat(parts)


def _components(prior: Joint, name: str) -> Mixture | None:
    """The prior of one latent as a mixture: its own, or over the category that it depends on."""
    factor = prior.factors[name]
    if isinstance(factor, Mixture):
        return factor
    try:
        whole = prior.marginal(name)
    except ValueError:  # a density of another kind
        return None
    return whole if isinstance(whole, Mixture) else None


@torch.no_grad()
def active_units(model: Model, x: Tensor) -> int:
    r"""How many latent dimensions follow the data: :math:`Var_x(E_{q(z|x)}[z_d]) > 0.01`.

    The posterior's mean is averaged over its category, :math:`\sum_k \pi_k \mu_k(x)`. With two
    layers both are counted, and the lower one's mean is taken at the upper one's mean (given
    the same category), not averaged over it.

    Args:
        model: the model.
        x: data, shape (N, P).

    References: Burda et al., Importance Weighted Autoencoders, 2016, section 4.
    """
    spec = model.spec
    width = spec.latent_dim if len(spec.latents) == 1 else 4 * spec.hidden
    rows_at_once = max(1, TABLE // ((spec.categories or 1) * width))
    means = torch.cat([_means(model, rows) for rows in x.split(rows_at_once)])  # (N, layers D)
    return int((means.var(dim=0, correction=0) > ACTIVE_VARIANCE).sum())


def _means(model: Model, x: Tensor) -> Tensor:
    """The posterior mean of all continuous latents side by side, float64."""
    q = model.posterior(x)
    values: dict[str, Tensor] = {}
    pi: Tensor | None = None
    if "c" in q.names:
        category = category_of(q)
        values["c"] = enumerate_category(category)  # (K, 1, K)
        pi = category.probs.double()  # (B, K)
    parts = []
    for name in model.spec.latents:
        factor = q.given(name, values)
        if not isinstance(factor, DiagNormal):
            raise TypeError(f"posterior factor {name!r} must be a DiagNormal")
        values[name] = factor.mean  # (B, D), or (K, B, D) where it depends on c
        mean = factor.mean.double()
        if mean.ndim == 3 and pi is not None:
            mean = torch.einsum("bk,kbd->bd", pi, mean)
        parts.append(mean)
    return torch.cat(parts, dim=-1)

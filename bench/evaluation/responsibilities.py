"""What a trained model does with data, read from its latents: categories, components, units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution

from bench.distributions import TABLE, Mixture, sample_from
from bench.joint import Joint, Recorder, enumerate_category
from bench.model import Model, category_of, normal_factor

__all__ = [
    "Responsibilities",
    "active_units",
    "category_probabilities",
    "component_weights",
    "components_are_categories",
    "paired_responsibilities",
    "posterior_means",
    "prior_mixture",
    "prior_responsibilities",
]

# Burda et al.'s threshold on the variance over data of a latent's posterior mean.
ACTIVE_VARIANCE = 0.01
# Numbers in one table of draws x components: on a CPU larger ones leave the cache and are slower.
DRAWN = 2**18
# Nats by which the mean entropy of responsibilities may fall short before it is corrected.
SHORT = 0.02
ROWS = 1000  # data rows encoded together


@dataclass(frozen=True)
class Responsibilities:
    """Responsibilities from two independent halves of the draws.

    Attributes:
        first, second: float64, shape (N, J) each.
        draws: S, the draws a datum of both halves together.
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    draws: int

    @property
    def mean(self) -> NDArray[np.float64]:
        """The responsibilities from all draws, shape (N, J)."""
        return (self.first + self.second) / 2.0


@torch.no_grad()
def category_probabilities(model: Model, x: Tensor) -> NDArray[np.float64]:
    """q(c | x) for every datum, float64 of shape (N, K), from the logits and never from draws.

    Args:
        model: a model whose posterior has a category.
        x: data, shape (N, P), of any dtype.
    """
    like = next(model.parameters())
    found = np.empty((len(x), model.spec.categories or 1))
    for start in range(0, len(x), ROWS):
        rows = x[start : start + ROWS].to(like)
        probs = category_of(model.posterior(rows)).logits.double().exp()
        found[start : start + ROWS] = probs.cpu().numpy()
    return found


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
    the categories of a prior whose z depends on c. Where the posterior's z depends on a category,
    c is drawn with z.

    Args:
        model: the model.
        x: data, shape (N, P), of any dtype.
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
    mixture = prior_mixture(prior, name)
    if mixture is None:
        return None
    like = next(model.parameters())
    size = max(mixture.log_weights.shape[-1], model.spec.latent_dim, model.spec.categories or 1)
    table = TABLE if like.is_cuda else DRAWN
    rows_at_once = max(1, table // (size * min(samples, 16)))
    parts = []
    for rows in x.split(rows_at_once):
        q = model.posterior(rows.to(like))
        step = max(1, table // (size * len(rows)))
        total = torch.zeros(len(rows), mixture.groups, dtype=torch.float64, device=like.device)
        for start in range(0, samples, step):
            draws = _draw(q, name, min(step, samples - start), generator)  # (S', B, D)
            total += mixture.responsibilities(draws).double().sum(0)
        parts.append(total / samples)
    return torch.cat(parts)


@torch.no_grad()
def paired_responsibilities(
    model: Model,
    x: Tensor,
    samples: int,
    generator: torch.Generator,
    prior: Joint | None = None,
) -> Responsibilities | None:
    r"""``prior_responsibilities`` from two halves, with as many draws as their entropy needs.

    The entropy of an average of S draws is short by about :math:`m/2S` for a datum whose draws
    name m components, and by twice that for half the draws, so that the difference of the two
    tells by how much. Draws are doubled until that is below 0.02 nats, up to 10 J of them, with
    which it is below 0.05 whatever the model. (``sampled_use`` then takes it off.)

    Args:
        model, x, generator, prior: as for ``prior_responsibilities``.
        samples: draws a datum to begin with, both halves together.

    Returns:
        The halves, or None where the prior has no components.
    """
    prior = model.joint_prior() if prior is None else prior
    mixture = prior_mixture(prior, model.spec.latents[0])
    if mixture is None:
        return None

    def draw(count: int) -> Tensor:
        found = prior_responsibilities(model, x, count, generator, prior)
        assert found is not None  # the prior has components
        return found

    half = max(1, samples // 2)
    most = max(half, 5 * mixture.groups)
    first, second = draw(half), draw(half)
    while half < most and _shortfall(first, second) > SHORT:
        more = min(half, most - half)
        first, second = (
            (sides * half + draw(more) * more) / (half + more) for sides in (first, second)
        )
        half += more
    return Responsibilities(first.cpu().numpy(), second.cpu().numpy(), 2 * half)


def components_are_categories(model: Model, prior: Joint) -> bool:
    """Whether the prior's components are the model's own categories: its z depends on c.

    A mixture over z crossed with a category has components too, but they are another discrete
    variable, and a z that does not depend on c has none.
    """
    name = model.spec.latents[0]
    apart = isinstance(prior.factors[name], Mixture)
    return not apart and prior_mixture(prior, name) is not None


@torch.no_grad()
def posterior_means(model: Model, x: Tensor, layers: int | None = None) -> Tensor:
    r"""The posterior mean of the continuous latents, averaged over the category.

    .. math:: E_{q(z|x)}[z] = \sum_k \pi_k(x)\, \mu_k(x)

    With two layers the lower one's mean is taken at the upper one's mean (given the same
    category), not averaged over it.

    Args:
        model: the model.
        x: data, shape (N, P), of any dtype.
        layers: how many latents from the top, side by side; None for all.

    Returns:
        Float64, shape (N, layers D).
    """
    spec, like = model.spec, next(model.parameters())
    names = spec.latents[:layers]
    width = spec.latent_dim if len(names) == 1 else 4 * spec.hidden
    rows_at_once = max(1, TABLE // ((spec.categories or 1) * width))
    return torch.cat([_means(model, rows.to(like), names) for rows in x.split(rows_at_once)])


@torch.no_grad()
def component_weights(model: Model, prior: Joint) -> NDArray[np.float64] | None:
    """The weights of the components that ``prior_responsibilities`` is about, shape (J,)."""
    mixture = prior_mixture(prior, model.spec.latents[0])
    if mixture is None:
        return None
    log_weights = mixture.log_weights.double().unflatten(-1, (mixture.groups, -1))  # (J, inner)
    weights: NDArray[np.float64] = torch.softmax(log_weights.logsumexp(-1), dim=-1).cpu().numpy()
    return weights


@torch.no_grad()
def active_units(model: Model, x: Tensor) -> int:
    r"""How many latent dimensions follow the data: :math:`Var_x(E_{q(z|x)}[z_d]) > 0.01`.

    With two layers the dimensions of both are counted; see ``posterior_means``.

    Args:
        model: the model.
        x: data, shape (N, P), of any dtype.

    References: Burda et al., Importance Weighted Autoencoders, 2016, section 4.
    """
    means = posterior_means(model, x)  # (N, layers D)
    return int((means.var(dim=0, correction=0) > ACTIVE_VARIANCE).sum())


def prior_mixture(prior: Joint, name: str) -> Mixture | None:
    """The prior of one latent as a mixture: its own, or over the category that it depends on."""
    factor = prior.factors[name]
    if isinstance(factor, Mixture):
        return factor
    try:
        whole = prior.marginal(name)
    except ValueError:  # a density of another kind
        return None
    return whole if isinstance(whole, Mixture) else None


def _draw(q: Joint, name: str, count: int, generator: torch.Generator) -> Tensor:
    """Draws of the first continuous latent, (S, B, D), and of c only where it depends on it."""
    values: dict[str, Tensor] = {}
    if "c" in q.names and not isinstance(q.factors[name], Distribution):
        probs = category_of(q).probs  # (B, K)
        # Gumbel noise would be as large as the table of responsibilities.
        chosen = torch.multinomial(probs, count, replacement=True, generator=generator)
        values["c"] = F.one_hot(chosen.mT, probs.shape[-1]).to(probs)  # (S, B, K)
    recorder = Recorder(values)
    factor = q.given(name, recorder)
    return sample_from(factor, () if recorder.read else (count,), generator)


def _shortfall(first: Tensor, second: Tensor) -> float:
    """About how much the mean entropy of all draws is too low, in nats."""
    whole, *halves = (
        torch.special.entr(p).sum(-1).mean() for p in ((first + second) / 2.0, first, second)
    )
    return float(whole - torch.stack(halves).mean())


def _means(model: Model, x: Tensor, names: tuple[str, ...]) -> Tensor:
    q = model.posterior(x)
    values: dict[str, Tensor] = {}
    pi: Tensor | None = None
    if "c" in q.names:
        category = category_of(q)
        values["c"] = enumerate_category(category)  # (K, 1, K)
        pi = category.probs.double()  # (B, K)
    parts = []
    for name in names:
        factor = normal_factor(q, name, values)
        values[name] = factor.mean  # (B, D), or (K, B, D) where it depends on c
        mean = factor.mean.double()
        if mean.ndim == 3 and pi is not None:
            mean = torch.einsum("bk,kbd->bd", pi, mean)
        parts.append(mean)
    return torch.cat(parts, dim=-1)

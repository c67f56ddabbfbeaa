"""Distributions over latents: cheap under autograd, safe under ``vmap``, exact where reported.

They differ from ``torch.distributions`` in three ways that the harness needs: noise comes from
outside (so that a training step is a pure function), nothing is validated by looking at values
(so that a step has no synchronisation and can be captured), and densities of many components at
once are matrix products instead of (B, K, D) broadcasts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution, kl_divergence, register_kl

from bench.normal import AdditiveNormal, DiagNormal, normal_products

__all__ = ["AdditiveNormal", "DiagNormal", "Mixture", "OneHotCategorical", "closed_form_kl"]


# Numbers that one table of rows x components may hold: 64 MiB of float32.
TABLE = 2**24


class OneHotCategorical(Distribution):
    """A categorical distribution over the K vertices of the simplex.

    Args:
        logits: unnormalised log-probabilities, shape (\\*batch, K).
    """

    arg_constraints = {}

    def __init__(self, logits: Tensor) -> None:
        self.logits = F.log_softmax(logits, dim=-1)
        super().__init__(self.logits.shape[:-1], self.logits.shape[-1:], validate_args=False)

    @property
    def probs(self) -> Tensor:
        return self.logits.exp()

    @property
    def mean(self) -> Tensor:
        return self.probs

    def relax(self, gumbel: Tensor, temperature: Tensor | float) -> Tensor:
        """The Gumbel-Softmax draw: a point inside the simplex (training only: no bound)."""
        return F.softmax((self.logits + gumbel) / temperature, dim=-1)

    def transform(self, gumbel: Tensor) -> Tensor:
        """The exact one-hot draw that standard Gumbel noise stands for."""
        winner = (self.logits + gumbel).argmax(-1, keepdim=True)
        places = torch.arange(self.event_shape[0], device=winner.device)
        return (winner == places).to(self.logits.dtype)  # torch's one_hot looks at values

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        shape = (*sample_shape, *self.batch_shape, *self.event_shape)
        with torch.no_grad():
            return self.transform(gumbel_noise(shape, generator, self.logits))

    def log_prob(self, value: Tensor) -> Tensor:
        return (value * self.logits).sum(-1)

    def entropy(self) -> Tensor:
        return -(self.probs * self.logits).sum(-1)


def gumbel_noise(shape: Sequence[int], generator: torch.Generator | None, like: Tensor) -> Tensor:
    """Standard Gumbel noise of ``shape``, -log(-log u), with the device and dtype of ``like``."""
    # From uniform numbers, of which a CPU makes seven times as many a second as exponential ones.
    # They are multiples of eps / 2 below one; zero, the only one without a logarithm, becomes half
    # the least other.
    uniform = torch.rand(tuple(shape), generator=generator, device=like.device, dtype=like.dtype)
    uniform.clamp_(min=torch.finfo(like.dtype).eps / 4)
    return uniform.log_().neg_().log_().neg_()


class Mixture(Distribution):
    r"""A mixture whose J components are the last batch dimension of ``components``.

    .. math:: p(z) = \sum_j w_j p_j(z), \qquad \log p(z) = \mathrm{logsumexp}_j(\log w_j
        + \log p_j(z))

    Args:
        components: a distribution of batch shape (\*batch, J), or a ``Mixture`` of that batch
            shape, which is flattened to all its components.
        logits: unnormalised log-weights, shape (\*batch, J); None for equal weights.
    """

    arg_constraints = {}
    has_rsample = False

    def __init__(self, components: Distribution, logits: Tensor | None = None) -> None:
        if len(components.batch_shape) < 1:
            raise ValueError(
                "Mixture needs components with a batch dimension of size J, got a single "
                f"distribution of event shape {tuple(components.event_shape)}"
            )
        groups: int = components.batch_shape[-1]
        if logits is None:
            logits = _any_tensor(components).new_zeros(components.batch_shape)
        if logits.shape[-1:] != components.batch_shape[-1:]:
            raise ValueError(
                f"Mixture logits must end with the number of components {groups}, "
                f"got shape {tuple(logits.shape)}"
            )
        log_weights: Tensor = F.log_softmax(logits, dim=-1)
        if isinstance(components, Mixture):
            log_weights = (log_weights.unsqueeze(-1) + components.log_weights).flatten(-2)
            components = _flatten(components.components)
        self.components: Distribution = components
        self.log_weights: Tensor = log_weights
        self.groups = groups
        super().__init__(components.batch_shape[:-1], components.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """sum_j w_j E_j[z], shape (\\*batch, D), for components over vectors."""
        weights = self.log_weights.exp().unsqueeze(-1)  # (*batch, J, 1)
        return (weights * self.components.mean).sum(-2)

    def component_log_prob(self, value: Tensor) -> Tensor:
        """log p_j(value) for every component, shape (\\*value.shape[:-1], J)."""
        parts = self.components
        if isinstance(parts, DiagNormal) and len(parts.batch_shape) == 1:
            return normal_products(value, parts.loc, parts.log_variance)
        return parts.log_prob(value.unsqueeze(-1 - len(self.event_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        if not torch.is_grad_enabled() and value.ndim > 1 and not self.batch_shape:
            # Evaluation has many rows and a VampPrior with categories J K components.
            flat = value.reshape(-1, *self.event_shape)
            rows = max(1, TABLE // self.log_weights.shape[-1])
            parts = [self._log_prob(part) for part in flat.split(rows)]
            return torch.cat(parts).reshape(value.shape[: value.ndim - len(self.event_shape)])
        return self._log_prob(value)

    def _log_prob(self, value: Tensor) -> Tensor:
        joint = self.component_log_prob(value)  # (..., J)
        return torch.logsumexp(joint + self.log_weights.to(joint.dtype), dim=-1)

    def responsibilities(self, value: Tensor) -> Tensor:
        """p(j | value), shape (..., groups): flattened inner mixtures are summed back."""
        joint = self.component_log_prob(value)
        posterior = F.softmax(joint + self.log_weights.to(joint.dtype), dim=-1)
        grouped: Tensor = posterior.unflatten(-1, (self.groups, -1)).sum(-1)
        return grouped

    def group(self, index: int) -> Mixture:
        """The part of one group alone: its components at their weights within it."""
        if not 0 <= index < self.groups:
            raise ValueError(f"group must be in 0..{self.groups - 1}, got {index}")
        groups = torch.arange(self.groups, device=self.log_weights.device)
        member = groups.repeat_interleave(self.log_weights.shape[-1] // self.groups)
        return Mixture(self.components, self.log_weights.masked_fill(member != index, -torch.inf))

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        with torch.no_grad():
            choice = OneHotCategorical(self.log_weights).sample(sample_shape, generator)
            parts = self.components
            if isinstance(parts, DiagNormal) and len(parts.batch_shape) == 1:
                return parts[choice].sample(generator=generator)
            draws = sample_from(parts, sample_shape, generator)  # (..., J, *event)
            weights = choice.reshape(*choice.shape, *(1 for _ in self.event_shape))
            return (draws * weights).sum(-1 - len(self.event_shape))


def sample_from(
    distribution: Distribution, sample_shape: Sequence[int], generator: torch.Generator | None
) -> Tensor:
    """A draw from our distributions or torch's own.

    With a generator, torch's global one is left alone; without, it is the source, as in torch.
    """
    if isinstance(distribution, DiagNormal | OneHotCategorical | Mixture):
        return distribution.sample(sample_shape, generator)
    shape = torch.Size(sample_shape)
    if generator is None:
        return distribution.sample(shape)
    with torch.random.fork_rng(), torch.no_grad():
        seed = torch.randint(2**31, (), generator=generator, device=generator.device)
        torch.manual_seed(int(seed))
        return distribution.sample(shape)


def closed_form_kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q || p) in nats where the pair has a closed form, else None."""
    try:
        divergence: Tensor = kl_divergence(q, p)
    except NotImplementedError:
        return None
    return divergence


def _any_tensor(distribution: Distribution) -> Tensor:
    if isinstance(distribution, Mixture):
        return distribution.log_weights
    return distribution.mean


def _flatten(components: Distribution) -> Distribution:
    """Components of batch shape (*batch, J, K) as (*batch, J K)."""
    if not isinstance(components, DiagNormal):
        raise TypeError(
            "a mixture of mixtures needs DiagNormal components at the bottom, got "
            f"{type(components).__name__}"
        )
    whole = components.expand(components.batch_shape)
    return DiagNormal.from_log_variance(
        whole.loc.flatten(-3, -2), whole.log_variance.flatten(-3, -2)
    )


def _kl_categorical_categorical(q: OneHotCategorical, p: OneHotCategorical) -> Tensor:
    """Sum_k q_k (log q_k - log p_k)."""
    return (q.probs * (q.logits - p.logits)).sum(-1)


register_kl(OneHotCategorical, OneHotCategorical)(_kl_categorical_categorical)

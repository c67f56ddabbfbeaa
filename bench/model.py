"""A cell's model and its training objective; the exact estimators are in ``bench.bounds``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from bench.distributions import DiagNormal, OneHotCategorical, closed_form_kl, gumbel_noise
from bench.errors import PluginError
from bench.joint import Joint, Recorder, Values, enumerate_category
from bench.likelihoods import OUTPUTS, Observation, observation
from bench.networks import Decoder, Initialisation, Linear
from bench.plugin import Posterior, Prior
from bench.spec import Spec


@dataclass(frozen=True)
class Terms:
    """The terms of a bound for each datum, in nats.

    Attributes:
        reconstruction: E_q log p(x | z, c), shape (B,).
        kl: the divergence of each latent's factor, shape (B,) each; ``kl["c"]`` is kl_c of the
            paper's equation 12 and the sum of the others its kl_z.
    """

    reconstruction: Tensor
    kl: Mapping[str, Tensor]

    @property
    def kl_z(self) -> Tensor:
        """The divergence of all continuous latents, shape (B,)."""
        parts = [value for name, value in self.kl.items() if name != "c"]
        return torch.stack(parts).sum(0)

    @property
    def kl_c(self) -> Tensor:
        """The divergence of the category, shape (B,); zero where there is none."""
        return self.kl["c"] if "c" in self.kl else torch.zeros_like(self.reconstruction)

    def elbo(self, beta: Tensor | float = 1.0) -> Tensor:
        """Reconstruction minus ``beta`` times the divergences, shape (B,): the only place
        where a bound is put together."""
        return self.reconstruction - beta * (self.kl_z + self.kl_c)


class Model(nn.Module):
    """A prior, a posterior and a decoder over the same named latents.

    Args:
        spec: the cell's sizes.
        prior: p(latents), built from the posterior where it likes.
        posterior: q(latents | x).
        likelihood: ``bernoulli`` or ``gaussian``.

    Raises:
        PluginError: prior and posterior do not speak of the same latents in the same order.
    """

    def __init__(
        self, spec: Spec, prior: Prior, posterior: Posterior, likelihood: str = "bernoulli"
    ) -> None:
        super().__init__()
        self.spec, self.likelihood = spec, likelihood
        self.prior, self.posterior = prior, posterior
        self.decoder = Decoder(spec, OUTPUTS[likelihood] * spec.event_size)
        self.exact = self._probe()

    def initialise(self, scheme: Initialisation) -> None:
        """Draw the weights of all linear maps anew."""
        for module in self.modules():
            if isinstance(module, Linear):
                module.initialise(scheme)

    def joint_prior(self) -> Joint:
        """p(latents): completed by a uniform p(c) where only the posterior has a category."""
        prior: Joint = self.prior(self.posterior)
        if self.spec.categories is None or "c" in prior.names:
            return prior
        like = next(self.decoder.parameters())
        uniform = OneHotCategorical(like.new_zeros(self.spec.categories))
        return Joint(c=uniform, **prior.factors)

    def decode(self, values: Values) -> Observation:
        """p(x | latents)."""
        return observation(self.likelihood, self.decoder(values))

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> dict[str, Tensor]:
        """Outside noise for one draw of every latent: Gumbel for ``c``, normal for the rest."""
        like = next(self.decoder.parameters())
        made: dict[str, Tensor] = {}
        if self.spec.categories is not None:
            made["c"] = gumbel_noise((*shape, self.spec.categories), generator, like)
        for name in self.spec.latents:
            size = (*shape, self.spec.latent_dim)
            made[name] = torch.randn(
                size, generator=generator, device=like.device, dtype=like.dtype
            )
        return made

    def terms(
        self,
        x: Tensor,
        noise: Values,
        temperature: Tensor | float | None = None,
        prior: Joint | None = None,
    ) -> Terms:
        """The terms at one draw (z, c) a datum.

        With ``temperature`` None the category is drawn exactly and the terms make a stochastic
        lower bound (MATHS 2.2a). With a temperature it is relaxed: the training objective of
        MATHS 2.1, which is **not** a bound and is never reported.

        Args:
            x: data, shape (B, P).
            noise: outside noise by name, as ``noise((B,), ...)`` makes it.
            temperature: of the Gumbel-Softmax.
            prior: ``joint_prior()``, where the caller has it already.
        """
        prior = self.joint_prior() if prior is None else prior
        q = self.posterior(x)
        draw, at = q.transform(noise, temperature)
        kl: dict[str, Tensor] = {}
        for name in q.names:
            if name == "c" or name in self.exact:
                kl[name] = expected_kl(name, q, prior)
            else:
                kl[name] = divergence(at[name], prior.given(name, draw), draw[name])
        return Terms(self.decode(draw).log_prob(x), kl)

    def _probe(self) -> frozenset[str]:
        """Check that both sides agree; find the latents whose divergence is exact over c.

        These are the factors that depend on nothing but the category, on both sides, and whose
        divergence has a closed form: it is then averaged over all K categories, not sampled.
        """
        with torch.no_grad():
            like = next(self.decoder.parameters())
            q = self.posterior(like.new_zeros(2, self.spec.event_size))
            prior = self.joint_prior()
            expected = (*(["c"] if self.spec.categories is not None else []), *self.spec.latents)
            for side, joint in (("posterior", q), ("prior", prior)):
                if joint.names != expected:
                    raise PluginError(
                        f"{side} {type(getattr(self, side)).__name__} must return a Joint over "
                        f"{', '.join(expected)} in that order, got {', '.join(joint.names)}"
                    )
            draw, _ = q.transform(self.noise((2,), torch.Generator(like.device)))
            exact = set()
            for name in self.spec.latents:
                readers = Recorder(draw), Recorder(draw)
                factors = q.given(name, readers[0]), prior.given(name, readers[1])
                parents = readers[0].read | readers[1].read
                if parents <= {"c"} and closed_form_kl(*factors) is not None:
                    exact.add(name)
        return frozenset(exact)


def divergence(q: Distribution, p: Distribution, value: Tensor) -> Tensor:
    """KL(q || p) where it has a closed form, else log q - log p at the draw ``value``."""
    closed = closed_form_kl(q, p)
    if closed is not None:
        return closed
    difference: Tensor = q.log_prob(value) - p.log_prob(value)
    return difference


def expected_kl(name: str, q: Joint, prior: Joint) -> Tensor:
    """sum_k pi_k KL(q(. | x, e_k) || p(. | e_k)), shape (B,), for a latent that is exact."""
    by_category = enumerated_kl(name, q, prior)
    if by_category.ndim == 1:
        return by_category
    pi = category_of(q).probs  # (B, K)
    return (pi.mT.to(by_category.dtype) * by_category).sum(0)


def enumerated_kl(name: str, q: Joint, prior: Joint) -> Tensor:
    """The divergence of an exact latent given every category: (K, B), or (B,) where equal."""
    values: dict[str, Tensor] = {}
    if name != "c" and "c" in q.names:
        values["c"] = enumerate_category(category_of(q))
    closed = closed_form_kl(q.given(name, values), prior.given(name, values))
    if closed is None:
        raise ValueError(f"latent {name!r} has no closed-form divergence")
    return closed


def normal_factor(q: Joint, name: str, values: Values) -> DiagNormal:
    """The posterior's factor of a continuous latent, its parents set to ``values``."""
    factor = q.given(name, values)
    if not isinstance(factor, DiagNormal):
        raise TypeError(f"posterior factor {name!r} must be a DiagNormal")
    return factor


def category_of(joint: Joint) -> OneHotCategorical:
    """The factor c of a joint whose first latent is the category."""
    factor = joint.given("c", {})
    if not isinstance(factor, OneHotCategorical):
        raise TypeError(f"factor c must be an OneHotCategorical, got {type(factor).__name__}")
    return factor


def with_category(joint: Joint, index: int) -> Joint:
    """The joint in which c is surely the category ``index``."""
    like = category_of(joint).logits
    chosen = torch.arange(len(like), device=like.device) == index
    logits = torch.zeros_like(like).masked_fill(~chosen, -torch.inf)
    return Joint(**{**joint.factors, "c": OneHotCategorical(logits)})

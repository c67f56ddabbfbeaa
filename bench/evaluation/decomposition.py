"""Where a bound's nats go: the ELBO as reconstruction, mutual informations and marginal KLs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution

from bench.config import EvaluationConfig
from bench.distributions import DiagNormal, Mixture
from bench.evaluation.aggregate import AggregatedPosterior
from bench.evaluation.numbers import standard_error
from bench.evaluation.section import Section
from bench.joint import Joint, Recorder
from bench.model import Model, category_of, divergence

__all__ = ["Decomposition", "Estimate", "decompose", "measure_decomposition"]

# I((z, c); x) this close to log N says that the data ran out, not how much the code holds.
CEILING_MARGIN = 0.1


@dataclass(frozen=True)
class Estimate:
    """A mean of independent draws with its standard error; exact where the error is 0."""

    mean: float
    se: float = 0.0


@dataclass(frozen=True)
class Decomposition:
    r"""The mean ELBO of N data as :math:`A - B_1 - B_2 - C_1 - C_2 - T_1`, in nats.

    Attributes:
        points: N, the data that define the aggregated posterior.
        draws: M, draws of (x, z, c).
        conditional: whether p(z | c) depends on c: :math:`B_1, C_1` are then within categories.
        terms: A, B1, B2, C1, C2, and T1 where there are two layers of latents.
        information_zc: I(z; c) under the aggregated posterior; 0 without categories. The paper
            takes it for zero where the prior is a product; the sum of terms does not.
        information_x: I((z, c); x), at most log N.
        latent_entropy: h(q(z)), which is not invariant to a scaling of z: never rank by it.
        mean_posterior_entropy: the mean of h(q(z | x, c)), below h(q(z)).
        gaussian_entropy: entropy of the Gaussian with q(z)'s covariance, above h(q(z)).
        elbo: of each datum, over its draws, shape (N,): its mean is the sum of the terms.

    References: Lavda et al. 2020, equations 19 and 20; MATHS 4, T7.
    """

    points: int
    draws: int
    conditional: bool
    terms: dict[str, Estimate]
    information_zc: Estimate
    information_x: Estimate
    latent_entropy: Estimate
    mean_posterior_entropy: float
    gaussian_entropy: float
    elbo: NDArray[np.float64]

    @property
    def ceiling(self) -> float:
        """log N, which no information about x can exceed."""
        return math.log(self.points)

    @property
    def at_ceiling(self) -> bool:
        """Whether I((z, c); x) is bounded by the number of points, not by the model."""
        return self.information_x.mean > self.ceiling - CEILING_MARGIN

    @property
    def total(self) -> float:
        """A - B1 - B2 - C1 - C2 - T1."""
        return self.terms["A"].mean - math.fsum(
            term.mean for name, term in self.terms.items() if name != "A"
        )


@torch.no_grad()
def decompose(
    model: Model,
    x: Tensor,
    generator: torch.Generator,
    *,
    prior: Joint | None = None,
    draws: int = 1,
    prune: float = 0.0,
) -> Decomposition:
    r"""Estimate the terms over the data ``x``, whose aggregated posterior is summed exactly.

    Each datum is drawn ``draws`` times, so the outer mean is unbiased. With a prior in which z
    depends on c, :math:`B_1 = E\log q(z|x,c)/q(z|c)` and :math:`C_1 = E\log q(z|c)/p(z|c)`; with
    a product prior q(z) and p(z) stand in their place. :math:`B_2` and :math:`C_2` are exact.
    Standard errors are those of M independent draws, a little large as data are not redrawn.

    Args:
        model: the model.
        x: the N data, shape (N, P).
        generator: noise for c and z.
        prior: ``model.joint_prior()``, where the caller has it already.
        draws: (z, c) for each datum.
        prune: see :class:`~bench.evaluation.aggregate.AggregatedPosterior`.

    References: MATHS 4.
    """
    prior = model.joint_prior() if prior is None else prior
    aggregate = AggregatedPosterior(model, x, prune)
    parts = [_draw(model, aggregate, prior, generator) for _ in range(draws)]
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}  # (M,)

    conditional = _reads_category(prior, aggregate.name, model)
    within = found["log q(z|c)"] if conditional else found["log q(z)"]
    terms = {
        "A": _estimate(found["A"]),
        "B1": _estimate(found["log q(z|x,c)"] - within),
        "B2": Estimate(0.0),
        "C1": _estimate(within - found["log p(z|c)"]),
        "C2": Estimate(0.0),
    }
    elbo = found["A"] - (found["log q(z|x,c)"] - found["log p(z|c)"])
    if "T1" in found:
        terms["T1"] = _estimate(found["T1"])
        elbo = elbo - found["T1"]
    elbo = elbo.reshape(draws, len(x)).mean(0)  # (N,)
    if aggregate.log_pi is not None:
        kl_c, b2, c2 = _categories(aggregate.log_pi, category_of(prior).logits.double())
        terms["B2"], terms["C2"] = Estimate(b2), Estimate(c2)
        elbo = elbo - kl_c
    shared = found["log q(z|c)"] - found["log q(z)"]
    about_x = _estimate(found["log q(z|x,c)"] - found["log q(z|c)"])
    mean_entropy, gaussian = aggregate.moments()
    return Decomposition(
        points=len(x),
        draws=draws * len(x),
        conditional=conditional,
        terms=terms,
        information_zc=_estimate(shared) if aggregate.categorical else Estimate(0.0),
        information_x=Estimate(about_x.mean + terms["B2"].mean, about_x.se),
        latent_entropy=_estimate(-found["log q(z)"]),
        mean_posterior_entropy=mean_entropy,
        gaussian_entropy=gaussian,
        elbo=elbo.cpu().numpy(),
    )


def measure_decomposition(
    model: Model,
    test: Tensor,
    prior: Joint,
    config: EvaluationConfig,
    nelbo: NDArray[np.float64],
) -> Section:
    """The decomposition over the first ``config.decomposition_points`` test data.

    Args:
        model: the model.
        test: the test set, shape (N', P).
        prior: ``model.joint_prior()``.
        config: the [evaluation] section.
        nelbo: the reported negative bound of each test datum, which the terms must sum to.
    """
    x = test[: config.decomposition_points]
    generator = torch.Generator(test.device).manual_seed(config.seed + 3)
    found = decompose(
        model, x, generator, prior=prior, draws=config.decomposition_samples, prune=config.prune
    )
    gap = found.elbo + nelbo[: len(x)]
    categorical = model.spec.categories is not None
    metrics: dict[str, Any] = {
        "decomposition_points": found.points,
        "I_ceiling": found.ceiling,
        "at_ceiling": found.at_ceiling,
        "decomposition_gap": float(gap.mean()),
        "decomposition_gap_se": standard_error(gap),
        "I_zc_x": found.information_x.mean,
        "I_zc_x_se": found.information_x.se,
        "latent_entropy": found.latent_entropy.mean,
        "latent_entropy_se": found.latent_entropy.se,
    }
    for name, term in found.terms.items():
        if name in ("B2", "C2"):
            metrics[name] = term.mean if categorical else None
        else:
            metrics[name], metrics[f"{name}_se"] = term.mean, term.se
    if categorical:
        metrics["I_z_c"] = found.information_zc.mean
        metrics["I_z_c_se"] = found.information_zc.se
    details = {
        **metrics,
        "split": "test",
        "draws": found.draws,
        "within_categories": found.conditional,
        "sum_of_terms": found.total,
        "mean_posterior_entropy": found.mean_posterior_entropy,
        "gaussian_entropy": found.gaussian_entropy,
    }
    return Section(metrics, details)


def _draw(
    model: Model, aggregate: AggregatedPosterior, prior: Joint, generator: torch.Generator
) -> dict[str, Tensor]:
    """One draw of every datum and its log-densities, shape (N,) float64 each."""
    top = aggregate.name
    found: dict[str, list[Tensor]] = {}
    upper: list[Tensor] = []
    chosen: list[Tensor] = []

    def keep(name: str, value: Tensor) -> None:
        found.setdefault(name, []).append(value.double())

    for block, q, values in aggregate.draw(generator):
        z = values[top].double()
        keep("log q(z|x,c)", _log_prob(q.given(top, values), z, aggregate.dtype))
        keep("log p(z|c)", _log_prob(prior.given(top, values), z, aggregate.dtype))
        lower = [name for name in model.spec.latents if name != top]
        if lower:
            parts = [
                divergence(q.given(n, values), prior.given(n, values), values[n]).double()
                for n in lower
            ]
            keep("T1", torch.stack(parts).sum(0))
        rows = aggregate.x[block].to(aggregate.dtype)
        keep("A", model.decode(values).log_prob(rows))
        upper.append(z)
        if "c" in values:
            chosen.append(values["c"])
    z, c = torch.cat(upper), torch.cat(chosen) if chosen else None
    whole, within = aggregate.log_prob(z, c)
    joined = {name: torch.cat(parts) for name, parts in found.items()}
    return {**joined, "log q(z)": whole, "log q(z|c)": within}


def _log_prob(factor: Distribution, z: Tensor, dtype: torch.dtype) -> Tensor:
    """The density at float64 values, of a float32 factor's parameters without further rounding."""
    if isinstance(factor, DiagNormal):
        loc, log_variance = factor.loc.double(), factor.log_variance.double()
        return DiagNormal.from_log_variance(loc, log_variance).log_prob(z)
    value: Tensor = factor.log_prob(z if isinstance(factor, Mixture) else z.to(dtype))
    return value.double()


def _reads_category(prior: Joint, name: str, model: Model) -> bool:
    """Whether p(z | c) depends on c at all."""
    if model.spec.categories is None:
        return False
    like = next(model.parameters())
    vertices = torch.eye(model.spec.categories, device=like.device, dtype=like.dtype)
    values = Recorder({"c": vertices})
    prior.given(name, values)
    return "c" in values.read


def _categories(log_pi: Tensor, log_p: Tensor) -> tuple[Tensor, float, float]:
    """KL(q(c | x_i) || p(c)) of each datum, and its mean's parts B2 = I(c; x) and C2."""
    pi = log_pi.exp()
    own = torch.special.entr(pi).sum(-1)  # (N,)
    q = pi.mean(0)
    kl = -own - pi @ log_p
    entropy = float(torch.special.entr(q).sum())
    return kl, entropy - float(own.mean()), -entropy - float(q @ log_p)


def _estimate(values: Tensor) -> Estimate:
    return Estimate(float(values.mean()), standard_error(values.cpu().numpy()))

"""The prior's density is one: it integrates to one, in one dimension and in many."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.bounds import log_weight
from bench.joint import DiagNormal, Draw, Factor, Joint, OneHotCategorical
from bench.testing.factors import conditionals, grid
from bench.testing.finding import Breach
from bench.testing.subject import Subject, rows, seeded

BRIDGE_DRAWS = 20_000
FULL = {"event_shape": (28, 28), "hidden": 300}
FULL_DRAWS = 1500
TELLING = 0.3  # nats: an error of log Z above which a bridge tells nothing


@torch.no_grad()
def check_integral(subject: Subject) -> None:
    """Each factor of the prior integrates to one, by quadrature at D = 1."""
    prior = subject.model(subject.spec(latent_dim=1)).joint_prior()
    for factor in conditionals(prior):
        cells = grid(factor.draws)
        total = float(cells.integrate(factor.log_prob(cells.nodes)).sum())
        if not abs(total - 1.0) <= 2e-3:
            raise Breach(
                f"the density of {factor.label} to integrate to 1 (quadrature, D = 1)",
                f"{total:.4f}",
            )


@torch.no_grad()
def check_bridge(subject: Subject) -> str | None:
    """The joint density and the sampler belong together, over all latents at once."""
    prior = subject.model().joint_prior()
    own = prior.sample((BRIDGE_DRAWS,), seeded())
    wide: dict[str, Factor] = {}
    for name, value in own.items():
        if name == "c":
            wide[name] = OneHotCategorical(value.new_zeros(value.shape[-1]))
        else:
            wide[name] = DiagNormal(value.mean(0), 1.5 * value.std(0))
    proposal = Joint(**wide)

    def log_ratio(draw: Draw) -> Tensor:
        return prior.log_prob(draw).double() - proposal.log_prob(draw).double()

    other = proposal.sample((BRIDGE_DRAWS,), seeded(1))
    return check_ratio(log_ratio(own), log_ratio(other), "the prior's density")


@torch.no_grad()
def check_dead_decoder(subject: Subject) -> str | None:
    """With a decoder that ignores its latents, w = p(x) p(z, c) / q(z, c | x) averages p(x).

    At D = 40, and where q and p overlap too little for an answer there, at D = 8 too.
    """
    notes = []
    for dimensions in (40, 8):
        note = _dead_decoder(subject, dimensions)
        if note is None:
            break
        notes.append(f"D = {dimensions}: {note}")
    return "; ".join(notes) or None


def _dead_decoder(subject: Subject, dimensions: int) -> str | None:
    size = 150 if subject.full else 10
    spec = subject.spec(**FULL, latent_dim=dimensions, components=size, categories=size)
    model = subject.model(spec, moved=0.0)
    model.decoder.out.weight.zero_()
    model.decoder.out.bias.copy_(torch.linspace(-1.0, 1.0, spec.event_size))
    x = rows(1, spec.event_size)
    prior, q = model.joint_prior(), model.posterior(x)
    draws = q.sample((FULL_DRAWS,), seeded())  # (S, 1, D)
    log_p = model.decode(draws).log_prob(x).double()  # the same at every draw
    own = prior.sample((FULL_DRAWS, 1), seeded(1))

    def log_ratio(values: Draw) -> Tensor:
        return (log_weight(model, x, q, prior, values) - log_p[0]).squeeze(1)

    what = f"E[w] / p(x) with a dead decoder (T21) at D = {dimensions}"
    return check_ratio(log_ratio(own), log_ratio(draws), what)


def check_ratio(own: Tensor, other: Tensor, what: str) -> str | None:
    r"""Bridge sampling: whether :math:`Z = \int \tilde p` is one, from draws of p and of g.

    Plain importance weights :math:`\tilde p / g` have an infinite variance for many pairs, and
    then no error can be trusted. Here as many draws come from p as from g, a defensive mixture
    (MATHS 3), and the weights :math:`\tilde p / (\tilde p / 2 + g / 2)` lie in [0, 2]. They
    average one where Z is one and the draws are of p; the Z that would make them average one is
    the estimate that is reported (Bennett 1976; Meng and Wong 1996).

    Args:
        own: log p - log g at draws of p, shape (N,).
        other: log p - log g at draws of g, shape (N,).
        what: the integral, for the message.

    Raises:
        Breach: Z is not one.
    """
    if not bool((own > -math.inf).all()) or bool(other.isnan().any()):
        raise Breach("finite log-densities at the prior's own draws", "NaN or -infinity")
    halves = own.sigmoid(), other.sigmoid()  # p / (p + g), half of the weight
    mean = sum(float(half.mean()) for half in halves)
    error = math.sqrt(sum(float(half.var()) / len(half) for half in halves))
    log_z, log_z_error = _bennett(own, other)
    if abs(mean - 1.0) > 5.0 * error + 1e-6:
        raise Breach(
            f"{what} to be 1, hence weights p / (p/2 + g/2) that average 1",
            f"weights that average {mean:.4f} ± {error:.4f}, as if it were "
            f"{math.exp(min(log_z, 700.0)):.4g}",
        )
    if log_z_error > TELLING:
        return f"overlap too small to tell: log Z is known to ± {log_z_error:.2g} only"
    return None


def _bennett(own: Tensor, other: Tensor) -> tuple[float, float]:
    """The log Z at which the weights average one, and its standard error."""
    low, high = -200.0, 200.0
    for _ in range(60):
        middle = (low + high) / 2.0
        excess = float((own - middle).sigmoid().mean() + (other - middle).sigmoid().mean()) - 1.0
        low, high = (middle, high) if excess > 0.0 else (low, middle)
    parts = [(half - low).sigmoid() for half in (own, other)]
    slope = sum(float((part * (1.0 - part)).mean()) for part in parts)
    error = math.sqrt(sum(float(part.var()) / len(part) for part in parts))
    return low, error / slope if slope > 0.0 else math.inf

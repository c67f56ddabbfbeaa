"""The bounds are bounds: shapes, closed forms, and ELBO <= importance-weighted <= log p(x)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from bench.bounds import elbo_enumerated, importance_log_likelihood, log_weight
from bench.distributions import closed_form_kl
from bench.joint import Draw, Joint
from bench.model import Model
from bench.testing.factors import Grid, grid
from bench.testing.finding import Breach
from bench.testing.subject import ROWS, Subject, check_mean, rows, seeded

ELBO_DRAWS, IMPORTANCE_DRAWS, IMPORTANCE_SAMPLES = 3000, 400, 10
KL_DRAWS = 4000


def check_builds(subject: Subject) -> None:
    """The pair makes a model over the declared latents, of finite numbers."""
    model = subject.model(moved=0.0)
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise Breach(f"finite numbers in {name} at the start", "NaN or infinity")


@torch.no_grad()
def check_shapes(subject: Subject) -> None:
    """Draws and densities of both sides have the shapes that the harness asks for."""
    model = subject.model()
    for side, joint, batch in (
        ("prior", model.joint_prior(), ()),
        ("posterior", model.posterior(rows()), (ROWS,)),
    ):
        for sample_shape in ((), (5,), (7, 6)):
            shape = (*sample_shape, *batch)
            draw = joint.sample(sample_shape, seeded())
            for name, value in draw.items():
                size = model.spec.categories if name == "c" else model.spec.latent_dim
                _check_shape(value, (*shape, size), f"{side} draws of {name}", sample_shape)
            if batch or sample_shape:
                density = joint.log_prob(draw)
                _check_shape(density, shape, f"the {side}'s log_prob", sample_shape)
    terms = model.terms(rows(), model.noise((ROWS,), seeded()))
    for name, value in (("reconstruction", terms.reconstruction), *terms.kl.items()):
        _check_shape(value, (ROWS,), f"the bound's term {name} for {ROWS} data", ())


def _check_shape(value: Tensor, shape: tuple[int | None, ...], what: str, sample: object) -> None:
    if value.shape != shape:
        asked = f" (sample_shape {sample})" if sample else ""
        raise Breach(f"{what} of shape {shape}{asked}", f"{tuple(value.shape)}")
    if not bool(value.isfinite().all()):
        raise Breach(f"{what} to be finite", "NaN or infinity")


@torch.no_grad()
def check_agreement(subject: Subject) -> None:
    """The hard bound and the one with categories enumerated estimate the same."""
    model = subject.model()
    x = rows(1).expand(4000, -1)
    hard = model.terms(x, model.noise((len(x),), seeded())).elbo().double()
    exact = elbo_enumerated(model, x, seeded(1)).elbo()
    error = math.sqrt(float(hard.var() + exact.var()) / len(x))
    check_mean(float(hard.mean()), float(exact.mean()), error, "a hard bound of", slack=1e-4)


@torch.no_grad()
def check_divergence(subject: Subject) -> None:
    """Closed forms: the mean of log q - log p at draws from q, for each latent that has one."""
    model = subject.model()
    q, prior = model.posterior(rows()), model.joint_prior()
    draw = q.sample((KL_DRAWS,), seeded())  # (S, B, D)
    for name in q.names:
        q_factor, p_factor = q.given(name, draw), prior.given(name, draw)
        exact = closed_form_kl(q_factor, p_factor)
        if exact is None:
            continue
        at = q_factor.log_prob(draw[name]).double() - p_factor.log_prob(draw[name]).double()
        exact = exact.double().expand(at.shape)
        # Given a draw of its parents, the closed form is the mean of the difference.
        error = (at - exact).std(0) / math.sqrt(KL_DRAWS)
        for b in range(ROWS):
            check_mean(
                float(at[:, b].mean()),
                float(exact[:, b].mean()),
                float(error[b]),
                f"log q - log p of {name} to average its closed form",
                slack=1e-4,
            )


@torch.no_grad()
def check_evidence(subject: Subject) -> str | None:
    """ELBO <= importance-weighted bound <= log p(x), which quadrature gives at D = 1.

    What is averaged are logarithms of weights, whose variance is finite where that of the weights
    is not: these errors can be trusted.
    """
    if len(subject.prior.latents) > 2:
        return "not made: quadrature is for one or two continuous latents"
    model = subject.model(subject.spec(latent_dim=1))
    x = rows(2)
    log_p, bound = evidence(model, x)
    elbo = elbo_enumerated(model, x.repeat(ELBO_DRAWS, 1), seeded()).elbo()
    importance = importance_log_likelihood(
        model, x.repeat(IMPORTANCE_DRAWS, 1), IMPORTANCE_SAMPLES, seeded(1)
    )
    for b in range(len(x)):
        sampled, weighted = elbo.reshape(-1, len(x))[:, b], importance.reshape(-1, len(x))[:, b]
        mean, error = float(sampled.mean()), float(sampled.std()) / math.sqrt(len(sampled))
        check_mean(mean, float(bound[b]), error, "an ELBO equal to its quadrature", slack=1e-3)
        tight, spread = float(weighted.mean()), float(weighted.std()) / math.sqrt(len(weighted))
        if not mean - 5.0 * error - 1e-3 <= tight <= float(log_p[b]) + 5.0 * spread + 1e-3:
            raise Breach(
                f"ELBO {mean:.4f} <= importance-weighted bound <= log p(x) {float(log_p[b]):.4f}",
                f"a bound of {tight:.4f} ± {spread:.4f}",
            )
    return None


def evidence(model: Model, x: Tensor) -> tuple[Tensor, Tensor]:
    """log p(x) and the ELBO by quadrature over one or two latents of one dimension, (B,) each."""
    q, prior = model.posterior(x), model.joint_prior()
    values, log_weights = _lattice(model, q, prior)
    ratio = log_weight(model, x, q, prior, values)  # log p(x, v) - log q(v | x), (M, B)
    log_q = q.log_prob(values).double() + log_weights
    total = float(log_q.exp().sum(0).sub(1.0).abs().max())
    if not total <= 5e-3:
        raise Breach("a posterior density that integrates to 1", f"1 ± {total:.4f}")
    log_p = torch.logsumexp(ratio + log_q, dim=0)
    return log_p, (log_q.exp() * ratio.nan_to_num(0.0, 0.0, 0.0)).sum(0)


def _lattice(model: Model, q: Joint, prior: Joint) -> tuple[Draw, Tensor]:
    """All latents at the nodes of a quadrature, (M, 1, D) each, and its log-weights (M, 1)."""
    draws = [joint.sample((2000,), seeded(8)) for joint in (q, prior)]
    latents = model.spec.latents
    sizes = {"quantiles": 100, "uniform": 100, "order": 4}
    if len(latents) > 1:
        sizes = {"quantiles": 24, "uniform": 30, "order": 4}
    axes: list[Grid] = [
        grid(torch.cat([draw[name].reshape(-1) for draw in draws]), tails=6, **sizes)
        for name in latents
    ]
    indices = np.meshgrid(*(np.arange(axis.points.size) for axis in axes), indexing="ij")
    values, log_weights = Draw(), torch.zeros(indices[0].size, dtype=torch.float64)
    for name, axis, index in zip(latents, axes, indices, strict=True):
        values[name] = axis.nodes[index.reshape(-1)].unsqueeze(1)  # (M, 1, 1)
        log_weights += torch.from_numpy(axis.weights.reshape(-1)[index.reshape(-1)]).log()
    if model.spec.categories is not None:
        size = model.spec.categories
        points = len(log_weights)
        values = Draw({name: value.repeat(size, 1, 1) for name, value in values.items()})
        values["c"] = torch.eye(size).repeat_interleave(points, 0).unsqueeze(1)
        log_weights = log_weights.repeat(size)
    return values, log_weights.unsqueeze(1)

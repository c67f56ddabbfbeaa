"""What a plugin must pass. ``bench check`` runs it; so may a third party's own tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bench.bounds import elbo_enumerated
from bench.data.base import Dataset
from bench.data.loading import load_dataset
from bench.joint import DiagNormal, Factor, Joint, OneHotCategorical
from bench.model import Model
from bench.pairs import pair_up
from bench.registry import Registry
from bench.spec import Spec
from bench.training import objective

SPEC = Spec(latent_dim=2, event_shape=(6,), components=3, hidden=8)
CATEGORIES = 3
ROWS = 4
INTEGRATION_DRAWS = 20_000


@dataclass(frozen=True)
class Finding:
    """One check: its name, whether it passed, and if not what was expected and found."""

    name: str
    passed: bool
    detail: str = ""


def check_model_plugin(kind: str, name: str, registry: Registry) -> list[Finding]:
    """Check a prior against every posterior that it goes with, or a posterior against priors."""
    other = "posterior" if kind == "prior" else "prior"
    findings: list[Finding] = []
    for partner in registry.names(other, load=True):
        prior_name, posterior_name = (name, partner) if kind == "prior" else (partner, name)
        prior, posterior = (
            registry.get("prior", prior_name),
            registry.get("posterior", posterior_name),
        )
        if pair_up(prior, posterior, {}).reason:
            continue

        def make(prior_name: str = prior_name, posterior_name: str = posterior_name) -> Model:
            return small_model(registry, prior_name, posterior_name)

        findings += [_try(f"{prior_name} x {posterior_name}: {n}", c) for n, c in _checks(make)]
    if not findings:
        findings.append(Finding("pairs", False, f"no {other} goes with {kind} {name!r}"))
    return findings


def small_model(registry: Registry, prior_name: str, posterior_name: str) -> Model:
    """The pair at sizes where everything can be checked in well under a second."""
    prior = registry.load("prior", prior_name)
    posterior = registry.load("posterior", posterior_name)
    categories = CATEGORIES if posterior.categorical else None
    spec = replace(SPEC, categories=categories, latents=prior.latents)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Model(spec, prior(spec), posterior(spec))


def _checks(make: Callable[[], Model]) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "latents and shapes", lambda: _shapes(make())
    yield "prior density integrates to one and is the one sampled", lambda: _normalised(make())
    yield "every learned parameter gets a gradient", lambda: _gradients(make())
    yield "hard and enumerated bounds agree", lambda: _agreement(make())
    yield "state dict round trip", lambda: _round_trip(make)
    yield "global random state untouched", lambda: _random_state(make())


def _try(name: str, check: Callable[[], str]) -> Finding:
    try:
        detail = check()
    except Exception as error:  # a plugin may raise anything; the other checks go on
        return Finding(name, False, f"{type(error).__name__}: {error}")
    return Finding(name, not detail, detail)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _data() -> torch.Tensor:
    return torch.rand(ROWS, *SPEC.event_shape, generator=_generator()).round()


def _shapes(model: Model) -> str:
    draw = model.joint_prior().sample((5,), _generator())
    size = model.spec.latent_dim
    for name in model.spec.latents:
        if draw[name].shape != (5, size):
            return (
                f"a prior draw of {name}: expected shape (5, {size}), got {tuple(draw[name].shape)}"
            )
    density = model.joint_prior().log_prob(draw)
    if density.shape != (5,) or not bool(density.isfinite().all()):
        return f"log_prob of 5 prior draws: expected 5 finite numbers, got {density}"
    return ""


def _normalised(model: Model) -> str:
    r"""Integrate the prior's density by importance sampling with bounded weights.

    Draws come half from the prior's own sampler and half from a wide normal g fitted to them.
    If :math:`\int p = 1` and the sampler is that density's, then :math:`p / (p/2 + g/2)`
    averages one over these draws; it lies in [0, 2], so the error can be trusted. An unnormalised
    density (an average of log-densities) and a sampler of something else both move it.
    """
    prior = model.joint_prior()
    with torch.no_grad():
        own = prior.sample((INTEGRATION_DRAWS,), _generator())
        wide: dict[str, Factor] = {}
        for name, value in own.items():
            if name == "c":
                wide[name] = OneHotCategorical(value.new_zeros(value.shape[-1]))
            else:
                wide[name] = DiagNormal(value.mean(0), 1.5 * value.std(0))
        proposal = Joint(**wide)
        other = proposal.sample((INTEGRATION_DRAWS,), _generator().manual_seed(1))
        halves = []
        for draw in (own, other):
            p, g = prior.log_prob(draw).double(), proposal.log_prob(draw).double()
            halves.append((p - torch.logaddexp(p, g) + math.log(2.0)).exp())
    mean = float(torch.cat(halves).mean())
    error = math.sqrt(sum(float(half.var()) for half in halves) / (4 * INTEGRATION_DRAWS))
    if abs(mean - 1.0) > 5.0 * error + 1e-6:
        return f"expected an integral of 1, found {mean:.4f} ± {error:.4f}"
    return ""


def _gradients(model: Model) -> str:
    noise = model.noise((ROWS,), _generator())
    objective(model, _data(), noise, 0.5, 0.7).backward()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.grad is None or not bool(parameter.grad.abs().sum() > 0):
            return f"parameter {name} gets no gradient: it would never be learned"
    return ""


def _agreement(model: Model) -> str:
    x = _data()[:1].expand(4000, -1)
    with torch.no_grad():
        hard = model.terms(x, model.noise((len(x),), _generator())).elbo().double()
        exact = elbo_enumerated(model, x, _generator().manual_seed(1)).elbo()
    gap = float(hard.mean() - exact.mean())
    error = math.sqrt(float(hard.var() + exact.var()) / len(x))
    if abs(gap) > 5.0 * error + 1e-4:
        return f"expected equal means, found a difference of {gap:.4f} ± {error:.4f} nats"
    return ""


def _round_trip(make: Callable[[], Model]) -> str:
    first, second = make(), make()
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(0.01)
    second.load_state_dict(first.state_dict())
    noise = first.noise((ROWS,), _generator())
    with torch.no_grad():
        a, b = first.terms(_data(), noise).elbo(), second.terms(_data(), noise).elbo()
    return "" if torch.equal(a, b) else f"after loading, expected bounds {a}, found {b}"


def _random_state(model: Model) -> str:
    before = torch.get_rng_state()
    model.terms(_data(), model.noise((ROWS,), _generator()))
    model.joint_prior().sample((3,), _generator())
    same = torch.equal(before, torch.get_rng_state())
    return "" if same else "forward drew from torch's global generator; use the noise it is given"


def check_dataset(dataset: Dataset, roots: Sequence[Path]) -> list[Finding]:
    """Check a dataset: it loads, its arrays are sound, its fingerprint is stable."""
    findings = [_try("loads, with sound arrays", lambda: _loads(dataset, roots))]
    if findings[0].passed:
        findings.append(_try("fingerprint is stable", lambda: _stable(dataset, roots)))
    return findings


def _loads(dataset: Dataset, roots: Sequence[Path]) -> str:
    load_dataset(dataset, roots)
    return ""


def _stable(dataset: Dataset, roots: Sequence[Path]) -> str:
    first, second = (load_dataset(dataset, roots).fingerprint for _ in range(2))
    return "" if first == second else f"expected {first} again, found {second}"

"""The checks that a value must pass on every path: training, validation, evaluation, test.

Each takes a case and fails with an AssertionError, so that a planted fault can be shown to fail
all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bench.bounds import elbo_enumerated, importance_log_likelihood, log_weight
from bench.engine.population import Population, objective
from bench.model import Model, Terms
from bench.training import validation_bound
from maths.cases import Case
from maths.cells import copies

EXACT = 1e-6
SIGMAS = 4.0
DRAWS = 20_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def close(value: float, reference: float, what: str, tolerance: float = EXACT) -> None:
    assert abs(value - reference) <= tolerance, f"{what} is {value:.10f}, not {reference:.10f}"


def within(values: Tensor, reference: float, what: str, reference_error: float = 0.0) -> None:
    """The mean of independent values is the reference up to 4 standard errors."""
    values = values.detach().double()
    error = float(values.std() / math.sqrt(len(values)))
    allowed = SIGMAS * math.hypot(error, reference_error) + EXACT
    close(float(values.mean()), reference, what, allowed)


def nodes(model: Model) -> tuple[dict[str, Tensor], Tensor]:
    """Normal noise on a grid with its weights: expectations without draws.

    The trapezoid rule, which for these integrands converges faster than any power of its step;
    Gauss and Hermite's does not, where a mixture's log-density has poles near the real line.
    """
    size = len(model.spec.latents) * model.spec.latent_dim
    # Weights p/q are large far out, where a posterior is narrower than its prior.
    reach, step = (24.0, 0.02) if size == 1 else (9.0, 0.1)
    points = torch.arange(-reach, reach + step, step, dtype=torch.float64)
    weights = step * (-0.5 * points.square()).exp() / math.sqrt(2 * math.pi)
    grid = torch.cartesian_prod(*[points] * size).reshape(-1, size)
    weight = torch.cartesian_prod(*[weights] * size).reshape(-1, size).prod(-1)
    noise = dict(zip(model.spec.latents, grid.split(model.spec.latent_dim, dim=1), strict=True))
    return noise, weight


def vertices(model: Model, x: Tensor, noise: dict[str, Tensor]) -> Iterator[float]:
    """q(c_k | x) of each category in turn, with noise set so that it is the one drawn."""
    size = model.spec.categories
    if size is None:
        yield 1.0
        return
    pi = model.posterior(x[:1]).given("c", {}).mean[0]
    for k in range(size):
        noise["c"] = 1e6 * torch.eye(size, dtype=torch.float64)[k].expand(len(x), -1)
        yield float(pi[k])


def expectations(case: Case) -> dict[str, float]:
    """E of every term over exact draws (z, c), by quadrature through ``model.terms``."""
    noise, weight = nodes(case.model)
    x = copies(case.x, len(weight))
    totals: dict[str, float] = {}
    with torch.no_grad():
        for share in vertices(case.model, x, noise):
            for name, value in named(case.model.terms(x, noise)).items():
                totals[name] = totals.get(name, 0.0) + share * float(weight @ value)
    return totals


def named(terms: Terms) -> dict[str, Tensor]:
    """A bound's terms by the names that MATHS gives them."""
    parts = {"elbo": terms.elbo(), "reconstruction": terms.reconstruction}
    return {**parts, "kl_z": terms.kl_z, "kl_c": terms.kl_c, **terms.kl}


def check_terms(case: Case) -> None:
    found = expectations(case)
    for name, reference in {"elbo": case.elbo, **case.terms}.items():
        close(found[name], reference, name)


def check_objective(case: Case) -> None:
    """What is minimised, at a temperature at which the relaxed draw is a vertex."""
    x = copies(case.x, DRAWS)
    model = case.model
    noise = model.noise((DRAWS,), generator(1))
    values = -torch.func.vmap(
        lambda *parts: objective(
            model,
            parts[0].unsqueeze(0),
            {n: p.unsqueeze(0) for n, p in zip(noise, parts[1:], strict=True)},
            1.0,
            1e-5,
        )
    )(x, *noise.values())
    within(values, case.elbo, "minus the objective")


def check_validation(case: Case) -> None:
    noise = case.model.noise((DRAWS,), generator(2))
    population = Population([case.model])
    (mean,), (error,) = validation_bound(population, copies(case.x, DRAWS), noise)
    close(mean, case.elbo, "the validation bound", SIGMAS * error + EXACT)


def check_enumerated(case: Case) -> None:
    terms = elbo_enumerated(case.model, copies(case.x, DRAWS), generator(3))
    for name, value in named(terms).items():
        references = {"elbo": case.elbo, **case.terms}
        if name in references:
            within(value, references[name], f"enumerated {name}")


def check_importance(case: Case) -> None:
    """L_1 is the ELBO; larger S where MATHS gives the value."""
    for samples, (reference, error) in {1: (case.elbo, 0.0), **case.importance}.items():
        x = copies(case.x, DRAWS)
        values = importance_log_likelihood(case.model, x, samples, generator(4))
        within(values, reference, f"L_{samples}", error)


def check_evidence(case: Case) -> None:
    """E_q[w] = p(x), by quadrature over q: no bound, no draws, every density normalised."""
    noise, weight = nodes(case.model)
    model, x = case.model, copies(case.x, len(weight))
    total = 0.0
    with torch.no_grad():
        q, prior = model.posterior(x), model.joint_prior()
        for share in vertices(model, x, noise):
            values, _ = q.transform(noise)
            total += share * float(weight @ log_weight(model, x, q, prior, values).exp())
    close(math.log(total), case.log_p, "log E[w]")


PATHS: dict[str, Callable[[Case], None]] = {
    "terms": check_terms,
    "objective": check_objective,
    "validation": check_validation,
    "enumerated": check_enumerated,
    "importance": check_importance,
    "evidence": check_evidence,
}

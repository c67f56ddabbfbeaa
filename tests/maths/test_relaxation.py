"""T5, T6 and T18: the relaxed objective is not a bound, and how far it is from one."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import Tensor

from bench.bounds import elbo_enumerated, importance_log_likelihood
from bench.distributions import gumbel_noise
from bench.engine.population import objective
from bench.joint import DiagNormal, Joint, OneHotCategorical
from bench.model import Model
from bench.posteriors.independent import Independent
from bench.posteriors.joint import JointPosterior
from bench.priors.standard import Standard
from bench.spec import Spec
from maths.cases import case
from maths.cells import Affine, Fixed, assemble, copies, set_head, tensor
from maths.paths import close, generator, nodes, within

LOG_P, RELAXED = -0.7257913526, -0.3924580193
X = 0.5


def counterexample(posterior: type) -> Model:
    """K = 2, uniform q(c | x), a decoder N(c_1, .5^2) that the relaxed draw can use, x = 1/2."""
    spec = Spec(1, (1,), categories=2, hidden=2, bounds=None)
    several = posterior is JointPosterior
    q = set_head(
        posterior(spec),
        (0.5, 0.5),
        [[0.0]] * 2 if several else [0.0],
        [[1.0]] * 2 if several else [1.0],
    )
    decoder = Affine({"z": [[0.0]], "c": [[1.0, 0.0]]}, [0.0], std=0.5)
    return assemble(spec, Standard(spec), q, decoder)


@pytest.mark.parametrize("posterior", [Independent, JointPosterior])
def test_t5_relaxed_terms_exceed_the_evidence(posterior: type) -> None:
    model, x = counterexample(posterior), copies([X], 40_000)
    noise = model.noise((len(x),), generator())
    relaxed = model.terms(x, noise, temperature=1.0).elbo().detach()
    within(relaxed, RELAXED, "the relaxed terms")
    assert float(relaxed.mean()) > LOG_P + 0.3
    loss = float(objective(model, x, noise, 1.0, 1.0).detach())
    close(loss, -float(relaxed.mean()), "the objective")


@pytest.mark.parametrize("posterior", [Independent, JointPosterior])
def test_t5_valid_bounds_do_not(posterior: type) -> None:
    model, x = counterexample(posterior), copies([X], 50)
    hard = model.terms(x, model.noise((50,), generator())).elbo()
    exact = elbo_enumerated(model, x, generator()).elbo()
    weighted = importance_log_likelihood(model, x, 3, generator())
    for bound in (hard, exact, weighted):
        assert torch.allclose(bound.detach(), tensor(LOG_P).expand(50), atol=1e-9)


@pytest.mark.parametrize(
    ("temperature", "mean"), [(1.0, 0.7172025062), (0.5, 0.7685593078), (0.1, 0.7984374632)]
)
def test_t6_mean_of_the_relaxed_draw(temperature: float, mean: float) -> None:
    category = OneHotCategorical(tensor((0.8, 0.2)).log())
    # The difference of two Gumbels is logistic: its quantiles make the expectation a sum.
    u = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    noise = torch.stack([torch.logit(u), torch.zeros_like(u)], dim=1)
    close(float(category.relax(noise, temperature)[:, 0].mean()), mean, "E[c_1]")
    drawn = gumbel_noise((100_000, 2), generator(), category.logits)
    soft = category.relax(drawn, temperature)
    within(soft[:, 0], mean, "the mean of draws")
    within((soft.argmax(-1) == 0).double(), 0.8, "P(argmax = 1)")
    assert torch.equal(soft.argmax(-1), category.transform(drawn).argmax(-1))


def test_t6_uniform_at_temperature_one() -> None:
    category = OneHotCategorical(torch.zeros(2, dtype=torch.float64))
    draws = category.relax(gumbel_noise((20_000, 2), generator(5), category.logits), 1.0)[:, 0]
    assert stats.kstest(draws.numpy(), "uniform").pvalue > 1e-3


def test_draws_are_one_hot_with_the_right_frequencies() -> None:
    pi = (0.1, 0.6, 0.3)
    draws = OneHotCategorical(tensor(pi).log()).sample((40_000,), generator())
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(draws.sum(-1), torch.ones(40_000, dtype=torch.float64))
    for k, p in enumerate(pi):
        within(draws[:, k], p, f"the frequency of {k}")


def t18_with_linear_scales() -> Model:
    """T18's posterior as MATHS relaxes it: means and standard deviations linear in c.

    The shipped head is linear in the log-variance instead, which agrees at the vertices only.
    """
    spec = case("t18").model.spec
    loc, scale = tensor([[-0.2], [0.9]]), tensor([[0.6], [0.8]])

    def make(x: Tensor) -> Joint:
        logits = tensor((0.35, 0.65)).log().expand(len(x), 2)
        given = OneHotCategorical(logits)
        return Joint(c=given, z=lambda v: DiagNormal(v["c"] @ loc, v["c"] @ scale))

    shipped = case("t18").model
    return assemble(spec, shipped.prior, Fixed(spec, make), shipped.decoder, "bernoulli")


def relaxed_expectation(model: Model, temperature: float) -> float:
    """E over z and c of the relaxed terms: a grid over z times quantiles of Gumbel differences."""
    noise, weight = nodes(model)
    some = slice(350, -350, 5)
    z, weight = noise["z"][some], 5.0 * weight[some]
    count = 2000
    u = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    gumbels = torch.stack([torch.logit(u), torch.zeros_like(u)], dim=1).repeat(len(z), 1)
    rows = {"z": z.repeat_interleave(count, 0), "c": gumbels}
    with torch.no_grad():
        values = model.terms(copies(case("t18").x, len(gumbels)), rows, temperature).elbo()
    return float(weight.repeat_interleave(count) @ values) / count


@pytest.mark.parametrize(
    ("temperature", "value"), [(1.0, -1.6766954), (0.5, -1.6824168), (0.1, -1.6969918)]
)
def test_t18_relaxed_terms_are_optimistic(temperature: float, value: float) -> None:
    close(relaxed_expectation(t18_with_linear_scales(), temperature), value, "the relaxed terms")
    assert relaxed_expectation(case("t18").model, temperature) > case("t18").elbo + 0.005

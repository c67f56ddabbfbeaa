"""Every registered pair: gradients, unbiasedness, the order of the bounds, replicas."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from bench.bounds import elbo_enumerated, importance_log_likelihood, log_weights
from bench.distributions import DiagNormal, Mixture
from bench.engine.population import objective
from bench.errors import PluginError
from bench.joint import Joint, OneHotCategorical
from bench.model import Model, Terms
from bench.plugin import Posterior, Prior
from pairs import PAIRS, REGISTRY, build, data, each_pair, seeded, spec_of


@each_pair
def test_every_learned_parameter_gets_a_gradient(prior: str, posterior: str) -> None:
    model = build(prior, posterior)
    x = data(8)
    objective(model, x, model.noise((8,), seeded()), 0.7, 0.6).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@each_pair
def test_hard_and_enumerated_bounds_agree(prior: str, posterior: str) -> None:
    model, count = build(prior, posterior), 8000
    x = data(1).expand(count, -1)
    with torch.no_grad():
        hard = model.terms(x, model.noise((count,), seeded(1)))
        exact = elbo_enumerated(model, x, seeded(2))
    for first, second in (
        (hard.elbo(), exact.elbo()),
        (hard.reconstruction, exact.reconstruction),
        (hard.kl_z, exact.kl_z),
        (hard.kl_c, exact.kl_c),
    ):
        error = math.sqrt(float(first.var() + second.var()) / count)
        assert float(first.mean()) == pytest.approx(float(second.mean()), abs=4 * error + 1e-9)


@each_pair
def test_divergences_are_not_negative_on_average(prior: str, posterior: str) -> None:
    model = build(prior, posterior)
    terms = elbo_enumerated(model, data(1).expand(4000, -1), seeded())
    for name, value in terms.kl.items():
        assert float(value.mean()) > -4 * float(value.std()) / 4000**0.5 - 1e-9, name


@each_pair
def test_bounds_are_in_order(prior: str, posterior: str) -> None:
    """For one pool of weights smaller groups give lower bounds, exactly; S = 1 is the ELBO."""
    model = build(prior, posterior)
    x = data(2)
    with torch.no_grad():
        weights = torch.cat(list(log_weights(model, x, 4096, seeded(), chunk=1000)))  # (S, B)
    assert weights.shape == (4096, 2)
    assert weights.dtype == torch.float64
    bounds = [
        (weights.reshape(-1, size, 2).logsumexp(1) - math.log(size)).mean(0)
        for size in (1, 4, 64, 4096)
    ]
    for lower, upper in itertools.pairwise(bounds):
        assert (lower <= upper + 1e-12).all()
    exact = elbo_enumerated(model, x.repeat_interleave(2048, 0), seeded(1)).elbo().reshape(2, -1)
    for i in range(2):
        error = math.hypot(*(float(v.std()) / len(v) ** 0.5 for v in (weights[:, i], exact[i])))
        assert float(bounds[0][i]) == pytest.approx(float(exact[i].mean()), abs=4 * error)


@each_pair
def test_importance_bound_is_the_log_mean_of_weights(prior: str, posterior: str) -> None:
    model, x = build(prior, posterior), data(3)
    with torch.no_grad():
        weights = torch.cat(list(log_weights(model, x, 50, seeded(), chunk=30)))
    found = importance_log_likelihood(model, x, 50, seeded(), chunk=30)
    assert torch.allclose(found, weights.logsumexp(0) - math.log(50), atol=1e-12)


@each_pair
def test_estimators_leave_the_global_generator_alone(prior: str, posterior: str) -> None:
    model, x = build(prior, posterior), data(3)
    before = torch.get_rng_state()
    noise = model.noise((3,), seeded())
    model.terms(x, noise)
    model.terms(x, noise, 0.5)
    elbo_enumerated(model, x, seeded())
    importance_log_likelihood(model, x, 3, seeded())
    assert torch.equal(before, torch.get_rng_state())


@each_pair
def test_single_precision_stays_close(prior: str, posterior: str) -> None:
    """The training step in float32 agrees with float64 far below what a bound reports."""
    double, single = build(prior, posterior), build(prior, posterior, dtype=torch.float32)
    x, noise = data(16), double.noise((16,), seeded())
    exact = objective(double, x, noise, 1.0, 0.5).detach()
    rough = objective(single, x.float(), {n: v.float() for n, v in noise.items()}, 1.0, 0.5)
    assert rough.dtype == torch.float32
    assert float(rough.detach()) == pytest.approx(float(exact), abs=1e-4)


class Objective(nn.Module):
    """The objective as a module's forward, which is what ``functional_call`` calls."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, noise: dict[str, Tensor]) -> Tensor:
        return objective(self.model, x, noise, 0.5, 0.6)


@each_pair
def test_replicas_equal_a_loop(prior: str, posterior: str) -> None:
    replicas = [Objective(build(prior, posterior, seed=s, dtype=torch.float32)) for s in range(3)]
    x = torch.stack([data(4, seed=s, dtype=torch.float32) for s in range(3)])
    noise = replicas[0].model.noise((3, 4), seeded())
    parameters, buffers = torch.func.stack_module_state(replicas)

    def step(p: dict[str, Tensor], b: dict[str, Tensor], *batch: object) -> Tensor:
        return torch.func.functional_call(replicas[0], (p, b), batch)

    gradient = torch.func.vmap(torch.func.grad_and_value(step))
    gradients, values = gradient(parameters, buffers, x, noise)
    for i, replica in enumerate(replicas):
        loss = replica(x[i], {name: value[i] for name, value in noise.items()})
        loss.backward()
        assert torch.allclose(values[i], loss.detach(), rtol=1e-5, atol=1e-5)
        for name, parameter in replica.named_parameters():
            assert torch.allclose(gradients[name][i], parameter.grad, rtol=1e-3, atol=1e-5), name


def test_beta_weighs_the_divergences() -> None:
    terms = Terms(torch.tensor([1.0]), {"c": torch.tensor([0.5]), "z": torch.tensor([2.0])})
    assert float(terms.elbo(0.0)) == 1.0
    assert float(terms.elbo(0.1)) == pytest.approx(0.75)
    assert float(terms.elbo()) == pytest.approx(-1.5)
    assert float(terms.kl_z) == 2.0
    assert float(terms.kl_c) == 0.5


def test_a_missing_category_costs_nothing() -> None:
    assert torch.equal(Terms(torch.ones(2), {"z": torch.ones(2)}).kl_c, torch.zeros(2))


@pytest.mark.parametrize("posterior", [p for q, p in PAIRS if q == "standard"])
def test_exact_latents_are_found(posterior: str) -> None:
    assert build("standard", posterior).exact == {"z"}
    assert build("hierarchical", posterior).exact == {"z2"}
    assert build("mog", posterior).exact == set()


class Nameless(Prior):
    """A prior over a latent of another name."""

    def forward(self, posterior: Posterior) -> Joint:
        return Joint(c=OneHotCategorical(torch.zeros(3)))


def test_disagreement_over_latents_is_an_error() -> None:
    spec = spec_of("standard", "continuous")
    posterior = REGISTRY.load("posterior", "continuous")(spec)
    with pytest.raises(PluginError, match="Nameless must return a Joint over z in that order"):
        Model(spec, Nameless(spec), posterior)


@each_pair
def test_the_decoder_reads_every_latent(prior: str, posterior: str) -> None:
    model = build(prior, posterior)
    draw = model.posterior(data(1)).sample((), seeded())
    values = {name: value.clone().requires_grad_() for name, value in draw.items()}
    model.decode(values).mean.sum().backward()
    for name, value in values.items():
        assert value.grad is not None, name
        assert value.grad.abs().min() > 0, name


READS = {"independent": (False, False), "joint": (False, True), "joint_pi": (True, False)}


@pytest.mark.parametrize("prior", ["standard", "hierarchical"])
@pytest.mark.parametrize("posterior", READS)
def test_what_the_head_of_z_sees(posterior: str, prior: str) -> None:
    """The category's probabilities, its one-hot, or neither (MATHS 1)."""
    model, x = build(prior, posterior), data(1)
    z2 = torch.zeros(1, 2, dtype=torch.float64)
    one_hots = torch.eye(3, dtype=torch.float64)[:, None]

    def means() -> Tensor:
        q = model.posterior(x)
        found = [
            q.given(name, {"c": c, "z2": z2}).mean for name in model.spec.latents for c in one_hots
        ]
        return torch.stack(found).reshape(-1, 3, 2)  # (layers, K, D)

    with torch.no_grad():
        before = means()
        model.posterior.category.linear.bias.add_(torch.tensor([1.0, 0.0, -1.0]))
        after = means()
    sees_probabilities, sees_one_hot = READS[posterior]
    for layer in range(len(before)):
        assert torch.equal(before[layer], after[layer]) != sees_probabilities
        assert torch.equal(before[layer, 0], before[layer, 1]) != sees_one_hot


@each_pair
def test_log_variances_stay_within_their_bounds(prior: str, posterior: str) -> None:
    """However far parameters go, log-variances stay in the protocol's [-6, 2]."""
    model, x = build(prior, posterior, noise=30.0), data(9)
    q, p = model.posterior(x), model.joint_prior()
    draw = q.sample((), seeded())
    for joint in (q, p):
        for name in model.spec.latents:
            factor = joint.given(name, draw)
            parts = factor.components if isinstance(factor, Mixture) else factor
            assert isinstance(parts, DiagNormal)
            assert (parts.log_variance >= -6.0 - 1e-9).all()
            assert (parts.log_variance <= 2.0 + 1e-9).all()
    assert elbo_enumerated(model, x, seeded()).elbo().isfinite().all()

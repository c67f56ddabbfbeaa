"""T8b and T22's VampPrior identities: a mixture of the posterior, the category summed out."""

from __future__ import annotations

import math

import pytest
import torch

from bench.evaluation.responsibilities import prior_responsibilities
from bench.joint import Mixture
from bench.model import Model
from bench.priors.vamp import VampPrior
from bench.spec import Spec
from maths.cells import Affine, Table, assemble, copies, tensor
from maths.paths import close
from pairs import PAIRS, build, data

PI = [[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]]
LOC = [[[-1.0], [0.4]], [[0.2], [1.1]], [[-0.3], [0.8]]]
SCALE = [[[0.5], [0.7]], [[0.6], [0.4]], [[0.8], [0.5]]]


def t8b() -> Model:
    """T7's joint posterior with its three data as pseudo-inputs."""
    spec = Spec(1, (1,), categories=2, components=3, hidden=2, bounds=None)
    prior = VampPrior(spec).double()
    prior.pseudo_inputs.data = tensor([[0.0], [1.0], [2.0]])
    return assemble(spec, prior, Table(spec, PI, LOC, SCALE), Affine({"z": [[0.8]]}, [0.0], 0.5))


def test_t8b_sums_the_category_out() -> None:
    top = t8b().joint_prior().factors["z"]
    assert isinstance(top, Mixture)
    close(float(top.log_prob(tensor([0.25]))), -1.3551171777, "log p(z)")
    likeliest = tensor(PI).argmax(-1)
    parts = [(tensor(LOC)[j, k], tensor(SCALE)[j, k]) for j, k in enumerate(likeliest)]
    logs = [-((0.25 - m) ** 2) / (2 * s * s) - s.log() for m, s in parts]
    wrong = torch.stack(logs).logsumexp(0) - math.log(3) - 0.5 * math.log(2 * math.pi)
    close(float(wrong), -1.7277, "the argmax's density, which it must not be", 5e-5)


def test_t8b_log_prob_is_uniform_in_the_category() -> None:
    prior = t8b().joint_prior()
    values = {"c": torch.eye(2, dtype=torch.float64), "z": tensor([[0.25], [0.25]])}
    expected = tensor(-1.3551171777 - math.log(2)).expand(2)
    assert torch.allclose(prior.log_prob(values), expected, atol=1e-6)


def test_t8b_responsibilities_are_of_pseudo_inputs() -> None:
    model = t8b()
    found = prior_responsibilities(model, copies([1.0], 4), 3, torch.Generator().manual_seed(0))
    assert found is not None
    assert found.shape == (4, 3)
    assert torch.allclose(found.sum(-1), torch.ones(4, dtype=torch.float64))


VAMPS = [pair for pair in PAIRS if hasattr(build(*pair).prior, "pseudo_inputs")]
each_vamp = pytest.mark.parametrize(("prior", "posterior"), VAMPS)


@each_vamp
def test_at_the_data_it_is_the_aggregated_posterior(prior: str, posterior: str) -> None:
    x = data(3)
    model = build(prior, posterior)
    model.prior.pseudo_inputs.data = x.clone()  # type: ignore[union-attr]
    top = model.spec.latents[0]
    z = torch.randn(7, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    q = model.posterior(x).marginal(top)
    aggregated = q.log_prob(z.unsqueeze(1)).logsumexp(1) - math.log(3)
    assert torch.allclose(model.joint_prior().factors[top].log_prob(z), aggregated, atol=1e-9)


@each_vamp
def test_pseudo_inputs_are_clipped_to_the_data_range(prior: str, posterior: str) -> None:
    inside, outside = build(prior, posterior), build(prior, posterior)
    start = torch.linspace(-1.0, 2.0, 12, dtype=torch.float64).reshape(3, 4)
    outside.prior.pseudo_inputs.data = start  # type: ignore[union-attr]
    inside.prior.pseudo_inputs.data = start.clamp(0.0, 1.0)  # type: ignore[union-attr]
    top, z = inside.spec.latents[0], torch.zeros(2, dtype=torch.float64)
    first, second = (m.joint_prior().factors[top].log_prob(z) for m in (inside, outside))
    assert torch.equal(first, second)

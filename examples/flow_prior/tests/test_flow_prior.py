"""The suite that every prior of bench passes, and the flow's density by another route."""

import torch
from flow_prior import FlowPrior

from bench.api import Spec
from bench.testing import conformance

test_conformance = conformance("prior", "flow_prior")


def test_density_is_the_change_of_variables() -> None:
    """Log p(z) = log N(f(z)) + log |det J|, with the Jacobian from autograd and its determinant."""
    prior = FlowPrior(Spec(latent_dim=3, event_shape=(6,)), units=8).double()
    (flow,) = prior(None).factors.values()
    z = torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    jacobian = torch.autograd.functional.jacobian(flow.transform, z)
    log_normal = -0.5 * (flow.transform(z).square() + torch.log(torch.tensor(2 * torch.pi))).sum()
    expected = log_normal + torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(flow.log_prob(z), expected)

"""The suite that every prior of bench passes, and the exemplars' density by another route."""

import numpy as np
import pytest
import torch
from exemplar_prior import ExemplarPrior
from scipy.stats import multivariate_normal

from bench.api import DiagNormal, Joint, OneHotCategorical, Spec
from bench.testing import conformance

test_conformance = conformance("prior", "exemplar_prior")

EXAMPLES = np.array([[0.1, 0.9], [0.4, 0.2], [0.8, 0.7]], dtype=np.float32)
WEIGHTS = np.array([0.3, 0.7], dtype=np.float32)


def posterior(x: torch.Tensor) -> Joint:
    """The mean is x for one category and -2x for the other; they weigh .3 and .7."""
    c = OneHotCategorical(torch.tensor(WEIGHTS).log().expand(len(x), 2))
    factors = torch.tensor([[1.0], [-2.0]])
    return Joint(c=c, z=lambda v: DiagNormal(x * (v["c"] @ factors), torch.ones(2)))


def test_density_is_a_mixture_around_the_mean_encodings() -> None:
    """p(z) by scipy: equal normals of width s around .3 x_j + .7 (-2 x_j)."""
    spec = Spec(
        latent_dim=2,
        event_shape=(2,),
        components=3,
        categories=2,
        source=lambda count: torch.tensor(EXAMPLES[:count]),
    )
    prior = ExemplarPrior(spec, scale=0.25)(posterior)
    z = np.array([0.2, -0.4])
    means = (0.3 - 2 * 0.7) * EXAMPLES
    density = np.mean([multivariate_normal(m, 0.25**2 * np.eye(2)).pdf(z) for m in means])
    found = prior.log_prob({"z": torch.tensor(z, dtype=torch.float32)})
    assert found.item() == pytest.approx(np.log(density), rel=1e-5)


def test_the_exemplars_are_saved_and_not_learned() -> None:
    """A stored model is whole without the data."""
    spec = Spec(
        latent_dim=2, event_shape=(2,), components=3, source=lambda n: torch.tensor(EXAMPLES[:n])
    )
    prior = ExemplarPrior(spec)
    assert torch.equal(prior.state_dict()["exemplars"], torch.tensor(EXAMPLES))
    assert [name for name, _ in prior.named_parameters()] == ["log_scale"]

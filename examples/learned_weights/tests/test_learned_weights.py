"""The suite that every prior of bench passes, and VaDE's joint density by another route."""

import numpy as np
import pytest
import torch
from learned_weights import LearnedWeights
from scipy.special import softmax
from scipy.stats import multivariate_normal

from bench.api import Spec
from bench.testing import conformance

test_conformance = conformance("prior", "learned_weights")


@pytest.mark.parametrize("k", [0, 1, 2])
def test_density_is_weight_times_normal(k: int) -> None:
    """Log p(c_k, z) = log softmax(a)_k + log N(z; m_k, s_k^2), by scipy."""
    prior = LearnedWeights(Spec(latent_dim=2, event_shape=(6,), categories=3))
    logits, variance = np.array([0.3, -1.0, 0.5]), np.array([[0.5, 1.0], [2.0, 0.7], [1.5, 0.2]])
    with torch.no_grad():
        prior.logits.copy_(torch.tensor(logits))
        prior.log_variance.copy_(torch.tensor(variance).log())
    z = np.array([0.4, -0.7])
    normal = multivariate_normal(prior.loc[k].detach().numpy(), np.diag(variance[k]))
    expected = np.log(softmax(logits)[k]) + normal.logpdf(z)
    values = {"c": torch.eye(3)[k], "z": torch.tensor(z, dtype=torch.float32)}
    assert prior(None).log_prob(values).item() == pytest.approx(expected, rel=1e-5)

"""The prior of VaDE: a normal for every category, and categories of learned weight."""

import torch
from torch import nn

from bench.api import (
    DiagNormal,
    Float,
    Joint,
    OneHotCategorical,
    Posterior,
    Prior,
    Spec,
    bound_log_variance,
    means_apart,
)


class LearnedWeights(Prior):
    r"""Mixture of Gaussians over (c, z) with learned weights p(c) (VaDE's).

    .. math:: p(c_k) = \mathrm{softmax}(a)_k, \qquad p(z \mid c_k) = N(z; m_k, s_k^2)

    The conditional prior with one parameter more for each category. Its best p(c) is the
    aggregated posterior q(c): kl_c is then I(c; x), and using categories unevenly costs nothing.
    Three differences from VaDE: it has no q(c | x) of its own and takes p(c | z) instead, its
    decoder does not see c, and it starts from a Gaussian mixture that was fitted to a trained
    autoencoder.

    Args:
        spec: the cell; K is ``spec.categories``.
        radius: distance of the means from the origin at the start, where they lie apart.

    References: Jiang, Zheng, Tan, Tang and Zhou, Variational Deep Embedding: An Unsupervised and
        Generative Approach to Clustering, 2017, section 3.1.
    """

    categorical = True  # forward returns a factor c
    without_categories = "summing out the category gives a mixture of Gaussians"
    search_space = {"radius": Float(0.5, 4.0, log=True)}

    def __init__(self, spec: Spec, *, radius: float = 2.0) -> None:
        super().__init__(spec)
        shape = (spec.categories or 1, spec.latent_dim)
        self.logits = nn.Parameter(torch.zeros(shape[0]))
        self.loc = nn.Parameter(means_apart(*shape, radius))
        self.log_variance = nn.Parameter(torch.zeros(shape))

    def forward(self, posterior: Posterior) -> Joint:
        log_variance = bound_log_variance(self.log_variance)
        components = DiagNormal.from_log_variance(self.loc, log_variance)
        return Joint(c=OneHotCategorical(self.logits), z=lambda v: components[v["c"]])

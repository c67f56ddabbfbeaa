"""Mixture of Gaussians prior with equal weights and learned components."""

import torch
from torch import nn

from bench.api import (
    DiagNormal,
    Float,
    Joint,
    Mixture,
    Posterior,
    Prior,
    Spec,
    bound_log_variance,
    means_apart,
)


class MixtureOfGaussians(Prior):
    r"""Mixture of Gaussians prior with learned means and variances.

    .. math:: p(z) = \frac1J \sum_j N(z; m_j, s_j^2)

    Args:
        spec: the cell; J is ``spec.components``.
        radius: distance of the means from the origin at the start, where they lie apart.
        learn: whether the components are learned (the released code leaves them at their start).

    References: Lavda et al. 2020, section 2.4; MATHS 1, P2.
    """

    mixture = True
    search_space = {"radius": Float(0.5, 4.0, log=True)}

    def __init__(self, spec: Spec, *, radius: float = 2.0, learn: bool = True) -> None:
        super().__init__(spec)
        shape = (spec.components, spec.latent_dim)
        self.loc = nn.Parameter(means_apart(*shape, radius), requires_grad=learn)
        self.log_variance = nn.Parameter(torch.zeros(shape), requires_grad=learn)

    def forward(self, posterior: Posterior) -> Joint:
        log_variance = bound_log_variance(self.log_variance)
        return Joint(z=Mixture(DiagNormal.from_log_variance(self.loc, log_variance)))

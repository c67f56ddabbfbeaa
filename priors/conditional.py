"""Conditional prior: a Gaussian for every category (the CP-VAE's)."""

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


class Conditional(Prior):
    r"""Data-dependent conditional prior: uniform categories, a learned Gaussian for each.

    .. math:: p(c_k) = 1/K, \qquad p(z \mid c_k) = N(z; m_k, s_k^2)

    Args:
        spec: the cell; K is ``spec.categories``.
        radius: distance of the means from the origin at the start, where they lie apart. Means
            that begin apart give every category something of its own to explain, without which
            categories collapse; too far out (about 4), one category takes all.
        learn: whether the components are learned (the released code leaves them at their start).

    References: Lavda et al. 2020, equation 9; MATHS 1, P6.
    """

    categorical = True
    without_categories = "summing out the category gives mog x continuous, so run that"
    search_space = {"radius": Float(0.5, 4.0, log=True)}
    logits: torch.Tensor

    def __init__(self, spec: Spec, *, radius: float = 2.0, learn: bool = True) -> None:
        super().__init__(spec)
        shape = (spec.categories or 1, spec.latent_dim)
        self.register_buffer("logits", torch.zeros(shape[0]))
        self.loc = nn.Parameter(means_apart(*shape, radius), requires_grad=learn)
        self.log_variance = nn.Parameter(torch.zeros(shape), requires_grad=learn)

    def forward(self, posterior: Posterior) -> Joint:
        log_variance = bound_log_variance(self.log_variance)
        components = DiagNormal.from_log_variance(self.loc, log_variance)
        return Joint(c=OneHotCategorical(self.logits), z=lambda v: components[v["c"]])

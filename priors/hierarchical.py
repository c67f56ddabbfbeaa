"""Two layers of latents with a standard normal on top (the HVAE)."""

import torch
from torch import nn

from bench.api import DiagNormal, GatedLinear, GaussianHead, Joint, Posterior, Prior, Spec


class Hierarchical(Prior):
    r"""Two-layer prior, standard normal on top.

    .. math:: p(z_2) = N(0, I), \qquad p(z_1 \mid z_2) = N(a(z_2), b^2(z_2))

    References: Tomczak and Welling 2018, section 4; MATHS 1, P4.
    """

    latents = ("z2", "z1")
    loc: torch.Tensor
    scale: torch.Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.register_buffer("loc", torch.zeros(spec.latent_dim))
        self.register_buffer("scale", torch.ones(spec.latent_dim))
        self.lower = nn.Sequential(
            GatedLinear(spec.latent_dim, spec.hidden),
            GatedLinear(spec.hidden, spec.hidden),
            GaussianHead(spec.hidden, spec.latent_dim),
        )

    def forward(self, posterior: Posterior) -> Joint:
        return Joint(z2=DiagNormal(self.loc, self.scale), z1=lambda v: self.lower(v["z2"]))

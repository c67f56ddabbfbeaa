"""Two layers of latents with a VampPrior on top (the HVP)."""

import torch
from torch import nn

from bench.api import GatedLinear, GaussianHead, Joint, Mixture, Posterior, Prior, Spec


class HierarchicalVamp(Prior):
    r"""Two-layer prior with a VampPrior on the upper latent.

    .. math:: p(z_2) = \frac1J \sum_j q(z_2 \mid u_j), \qquad
              p(z_1 \mid z_2) = N(a(z_2), b^2(z_2))

    Args:
        spec: the cell; J is ``spec.components``.
        mean: mean of the pseudo-inputs' coordinates at the start.
        std: their standard deviation at the start.

    References: Tomczak and Welling 2018, section 4; MATHS 1, P5.
    """

    latents = ("z2", "z1")
    mixture = True

    def __init__(self, spec: Spec, *, mean: float = 0.05, std: float = 0.01) -> None:
        super().__init__(spec)
        start = mean + std * torch.randn(spec.components, spec.event_size)
        self.pseudo_inputs = nn.Parameter(start)
        self.lower = nn.Sequential(
            GatedLinear(spec.latent_dim, spec.hidden),
            GatedLinear(spec.hidden, spec.hidden),
            GaussianHead(spec.hidden, spec.latent_dim),
        )

    def forward(self, posterior: Posterior) -> Joint:
        inputs: torch.Tensor = self.pseudo_inputs
        if self.spec.bounds is not None:
            inputs = inputs.clamp(*self.spec.bounds)
        top = Mixture(posterior(inputs).marginal("z2"))
        return Joint(z2=top, z1=lambda v: self.lower(v["z2"]))

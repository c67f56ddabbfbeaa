"""A normalizing flow as the prior; the flow itself is zuko's."""

import torch
import zuko

from bench.api import Choice, Int, Joint, Posterior, Prior, Spec


class FlowPrior(Prior):
    r"""Masked autoregressive flow over z: one density, no components.

    .. math:: p(z) = N(f(z); 0, I)\, \left| \det \frac{\partial f(z)}{\partial z} \right|

    where f is a composition of ``transforms`` steps, each affine in one coordinate given those
    before it (or, in every second step, after it). The divergence from a Gaussian posterior has no
    closed form, so the harness takes log q - log p at one draw. A density costs one pass through
    each step; a draw costs D.

    Args:
        spec: the cell.
        transforms: steps.
        units: units of each of the two hidden layers of a step.

    References: Papamakarios, Pavlakou and Murray, Masked Autoregressive Flow for Density
        Estimation, 2017; as a prior: Chen et al., Variational Lossy Autoencoder, 2017.
    """

    search_space = {"transforms": Int(1, 5), "units": Choice((32, 64, 128))}

    def __init__(self, spec: Spec, *, transforms: int = 3, units: int = 64) -> None:
        super().__init__(spec)
        # Smooth units: at ReLU's kinks a density is not differentiable, and a unit may die.
        self.flow = zuko.flows.MAF(
            features=spec.latent_dim,
            transforms=transforms,
            hidden_features=(units, units),
            activation=torch.nn.SiLU,
        )

    def forward(self, posterior: Posterior) -> Joint:
        return Joint(z=self.flow())

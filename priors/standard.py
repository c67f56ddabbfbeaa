"""Standard normal prior: p(z) = N(0, I)."""

import torch

from bench.api import DiagNormal, Joint, Posterior, Prior, Spec


class Standard(Prior):
    r"""Standard normal prior.

    .. math:: p(z) = N(z; 0, I)

    References: Kingma and Welling, Auto-Encoding Variational Bayes, 2014.
    """

    loc: torch.Tensor
    scale: torch.Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.register_buffer("loc", torch.zeros(spec.latent_dim))
        self.register_buffer("scale", torch.ones(spec.latent_dim))

    def forward(self, posterior: Posterior) -> Joint:
        return Joint(z=DiagNormal(self.loc, self.scale))

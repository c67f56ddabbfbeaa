"""VampPrior: a mixture of the posterior at learned pseudo-inputs."""

import torch
from torch import nn

from bench.api import Joint, Mixture, Posterior, Prior, Spec


class VampPrior(Prior):
    r"""Variational mixture of posteriors prior.

    .. math:: p(z) = \frac1J \sum_j q(z \mid u_j)

    Where the posterior has a category, q(z | u_j) is its marginal over c: J K components.

    Args:
        spec: the cell; J is ``spec.components``.
        mean: mean of the pseudo-inputs' coordinates at the start.
        std: their standard deviation at the start.

    References: Tomczak and Welling, VAE with a VampPrior, 2018; MATHS 1, P3 and 2.4.
    """

    mixture = True

    def __init__(self, spec: Spec, *, mean: float = 0.05, std: float = 0.01) -> None:
        super().__init__(spec)
        start = mean + std * torch.randn(spec.components, spec.event_size)
        self.pseudo_inputs = nn.Parameter(start)

    def forward(self, posterior: Posterior) -> Joint:
        inputs: torch.Tensor = self.pseudo_inputs
        if self.spec.bounds is not None:
            inputs = inputs.clamp(*self.spec.bounds)
        return Joint(z=Mixture(posterior(inputs).marginal("z")))

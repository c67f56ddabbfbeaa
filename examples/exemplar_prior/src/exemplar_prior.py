"""The prior of the Exemplar VAE: a normal of one width around every encoded exemplar."""

import math

import torch
from torch import nn

from bench.api import DiagNormal, Float, Joint, Mixture, Posterior, Prior, Spec


class ExemplarPrior(Prior):
    r"""Mixture of equal normals around the encodings of J training inputs.

    .. math:: p(z) = \frac1J \sum_j N(z; \mu(x_j), s^2 I)

    :math:`\mu(x_j)` is the posterior's mean, over its category where it has one, so that gradients
    reach the encoder through the exemplars; s is learned and the same for all. The exemplars are
    the first J training inputs and stay the same: a VampPrior with real inputs instead of learned
    ones, and with a width that does not come from the encoder. Unlike the paper, a datum that is an
    exemplar is not left out of its own prior, so the bound on those J data is optimistic; no
    validation or test datum is an exemplar.

    Args:
        spec: the cell; J is ``spec.components``.
        scale: s at the start.

    References: Norouzi, Fleet and Norouzi, Exemplar VAE: Linking Generative Models, Nearest
        Neighbor Retrieval, and Data Augmentation, 2020, section 3.
    """

    mixture = True  # it reads spec.components
    search_space = {"scale": Float(0.1, 1.0, log=True)}
    exemplars: torch.Tensor

    def __init__(self, spec: Spec, *, scale: float = 0.5) -> None:
        super().__init__(spec)
        # A buffer: saved with the model, moved with it, and never learned.
        self.register_buffer("exemplars", spec.examples(spec.components))
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    def forward(self, posterior: Posterior) -> Joint:
        loc = posterior(self.exemplars).marginal("z").mean  # (J, D)
        return Joint(z=Mixture(DiagNormal(loc, self.log_scale.exp())))

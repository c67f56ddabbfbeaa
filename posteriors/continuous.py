"""Posterior without a category: q(z | x)."""

from torch import Tensor, nn

from bench.api import GaussianHead, Joint, Posterior, Spec


class Continuous(Posterior):
    r"""Continuous latents only.

    .. math:: q(z \mid x) = N(\mu(x), \sigma^2(x))

    References: MATHS 1, C.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        heads = {name: GaussianHead(spec.hidden, spec.latent_dim) for name in spec.latents}
        self.heads = nn.ModuleDict(heads)

    def forward(self, x: Tensor) -> Joint:
        features = self.trunk(x)
        return Joint(**features.chain(lambda name, h: self.heads[name](h)))

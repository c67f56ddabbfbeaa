"""Posterior whose category and continuous latents are independent given x."""

from typing import Literal

from torch import Tensor, nn

from bench.api import CategoryHead, GaussianHead, Joint, Posterior, Spec


class Independent(Posterior):
    r"""Category and continuous latents, independent given the datum.

    .. math:: q(z, c \mid x) = q(z \mid x)\, q(c \mid x)

    Args:
        spec: the cell; K is ``spec.categories``.
        logits: ``linear``, or ``elu`` as in the released code.

    References: Lavda et al. 2020, Table 1 (INDq, INDqp); MATHS 1, I.
    """

    categorical = True

    def __init__(self, spec: Spec, *, logits: Literal["linear", "elu"] = "linear") -> None:
        super().__init__(spec)
        self.category = CategoryHead(spec.hidden, spec.categories or 1, logits)
        heads = {name: GaussianHead(spec.hidden, spec.latent_dim) for name in spec.latents}
        self.heads = nn.ModuleDict(heads)

    def forward(self, x: Tensor) -> Joint:
        features = self.trunk(x)
        c = self.category(features.top)
        return Joint(c=c, **features.chain(lambda name, h: self.heads[name](h)))

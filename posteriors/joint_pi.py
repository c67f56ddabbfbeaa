"""The paper's literal text: the head of z sees the probabilities q(c | x)."""

from typing import Literal

from torch import Tensor, nn

from bench.api import CategoryHead, GaussianHead, Joint, Posterior, Spec


class JointPi(Posterior):
    r"""Continuous latents whose heads read the category probabilities.

    .. math:: q(z, c \mid x) = N(z; \mu(x, \pi(x)), \sigma^2(x, \pi(x)))\, q(c \mid x)

    Since :math:`\pi` is a function of x, z and c are independent given x: this is the
    independent posterior with a skip layer, and its bounds are that posterior's.

    Args:
        spec: the cell; K is ``spec.categories``.
        logits: ``linear``, or ``elu`` as in the released code.

    References: Lavda et al. 2020, the text after equation 10 and Figure 2; MATHS 1, J-pi.
    """

    categorical = True

    def __init__(self, spec: Spec, *, logits: Literal["linear", "elu"] = "linear") -> None:
        super().__init__(spec)
        size = spec.categories or 1
        self.category = CategoryHead(spec.hidden, size, logits)
        heads = {n: GaussianHead((spec.hidden, size), spec.latent_dim) for n in spec.latents}
        self.heads = nn.ModuleDict(heads)

    def forward(self, x: Tensor) -> Joint:
        features = self.trunk(x)
        c = self.category(features.top)
        return Joint(c=c, **features.chain(lambda name, h: self.heads[name](h, c.probs)))

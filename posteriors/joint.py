"""The genuine joint posterior: the head of z sees the one-hot category."""

from collections.abc import Callable, Mapping
from typing import Literal

from torch import Tensor, nn
from torch.distributions import Distribution

from bench.api import AdditiveGaussianHead, CategoryHead, Joint, Posterior, Spec


class JointPosterior(Posterior):
    r"""Continuous latents given the datum and the category.

    .. math:: q(z, c \mid x) = q(z \mid x, e_c)\, q(c \mid x), \qquad
              \mu(x, e_k) = a(x) + M_k

    The heads are linear on [h, e_k], so that all K of them cost one broadcast add.

    Args:
        spec: the cell; K is ``spec.categories``.
        logits: ``linear``, or ``elu`` as in the released code.

    References: Lavda et al. 2020, equation 10; MATHS 1, J-onehot.
    """

    categorical = True

    def __init__(self, spec: Spec, *, logits: Literal["linear", "elu"] = "linear") -> None:
        super().__init__(spec)
        size = spec.categories or 1
        self.category = CategoryHead(spec.hidden, size, logits)
        heads = {n: AdditiveGaussianHead(spec.hidden, size, spec.latent_dim) for n in spec.latents}
        self.heads = nn.ModuleDict(heads)

    def forward(self, x: Tensor) -> Joint:
        features = self.trunk(x)

        def head(name: str, h: Tensor) -> Callable[[Mapping[str, Tensor]], Distribution]:
            given = self.heads[name](h)
            return lambda v: given(v["c"])

        return Joint(c=self.category(features.top), **features.chain(head))

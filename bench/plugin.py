"""The base classes of priors and posteriors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from bench.joint import Joint
from bench.networks import Trunk
from bench.spaces import Range
from bench.spec import Spec


class Prior(nn.Module):
    """A prior plugin: one file, one subclass, registered under the file's name.

    ``forward`` receives the posterior as an argument, so that a prior may be built from it
    (VampPrior) without owning it. Parameters are learned; buffers are not.

    Attributes:
        latents: the continuous latents, in the order in which they are drawn.
        categorical: whether ``forward`` returns a factor ``c``. A prior over the continuous
            latents alone is completed by the harness with a uniform p(c) where the posterior
            has a category.
        mixture: whether ``spec.components`` is read: only then does a cell vary with K through
            the prior.
        without_categories: for a categorical prior, what its pairing with a posterior without
            categories would be; the reason that is given for skipping the pair.
        search_space: what the tuner may change among the constructor's options.
    """

    latents: ClassVar[tuple[str, ...]] = ("z",)
    categorical: ClassVar[bool] = False
    mixture: ClassVar[bool] = False
    without_categories: ClassVar[str] = ""
    search_space: ClassVar[Mapping[str, Range]] = {}

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, posterior: Posterior) -> Joint:
        """The prior as a joint distribution over ``latents`` (and ``c`` where categorical)."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(posterior) -> Joint")


class Posterior(nn.Module):
    """A posterior plugin: heads on the shared trunk, q(. | x).

    Attributes:
        categorical: whether ``forward`` returns a factor ``c``.
        search_space: what the tuner may change among the constructor's options.
    """

    categorical: ClassVar[bool] = False
    search_space: ClassVar[Mapping[str, Range]] = {}

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.trunk = Trunk(spec)

    def forward(self, x: Tensor) -> Joint:
        """q(. | x) for data x of shape (B, P), a joint distribution over ``spec.latents``."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(x) -> Joint")

"""What a plugin is told about its cell."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Spec:
    """The sizes of one cell, handed to every plugin's constructor.

    Attributes:
        latent_dim: D, the size of each continuous latent.
        event_shape: the shape of one datum x.
        categories: K of the categorical latent c, or None where the cell has no c.
        components: the number of components of a mixture prior.
        hidden: units of a hidden layer.
        seed: the training seed of the cell.
        latents: names of the continuous latents in the order they are drawn: ``("z",)``, or
            ``("z2", "z1")`` where the prior has two layers.
        bounds: the interval that holds every coordinate of x, or None where x is unbounded.
        source: what ``examples`` asks; the harness sets it.
    """

    latent_dim: int
    event_shape: tuple[int, ...]
    categories: int | None = None
    components: int = 10
    hidden: int = 300
    seed: int = 0
    latents: tuple[str, ...] = ("z",)
    bounds: tuple[float, float] | None = (0.0, 1.0)
    source: Callable[[int], Tensor] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("latent_dim", "components", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"Spec.{name} must be at least 1, got {getattr(self, name)}")
        if self.categories is not None and self.categories < 1:
            raise ValueError(f"Spec.categories must be at least 1 or None, got {self.categories}")

    @property
    def event_size(self) -> int:
        """P, the number of coordinates of one datum."""
        return math.prod(self.event_shape)

    def examples(self, count: int) -> Tensor:
        """The first ``count`` training inputs, without labels, for a prior that is built on data.

        Args:
            count: how many.

        Returns:
            Float32 rows (count, P), within ``bounds``; grey levels are not binarized. Keep what is
            used in a buffer, so that a stored model is whole without the data.

        Raises:
            ValueError: there are not so many, or the spec was made without data.
        """
        if self.source is None:
            raise ValueError("Spec.examples needs training inputs, but this spec has none")
        found = self.source(count)
        if len(found) < count:
            raise ValueError(f"expected {count} training inputs, found {len(found)}")
        return found

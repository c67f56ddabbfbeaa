"""The one type of the harness: a joint distribution over named latents, by the chain rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions import OneHotCategorical as TorchOneHotCategorical

from bench.distributions import AdditiveNormal, DiagNormal, Mixture, OneHotCategorical, sample_from
from bench.normal import mark_vertices

__all__ = ["Draw", "Factor", "Joint"]

Values = Mapping[str, Tensor]
Factor = Distribution | Callable[[Values], Distribution]


class Draw(dict[str, Tensor]):
    """Latents by name: what a ``Joint`` draws and what a decoder reads."""


class Recorder(Mapping[str, Tensor]):
    """Values that remember which names were read: how the harness learns a factor's parents."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        value = self._values[name]
        self.read.add(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Joint:
    r"""A joint distribution over named latents, :math:`\prod_l p(z_l \mid z_{<l})`.

    Args:
        factors: by name and in the order in which they are drawn, each a distribution or a
            function from the latents drawn before it to a distribution. The categorical latent
            is called ``c`` and is an ``OneHotCategorical``.

    Example:
        >>> top = DiagNormal(torch.zeros(1), torch.ones(1))
        >>> joint = Joint(z2=top, z1=lambda v: DiagNormal(v["z2"], torch.ones(1)))
        >>> joint.sample((3,))["z1"].shape
        torch.Size([3, 1])
    """

    def __init__(self, **factors: Factor) -> None:
        if not factors:
            raise ValueError("Joint needs at least one named factor, got none")
        for name, factor in factors.items():
            if not isinstance(factor, Distribution) and not callable(factor):
                raise TypeError(
                    f"Joint factor {name!r} must be a torch Distribution or a function of the "
                    f"latents drawn before it, got {type(factor).__name__}"
                )
        self.factors: dict[str, Factor] = {
            name: native(factor) if isinstance(factor, Distribution) else factor
            for name, factor in factors.items()
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The latents in the order in which they are drawn."""
        return tuple(self.factors)

    def given(self, name: str, values: Values) -> Distribution:
        """The factor ``name`` with its parents set to ``values``."""
        factor = self.factors[name]
        return factor if isinstance(factor, Distribution) else native(factor(values))

    def transform(
        self,
        noise: Values,
        temperature: Tensor | float | None = None,
    ) -> tuple[Draw, dict[str, Distribution]]:
        """One reparametrised draw from outside noise, and the factors at that draw.

        Args:
            noise: standard normal (Gumbel for ``c``) noise by name, shape (B, event).
            temperature: of the Gumbel-Softmax relaxation; None draws ``c`` exactly.
        """
        draw, at = Draw(), {}
        for name in self.names:
            at[name] = factor = self.given(name, draw)
            if isinstance(factor, OneHotCategorical) and temperature is not None:
                draw[name] = factor.relax(noise[name], temperature)
            elif isinstance(factor, OneHotCategorical | DiagNormal):
                draw[name] = factor.transform(noise[name])
            else:
                raise TypeError(
                    f"a posterior factor must be a DiagNormal or an OneHotCategorical, but "
                    f"{name!r} is {type(factor).__name__}"
                )
        return draw, at

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Draw:
        """Exact ancestral draws, each of shape (\\*sample_shape, \\*batch, event)."""
        draw = Draw()
        deep: set[str] = set()  # latents that carry the sample dimensions already
        with torch.no_grad():
            for name in self.names:
                recorder = Recorder(draw)
                factor = self.given(name, recorder)
                inherits = bool(recorder.read & deep)
                draw[name] = sample_from(factor, () if inherits else sample_shape, generator)
                deep.add(name)
        return draw

    def log_prob(self, values: Values) -> Tensor:
        """log p(values) in nats: the sum over factors, shape of the batch."""
        total: Tensor | None = None
        for name in self.names:
            term = self.given(name, values).log_prob(values[name])
            total = term if total is None else total + term
        assert total is not None  # a Joint has at least one factor
        return total

    def marginal(self, name: str) -> DiagNormal | Mixture:
        r"""The distribution of one latent with the category summed out.

        Where the factor depends on ``c`` this is :math:`\sum_k \pi_k\, p(\cdot \mid e_k)`, a
        mixture of K components (MATHS 2.4); it may depend on no other latent.

        Raises:
            ValueError: the factor depends on a latent other than ``c``, or is not normal.
        """
        category = self.factors.get("c")
        values: dict[str, Tensor] = {}
        if name != "c" and isinstance(category, OneHotCategorical):
            values["c"] = enumerate_category(category)
        recorder = Recorder(values)
        try:
            factor = self.given(name, recorder)
        except KeyError as error:
            raise ValueError(
                f"marginal({name!r}) can sum out the category only, but the factor reads {error}"
            ) from None
        if not isinstance(factor, DiagNormal):
            raise ValueError(
                f"marginal({name!r}) needs a DiagNormal factor, got {type(factor).__name__}"
            )
        if not recorder.read:
            return factor
        assert isinstance(category, OneHotCategorical)  # the only readable name is c
        whole = factor.expand(factor.batch_shape)  # (K, *batch, D)
        components = DiagNormal.from_log_variance(
            whole.loc.movedim(0, -2), whole.log_variance.movedim(0, -2)
        )
        return Mixture(components, logits=category.logits)


def enumerate_category(category: OneHotCategorical) -> Tensor:
    """All K one-hot vectors as (K, 1, ..., 1, K): leftmost, so that features (B, H) broadcast."""
    size = category.event_shape[0]
    ones = torch.eye(size, device=category.logits.device, dtype=category.logits.dtype)
    return mark_vertices(ones.reshape(size, *(1 for _ in category.batch_shape), size))


def native(factor: Distribution) -> Distribution:
    """torch's own one-hot categorical as ours, which needs no check of its values."""
    if isinstance(factor, TorchOneHotCategorical):
        return OneHotCategorical(logits=factor.logits)
    return factor


__all__ += ["AdditiveNormal", "DiagNormal", "Mixture", "OneHotCategorical", "enumerate_category"]

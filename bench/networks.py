"""Gated networks and the shared trunks, so that cells differ only in what is compared.

The architecture is the paper's (section 6: two hidden layers of 300 gated units,
``h(x) * sigmoid(g(x))``); two-layer models follow Tomczak and Welling's VampPrior code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution

from bench.distributions import AdditiveNormal, DiagNormal, OneHotCategorical
from bench.joint import Factor, Values
from bench.normal import combine
from bench.precision import lowered
from bench.products import linear
from bench.spec import Spec

__all__ = [
    "AdditiveGaussianHead",
    "CategoryHead",
    "Decoder",
    "GatedLinear",
    "GaussianHead",
    "Linear",
    "Trunk",
    "bound_log_variance",
    "means_apart",
]

LOG_VARIANCE_BOUNDS = (-6.0, 2.0)

Initialisation = Literal["glorot", "he"]
HeadOutput = Distribution | Callable[[Values], Distribution]


def bound_log_variance(raw: Tensor, parts: int = 1) -> Tensor:
    """Clamp a log-variance, or one of ``parts`` that will be summed, to the protocol's [-6, 2]."""
    low, high = LOG_VARIANCE_BOUNDS
    return raw.clamp(low / parts, high / parts)


def means_apart(count: int, size: int, radius: float) -> Tensor:
    """Starting means (count, size) for a mixture: apart, and equally far from the origin.

    They lie on a sphere, at right angles to each other while ``count <= size``. Independent
    normal draws would differ in length: the component that happens to start nearest to the
    untrained posterior then attracts all data within an epoch, and the others are never used.
    """
    directions = torch.randn(count, size)
    if count <= size:
        nn.init.orthogonal_(directions)
    lengths: Tensor = directions.norm(dim=1, keepdim=True)
    return radius * directions / lengths


class Linear(nn.Module):
    """One affine map of several inputs, ``sum_i W_i x_i + b``, which broadcast before the sum.

    It equals a linear layer on their concatenation, but inputs of different batch shapes (data
    (B, D) beside categories (K, 1, K)) are multiplied once each and only then added.

    Args:
        inputs: size of each input.
        outputs: size of the output.
        blocks: how many maps share this product; each is initialised as a layer of its own.
    """

    def __init__(self, inputs: int | Sequence[int], outputs: int, blocks: int = 1) -> None:
        super().__init__()
        self.inputs = (inputs,) if isinstance(inputs, int) else tuple(inputs)
        self.blocks = blocks
        self.weight = nn.Parameter(torch.empty(outputs, sum(self.inputs)))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.initialise("glorot")

    def initialise(self, scheme: Initialisation) -> None:
        """Draw the weights: Glorot's uniform (the paper) or He's normal (the released code)."""
        with torch.no_grad():
            self.bias.zero_()
            for block in self.weight.chunk(self.blocks):
                if scheme == "glorot":
                    nn.init.xavier_uniform_(block)
                else:
                    block.normal_(0.0, math.sqrt(2.0 / block.shape[1]))

    def forward(self, *inputs: Tensor) -> Tensor:
        if len(self.inputs) == 1:
            return affine(inputs[0], self.weight, self.bias)
        parts = self.weight.split(self.inputs, dim=1)
        total = affine(inputs[0], parts[0], self.bias)
        for value, weight in zip(inputs[1:], parts[1:], strict=True):
            total = total + affine(value, weight)
        return total


def affine(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``weight x + bias``, multiplied in the training's precision, in the dtype of ``x``."""
    if not lowered():
        return linear(x, weight, bias)
    low = torch.bfloat16
    shift = None if bias is None else bias.to(low)
    return F.linear(x.to(low), weight.to(low), shift).to(x.dtype)


class GatedLinear(nn.Module):
    """``(A x + a) * sigmoid(B x + b)``, both halves in one product (paper, section 6)."""

    def __init__(self, inputs: int | Sequence[int], outputs: int) -> None:
        super().__init__()
        self.linear = Linear(inputs, 2 * outputs, blocks=2)

    def forward(self, *inputs: Tensor) -> Tensor:
        gated: Tensor = F.glu(self.linear(*inputs), dim=-1)
        return gated


class GaussianHead(nn.Module):
    """A normal from features: mean linear, log-variance clamped to [-6, 2].

    Args:
        inputs: sizes of the inputs; several are read as their concatenation.
        latent_dim: D.
    """

    def __init__(self, inputs: int | Sequence[int], latent_dim: int) -> None:
        super().__init__()
        self.linear = Linear(inputs, 2 * latent_dim, blocks=2)

    def forward(self, *inputs: Tensor) -> DiagNormal:
        loc, log_variance = self.linear(*inputs).chunk(2, dim=-1)
        return DiagNormal.from_log_variance(loc, bound_log_variance(log_variance))


class AdditiveGaussianHead(nn.Module):
    r"""A linear head on [h, e_k]: mean :math:`a(h)+M_k`, log-variance :math:`b(h)+V_k`.

    Each part of the log-variance is clamped to [-3, 1], so that their sum stays within [-6, 2]
    while its exponential still factorises: all K heads cost one add, and all K divergences a few
    matrix products.
    """

    def __init__(self, inputs: int, categories: int, latent_dim: int) -> None:
        super().__init__()
        self.linear = Linear((inputs, categories), 2 * latent_dim, blocks=2)

    def forward(self, h: Tensor) -> Callable[[Tensor], AdditiveNormal]:
        features, table = self.linear.weight.split(self.linear.inputs, dim=1)
        row = self._parts(affine(h, features, self.linear.bias))
        column_loc, column_log_variance = self._parts(table.T)  # (K, D) each

        def given(c: Tensor) -> AdditiveNormal:
            return AdditiveNormal(row, (combine(c, column_loc), combine(c, column_log_variance)))

        return given

    @staticmethod
    def _parts(output: Tensor) -> tuple[Tensor, Tensor]:
        loc, log_variance = output.chunk(2, dim=-1)
        return loc, bound_log_variance(log_variance, parts=2)


class CategoryHead(nn.Module):
    """q(c | x) from features.

    Args:
        inputs: size of the features.
        categories: K.
        activation: ``linear``, or ``elu`` as in the released code (logits never below -1, which
            keeps every category's probability away from zero).
    """

    def __init__(
        self, inputs: int, categories: int, activation: Literal["linear", "elu"] = "linear"
    ) -> None:
        super().__init__()
        if activation not in ("linear", "elu"):
            raise ValueError(f"logits must be 'linear' or 'elu', got {activation!r}")
        self.linear = Linear(inputs, categories)
        self.activation = activation

    def forward(self, h: Tensor) -> OneHotCategorical:
        logits = self.linear(h)
        return OneHotCategorical(logits=F.elu(logits) if self.activation == "elu" else logits)


class Trunk(nn.Module):
    """The encoder up to its heads: x to features for every continuous latent.

    The first latent sees two gated layers; each further one sees a gated layer of x and one of
    the latent above it, merged by a third (q(z1 | x, z2) of the hierarchical models).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.latents = spec.latents
        size, hidden = spec.event_size, spec.hidden
        self.top = nn.Sequential(GatedLinear(size, hidden), GatedLinear(hidden, hidden))
        lower = spec.latents[1:]
        self.data = nn.ModuleDict({name: GatedLinear(size, hidden) for name in lower})
        self.parent = nn.ModuleDict({name: GatedLinear(spec.latent_dim, hidden) for name in lower})
        self.merge = nn.ModuleDict({n: GatedLinear((hidden, hidden), hidden) for n in lower})

    def forward(self, x: Tensor) -> Features:
        return Features(self, x)


class Features:
    """The features of one batch, from which a posterior makes its factors."""

    def __init__(self, trunk: Trunk, x: Tensor) -> None:
        self.top: Tensor = trunk.top(x)  # (B, H)
        self._trunk, self._x = trunk, x
        self._data: dict[str, Tensor] = {}

    def chain(self, head: Callable[[str, Tensor], HeadOutput]) -> dict[str, Factor]:
        """The continuous factors, in order, from one function of (name, features)."""
        latents = self._trunk.latents
        factors: dict[str, Factor] = {latents[0]: head(latents[0], self.top)}
        for name, parent in zip(latents[1:], latents[:-1], strict=True):
            factors[name] = self._lower(name, parent, head)
        return factors

    def _lower(self, name: str, parent: str, head: Callable[[str, Tensor], HeadOutput]) -> Factor:
        trunk = self._trunk

        def factor(values: Values) -> Distribution:
            if name not in self._data:  # a VampPrior never asks for its pseudo-inputs' lower latent
                self._data[name] = trunk.data[name](self._x)
            above = trunk.parent[name](values[parent])
            made = head(name, trunk.merge[name](self._data[name], above))
            return made if isinstance(made, Distribution) else made(values)

        return factor


class Decoder(nn.Module):
    """Latents to the parameters of p(x | z, c): two gated layers and a linear one.

    One layer of latents: [z, c] to 300 to 300. Several: each latent to 300 (the lowest together
    with c), concatenated, to 300.

    Args:
        spec: the cell's sizes.
        outputs: numbers per datum that the likelihood needs.
    """

    def __init__(self, spec: Spec, outputs: int) -> None:
        super().__init__()
        self.latents = spec.latents
        self.categorical = spec.categories is not None
        hidden, lowest = spec.hidden, spec.latents[-1]
        self.first = nn.ModuleDict()
        for name in spec.latents:
            joins = (spec.categories,) if spec.categories and name == lowest else ()
            self.first[name] = GatedLinear((spec.latent_dim, *joins), hidden)
        self.second = GatedLinear((hidden,) * len(spec.latents), hidden)
        self.out = Linear(hidden, outputs)

    def forward(self, values: Mapping[str, Tensor]) -> Tensor:
        hidden = []
        for name in self.latents:
            inputs = [values[name]]
            if self.categorical and name == self.latents[-1]:
                inputs.append(values["c"])
            hidden.append(self.first[name](*inputs))
        out: Tensor = self.out(self.second(*hidden))
        return out

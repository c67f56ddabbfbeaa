"""p(x | latents): the raw output of the decoder as a distribution over x."""

from __future__ import annotations

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.distributions import DiagNormal
from bench.errors import unknown

# A learned standard deviation has a floor: without one a density on the line is unbounded.
SCALE_FLOOR = 1e-3
GAUSSIAN_LOG_VARIANCE = (2.0 * math.log(SCALE_FLOOR), 2.0)


class Observation(Protocol):
    """A distribution over one datum, batched."""

    @property
    def mean(self) -> Tensor: ...

    def log_prob(self, value: Tensor) -> Tensor: ...

    def sample(
        self, sample_shape: tuple[int, ...] = (), generator: torch.Generator | None = None
    ) -> Tensor: ...


class Bernoulli:
    """Independent binary pixels: log p(x) = sum_p [x_p l_p - softplus(l_p)], without a clamp.

    Args:
        logits: l, shape (..., P).
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @property
    def mean(self) -> Tensor:
        return self.logits.sigmoid()

    def log_prob(self, value: Tensor) -> Tensor:
        return (value * self.logits - F.softplus(self.logits)).sum(-1)

    def sample(
        self, sample_shape: tuple[int, ...] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        probs = self.mean.expand(*sample_shape, *self.logits.shape)
        return torch.bernoulli(probs, generator=generator)


def gaussian(raw: Tensor) -> DiagNormal:
    """A normal with learned mean and standard deviation, never below ``SCALE_FLOOR``."""
    loc, log_variance = raw.chunk(2, dim=-1)
    return DiagNormal.from_log_variance(loc, log_variance.clamp(*GAUSSIAN_LOG_VARIANCE))


OUTPUTS = {"bernoulli": 1, "gaussian": 2}


def observation(kind: str, raw: Tensor) -> Observation:
    """The distribution that raw decoder outputs stand for under likelihood ``kind``."""
    if kind == "bernoulli":
        return Bernoulli(raw)
    if kind == "gaussian":
        return gaussian(raw)
    raise unknown("likelihood", kind, OUTPUTS)

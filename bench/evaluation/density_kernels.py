"""The density of what a model generates on the line: a weighted sum of decoder normals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.joint import Joint
from bench.model import Model, with_category
from bench.normal import LOG_2PI, DiagNormal

__all__ = ["REPLICATES", "Kernels", "draw_kernels"]

Array = NDArray[np.float64]

REPLICATES = 8  # independent estimates of the density, for its Monte Carlo error
POINTS, DRAWS = 256, 1024  # a block of kernel values that stays in the cache
UNDERFLOW = 1e-280  # a sum below it has lost terms


@dataclass(frozen=True)
class Kernels:
    r"""Draws of :math:`N(x; f_m, \sigma_m^2)`, stratified by category.

    The weights of the categories are taken exactly and only the other latents are drawn, M_k of
    them for category k, so that several weightings share the draws. Draw m belongs to replicate
    m mod 8; each replicate has M_k/8 of every category.

    Attributes:
        loc: f, shape (M,), float64.
        scale: sigma, shape (M,), float64.
        category: of each draw, shape (M,); zeros where the model has none.
        counts: M_k, shape (K,).
    """

    loc: Tensor
    scale: Tensor
    category: Tensor
    counts: Tensor

    def weights(self, shares: Array) -> Tensor:
        """What each draw counts in a sum over all, shape (M,), for weights (K,) of categories."""
        by_category = torch.from_numpy(shares).to(self.counts.device) / self.counts
        return by_category[self.category]

    def density(self, points: Array, shares: Array) -> Array:
        r"""The density by every replicate under every weighting of the categories.

        .. math:: \hat p(x) = \sum_k w_k \frac1{M_k} \sum_{m \in k} N(x; f_m, \sigma_m^2)

        Exact sums in float64 of all kernels at all points.

        Args:
            points: x, shape (P,).
            shares: weightings w, shape (V, K).

        Returns:
            Shape (V, R, P).
        """
        return self._by_replicate(self._sums, points, shares)

    def log_density(self, points: Array, shares: Array) -> Array:
        """Its logarithm in nats, shape (V, R, P), finite where the density itself underflows."""
        return self._by_replicate(self._log_sums, points, shares)

    def _by_replicate(
        self, sums: Callable[[Tensor, Tensor, Tensor], Tensor], points: Array, shares: Array
    ) -> Array:
        centre = self.loc.mean()  # the expanded square cancels least around the origin
        loc, precision = self.loc - centre, self.scale**-2
        constant = -0.5 * (precision * loc**2 + LOG_2PI) - self.scale.log()
        coefficients = torch.stack([-0.5 * precision, precision * loc, constant])  # (3, M)
        x = torch.from_numpy(points).to(loc) - centre
        powers = torch.stack([x**2, x, torch.ones_like(x)], dim=-1)  # (P, 3)
        weights = torch.stack([self.weights(row) for row in shares], dim=-1) * REPLICATES  # (M, V)
        parts = [slice(replicate, None, REPLICATES) for replicate in range(REPLICATES)]
        found = [sums(powers, coefficients[:, part], weights[part]) for part in parts]
        stacked: Array = torch.stack(found, dim=1).permute(2, 1, 0).cpu().numpy()
        return stacked

    @staticmethod
    def _sums(powers: Tensor, coefficients: Tensor, weights: Tensor) -> Tensor:
        """sum_m w_m exp(powers @ coefficients)_m, shape (P, V)."""
        blocks = list(zip(coefficients.split(DRAWS, dim=1), weights.split(DRAWS), strict=True))
        sums = powers.new_zeros(len(powers), weights.shape[1])
        for rows, total in zip(powers.split(POINTS), sums.split(POINTS), strict=True):
            for block, weight in blocks:
                total.addmm_((rows @ block).exp_(), weight)
        return sums

    @classmethod
    def _log_sums(cls, powers: Tensor, coefficients: Tensor, weights: Tensor) -> Tensor:
        sums = cls._sums(powers, coefficients, weights)
        logs = sums.log()
        lost = (sums < UNDERFLOW).any(dim=1).nonzero()[:, 0]
        for index in lost.split(POINTS):
            exponents = powers[index] @ coefficients  # (P', M/R)
            for v, weight in enumerate(weights.T):
                logs[index, v] = torch.logsumexp(exponents + weight.log(), dim=-1)
        return logs

    def shares_below(self, point: float) -> Array:
        """The mass of each category's density below a point, shape (K,)."""
        below = torch.special.ndtr((point - self.loc) / self.scale)
        totals = below.new_zeros(len(self.counts)).index_add_(0, self.category, below)
        shares: Array = (totals / self.counts).cpu().numpy()
        return shares


@torch.no_grad()
def draw_kernels(
    model: Model, prior: Joint, count: int, shares: Array, generator: torch.Generator, chunk: int
) -> Kernels:
    """Latents from the prior, decoded.

    Args:
        model: of one-dimensional data under a Gaussian likelihood.
        prior: ``model.joint_prior()``.
        count: M, about: every category gets a multiple of 8.
        shares: weightings of the categories, shape (V, K), that will be asked for; draws are
            allotted by their mean. (1, 1) where the model has no category.
        generator: noise.
        chunk: rows decoded at once.
    """
    allotted = count * shares.mean(axis=0) / REPLICATES  # (K,)
    counts = REPLICATES * np.maximum(1, np.rint(allotted)).astype(np.int64)
    locs, scales = [], []
    for k, size in enumerate(counts.tolist()):
        latents = with_category(prior, k) if model.spec.categories else prior
        for start in range(0, size, chunk):
            observed = model.decode(latents.sample((min(chunk, size - start),), generator))
            assert isinstance(observed, DiagNormal)  # or the data are not on the line
            locs.append(observed.loc[:, 0].double())
            scales.append(observed.scale[:, 0].double())
    device = locs[0].device
    return Kernels(
        loc=torch.cat(locs),
        scale=torch.cat(scales),
        category=torch.repeat_interleave(torch.from_numpy(counts)).to(device),
        counts=torch.from_numpy(counts).to(device),
    )

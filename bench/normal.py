"""Diagonal normals: densities and divergences of many at once are matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, register_kl

from bench.precision import products_are_exact
from bench.products import linear

__all__ = ["AdditiveNormal", "DiagNormal", "normal_products"]

LOG_2PI = math.log(2.0 * math.pi)


def _product_dtype(value: Tensor) -> torch.dtype:
    """Expanding the square cancels, so every product outside of training is in float64."""
    trains = torch.is_grad_enabled() and products_are_exact()
    return value.dtype if trains else torch.float64


def mark_vertices(eye: Tensor) -> Tensor:
    """Say of (K, 1, ..., 1, K) that it is the identity: ``combine`` need not multiply by it.

    What is computed from it does not inherit the mark; it must not be changed in place.
    """
    eye.is_every_vertex = True  # type: ignore[attr-defined]
    return eye


def combine(weights: Tensor, table: Tensor) -> Tensor:
    """Rows of ``table`` (K, D) combined, ``weights @ table``, shape (..., D), for (..., K)."""
    marked = getattr(weights, "is_every_vertex", False)
    if marked and table.ndim == 2 and not weights.requires_grad:
        return table.reshape(*weights.shape[:-1], table.shape[-1])
    return weights @ table


class DiagNormal(Distribution):
    r"""Normal with a diagonal covariance over the last dimension.

    .. math:: \log N(z; m, s) = -\tfrac12 \sum_d [\log 2\pi + 2 \log s_d + ((z_d - m_d)/s_d)^2]

    Args:
        loc: means :math:`m`, shape (\*batch, D).
        scale: standard deviations :math:`s > 0` (never variances), broadcastable with ``loc``.

    Example:
        >>> DiagNormal(torch.zeros(2), torch.ones(2)).log_prob(torch.zeros(2)).item()
        -1.8378770351409912
    """

    has_rsample = True
    arg_constraints = {}

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        self._setup(loc, 2.0 * scale.log())

    @classmethod
    def from_log_variance(cls, loc: Tensor, log_variance: Tensor) -> DiagNormal:
        r"""The same distribution from :math:`\log s^2`, which networks put out."""
        made = cls.__new__(cls)
        made._setup(loc, log_variance)
        return made

    def _setup(self, loc: Tensor, log_variance: Tensor) -> None:
        self._loc, self._log_variance = loc, log_variance
        self._shape_from(torch.broadcast_shapes(loc.shape, log_variance.shape))

    def _shape_from(self, shape: Sequence[int]) -> None:
        if len(shape) < 1:
            raise ValueError("DiagNormal needs loc with a last dimension of size D, got a scalar")
        super().__init__(torch.Size(shape[:-1]), torch.Size(shape[-1:]), validate_args=False)

    @property
    def loc(self) -> Tensor:
        return self._loc

    @property
    def log_variance(self) -> Tensor:
        return self._log_variance

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def scale(self) -> Tensor:
        return (0.5 * self.log_variance).exp()

    @property
    def variance(self) -> Tensor:
        return self.log_variance.exp()

    def transform(self, noise: Tensor) -> Tensor:
        """The draw that standard normal ``noise`` of shape (..., D) stands for."""
        return self.loc + self.scale * noise

    def rsample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        shape = (*sample_shape, *self.batch_shape, *self.event_shape)
        loc = self.loc
        noise = torch.randn(shape, generator=generator, device=loc.device, dtype=loc.dtype)
        return self.transform(noise)

    def sample(
        self, sample_shape: Sequence[int] = (), generator: torch.Generator | None = None
    ) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape, generator)

    def log_prob(self, value: Tensor) -> Tensor:
        log_variance = self.log_variance
        square = (value - self.loc).square() * (-log_variance).exp()
        terms = square + log_variance + LOG_2PI  # (*batch, D)
        return -0.5 * terms.expand(torch.broadcast_shapes(terms.shape, value.shape)).sum(-1)

    def entropy(self) -> Tensor:
        terms = self.log_variance + (1.0 + LOG_2PI)
        return 0.5 * terms.expand(*self.batch_shape, *self.event_shape).sum(-1)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> DiagNormal:
        shape = (*batch_shape, *self.event_shape)
        return DiagNormal.from_log_variance(self.loc.expand(shape), self.log_variance.expand(shape))

    def __getitem__(self, one_hot: Tensor) -> DiagNormal:
        """The component that ``one_hot`` (..., K) names, where the batch shape is (K,).

        A relaxed one-hot gives the convex combination of means and of log-variances.
        """
        shape = (*self.batch_shape, *self.event_shape)
        return DiagNormal.from_log_variance(
            combine(one_hot, self.loc.expand(shape)),
            combine(one_hot, self.log_variance.expand(shape)),
        )

    def gather(self, index: tuple[Tensor, ...]) -> DiagNormal:
        """The batch elements at integer positions ``index``, one tensor a batch dimension."""
        shape = (*self.batch_shape, *self.event_shape)
        return DiagNormal.from_log_variance(
            self.loc.expand(shape)[index], self.log_variance.expand(shape)[index]
        )


class AdditiveNormal(DiagNormal):
    r"""A normal whose mean and log-variance are a row part plus a column part.

    Rows belong to data (B, D) and columns to categories (K, 1, D), so that all K B of them are
    two small tables: :math:`\mu = a(x) + M_k`, :math:`\log\sigma^2 = b(x) + V_k`. The sum is
    formed only when it is asked for; KL divergences to K normals are matrix products.
    """

    def __init__(self, row: tuple[Tensor, Tensor], column: tuple[Tensor, Tensor]) -> None:
        self.row, self.column = row, column
        self._shape_from(torch.broadcast_shapes(*(t.shape for t in (*row, *column))))

    @property
    def loc(self) -> Tensor:
        return self.row[0] + self.column[0]

    @property
    def log_variance(self) -> Tensor:
        return self.row[1] + self.column[1]


def normal_products(value: Tensor, loc: Tensor, log_variance: Tensor) -> Tensor:
    """log N(value; loc_j, s_j) for all j: (..., D) against (J, D) as one matrix product."""
    dtype = _product_dtype(value)
    shape = (*torch.broadcast_shapes(loc.shape, log_variance.shape)[:-1], value.shape[-1])  # (J, D)
    loc, log_variance = loc.to(dtype).expand(shape), log_variance.to(dtype).expand(shape)
    # Densities do not change when everything moves together, and cancellation is least where
    # the components lie around the origin.
    shift = loc.mean(0).detach()
    value, loc = value.to(dtype) - shift, loc - shift
    precision = (-log_variance).exp()  # (J, D)
    left = torch.cat([value.square(), value], dim=-1)  # (..., 2D)
    right = torch.cat([precision, -2.0 * precision * loc], dim=-1)  # (J, 2D)
    constant = (precision * loc.square() + log_variance + LOG_2PI).sum(-1)  # (J,)
    return -0.5 * linear(left, right, constant)


def _is_column(part: Tensor) -> bool:
    return part.ndim == 3 and part.shape[1] == 1


def _kl_normal_normal(q: DiagNormal, p: DiagNormal) -> Tensor:
    r"""KL(q || p) = 1/2 sum_d [log s^2 - log o^2 + (o^2 + (mu - m)^2)/s^2 - 1] (MATHS 0)."""
    shared = p.loc.ndim == 1
    column_prior = _is_column(p.loc) or shared
    if isinstance(q, AdditiveNormal) and q.row[0].ndim == 2 and _is_column(q.column[0]):
        if column_prior:
            return _kl_products(q.row, q.column, p)
    elif q.loc.ndim == 2 and _is_column(p.loc):
        zero = q.loc.new_zeros(())
        return _kl_products((q.loc, q.log_variance), (zero, zero), p)
    dtype = _product_dtype(q.loc)
    q_log_variance, p_log_variance = q.log_variance.to(dtype), p.log_variance.to(dtype)
    distance = (q.loc.to(dtype) - p.loc.to(dtype)).square() * (-p_log_variance).exp()
    ratio = q_log_variance - p_log_variance
    return 0.5 * (distance + ratio.exp() - ratio - 1.0).sum(-1)


def _kl_products(
    row: tuple[Tensor, Tensor], column: tuple[Tensor, Tensor], p: DiagNormal
) -> Tensor:
    """All KL(N(a_i + M_k, exp(b_i + V_k)) || N(m_k, s_k^2)), shape (K, B), without (K, B, D)."""
    dtype = _product_dtype(row[0])
    a, b = (part.to(dtype) for part in row)  # (B, D)
    b = b.expand(a.shape)
    target, log_s2 = p.loc.to(dtype), p.log_variance.to(dtype)
    shape = torch.broadcast_shapes(target.shape, log_s2.shape, column[0].shape, column[1].shape)
    shape = (shape[0] if len(shape) == 3 else 1, a.shape[-1])

    def table(part: Tensor) -> Tensor:  # (K, 1, D), (D,) or () -> (K, D)
        part = part.squeeze(1) if part.ndim == 3 else part
        return part.expand(shape)

    delta = table(column[0].to(dtype)) - table(target)  # (K, D)
    v, log_s2 = table(column[1].to(dtype)), table(log_s2)
    shift = delta.mean(0).detach()  # a + delta is what counts: move the common part into a
    a, delta = a + shift, delta - shift
    precision = (-log_s2).exp()
    left = torch.cat([(v - log_s2).exp(), precision, 2.0 * delta * precision], dim=-1)  # (K, 3D)
    right = torch.cat([b.exp(), a.square(), a], dim=-1)  # (B, 3D)
    constant = (log_s2 - v + delta.square() * precision - 1.0).sum(-1, keepdim=True)  # (K, 1)
    return 0.5 * (linear(left, right) + constant - b.sum(-1))


register_kl(DiagNormal, DiagNormal)(_kl_normal_normal)

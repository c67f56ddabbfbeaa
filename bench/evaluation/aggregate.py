"""The aggregated posterior: an exact mixture over stated data, evaluated in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.bounds import prune_categories
from bench.distributions import TABLE, DiagNormal, OneHotCategorical
from bench.joint import Joint, Values, enumerate_category
from bench.model import Model, category_of, normal_factor
from bench.normal import LOG_2PI, normal_products

__all__ = ["AggregatedPosterior"]

# Draws x components whose densities are formed at once: 32 MiB in float64.
BLOCK = 2048


@dataclass(frozen=True)
class _Slab:
    """The components that a few data contribute: one each, or one a (category, datum)."""

    log_pi: Tensor | None  # (B, K) float64; None without categories
    normal: DiagNormal  # batch shape (B,), or (K, B) where z depends on c given x


class AggregatedPosterior:
    r"""q(z, c) of a model over N data, for the latent that is drawn first.

    .. math:: q(z, c) = \frac1N \sum_i \pi_{ic}\, q(z \mid x_i, c)

    Every sum over the data is over all N of them, the datum that was drawn included; sums over
    a batch in their place would be biased.

    Args:
        model: the model.
        x: the N data, shape (N, P), of any type.
        prune: categories with q(c | x) at or below it are dropped and the rest renormalised, as
            the reported bound does; the posterior that is aggregated is that one.

    References: MATHS 4; Hoffman and Johnson, ELBO surgery, 2016.
    """

    def __init__(self, model: Model, x: Tensor, prune: float = 0.0) -> None:
        self.model, self.x, self.prune = model, x, prune
        self.name = model.spec.latents[0]
        self.dtype = next(model.parameters()).dtype
        self.categorical = model.spec.categories is not None
        parts = [self._slab(model.posterior(rows)).log_pi for rows in self._rows()]
        kept = [part for part in parts if part is not None]
        self.log_pi: Tensor | None = torch.cat(kept) if kept else None
        """log q(c | x_i) as it is aggregated, shape (N, K) float64; None without categories."""

    @property
    def category_probs(self) -> Tensor | None:
        """q(c), shape (K,) float64; None without categories."""
        return None if self.log_pi is None else self.log_pi.exp().mean(0)

    def draw(self, generator: torch.Generator) -> Iterator[tuple[slice, Joint, Values]]:
        """One exact draw of all latents for every datum, by blocks of data.

        Yields:
            The rows of a block, q(. | x) there, and the draws (B, event) by name.
        """
        start = 0
        for rows in self._rows():
            block = slice(start, start + len(rows))
            start += len(rows)
            q = self.model.posterior(rows)
            if self.log_pi is not None:
                pruned = OneHotCategorical(self.log_pi[block].to(self.dtype))
                q = Joint(**{**q.factors, "c": pruned})
            yield block, q, q.sample((), generator)

    @torch.no_grad()
    def log_prob(self, z: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """log q(z) and log q(z | c), shape (M,) float64 each; the same without categories.

        Args:
            z: values, shape (M, D).
            c: one-hot categories, shape (M, K); needed where there are categories.
        """
        total = torch.full((len(z),), -math.inf, dtype=torch.float64, device=z.device)
        given = total.clone()
        if self.log_pi is None:
            for slab in self._slabs():
                total = torch.logaddexp(total, _over_data(z, slab.normal, None, None)[0])
            total = total - math.log(len(self.x))
            return total, total
        if c is None:
            raise ValueError("log_prob needs the categories c of the draws z, got None")
        index = c.argmax(-1)  # (M,)
        for slab in self._slabs():
            log_pi = slab.log_pi
            assert log_pi is not None  # self.log_pi is not
            if slab.normal.batch_shape == log_pi.shape[:1]:
                whole, part = _over_data(z, slab.normal, log_pi, index)
            else:
                whole, part = _over_pairs(z, slab.normal, log_pi, index)
            total, given = torch.logaddexp(total, whole), torch.logaddexp(given, part)
        mass = torch.logsumexp(self.log_pi, dim=0)  # (K,): log sum_i pi_ik
        return total - math.log(len(self.x)), given - mass[index]

    @torch.no_grad()
    def moments(self) -> tuple[float, float]:
        r"""Mean entropy of q(z | x, c), and the entropy :math:`\tfrac12\log\det 2\pi e\,Cov_q(z)`
        of the Gaussian with the covariance of q(z): lower and upper bounds on h(q(z)), nats."""
        size = self.model.spec.latent_dim
        entropy = 0.0
        first = torch.zeros(size, dtype=torch.float64, device=self.x.device)
        second = torch.zeros(size, size, dtype=torch.float64, device=self.x.device)
        for slab in self._slabs():
            loc, log_variance, weight = _components(slab)  # (C, D), (C, D), (C,)
            entropy += float(weight @ (0.5 * (log_variance + 1.0 + LOG_2PI)).sum(-1))
            first += weight @ loc
            second += loc.mT @ (weight.unsqueeze(1) * loc)
            second += torch.diag(weight @ log_variance.exp())
        count = len(self.x)
        covariance = second / count - torch.outer(first, first) / count**2
        gaussian = 0.5 * (size * (1.0 + LOG_2PI) + torch.linalg.slogdet(covariance).logabsdet)
        return entropy / count, float(gaussian)

    def _rows(self) -> Iterator[Tensor]:
        spec = self.model.spec
        wide = max(spec.latent_dim * (spec.categories or 1), 4 * spec.hidden)
        for rows in self.x.split(max(1, TABLE // (4 * wide))):
            yield rows.to(self.dtype)

    def _slabs(self) -> Iterator[_Slab]:
        for rows in self._rows():
            yield self._slab(self.model.posterior(rows))

    @torch.no_grad()
    def _slab(self, q: Joint) -> _Slab:
        values: dict[str, Tensor] = {}
        log_pi = None
        if self.categorical:
            category = category_of(q)
            values["c"] = enumerate_category(category)  # (K, 1, K)
            log_pi = prune_categories(category, self.prune)
        factor = normal_factor(q, self.name, values)
        if log_pi is not None and len(factor.batch_shape) == 2:  # may not depend on x at all
            factor = factor.expand((log_pi.shape[1], log_pi.shape[0]))
        return _Slab(log_pi, factor)


def _over_data(
    z: Tensor, normal: DiagNormal, log_pi: Tensor | None, index: Tensor | None
) -> tuple[Tensor, Tensor]:
    """log sum_i q(z | x_i), and log sum_i pi_ic q(z | x_i) where there are categories."""
    whole, part = [], []
    step = _draws_at_once(len(normal.loc))
    for start in range(0, len(z), step):
        rows = slice(start, start + step)
        table = normal_products(z[rows], normal.loc, normal.log_variance)  # (M', B)
        whole.append(torch.logsumexp(table, dim=-1))
        if log_pi is not None and index is not None:
            part.append(torch.logsumexp(table + log_pi[:, index[rows]].mT, dim=-1))
    return torch.cat(whole), torch.cat(part or whole)


def _draws_at_once(components: int) -> int:
    return max(1, BLOCK * BLOCK // components)


def _over_pairs(
    z: Tensor, normal: DiagNormal, log_pi: Tensor, index: Tensor
) -> tuple[Tensor, Tensor]:
    """log sum_ik pi_ik q(z | x_i, k) and log sum_i pi_ic q(z | x_i, c)."""
    k, i = log_pi.mT.isfinite().nonzero(as_tuple=True)  # synchronises: the pairs that count
    pairs, weight = normal.gather((k, i)), log_pi[i, k]  # (C, D), (C,), sorted by k
    whole = torch.full((len(z),), -math.inf, dtype=torch.float64, device=z.device)
    part = whole.clone()
    for start in range(0, len(k), BLOCK):
        some = slice(start, start + BLOCK)
        for first in range(0, len(z), BLOCK):
            rows = slice(first, first + BLOCK)
            table = normal_products(z[rows], pairs.loc[some], pairs.log_variance[some])
            sums = torch.logsumexp(table + weight[some], dim=-1)
            whole[rows] = torch.logaddexp(whole[rows], sums)
    ends = torch.bincount(k, minlength=log_pi.shape[1]).cumsum(0).tolist()
    for category in index.unique().tolist():
        mine = slice(ends[category - 1] if category else 0, ends[category])
        if mine.start == mine.stop:
            continue
        step = _draws_at_once(mine.stop - mine.start)
        for rows in (index == category).nonzero()[:, 0].split(step):
            table = normal_products(z[rows], pairs.loc[mine], pairs.log_variance[mine])
            part[rows] = torch.logsumexp(table + weight[mine], dim=-1)
    return whole, part


def _components(slab: _Slab) -> tuple[Tensor, Tensor, Tensor]:
    """Means, log-variances and weights pi_ik of a slab's components, float64."""
    normal, log_pi = slab.normal, slab.log_pi
    if log_pi is None or normal.batch_shape == log_pi.shape[:1]:
        whole = normal.expand(normal.batch_shape)
        weight = whole.loc.new_ones(len(whole.loc), dtype=torch.float64)
        return whole.loc.double(), whole.log_variance.double(), weight
    k, i = log_pi.mT.isfinite().nonzero(as_tuple=True)
    pairs = normal.gather((k, i))
    return pairs.loc.double(), pairs.log_variance.double(), log_pi[i, k].exp()

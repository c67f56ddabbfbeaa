"""Importance weights in a stream: their mean, how far it can be trusted, how it converges.

Everything is kept for each datum in float64, in memory that does not grow with the number of
weights (MATHS 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.pareto import pareto_shape, tail_length

__all__ = ["WeightSummary", "Weights", "levels"]


def levels(samples: int) -> tuple[int, ...]:
    """The S at which a reader sees the bound converge: powers of ten below, and ``samples``."""
    powers = [10**n for n in range(9) if n != 0 and 10**n < samples]
    return tuple(sorted({1, *powers, samples}))


@dataclass(frozen=True)
class WeightSummary:
    r"""What S importance weights say of each of B data.

    Attributes:
        samples: S.
        log_mean: :math:`\log \frac1S \sum_s w_s`, shape (B,): a bound on log p(x) in expectation.
        by_samples: the bound at smaller S, from the same weights, by S: the mean over disjoint
            groups of that size of each group's log mean weight, shape (B,).
        ess: :math:`(\sum w)^2 / \sum w^2`, shape (B,), between 1 and S.
        largest_share: :math:`\max w / \sum w`, shape (B,).
        pareto: k-hat of the largest weights, shape (B,); nan where S is too small to tell.
    """

    samples: int
    log_mean: Tensor
    by_samples: dict[int, Tensor]
    ess: Tensor
    largest_share: Tensor
    pareto: Tensor

    @property
    def pareto_limit(self) -> float:
        """k-hat above which an average of S weights is not to be trusted.

        References: Vehtari et al., Pareto smoothed importance sampling, 2024, equation 13.
        """
        return min(1.0 - 1.0 / math.log10(max(self.samples, 11)), 0.7)

    @property
    def doubtful(self) -> Tensor:
        """Data whose weights are dominated by few: k-hat above its limit, a weight above half of
        the sum, or an effective sample size below 5 (below S/2, where S is less than 10)."""
        few = (self.largest_share > 0.5) | (self.ess < min(5.0, self.samples / 2.0))
        return (self.pareto > self.pareto_limit) | few

    @property
    def log_mean_variance(self) -> Tensor:
        """The Monte Carlo variance of ``log_mean``, 1/ESS - 1/S, shape (B,).

        The delta method's; void where the weights have no variance (``doubtful``).
        """
        return (1.0 / self.ess - 1.0 / self.samples).clamp_min(0.0)

    @staticmethod
    def concatenate(parts: list[WeightSummary]) -> WeightSummary:
        """The summary of all data from those of their parts."""
        first = parts[0]

        def join(name: str) -> Tensor:
            return torch.cat([getattr(part, name) for part in parts])

        return WeightSummary(
            first.samples,
            join("log_mean"),
            {s: torch.cat([part.by_samples[s] for part in parts]) for s in first.by_samples},
            join("ess"),
            join("largest_share"),
            join("pareto"),
        )


class Weights:
    """Accumulates log-weights block by block.

    Args:
        count: B.
        samples: S, how many weights a datum will have in all.
        device: where the blocks are.
    """

    def __init__(self, count: int, samples: int, device: torch.device) -> None:
        def fresh(value: float) -> Tensor:
            return torch.full((count,), value, dtype=torch.float64, device=device)

        self.samples = samples
        self._seen = 0
        self._log_sum, self._log_square = fresh(-math.inf), fresh(-math.inf)
        self._top = fresh(-math.inf).expand(tail_length(samples) + 1, count)
        self._groups = {
            size: _Groups(size, fresh(-math.inf), fresh(0.0)) for size in levels(samples)
        }

    def add(self, block: Tensor) -> None:
        """Take the next log-weights, float64 of shape (S', B)."""
        self._seen += len(block)
        self._log_sum = torch.logaddexp(self._log_sum, torch.logsumexp(block, dim=0))
        self._log_square = torch.logaddexp(self._log_square, torch.logsumexp(2.0 * block, dim=0))
        self._top = torch.cat([self._top, block]).topk(len(self._top), dim=0).values
        for group in self._groups.values():
            group.add(block)

    def summary(self) -> WeightSummary:
        """What the weights said.

        Raises:
            ValueError: not all have come.
        """
        if self._seen != self.samples:
            raise ValueError(f"expected {self.samples} weights a datum, got {self._seen}")
        return WeightSummary(
            self.samples,
            self._log_sum - math.log(self.samples),
            {size: group.mean() for size, group in self._groups.items()},
            (2.0 * self._log_sum - self._log_square).exp(),
            (self._top[0] - self._log_sum).exp(),
            pareto_shape(self._top, self.samples),
        )


class _Groups:
    """The mean over complete groups of ``size`` weights of the log of a group's mean weight."""

    def __init__(self, size: int, current: Tensor, total: Tensor) -> None:
        self.size, self.current, self.total = size, current, total
        self.filled, self.complete = 0, 0

    def add(self, block: Tensor) -> None:
        if self.size == 1:
            self.total = self.total + block.sum(0)
            self.complete += len(block)
            return
        while len(block):
            part = block[: self.size - self.filled]
            block = block[len(part) :]
            self.current = torch.logaddexp(self.current, torch.logsumexp(part, dim=0))
            self.filled += len(part)
            if self.filled == self.size:
                self.total = self.total + self.current - math.log(self.size)
                self.current = torch.full_like(self.current, -math.inf)
                self.complete, self.filled = self.complete + 1, 0

    def mean(self) -> Tensor:
        return self.total / self.complete

"""Tests of numbers that a trained model has one of: over training seeds, or over its own error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, variance

from scipy.special import bdtrc

from bench.report.statistics import Estimate, estimate

__all__ = ["Sample", "above", "contrast", "majority"]

MEASURED = 1e9
"""Degrees of freedom of an error that was measured over many examples or draws."""


@dataclass(frozen=True)
class Sample:
    """A number of every training seed.

    Attributes:
        values: one a seed.
        errors: the standard error of each as a measurement; None where one is not known.
        least_sd: what the seeds at least vary by. A count that is the same in two seeds by
            chance would else look certain.
    """

    values: tuple[float, ...]
    errors: tuple[float | None, ...] = ()
    least_sd: float = 0.0

    @property
    def mean(self) -> float:
        return fmean(self.values)

    def over_seeds(self) -> tuple[float, float]:
        """Variance of the mean as seeds vary, and its degrees of freedom."""
        spread = max(variance(self.values), self.least_sd**2)
        return spread / len(self.values), len(self.values) - 1.0

    def measured(self) -> float | None:
        """Variance of the mean for these trained models, None where it is not known.

        Seeds share their test examples, so it does not shrink with their number.
        """
        known = [error for error in self.errors if error is not None and math.isfinite(error)]
        if not known or len(known) < len(self.values):
            return None
        return fmean(error**2 for error in known)


def contrast(a: Sample, b: Sample) -> Estimate | None:
    """The mean of A minus that of B.

    With several seeds a side it is Welch's test over seeds, about the training procedures;
    otherwise the errors of the measurements decide, about these trained models. None where there
    is neither.

    Source: Welch 1947.
    """
    if min(len(a.values), len(b.values)) > 1:
        parts = [a.over_seeds(), b.over_seeds()]
        total = sum(part for part, _ in parts)
        spread = sum(part**2 / df for part, df in parts)
        df = total**2 / spread if spread > 0 else min(df for _, df in parts)
        return estimate(a.mean - b.mean, total, df)
    errors = a.measured(), b.measured()
    if errors[0] is None or errors[1] is None:
        return None
    return estimate(a.mean - b.mean, errors[0] + errors[1], MEASURED)


def above(sample: Sample, threshold: float) -> Estimate | None:
    """The mean minus a threshold: over seeds, or with one seed over its own error; else None."""
    if len(sample.values) > 1:
        part, df = sample.over_seeds()
        return estimate(sample.mean - threshold, part, df)
    error = sample.measured()
    return None if error is None else estimate(sample.mean - threshold, error, MEASURED)


def majority(successes: int, count: int) -> tuple[float, bool]:
    """Whether more than half of all training runs succeed: p, and whether most here did.

    One-sided in the direction that is seen, exact binomial: of five seeds all have to agree.

    Example:
        >>> majority(5, 5), majority(1, 5)
        ((0.03125, True), (0.1875, False))
    """
    most = 2 * successes > count
    seen = successes if most else count - successes
    p = 1.0 if seen == 0 else float(bdtrc(seen - 1, count, 0.5))
    return p, most

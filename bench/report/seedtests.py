"""Tests of numbers that a trained model has one of: over training seeds, or over its own error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from scipy.special import bdtrc

from bench.report.statistics import Estimate, estimate

__all__ = ["Sample", "above", "contrast", "majority"]

Part = tuple[float, float]  # a variance, its degrees of freedom

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
        shared: whether the errors are of test examples, which all seeds have in common, rather
            than of draws of each seed's own.
    """

    values: tuple[float, ...]
    errors: tuple[float | None, ...] = ()
    least_sd: float = 0.0
    shared: bool = True

    @property
    def mean(self) -> float:
        return fmean(self.values)

    def over_seeds(self) -> list[Part]:
        r"""The variance of the mean as seeds and measurements vary, in independent parts.

        The measured number of seed s is :math:`y_s = \mu + \alpha_s + \varepsilon_s`: what
        training makes of the seed, and the error of the measurement, whose variance
        :math:`e_s^2` is known; :math:`\bar e^2` is its mean, and :math:`s^2` the variance of
        the S numbers.

        *Test examples* are the same in every seed, so that :math:`\varepsilon_s = \varepsilon`
        moves all of them alike. It is in no difference between seeds, and more seeds do not
        lessen it:

        .. math:: \mathrm{var}(\bar y) = \frac{\sigma_\alpha^2}{S} + e^2,
            \qquad V = \frac{s^2}{S} + \bar e^2.

        Where a part of the error is each seed's own, that part is counted twice, and the test
        rejects too rarely, never too often; so it does where both sides of a contrast have an
        error in common, as the same examples do.

        *Draws of each seed's own* are in the differences between seeds already:
        :math:`E[s^2] = \sigma_\alpha^2 + e^2`, so that :math:`s^2/S` is all of it. But seeds vary
        by their measurement at least: :math:`V = \max(s^2, \bar e^2)/S`.

        Returns:
            Variances with their degrees of freedom; :func:`_joined` adds them up.
        """
        count, error = len(self.values), self._square() or 0.0
        spread = max(variance(self.values), self.least_sd**2)
        if self.shared:
            return [(spread / count, count - 1.0), (error, MEASURED)]
        return [(max(spread, error) / count, count - 1.0)]

    def measured(self) -> float | None:
        """Variance of the mean for these trained models, None where it is not known.

        Seeds that share their test examples do not lessen it; draws of their own do.
        """
        square = self._square()
        return square if square is None or self.shared else square / len(self.values)

    def _square(self) -> float | None:
        """The mean of the squared errors; None where one is not known."""
        known = [error for error in self.errors if error is not None and math.isfinite(error)]
        if not known or len(known) < len(self.values):
            return None
        return fmean(error**2 for error in known)


def contrast(a: Sample, b: Sample) -> Estimate | None:
    """The mean of A minus that of B.

    With several seeds a side it is Welch's test over seeds, with the error of the measurements
    (see :meth:`Sample.over_seeds`), about the training procedures; otherwise the errors of the
    measurements alone decide, about these trained models. None where there is neither, or where
    nothing varies: a difference without an error cannot be told from chance.

    In simulations with errors that seeds share, the test of 5% rejects a true null in 4% to 5.5%
    of all cases with 3 to 5 seeds a side; in up to 6% (5 seeds), 8% (3) or 13% (2) where one
    side's seeds vary ten times as much as the other's.

    Sources: Welch 1947; Satterthwaite 1946.
    """
    if min(len(a.values), len(b.values)) > 1:
        return _joined(a.mean - b.mean, [*a.over_seeds(), *b.over_seeds()])
    errors = a.measured(), b.measured()
    if errors[0] is None or errors[1] is None:
        return None
    return _joined(a.mean - b.mean, [(error, MEASURED) for error in errors if error is not None])


def above(sample: Sample, threshold: float) -> Estimate | None:
    """The mean minus a threshold, tested as :func:`contrast` tests a difference."""
    if len(sample.values) > 1:
        return _joined(sample.mean - threshold, sample.over_seeds())
    error = sample.measured()
    return None if error is None else _joined(sample.mean - threshold, [(error, MEASURED)])


def _joined(difference: float, parts: Sequence[Part]) -> Estimate | None:
    """Independent variances added up, with Satterthwaite's degrees of freedom; None for zero."""
    total = sum(part for part, _ in parts)
    if total <= 0:
        return None
    return estimate(difference, total, total**2 / sum(part**2 / df for part, df in parts))


def majority(successes: int, count: int) -> tuple[float, bool]:
    """Whether more than half of all training runs succeed: p, and whether most here did.

    Exact binomial, one-sided at the level in the direction that is seen: "most succeed" is wrongly
    told at most that often where half of them or fewer do, and "most fail" where half or more do.
    Of five seeds all have to agree.

    Example:
        >>> majority(5, 5), majority(1, 5)
        ((0.03125, True), (0.1875, False))
    """
    most = 2 * successes > count
    seen = successes if most else count - successes
    p = 1.0 if seen == 0 else float(bdtrc(seen - 1, count, 0.5))
    return p, most

"""How near one density on the line is to another, from their values on a grid (MATHS 8).

Nothing here draws samples: integrals are the trapezoid rule's, whose error on a smooth density
that vanishes at both ends of the grid is far below every digit that is reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import cumulative_trapezoid, trapezoid
from scipy.signal import find_peaks
from scipy.special import ndtr, rel_entr
from scipy.stats import norm, wasserstein_distance

__all__ = [
    "Scores",
    "Truth",
    "covering_grid",
    "entropy_on_grid",
    "js_divergence",
    "kl_divergence",
    "mode_purity",
    "moment_matched",
    "sample_wasserstein",
    "score",
    "wasserstein",
]

Array = NDArray[np.float64]

STEPS = 3000  # of a grid
LOWEST_PEAK = 1e-3  # of the highest: a local maximum below it is no mode
# Two modes d apart own the intervals of this many d around them: .15 where d = .4.
MODE_RADIUS = 0.375

RECOVERED_JS = 0.02
RECOVERED_VALLEY = 0.10
RECOVERED_MASS = (0.40, 0.55)


def covering_grid(x: ArrayLike) -> Array:
    """A grid over three times the range of ``x``, which is first rounded outwards.

    The ends become multiples of the largest of 1, 2, 5 times a power of ten within the range: data
    in (0, 1) that are wider than a half get -1, -.999, ..., 2.

    Args:
        x: data, not all equal.
    """
    low, high = float(np.min(x)), float(np.max(x))
    if not low < high:
        raise ValueError(f"a grid needs data of some width, found all in [{low}, {high}]")
    power = 10.0 ** math.floor(math.log10(high - low))
    unit = power * max((m for m in (2.0, 5.0) if m * power <= high - low), default=1.0)
    low, high = math.floor(low / unit) * unit, math.ceil(high / unit) * unit
    width = high - low
    return np.linspace(low - width, high + width, STEPS + 1)


def entropy_on_grid(grid: Array, p: Array) -> float:
    """h(p) = -int p log p in nats."""
    return float(trapezoid(-rel_entr(p, np.ones_like(p)), grid))


def kl_divergence(grid: Array, p: Array, q: Array) -> float:
    """KL(p || q) = int p log(p/q) in nats; infinite where q vanishes and p does not."""
    return float(trapezoid(rel_entr(p, q), grid))


def js_divergence(grid: Array, p: Array, q: Array) -> float:
    r"""The Jensen-Shannon divergence in nats, between 0 and log 2.

    .. math:: \tfrac12 KL(p \| m) + \tfrac12 KL(q \| m), \qquad m = \tfrac12 (p + q)

    Mass beyond the grid is taken to be where the other density has none.
    """
    middle = (p + q) / 2.0
    inside = (kl_divergence(grid, p, middle) + kl_divergence(grid, q, middle)) / 2.0
    beyond = sum(max(0.0, 1.0 - float(trapezoid(density, grid))) for density in (p, q))
    return inside + beyond * math.log(2.0) / 2.0


def wasserstein(grid: Array, p: Array, q: Array, below: float = 0.0) -> float:
    """The W1 distance int |F_q - F_p| over the grid, in units of x.

    Args:
        grid, p, q: two densities on a grid.
        below: the mass of q below the grid; p has none there.
    """
    cdf_p = cumulative_trapezoid(p, grid, initial=0.0)
    cdf_q = cumulative_trapezoid(q, grid, initial=0.0) + below
    return float(trapezoid(np.abs(cdf_q - cdf_p), grid))


def sample_wasserstein(
    grid: Array, p: Array, samples: Array, weights: Array | None = None
) -> float:
    """The same distance between a density and weighted samples, which are not smoothed.

    Args:
        grid, p: the density on a grid.
        samples: shape (n,).
        weights: shape (n,); None for equal ones.
    """
    return float(wasserstein_distance(grid, samples, p, weights))


def moment_matched(grid: Array, p: Array) -> Array:
    """The normal density with the mean and the variance of p: the best single Gaussian."""
    mean = trapezoid(grid * p, grid)
    variance = trapezoid((grid - mean) ** 2 * p, grid)
    matched: Array = norm.pdf(grid, mean, math.sqrt(variance))
    return matched


def mode_purity(weights: ArrayLike, left: ArrayLike) -> float:
    """sum_k w_k max(left_k, 1 - left_k): how far each category keeps to one side (Figure 4).

    Args:
        weights: w, shape (K,), adding up to one.
        left: the mass of each category's density to the left of the middle, shape (K,).
    """
    share = np.asarray(left, dtype=np.float64)
    return float(np.asarray(weights) @ np.maximum(share, 1.0 - share))


@dataclass(frozen=True)
class Truth:
    """A known density on its grid, and what a density is measured by against it.

    Attributes:
        grid: equally spaced points, shape (G,).
        density: its values, shape (G,).
    """

    grid: Array
    density: Array

    @classmethod
    def over(cls, grid: Array, log_density: Callable[[Array], Array]) -> Truth:
        """From the logarithm, a function of rows (G, 1)."""
        return cls(grid, np.exp(log_density(grid[:, None])))

    @property
    def ceiling(self) -> float:
        """E log p0 = -h in nats: no model's expected log-likelihood is above it."""
        return -entropy_on_grid(self.grid, self.density)

    @property
    def log_density_sd(self) -> float:
        """The standard deviation of log p0(x) in nats: over root N, the error of a mean."""
        logs = np.log(self.density, out=np.zeros_like(self.density), where=self.density > 0)
        second = float(trapezoid(self.density * logs**2, self.grid))
        return math.sqrt(second - self.ceiling**2)

    @cached_property
    def modes(self) -> Array:
        """Where the density has its local maxima."""
        peaks, _ = find_peaks(self.density, height=LOWEST_PEAK * self.density.max())
        found: Array = self.grid[peaks]
        return found

    @property
    def middle(self) -> float | None:
        """Half way between the two modes; None where there are not two."""
        return float(self.modes.mean()) if len(self.modes) == 2 else None

    @cached_property
    def js_gaussian(self) -> float:
        """The JS of the moment-matched normal: a density score of zero."""
        return js_divergence(self.grid, self.density, moment_matched(self.grid, self.density))

    @property
    def mode_purity_ceiling(self) -> float | None:
        """The mode purity of categories that are the two modes themselves.

        Each mode stands for the normal of the density's curvature there, with the mass of its
        side: 1 minus the Bayes error where two narrow normals are far apart.
        """
        if self.middle is None:
            return None
        step = self.grid[1] - self.grid[0]
        at = np.searchsorted(self.grid, self.modes - step / 2.0)
        logs = np.log(self.density[at[:, None] + np.array([-1, 0, 1])])  # (2, 3)
        deviation = step / np.sqrt(2.0 * logs[:, 1] - logs[:, 0] - logs[:, 2])
        share = self.mass(self.density, self.grid[0], self.middle)
        left = ndtr((self.middle - self.modes) / deviation)
        return mode_purity([share, 1.0 - share], left)

    def mass(self, density: Array, low: float, high: float) -> float:
        """The mass of ``density`` between two points."""
        cdf = cumulative_trapezoid(density, self.grid, initial=0.0)
        return float(np.interp(high, self.grid, cdf) - np.interp(low, self.grid, cdf))


@dataclass(frozen=True)
class Scores:
    """One density against the truth.

    Attributes:
        kl: KL(p0 || p) in nats.
        js: the Jensen-Shannon divergence in nats.
        w1: the Wasserstein distance, in units of x.
        density_score: 1 - JS / JS of the moment-matched normal: 1 is perfect, 0 one Gaussian.
        valley: p(middle) / max p; None where the truth has not two modes, as with what follows.
        mass_left, mass_right: the mass near either mode.
        recovered: JS <= .02, valley <= .10 and both masses within [.40, .55].
    """

    kl: float
    js: float
    w1: float
    density_score: float
    valley: float | None
    mass_left: float | None
    mass_right: float | None
    recovered: bool | None


def score(truth: Truth, density: Array, below: float = 0.0) -> Scores:
    """The scores of MATHS 8.

    Args:
        truth: the known density.
        density: another one on its grid, shape (G,).
        below: that one's mass below the grid.

    Example:
        >>> grid = np.linspace(-1, 2, 3001)
        >>> truth = Truth(grid, (norm.pdf(grid, 0.3, 0.05) + norm.pdf(grid, 0.7, 0.05)) / 2)
        >>> round(score(truth, moment_matched(grid, truth.density)).js, 5)
        0.20099
    """
    js = js_divergence(truth.grid, truth.density, density)
    valley = left = right = recovered = None
    if truth.middle is not None:
        low, high = truth.modes
        radius = MODE_RADIUS * (high - low)
        left = truth.mass(density, low - radius, low + radius)
        right = truth.mass(density, high - radius, high + radius)
        valley = float(np.interp(truth.middle, truth.grid, density) / density.max())
        masses = all(RECOVERED_MASS[0] <= m <= RECOVERED_MASS[1] for m in (left, right))
        recovered = js <= RECOVERED_JS and valley <= RECOVERED_VALLEY and masses
    return Scores(
        kl=kl_divergence(truth.grid, truth.density, density),
        js=js,
        w1=wasserstein(truth.grid, truth.density, density, below),
        density_score=1.0 - js / truth.js_gaussian,
        valley=valley,
        mass_left=left,
        mass_right=right,
        recovered=recovered,
    )

"""How heavy the tail of importance weights is: the shape of a fitted generalised Pareto."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["pareto_shape", "tail_length"]

SMALLEST_TAIL = 20  # weights; fewer say little that the fit's own prior does not
PRIOR_DRAWS = 10  # the fit's shape is drawn towards 1/2 as by this many observations


def tail_length(samples: int) -> int:
    r"""How many of S weights count as their tail: :math:`\min(S/5, 3\sqrt S)`, rounded up."""
    return math.ceil(min(samples / 5.0, 3.0 * math.sqrt(samples)))


def pareto_shape(top: Tensor, samples: int) -> Tensor:
    r"""k-hat: the shape of a generalised Pareto distribution fitted to the largest weights.

    Weights whose tail has shape k have moments of order below 1/k only: above 1/2 their variance
    is infinite and standard errors say nothing, and above .7 averages of any practical size are
    far off. The fit is Zhang and Stephens' posterior mean over a grid of scales.

    Args:
        top: the largest ``tail_length(samples) + 1`` log-weights in descending order, shape
            (T + 1, B); the last is the threshold of the tail.
        samples: S, of which they are the largest.

    Returns:
        Shape (B,); nan where the tail is too short to tell. Weights that are all equal have no
        tail at all: -inf.

    References: Zhang and Stephens, A new and efficient estimation method for the generalized
    Pareto distribution, 2009; Vehtari et al., Pareto smoothed importance sampling, 2024,
    appendix; MATHS 3.
    """
    size = len(top) - 1
    if size < SMALLEST_TAIL or samples <= size:
        return top.new_full(top.shape[1:], math.nan)
    # Relative to the largest weight, so that nothing overflows; the shape has no scale.
    scaled = (top - top[0]).exp()
    excess = (scaled[:-1] - scaled[-1]).flip(0)  # (T, B), ascending
    flat = excess[-1] <= 1e-12
    excess = torch.where(flat, torch.ones_like(excess), excess)
    quartile = excess[max(int(size / 4 + 0.5) - 1, 0)].clamp_min(1e-12)  # (B,)
    grid = 30 + int(math.sqrt(size))
    steps = torch.arange(1, grid + 1, dtype=top.dtype, device=top.device)
    theta = (1.0 - (grid / (steps - 0.5)).sqrt()).unsqueeze(1) / (3.0 * quartile)  # (G, B)
    theta = theta + 1.0 / excess[-1]
    # A loop over the grid: a table (G, T, B) would be gigabytes where B is thousands.
    shapes = torch.stack([torch.log1p(-value * excess).mean(0) for value in theta])  # (G, B)
    profile = size * ((-theta / shapes).log() - shapes - 1.0)
    weights = torch.softmax(profile, dim=0)
    chosen = (weights * theta).sum(0)  # (B,)
    shape = torch.log1p(-chosen * excess).mean(0)
    shape = (size * shape + PRIOR_DRAWS * 0.5) / (size + PRIOR_DRAWS)
    return torch.where(flat, torch.full_like(shape, -math.inf), shape)

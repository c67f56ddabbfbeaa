"""What a trained model generates, for the eye: from all of it, a category, a component, a point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bench.distributions import DiagNormal, Mixture, OneHotCategorical, sample_from
from bench.evaluation.component_sampling import draw_images
from bench.joint import Draw, Joint
from bench.model import Model

__all__ = ["component_moments", "decode_at", "draw_pictures", "with_categories"]

CHUNK = 2048
MOMENT_DRAWS = 2000  # for the moments of a density that is neither normal nor a mixture of normals

Pictures = NDArray[np.float32]


def with_categories(prior: Joint, weights: ArrayLike) -> Joint:
    """The prior with c drawn by ``weights``, shape (K,): the paper draws c by q(c)."""
    category = prior.factors["c"]
    assert isinstance(category, OneHotCategorical)
    logits = torch.as_tensor(np.asarray(weights, dtype=np.float64)).log().to(category.logits)
    return Joint(**{**prior.factors, "c": OneHotCategorical(logits)})


@torch.no_grad()
def draw_pictures(model: Model, latents: Joint, count: int, noise: torch.Generator) -> Pictures:
    """``count`` data from the given latents, shape (count, P): probabilities of binary pixels."""
    parts = [images.shown.float() for images in draw_images(model, latents, count, noise, CHUNK)]
    found: Pictures = torch.cat(parts).cpu().numpy()
    return found


@torch.no_grad()
def decode_at(
    model: Model,
    z: Tensor,
    category: int | Sequence[int] | None = None,
    prior: Joint | None = None,
) -> Pictures:
    """The mean of p(x | z, c), lower layers at their mean given the upper one, shape (N, P).

    Args:
        model: the model.
        z: the latent that is drawn first, shape (N, D).
        category: k of c, where the model has one, for all or one a row; None: the likeliest by
            p(c).
        prior: ``model.joint_prior()``, where the caller has it already.
    """
    prior = model.joint_prior() if prior is None else prior
    values = Draw()
    if model.spec.categories is not None:
        values["c"] = _one_hot(prior, category, len(z))
    first, *lower = model.spec.latents
    values[first] = z
    for name in lower:
        factor = prior.given(name, values)
        values[name] = factor.mean.expand(len(z), -1)
    found: Pictures = model.decode(values).mean.float().cpu().numpy()
    return found


@torch.no_grad()
def component_moments(
    model: Model, given: Joint, category: int | None, noise: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the latent that is drawn first, shape (D,) each.

    Args:
        model: the model.
        given: the prior, or the prior given one component.
        category: k of c, where the model has one; None: its likeliest by p(c).
        noise: for a density whose moments have no closed form here.
    """
    values = Draw()
    if model.spec.categories is not None:
        values["c"] = _one_hot(given, category, 1)
    factor = given.given(model.spec.latents[0], values)
    if isinstance(factor, DiagNormal):
        return factor.mean.reshape(-1), factor.stddev.reshape(-1)
    if isinstance(factor, Mixture) and isinstance(factor.components, DiagNormal):
        weights = factor.log_weights.exp().unsqueeze(-1)  # (J, 1)
        loc, scale = factor.components.mean, factor.components.stddev
        mean = (weights * loc).sum(-2)
        second = (weights * (loc**2 + scale**2)).sum(-2)
        return mean, (second - mean**2).clamp(min=0.0).sqrt()
    draws = sample_from(factor, (MOMENT_DRAWS,), noise).reshape(-1, model.spec.latent_dim)
    return draws.mean(0), draws.std(0)


def _one_hot(prior: Joint, category: int | Sequence[int] | None, count: int) -> Tensor:
    factor = prior.factors["c"]
    assert isinstance(factor, OneHotCategorical)
    if category is None:
        category = int(factor.logits.argmax())
    chosen = [category] * count if isinstance(category, int) else list(category)
    return torch.eye(len(factor.logits)).to(factor.logits)[chosen]

"""What a model generates from each of its categories or components (MATHS 9, paper Figures 6-8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.distributions import Mixture
from bench.evaluation.classifier import Classifier, Judgement
from bench.evaluation.diversity import mean_distance
from bench.joint import Joint
from bench.likelihoods import Bernoulli
from bench.model import Model, with_category

__all__ = ["Generated", "Images", "component_count", "draw_images", "generate", "given_component"]

Array = npt.NDArray[np.float64]

PICTURES = 10  # of each category, kept for the eye


@dataclass(frozen=True)
class Images:
    """Some data from p(x | latents).

    Attributes:
        shown: what pictures show and the classifier reads first: the probabilities of binary
            pixels; of a Gaussian decoder the draw x = f + sigma e, as its mean alone is no
            datum. Shape (B, P).
        drawn: exact draws of x, shape (B, P); of a Gaussian decoder ``shown`` itself.
    """

    shown: Tensor
    drawn: Tensor


@dataclass(frozen=True)
class Generated:
    """What is kept of n data from each of K categories; L labels.

    Attributes:
        shown_labels, drawn_labels: how often the classifier gave each label, shape (K, L).
        shown_distance, drawn_distance: mean distance of two data's features, shape (K,).
        assignments: the mean assignment of the draws, shape (K, K): row k is where data from
            category k are put; None where no assignment was asked for.
        binary: whether ``drawn`` differs from ``shown``.
        pictures: the first few of ``shown``, float32, shape (K, n', P).
    """

    shown_labels: Array
    drawn_labels: Array
    shown_distance: Array
    drawn_distance: Array
    assignments: Array | None
    binary: bool
    pictures: npt.NDArray[np.float32]


def component_count(model: Model, prior: Joint) -> int | None:
    """K: the categories of c, or the components of the first continuous latent, or None."""
    if model.spec.categories is not None:
        return model.spec.categories
    first = prior.factors[model.spec.latents[0]]
    return first.groups if isinstance(first, Mixture) else None


def given_component(model: Model, prior: Joint, index: int) -> Joint:
    r"""The prior of all latents given one category, or one component.

    Where the model has a category this is :math:`e_k` with :math:`p(z \mid e_k)`, or with
    :math:`p(z)` where the two are independent: the decoder then reads :math:`e_k` alone. Without,
    the first continuous latent comes from one component of its mixture (the J pseudo-inputs of a
    VampPrior; inner mixtures are drawn by their weights), and lower layers by ancestry.

    Args:
        model: the model.
        prior: ``model.joint_prior()``.
        index: the category or component, from 0.

    Raises:
        ValueError: there is no such category or component.

    References: MATHS 9.
    """
    count = component_count(model, prior)
    if count is None or not 0 <= index < count:
        raise ValueError(f"expected one of {count or 0} categories or components, got {index}")
    if model.spec.categories is not None:
        return with_category(prior, index)
    name = model.spec.latents[0]
    mixture = prior.factors[name]
    assert isinstance(mixture, Mixture)  # or there would be no count
    return Joint(**{**prior.factors, name: mixture.group(index)})


@torch.no_grad()
def draw_images(
    model: Model, latents: Joint, count: int, generator: torch.Generator, chunk: int
) -> Iterator[Images]:
    """``count`` data with the given latents, at most ``chunk`` of them at once."""
    for start in range(0, count, chunk):
        values = latents.sample((min(chunk, count - start),), generator)
        observed = model.decode(values)
        drawn = observed.sample((), generator)
        yield Images(observed.mean if isinstance(observed, Bernoulli) else drawn, drawn)


@torch.no_grad()
def generate(
    model: Model,
    sources: Iterable[Joint],
    classifier: Classifier,
    count: int,
    generator: torch.Generator,
    chunk: int,
    assign: Callable[[Tensor], Tensor] | None = None,
    pictures: int = PICTURES,
) -> Generated:
    """Draw ``count`` data from each source, judge them, and keep only what is counted.

    Args:
        model: the model.
        sources: the latents of each category, as ``given_component`` makes them.
        classifier: gives labels and features.
        count: n, data a category.
        generator: noise.
        chunk: data at once.
        assign: from data (B, P) to assignments (B, K).
        pictures: how many of each category are kept to be looked at.
    """
    made = [
        _one_source(
            draw_images(model, source, count, generator, chunk), classifier, assign, pictures
        )
        for source in sources
    ]
    shown, drawn, assigned, kept = zip(*made, strict=True)
    return Generated(
        shown_labels=np.stack([seen.labels for seen in shown]),
        drawn_labels=np.stack([seen.labels for seen in drawn]),
        shown_distance=np.array([seen.distance for seen in shown]),
        drawn_distance=np.array([seen.distance for seen in drawn]),
        assignments=np.stack(assigned) if assign is not None else None,
        binary=model.likelihood == "bernoulli",
        pictures=np.stack(kept),
    )


@dataclass(frozen=True)
class _Seen:
    """What the classifier made of one category's data: label counts (L,), mean distance."""

    labels: Array
    distance: float


def _one_source(
    batches: Iterator[Images],
    classifier: Classifier,
    assign: Callable[[Tensor], Tensor] | None,
    pictures: int,
) -> tuple[_Seen, _Seen, Array, npt.NDArray[np.float32]]:
    shown: list[Judgement] = []
    drawn: list[Judgement] = []
    assigned: list[Tensor] = []
    kept: list[Tensor] = []
    for images in batches:
        shown.append(classifier.judge(images.shown))
        same = images.drawn is images.shown
        drawn.append(shown[-1] if same else classifier.judge(images.drawn))
        if assign is not None:
            assigned.append(assign(images.drawn).double())  # (B, K)
        missing = pictures - sum(len(part) for part in kept)
        kept.append(images.shown[: max(0, missing)].float())
    mean = torch.cat(assigned).mean(0).cpu().numpy() if assigned else np.empty(0)
    first: npt.NDArray[np.float32] = torch.cat(kept).cpu().numpy()
    return _summary(shown, classifier), _summary(drawn, classifier), mean, first


def _summary(judged: list[Judgement], classifier: Classifier) -> _Seen:
    labels = np.concatenate([part.labels for part in judged])
    counts = np.bincount(labels, minlength=classifier.labels).astype(np.float64)
    return _Seen(counts, mean_distance(torch.cat([part.features for part in judged])))

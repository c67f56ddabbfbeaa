"""Does every category generate something of its own? (MATHS 9, paper Figures 6-8 and 13)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.config import EvaluationConfig
from bench.data.loading import LoadedData
from bench.evaluation.classifier import Classifier, trained_classifier
from bench.evaluation.component_sampling import (
    Generated,
    component_count,
    generate,
    given_component,
)
from bench.evaluation.diversity import paired_distance
from bench.evaluation.entropy import Array, check_assignments
from bench.evaluation.generation_comparison import Real, compare_categories, finite
from bench.evaluation.generation_metrics import agreement, label_table
from bench.evaluation.label_generation import LabelConditional, label_conditional
from bench.evaluation.pictures import blocks_png, grid_png
from bench.evaluation.responsibilities import prior_responsibilities
from bench.evaluation.section import Section
from bench.joint import Joint
from bench.model import Model, category_of

__all__ = ["measure_generation"]

# Streams of their own, so that no measurement moves another.
MARGINAL_SEED, CATEGORY_SEED, ASSIGNMENT_SEED, PAIR_SEED = 90, 91, 92, 93
MARGINAL = 10  # times as many marginal draws as draws of one category
SAMPLES_SIDE = 10  # pictures a side of samples.png
CATEGORY_ROWS = LABEL_ROWS = 20
LABEL_BLOCKS, BLOCK_COLUMNS = 4, 5  # categories of a label, pictures of each
SMALLEST_SHARE = 0.05  # of a label, for a category to be shown for it
RESPONSIBILITY_DRAWS = 5  # of z for each generated datum: their mean over data has no bias


@torch.no_grad()
def measure_generation(
    model: Model,
    data: LoadedData,
    prior: Joint,
    config: EvaluationConfig,
    assignments: Array | None,
    weights: Array | None,
    cache: Path,
    grey: NDArray[Any] | None = None,
    owners: Array | None = None,
) -> Section:
    """What the model generates, from all of it and from each category, judged by a classifier.

    Args:
        model: a trained model.
        data: the dataset, with labels: for the classifier (training split) and the comparison.
        prior: ``model.joint_prior()``.
        config: the [evaluation] section; ``generation_samples`` is n for each category.
        assignments: a(x_i) on the test set, shape (N, K): q(c | x), or responsibilities of the
            prior's components where there is no c. None: only marginal samples are measured.
        weights: q_k, of each category, shape (K,): q(c) on training data, or 1/J.
        cache: the folder of the dataset's classifier.
        grey: the test set before it was binarized, shape (N, P) of any dtype, grey levels up to
            ``data.levels`` where integers. Decoder probabilities are then compared with it, for
            which binarized data are too far apart.
        owners: the mass of every label in each category on training data, shape (K, L), through
            which data of a given label are generated; None: that of the test set.

    Raises:
        ValueError: assignments or weights do not fit the model or the data.

    References: MATHS 9; Lavda et al. 2020, section 6.
    """
    count = config.generation_samples
    if count == 0:
        return Section()
    if assignments is not None:
        assignments = check_assignments(assignments)
        _check_sizes(assignments, weights, component_count(model, prior), len(data.test_x))
    device = next(model.parameters()).device
    classifier = trained_classifier(data, cache, device)
    real = _judge(data, grey, classifier, device)
    accuracy = float((real.drawn.labels == real.labels).mean())
    graded = None if grey is None else float((real.shown.labels == real.labels).mean())
    details: dict[str, Any] = {
        "samples": count,
        "shown_are": "probabilities" if data.likelihood == "bernoulli" else "draws",
        "classifier": {
            "accuracy": accuracy,
            "grey_accuracy": graded,
            "commonest_label": float(np.bincount(real.labels).max() / len(real.labels)),
        },
    }
    metrics: dict[str, Any] = {
        "classifier_accuracy": accuracy if graded is None else graded,  # of the form that is judged
        "classifier_accuracy_drawn": accuracy,
    }
    files: dict[str, bytes | None] = {}

    noise = torch.Generator(device).manual_seed(config.seed + MARGINAL_SEED)
    everything = generate(
        model,
        [prior],
        classifier,
        MARGINAL * count,
        noise,
        config.chunk,
        pictures=SAMPLES_SIDE**2,
    )
    details["marginal"] = _marginal(everything, real, config.seed + PAIR_SEED)
    metrics["marginal_labels"] = details["marginal"]["effective_labels"]
    metrics["marginal_diversity"] = details["marginal"]["diversity"]
    files["samples.png"] = grid_png(_square(everything.pictures[0]), data.event_shape)
    if assignments is None or weights is None:
        return Section(metrics, details, _whole(files))

    size = len(weights)
    noise = torch.Generator(device).manual_seed(config.seed + CATEGORY_SEED)
    made = generate(
        model,
        (given_component(model, prior, k) for k in range(size)),
        classifier,
        count,
        noise,
        config.chunk,
        _assigner(model, prior, config.seed),
    )
    pairs = config.seed + PAIR_SEED
    found, more = compare_categories(made, real, assignments, weights, data.label_names, pairs)
    if owners is None:
        owners = label_table(assignments, real.labels, real.count)
    conditional = label_conditional(made.shown_labels, owners, weights)
    found["label_generation"] = conditional.macro
    found["label_generation_se"] = conditional.macro_se
    found["label_generation_chance"] = conditional.baseline
    more["label_generation"] = _label_details(conditional, data)
    rows = np.argsort(-assignments.mean(axis=0), kind="stable")[:CATEGORY_ROWS]
    blocks = _top_categories(owners, conditional.labels[:LABEL_ROWS])
    more["pictures"] = {
        "categories.png": rows.tolist(),
        "labels.png": {data.label_names[label]: top for label, top in blocks.items()},
    }
    files["categories.png"] = grid_png(made.pictures[rows], data.event_shape)
    files["labels.png"] = blocks_png(
        [[made.pictures[k : k + 1, :BLOCK_COLUMNS] for k in top] for top in blocks.values()],
        data.event_shape,
    )
    return Section({**metrics, **found}, {**details, **more}, _whole(files))


def _whole(files: dict[str, bytes | None]) -> dict[str, bytes]:
    """The pictures that could be made."""
    return {name: content for name, content in files.items() if content is not None}


def _judge(
    data: LoadedData, grey: NDArray[Any] | None, classifier: Classifier, device: torch.device
) -> Real:
    drawn = shown = classifier.judge(torch.from_numpy(data.test_x).to(device))
    if grey is not None:
        scale = 1.0 / data.levels if grey.dtype.kind in "ui" else 1.0
        # a copy: the arrays of some datasets may not be written, of which torch warns
        shown = classifier.judge(torch.from_numpy(np.array(grey)).to(device).float() * scale)
    return Real(shown, drawn, data.labels.test, len(data.label_names))


def _check_sizes(assignments: Array, weights: Array | None, count: int | None, data: int) -> None:
    found = assignments.shape, None if weights is None else weights.shape
    if count is None or found != ((data, count), (count,)):
        raise ValueError(
            f"the model generates from {count or 'no'} categories and there are {data} test data, "
            f"but assignments have shape {found[0]} and weights {found[1]}"
        )


def _assigner(model: Model, prior: Joint, seed: int) -> Callable[[Tensor], Tensor]:
    """From generated data to the assignment that real data get: q(c | x), or responsibilities."""
    like = next(model.parameters())
    if model.spec.categories is not None:
        return lambda x: category_of(model.posterior(x.to(like))).probs
    noise = torch.Generator(like.device).manual_seed(seed + ASSIGNMENT_SEED)

    def responsibilities(x: Tensor) -> Tensor:
        found = prior_responsibilities(model, x, RESPONSIBILITY_DRAWS, noise, prior)
        assert found is not None  # the prior has components, or there would be no assignment
        return found

    return responsibilities


def _marginal(made: Generated, real: Real, seed: int) -> dict[str, Any]:
    """The label distribution and the diversity of all that the model generates."""
    everyone = np.ones((len(real.labels), 1))
    shown, drawn = (
        float(distance[0] / paired_distance(judged.features, everyone, seed)[0])
        for distance, judged in (
            (made.shown_distance, real.shown),
            (made.drawn_distance, real.drawn),
        )
    )
    found = agreement(made.shown_labels, np.ones(1))
    return {
        "samples": int(made.shown_labels.sum()),
        "label_probabilities": found.label_probs.tolist(),
        "effective_labels": found.labels,
        "labels_present": int((found.label_probs > 0.1 / real.count).sum()),
        "diversity": finite(shown),
        "diversity_drawn": finite(drawn) if made.binary else None,
    }


def _label_details(found: LabelConditional, data: LoadedData) -> dict[str, Any]:
    return {
        "macro": found.macro,
        "macro_se": found.macro_se,
        "baseline": found.baseline,
        "top_macro": found.top_macro,
        "top_macro_se": found.top_macro_se,
        "labels": [
            {
                "label": data.label_names[int(label)],
                "share": float(share),
                "top_category": int(top),
                "top_share": float(top_share),
            }
            for label, share, top, top_share in zip(
                found.labels, found.share, found.top, found.top_share, strict=True
            )
        ],
    }


def _top_categories(owners: Array, labels: NDArray[np.intp]) -> dict[int, list[int]]:
    """The categories that hold most of each label, largest first."""
    found = {}
    for label in labels:
        share = owners[:, label] / owners[:, label].sum()
        order = np.argsort(-share, kind="stable")[:LABEL_BLOCKS]
        found[int(label)] = [int(k) for k in order if share[k] >= SMALLEST_SHARE] or [int(order[0])]
    return found


def _square(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """As many pictures (n, P) as fill a square, as rows (side, side, P)."""
    side = math.isqrt(len(pictures))
    return pictures[: side * side].reshape(side, side, -1)

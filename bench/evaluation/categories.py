"""Do a model's categories mean anything: their entropy, and how they follow the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.config import EvaluationConfig
from bench.data.loading import BINARIZATION_SEED, LoadedData
from bench.evaluation.assignments import METRICS, Assigned, measure_assignment
from bench.evaluation.clusters import kmeans_assignments, majority_accuracy
from bench.evaluation.entropy import Array, category_use, disagreement, sampled_use
from bench.evaluation.generation_metrics import label_table
from bench.evaluation.responsibilities import (
    category_probabilities,
    component_weights,
    components_are_categories,
    paired_responsibilities,
    posterior_means,
)
from bench.evaluation.section import Section
from bench.joint import Joint
from bench.model import Model

__all__ = ["Categories", "measure_categories"]

ROWS = 1000  # training rows binarized together
TRAINING_ROWS = 10_000
"""Training rows, at most, that are clustered, or explained by a prior's components."""

PRIOR_SIDE = {
    f"prior_{name}": name
    for name in (
        "entropy", "effective_categories", "category_information", "purity", "purity_se",
        "purity_chance", "purity_corrected", "nmi", "ari",
    )
}  # fmt: skip
KMEANS = {
    "kmeans_purity": "purity_hard", "kmeans_purity_chance": "purity_hard_chance",
    "kmeans_nmi": "nmi_hard", "kmeans_ari": "ari", "kmeans_accuracy": "accuracy_matched",
}  # fmt: skip


@dataclass(frozen=True)
class Categories:
    """What is known of a model's categories.

    Attributes:
        section: every column of it is present.
        labels: one row a label, for purity.json.
        assignments: the main assignment of the test set, shape (N, K); None without categories
            or components.
        weights: how often each of them is generated, shape (K,): q(c) over the training set, or
            the weights of the prior's components.
        owners: the mass of every label in each of them on training data, shape (K, L).
    """

    section: Section
    labels: list[dict[str, Any]]
    assignments: Array | None = None
    weights: Array | None = None
    owners: Array | None = None


@torch.no_grad()
def measure_categories(
    model: Model, data: LoadedData, prior: Joint, config: EvaluationConfig
) -> Categories:
    r"""Entropy of the aggregated categories, and how well they follow the labels.

    Two assignments are measured: the encoder's q(c | x), and the responsibilities
    :math:`r_j(x) = E_{q(z|x)}[p(j | z)]` of the prior's components. The main columns are the
    encoder's where the model has a category (``assignment`` is ``posterior``), else the
    responsibilities' (``prior``), else blank (``none``). The columns ``prior_*`` are the
    responsibilities' of a model that has both, and blank where the main columns hold them.

    ``disagreement`` is the mean of :math:`\tfrac12 \|q(c|x) - r(x)\|_1`, where the components are
    the categories: those of a mixture over z that is crossed with c are another variable. Noise
    in r raises it, by about ``disagreement_noise`` of the details at most.

    Where the encoder has no category, K-means on its latent means tells what a clustering after
    the fact would give: as many clusters as the prior has components, else as there are labels.

    Args:
        model: with its best parameters.
        data: the dataset; its labels are read here.
        prior: ``model.joint_prior()``.
        config: the [evaluation] section.

    References: MATHS 5 and 6; Lavda et al. 2020, Tables 2 and A1.
    """
    y, names = data.labels.test, data.label_names
    test, train = torch.from_numpy(data.test_x), torch.from_numpy(_training_rows(data))
    chosen = _choose(len(train), config.seed)
    some, some_y = train[chosen], data.labels.train[chosen]

    metrics: dict[str, Any] = {"assignment": "none", "disagreement": None, "kmeans_k": None}
    metrics |= dict.fromkeys((*METRICS, "accuracy_majority", *PRIOR_SIDE, *KMEANS))
    details: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []

    explained = _explain(model, test, prior, config, config.seed + 1)
    encoded = learned = None
    learned_y = data.labels.train
    if model.spec.categories is not None:
        encoded, learned = _encode(model, test), _encode(model, train)
    elif explained is not None:
        learned = _explain(model, some, prior, config, config.seed + 101)
        learned_y = some_y

    main = encoded or explained
    if main is not None and learned is not None:
        found = measure_assignment(main, y, names, config.seed)
        rows = found.rows
        metrics |= found.metrics | {"assignment": "posterior" if encoded else "prior"}
        metrics["accuracy_majority"] = majority_accuracy(
            learned.assignments, learned_y, main.assignments, y
        )
        details |= found.details | {
            "train_rows": len(learned.assignments),
            "train_entropy": learned.use.entropy,
            "train_category_information": learned.use.category_information,
            "train_category_probabilities": learned.use.probs.tolist(),
        }
    if encoded is not None and explained is not None:
        found = measure_assignment(explained, y, names, config.seed)
        metrics |= {name: found.metrics[column] for name, column in PRIOR_SIDE.items()}
        details["prior"] = {**found.metrics, **found.details}
        for row, other in zip(rows, found.rows, strict=True):
            row |= {f"prior_{name}": other[name] for name in ("purity", "purity_se", "chance")}
        if components_are_categories(model, prior):
            metrics["disagreement"] = disagreement(encoded.assignments, explained.assignments)
            details["disagreement_noise"] = explained.noise
    if encoded is None:
        size = explained.assignments.shape[1] if explained else len(np.unique(y))
        points, others = (posterior_means(model, part, layers=1).cpu() for part in (some, test))
        clusters = kmeans_assignments(points, others, min(size, len(some)), config.seed)
        found = measure_assignment(
            Assigned(clusters, category_use(clusters)), y, names, config.seed
        )
        metrics |= {name: found.metrics[column] for name, column in KMEANS.items()}
        metrics["kmeans_k"] = clusters.shape[1]
        details["kmeans"] = {"train_rows": len(some), **found.metrics, **found.details}
    if main is None or learned is None:
        return Categories(Section(metrics, details), rows)
    weights = learned.use.probs if encoded is not None else component_weights(model, prior)
    owners = label_table(learned.assignments, learned_y, len(names))
    return Categories(Section(metrics, details), rows, main.assignments, weights, owners)


def _encode(model: Model, x: Tensor) -> Assigned:
    """q(c | x)."""
    probs = category_probabilities(model, x)
    return Assigned(probs, category_use(probs))


def _explain(
    model: Model, x: Tensor, prior: Joint, config: EvaluationConfig, seed: int
) -> Assigned | None:
    """p(component | x), or None where the prior has no components."""
    noise = torch.Generator(next(model.parameters()).device).manual_seed(seed)
    found = paired_responsibilities(model, x, config.responsibility_samples, noise, prior)
    if found is None:
        return None
    # The mean of two halves is as far from what it estimates as from either half.
    apart = disagreement(found.first, found.second) / 2.0
    use = sampled_use(found.first, found.second)
    return Assigned(found.mean, use, found.draws, apart)


def _training_rows(data: LoadedData) -> NDArray[Any]:
    """The training set, binarized once by a fixed seed where the likelihood is Bernoulli."""
    if data.likelihood != "bernoulli":
        return data.train_x
    draws = np.random.RandomState(BINARIZATION_SEED)
    found = np.empty(data.train_x.shape, dtype=np.uint8)
    for start in range(0, len(found), ROWS):
        rows = data.train_x[start : start + ROWS]
        found[start : start + ROWS] = draws.random_sample(rows.shape) < rows / data.white
    return found


def _choose(count: int, seed: int) -> NDArray[np.intp]:
    """Row numbers of a random part of the training data, in their order."""
    draws = np.random.default_rng((seed, 1))
    size = min(count, TRAINING_ROWS)
    return np.sort(draws.choice(count, size, replace=False)).astype(np.intp)

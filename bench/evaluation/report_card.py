"""Everything that is measured on a finished cell, each number valid and with its error."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.bounds import elbo_enumerated, importance_log_likelihood
from bench.config import EvaluationConfig
from bench.data.loading import BINARIZATION_SEED, LoadedData
from bench.errors import BenchError, Interrupted
from bench.evaluation.entropy import category_use, sampled_use
from bench.evaluation.purity import Purity, hard_agreement, purity
from bench.evaluation.responsibilities import active_units, prior_responsibilities
from bench.files import atomic_write, write_json
from bench.joint import Joint
from bench.model import Model, category_of
from bench.store import COLLAPSED_BELOW

Array = npt.NDArray[np.float64]

ROWS = 1000  # data rows evaluated together


@dataclass(frozen=True)
class ReportCard:
    """The measurements of one cell.

    Attributes:
        metrics: by name, nats where they have a unit; None where one does not apply.
        per_example: float arrays (N,) over the test set: nelbo, nll, reconstruction, kl_z, kl_c.
        labels: one row a label, with its purity, standard error and chance level.
        details: what is too long for a table: q(c) on test and training data, more of purity.
    """

    metrics: dict[str, Any]
    per_example: dict[str, Array]
    labels: list[dict[str, Any]]
    details: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Write metrics.json, purity.json and examples.npz."""
        write_json(folder / "metrics.json", {**self.metrics, **self.details})
        write_json(folder / "purity.json", self.labels)
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {k: v.astype(np.float32) for k, v in self.per_example.items()}
        np.savez_compressed(buffer, **arrays)
        with atomic_write(folder / "examples.npz") as stream:
            stream.write(buffer.getvalue())


@torch.no_grad()
def evaluate(
    model: Model,
    data: LoadedData,
    config: EvaluationConfig,
    stop: Callable[[], bool] = lambda: False,
) -> ReportCard:
    """Measure a trained model on the frozen test set. Labels are read here and nowhere before.

    Args:
        model: with its best parameters.
        data: the dataset with its labels.
        config: the [evaluation] section.
        stop: asked between blocks of rows.

    Raises:
        Interrupted: ``stop`` answered True.
        BenchError: a bound is not finite.
    """
    device = next(model.parameters()).device
    test = torch.from_numpy(data.test_x).to(device)
    prior = model.joint_prior()  # encoded once: a VampPrior's components serve the whole pass
    examples = _bounds(model, test, prior, config, stop)
    metrics: dict[str, Any] = {}
    for name in ("nelbo", "nll"):
        metrics[name], metrics[f"{name}_se"] = _mean_and_error(name, examples[name])
    for name in ("reconstruction", "kl_z", "kl_c"):
        applies = name != "kl_c" or model.spec.categories is not None
        metrics[name] = float(examples[name].mean()) if applies else None
    metrics["importance_samples"] = config.importance_samples
    metrics["parameters"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    metrics["active_units"] = active_units(model, test.float())

    categories, labels, details = _categories(model, data, test, prior, config)
    return ReportCard({**metrics, **categories}, examples, labels, details)


def _bounds(
    model: Model, test: Tensor, prior: Joint, config: EvaluationConfig, stop: Callable[[], bool]
) -> dict[str, Array]:
    """Per-example values; nelbo = reconstruction + kl_z + kl_c, all as costs in nats."""
    # Streams of their own: the bound does not move when importance_samples does.
    elbo_noise = torch.Generator(test.device).manual_seed(config.seed)
    weight_noise = torch.Generator(test.device).manual_seed(config.seed + 2)
    names = ("nelbo", "nll", "reconstruction", "kl_z", "kl_c")
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    for rows in test.split(ROWS):
        if stop():
            raise Interrupted("stopped in evaluation; the trained model is saved")
        x = rows.float()
        draws = [
            elbo_enumerated(
                model, x, elbo_noise, prior=prior, prune=config.prune, chunk=config.chunk
            )
            for _ in range(config.elbo_samples)
        ]
        found["nelbo"].append(-torch.stack([terms.elbo() for terms in draws]).mean(0))
        found["reconstruction"].append(
            -torch.stack([terms.reconstruction for terms in draws]).mean(0)
        )
        found["kl_z"].append(torch.stack([terms.kl_z for terms in draws]).mean(0))
        found["kl_c"].append(torch.stack([terms.kl_c for terms in draws]).mean(0))
        found["nll"].append(
            -importance_log_likelihood(
                model, x, config.importance_samples, weight_noise, prior=prior, chunk=config.chunk
            )
        )
    return {name: torch.cat(parts).double().cpu().numpy() for name, parts in found.items()}


def _categories(
    model: Model, data: LoadedData, test: Tensor, prior: Joint, config: EvaluationConfig
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """Entropy and purity of q(c | x), or of p(component | x) where there is no category."""
    details: dict[str, Any] = {}
    if model.spec.categories is not None:
        source = "posterior"
        assignments = _encode(model, (rows.float() for rows in test.split(ROWS)))
        use = category_use(assignments)
        train = category_use(_encode(model, _training_rows(model, data)))
        details["train_entropy"] = train.entropy
        details["train_category_information"] = train.category_information
        details["train_category_probabilities"] = train.probs.tolist()
    else:
        halves = _responsibilities(model, test.float(), prior, config)
        if halves is None:
            return {"assignment": "none"}, [], details
        source = "prior"
        assignments = (halves[0] + halves[1]) / 2.0
        use = sampled_use(*halves)

    labelled = purity(assignments, data.labels.test)
    hard = hard_agreement(assignments, data.labels.test)
    details["category_probabilities"] = use.probs.tolist()
    details["purity_details"] = _plain(
        {key: value for key, value in asdict(labelled).items() if key != "labels"}
    )
    metrics = {
        "assignment": source,
        "entropy": use.entropy,
        "entropy_se": use.entropy_se,
        "entropy_max": use.entropy_max,
        "effective_categories": use.effective_categories,
        "categories_used": use.categories_used,
        "categories_present": use.categories_present,
        "mean_conditional_entropy": use.mean_conditional_entropy,
        "category_information": use.category_information,
        "category_information_se": use.category_information_se,
        "collapsed": use.category_information < COLLAPSED_BELOW,
        "purity": labelled.macro,
        "purity_se": labelled.macro_se,
        "purity_chance": labelled.macro_chance,
        "purity_corrected": labelled.macro_corrected,
        "nmi": labelled.nmi,
        "nmi_hard": hard.nmi,
        "ari": hard.ari,
        "ami": hard.ami,
    }
    return _plain(metrics), _label_rows(labelled, data), details


def _responsibilities(
    model: Model, x: Tensor, prior: Joint, config: EvaluationConfig
) -> tuple[Array, Array] | None:
    """p(component | x) from two independent halves of the draws; None without components.

    Many components need many draws: where one draw names one of K, S draws leave the entropy of
    their average short by about K / 2S, which the halves can only correct while that is small.
    """
    generator = torch.Generator(x.device).manual_seed(config.seed + 1)
    half = max(1, config.responsibility_samples, 10 * model.spec.components) // 2
    found = [prior_responsibilities(model, x, half, generator, prior) for _ in range(2)]
    first, second = found
    if first is None or second is None:
        return None
    return first.cpu().numpy(), second.cpu().numpy()


def _encode(model: Model, batches: Iterator[Tensor]) -> Array:
    """q(c | x) for rows of data, (N, K) float64."""
    parts = [category_of(model.posterior(x)).logits.double().exp().cpu() for x in batches]
    encoded: Array = torch.cat(parts).numpy()
    return encoded


def _training_rows(model: Model, data: LoadedData) -> Iterator[Tensor]:
    """The training set, binarized once by a fixed seed."""
    device = next(model.parameters()).device
    draws = np.random.RandomState(BINARIZATION_SEED)
    for start in range(0, len(data.train_x), ROWS):
        rows = data.train_x[start : start + ROWS]
        if data.likelihood == "bernoulli":
            scale = data.levels if rows.dtype.kind == "u" else 1
            rows = draws.random_sample(rows.shape) < rows / scale
        yield torch.from_numpy(rows).to(device).float()


def _label_rows(labelled: Purity, data: LoadedData) -> list[dict[str, Any]]:
    return [
        {
            "label": data.label_names[row.label],
            "count": row.count,
            "purity": row.purity,
            "purity_se": row.se,
            "chance": row.chance,
            "corrected": row.corrected,
            "top_categories": [[int(k), float(share)] for k, share in row.top],
        }
        for row in labelled.labels
    ]


def _mean_and_error(name: str, values: Array) -> tuple[float, float]:
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise BenchError(
            f"the {name} of {bad} of {len(values)} test examples is not finite; finite numbers "
            "were expected. Try a lower training.learning_rate."
        )
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """numpy scalars as Python's, and what is not finite as None."""
    plain: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, float) and not math.isfinite(value):
            value = None
        plain[name] = value
    return plain

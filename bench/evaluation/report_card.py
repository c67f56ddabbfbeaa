"""Everything that is measured on a finished cell, each number valid and with its error."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.config import EvaluationConfig
from bench.data.loading import BINARIZATION_SEED, LoadedData
from bench.errors import Interrupted
from bench.evaluation.decomposition import measure_decomposition
from bench.evaluation.entropy import category_use, sampled_use
from bench.evaluation.likelihood import measure_bounds
from bench.evaluation.purity import Purity, hard_agreement, purity
from bench.evaluation.responsibilities import active_units, prior_responsibilities
from bench.evaluation.section import Section
from bench.files import atomic_write, write_json
from bench.joint import Joint
from bench.model import Model, category_of
from bench.store import COLLAPSED_BELOW

Array = npt.NDArray[np.float64]

ROWS = 1000


@dataclass(frozen=True)
class ReportCard:
    """The measurements of one cell.

    Attributes:
        metrics: by name, nats where they have a unit; None where one does not apply.
        per_example: float arrays (N,) over the test set: nelbo, nll, reconstruction, kl_z, kl_c.
        labels: one row a label, with its purity, standard error and chance level.
        sections: what is too long for a table, by name; each becomes a JSON file.
        files: pictures, by name.
    """

    metrics: dict[str, Any]
    per_example: dict[str, Array]
    labels: list[dict[str, Any]]
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write metrics.json, a JSON file a section, purity.json, examples.npz and pictures."""
        write_json(folder / "metrics.json", self.metrics)
        for name, details in self.sections.items():
            write_json(folder / f"{name}.json", details)
        write_json(folder / "purity.json", self.labels)
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {k: v.astype(np.float32) for k, v in self.per_example.items()}
        np.savez_compressed(buffer, **arrays)
        for name, content in {**self.files, "examples.npz": buffer.getvalue()}.items():
            with atomic_write(folder / name) as stream:
                stream.write(content)


@torch.no_grad()
def evaluate(
    model: Model,
    data: LoadedData,
    config: EvaluationConfig,
    cache: Path,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[str], None] = lambda _: None,
) -> ReportCard:
    """Measure a trained model on the frozen test set. Labels are read here and nowhere before.

    Args:
        model: with its best parameters.
        data: the dataset with its labels.
        config: the [evaluation] section.
        cache: a folder for what serves several cells: the classifier of each dataset.
        stop: asked between blocks of work.
        progress: told what is being measured, and how far.

    Raises:
        Interrupted: ``stop`` answered True.
        BenchError: a bound is not finite.
    """

    def at(what: str) -> None:
        if stop():
            raise Interrupted("stopped in evaluation; the trained model is saved")
        progress(what)

    device = next(model.parameters()).device
    test = torch.from_numpy(data.test_x).to(device)
    prior = model.joint_prior()  # encoded once: a VampPrior's components serve the whole pass
    sections: dict[str, Section] = {}
    sections["likelihood"], examples = measure_bounds(
        model, test, prior, config, lambda share: at(f"bounds {share:.0%}")
    )
    at("decomposition")
    sections["decomposition"] = measure_decomposition(model, test, prior, config, examples["nelbo"])
    at("categories")
    categories, labels, details = _categories(model, data, test, prior, config)
    sections["categories"] = Section(categories, details)

    metrics: dict[str, Any] = {
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "active_units": active_units(model, test.float()),
    }
    for section in sections.values():
        metrics |= section.metrics
    return ReportCard(
        _plain(metrics),
        examples,
        labels,
        {name: _plain(section.details) for name, section in sections.items() if section.details},
        {name: file for section in sections.values() for name, file in section.files.items()},
    )


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


def _plain(values: Any) -> Any:
    """numpy scalars and arrays as Python's, and what is not finite as None."""
    if isinstance(values, Mapping):
        return {str(name): _plain(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_plain(value) for value in values]
    if isinstance(values, np.ndarray | np.generic):
        return _plain(values.tolist())
    if isinstance(values, float) and not math.isfinite(values):
        return None
    return values

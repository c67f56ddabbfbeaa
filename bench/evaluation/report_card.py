"""Everything that is measured on a finished cell, each number valid and with its error."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bench.config import EvaluationConfig
from bench.data.loading import LoadedData
from bench.errors import Interrupted
from bench.evaluation.categories import measure_categories
from bench.evaluation.decomposition import measure_decomposition
from bench.evaluation.density import measure_density
from bench.evaluation.generation import measure_generation
from bench.evaluation.likelihood import measure_bounds
from bench.evaluation.numbers import plain
from bench.evaluation.relaxed import measure_relaxation
from bench.evaluation.responsibilities import active_units
from bench.evaluation.section import Section
from bench.files import atomic_write, write_json
from bench.model import Model

Array = npt.NDArray[np.float64]


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
    temperature: float | None = None,
) -> ReportCard:
    """Measure a trained model on the frozen test set. Labels are read here and nowhere before.

    Args:
        model: with its best parameters.
        data: the dataset with its labels.
        config: the [evaluation] section.
        cache: a folder for what serves several cells: the classifier of each dataset.
        stop: asked between blocks of work.
        progress: told what is being measured, and how far.
        temperature: of the Gumbel-Softmax in the model's best epoch, where it is known.

    Raises:
        Interrupted: ``stop`` answered True.
        BenchError: a bound is not finite.
    """

    def at(what: str) -> None:
        if stop():
            raise Interrupted("stopped in evaluation; the trained model is saved")
        progress(what)

    # Cells that differ in their training seed alone would else share the evaluation's noise, and
    # their Monte Carlo errors would not average out.
    config = config.model_copy(update={"seed": _mixed(config.seed, model.spec.seed)})
    device = next(model.parameters()).device
    test = torch.from_numpy(data.test_x).to(device)
    prior = model.joint_prior()  # encoded once: a VampPrior's components serve the whole pass
    sections: dict[str, Section] = {}
    sections["likelihood"], examples = measure_bounds(
        model, test, prior, config, lambda share: at(f"bounds {share:.0%}")
    )
    sections["relaxed"], relaxed = measure_relaxation(
        model, test, prior, config, temperature, examples["nelbo"]
    )
    examples |= relaxed
    at("decomposition")
    sections["decomposition"] = measure_decomposition(model, test, prior, config, examples["nelbo"])
    at("categories")
    found = measure_categories(model, data, prior, config)
    sections["categories"] = found.section
    at("generation")
    sections["generation"] = measure_generation(
        model,
        data,
        prior,
        config,
        found.assignments,
        found.weights,
        cache,
        data.test_grey,
        found.owners,
    )
    at("density")
    encoded = None if model.spec.categories is None else found.weights
    sections["density"] = measure_density(model, data, prior, config, encoded, examples["nll"])

    metrics: dict[str, Any] = {
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "active_units": active_units(model, test.float()),
    }
    for section in sections.values():
        metrics |= section.metrics
    return ReportCard(
        plain(metrics),
        examples,
        found.labels,
        {name: plain(section.details) for name, section in sections.items() if section.details},
        {name: file for section in sections.values() for name, file in section.files.items()},
    )


def _mixed(seed: int, training_seed: int) -> int:
    """A seed below 2^31 from both."""
    (word,) = np.random.SeedSequence([seed, training_seed]).generate_state(1, np.uint32)
    return int(word >> 1)

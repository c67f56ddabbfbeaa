"""(f): what looking at a model costs: a decode, and a whole pass as a share of an epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from bench.bounds import elbo_enumerated, importance_weights
from benchmarks.data import Images
from benchmarks.ours import System, Training, compete, judged_mode, shipped, validation
from benchmarks.settings import FULL_EPOCH, Settings
from benchmarks.timing import ratio, scaled, spread

FULL_PASS = 10_000
"""Rows of MNIST's validation and of its test set."""

ROWS = 500
SAMPLES = 200


@dataclass(frozen=True)
class Pass:
    """One look at some rows.

    Attributes:
        work: the look.
        rows: how many data it sees.
        decodes: how many latents it decodes.
        repeats: how often the whole evaluation does it, for every row.
    """

    work: Callable[[], object]
    rows: int
    decodes: int
    repeats: float


def measure(settings: Settings, images: Images) -> dict[str, Any]:
    """Microseconds a decode, and a full pass over 10,000 rows in epochs of the same system."""
    size = settings.components[len(settings.components) // 2]
    systems = (System("VAE"), System("VP", size), System("CP", size))
    return {
        "rows": min(ROWS, settings.images),
        "importance_samples": shipped().evaluation.importance_samples,
        "systems": {system.label: _system(system, settings, images) for system in systems},
    }


def _system(system: System, settings: Settings, images: Images) -> dict[str, Any]:
    few = images.first(settings.few_images)
    training = Training(system, few, settings, mode=judged_mode(settings))
    passes = _passes(system, settings, images)
    work = {name: one.work for name, one in passes.items()}
    taken = compete({"epoch": training}, work, settings).taken
    epoch = scaled(taken["epoch"], FULL_EPOCH / settings.few_images)
    found: dict[str, Any] = {"epoch_seconds": spread(epoch)}
    for name, one in passes.items():
        whole = scaled(taken[name], one.repeats * FULL_PASS / one.rows)
        found[name] = {
            "decodes": one.decodes,
            "microseconds_a_decode": spread(scaled(taken[name], 1e6 / one.decodes)),
            "full_pass_seconds": spread(whole),
            "full_pass_in_epochs": ratio(whole, epoch),
        }
    return found


def _passes(system: System, settings: Settings, images: Images) -> dict[str, Pass]:
    """The validation bound of an epoch, and the two or three bounds of a finished cell."""
    evaluation = shipped().evaluation
    model = system.build(settings, images.train.shape[1])
    generator = torch.Generator(settings.device).manual_seed(0)
    x = images.validation.to(settings.device)
    noise = model.noise((len(x),), generator)
    rows = x[: min(ROWS, settings.images)].float()
    size = model.spec.categories
    draws = min(SAMPLES, settings.images)
    at_once: dict[str, Any] = {"prior": model.joint_prior(), "chunk": evaluation.chunk}
    enumerated = partial(elbo_enumerated, model, rows, generator, prune=evaluation.prune, **at_once)
    weights = partial(importance_weights, model, rows, generator=generator, **at_once)
    wanted = evaluation.importance_samples
    passes = {
        "validation bound": Pass(validation(model, x, noise), len(x), len(x), 1),
        "ELBO, category enumerated" if size else "ELBO": Pass(
            enumerated, len(rows), len(rows) * (size or 1), evaluation.elbo_samples
        ),
        "importance sampling": Pass(
            partial(weights, samples=draws), len(rows), len(rows) * draws, wanted / draws
        ),
    }
    if size:
        summed = max(1, draws // size)
        passes["importance sampling, category summed out"] = Pass(
            partial(weights, samples=summed, over_categories=True),
            len(rows),
            len(rows) * summed * size,
            math.ceil(wanted / size) / summed,
        )
    return passes

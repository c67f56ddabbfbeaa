"""Stores made by hand in which a claim of the paper is true, false, or neither."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from bench.config import load_config
from bench.report.papertables.published import COLUMNS, SYSTEMS, UNSIZED
from bench.report.scorecard.categories import BY_LABEL, LARGEST, SMALL
from bench.store import Store
from fabricated import PAIRS, put, row

TRUE, FALSE, OPEN = "holds", "does not hold", "cannot be told"
EXAMPLES = 100
CATEGORICAL = ("CP", "INDq", "INDp", "INDqp")
SYNTHETIC = "gaussians"

Place = tuple[str, int]
World = Callable[[Store, str], None]


def put_cell(store: Store, model: str, place: Place, seed: int, **values: Any) -> str:
    """A finished cell with these columns; with ``costs``, per-example bounds."""
    dataset, size = place
    unsized = model in UNSIZED
    name = values.pop("cell", f"{model}-{dataset}-{'' if unsized else size}-{seed}")
    costs = values.pop("costs", None)
    config = values.pop("config", protocol(dataset, model))
    examples = {} if costs is None else {"nelbo": costs}
    put(
        store,
        row(seed, model, **{
            "cell": name, "dataset": dataset, "components": None if unsized else size,
            "dataset_fingerprint": f"print of {dataset}", "setting": f"{model}{size}", **values,
        }),
        **examples,
    )  # fmt: skip
    (store.folder(name) / "config.json").write_text(json.dumps(config))
    return name


@cache
def protocol(dataset: str, model: str, preset: str = "") -> dict[str, Any]:
    """How a preset's cells on a dataset are trained; without a name, the paper's."""
    config = load_config(preset or "paper", None, ())
    local, (prior, posterior) = config.for_dataset(dataset), PAIRS[model]
    return {
        "training": local.training.model_dump(), "model": local.model.model_dump(),
        "prior_options": local.options("prior", prior),
        "posterior_options": local.options("posterior", posterior),
    }  # fmt: skip


def put_bounds(
    store: Store,
    means: Mapping[str, float],
    place: Place,
    *,
    spread: float = 0.02,
    seeds: int = 3,
    preset: str = "",
) -> None:
    """Cells whose NELBO has these means, ``spread`` apart over seeds; the examples are shared."""
    random = np.random.default_rng(7)
    common = random.normal(0, 5, EXAMPLES)
    for model, mean in means.items():
        own = random.normal(0, 0.02, (seeds, EXAMPLES))
        own -= own.mean()
        for seed in range(seeds):
            costs = mean + common + own[seed] + spread * (seed - (seeds - 1) / 2)
            named: dict[str, Any] = {}
            if preset:
                named = {"config": protocol(place[0], model, preset), "setting": preset + model,
                         "cell": f"{preset}-{model}-{place[0]}-{place[1]}-{seed}"}  # fmt: skip
            put_cell(store, model, place, seed, costs=costs, **named)


def put_values(store: Store, model: str, place: Place, values: Sequence[Mapping[str, Any]]) -> None:
    """One seed for each mapping of columns."""
    for seed, columns in enumerate(values):
        put_cell(store, model, place, seed, **columns)


def bounds(better: Sequence[str], worse: Sequence[str], margin: float = 0.0) -> World:
    """``better`` one nat below ``worse``, above, or level with them, less the margin."""

    def build(store: Store, outcome: str) -> None:
        gap = {TRUE: -1.0, FALSE: 1.0, OPEN: 0.0}[outcome] + margin
        for place in COLUMNS:
            means = dict.fromkeys(better, 100.0 + gap) | dict.fromkeys(worse, 100.0)
            put_bounds(store, means, place)

    return build


def by_size(store: Store, outcome: str) -> None:
    slope = {TRUE: -1.0, FALSE: 1.0, OPEN: 0.0}[outcome]
    for place in COLUMNS:
        put_bounds(store, {"VP": 100.0 + slope * place[1] / 100}, place)


def numbers(
    column: str,
    places: Sequence[Place],
    *,
    ours: float = 1.0,
    step: float = 0.4,
    rivals: Sequence[str] = CATEGORICAL[1:],
    more: Mapping[str, Any] | None = None,
) -> World:
    """CP's column above the rivals' by ``step``, below, or level; seeds vary by a hundredth."""

    def build(store: Store, outcome: str) -> None:
        gap = {TRUE: step, FALSE: -step, OPEN: 0.0}[outcome]
        for place in places:
            for model in ("CP", *rivals):
                mean = ours + (gap if model == "CP" else 0.0)
                spread = abs(step) / 40
                values = [{column: mean + spread * (s - 1), **(more or {})} for s in range(3)]
                put_values(store, model, place, values)

    return build


def sampled_labels(store: Store, outcome: str) -> None:
    mean = {TRUE: 2.0, FALSE: 9.0, OPEN: 5.0}[outcome]
    for model in ("MG", "VP", "HVP"):
        for place in SMALL:
            put_values(store, model, place, [{"marginal_labels": mean + (s - 1) / 10}
                                             for s in range(3)])  # fmt: skip
            for seed in range(3):
                marginal = {"label_probabilities": [0.1] * 10, "samples": 2000}
                path = store.folder(f"{model}-{place[0]}-{place[1]}-{seed}") / "generation.json"
                path.write_text(json.dumps({"marginal": marginal}))


def gaps(store: Store, outcome: str) -> None:
    mean = {TRUE: 1.0, FALSE: -1.0, OPEN: 0.0}[outcome]
    for model in CATEGORICAL:
        for place in COLUMNS:
            put_values(store, model, place, [{"relaxed_gap": mean + (s - 1) / 100}
                                             for s in range(3)])  # fmt: skip


def modes(model: str, size: int, *, recovered: bool) -> World:
    """Five of five seeds recover (or fail), none do, or three of five."""

    def build(store: Store, outcome: str) -> None:
        agree = {TRUE: 5, FALSE: 0, OPEN: 3}[outcome]
        put_values(store, model, (SYNTHETIC, size), [
            {"recovered": (s < agree) == recovered, "js": 0.01} for s in range(5)
        ])  # fmt: skip

    return build


def divergences(model: str, worse: int, better: int) -> World:
    def build(store: Store, outcome: str) -> None:
        gap = {TRUE: -0.05, FALSE: 0.05, OPEN: 0.0}[outcome]
        for size, mean in ((worse, 0.1), (better, 0.1 + gap)):
            put_values(store, model, (SYNTHETIC, size), [
                {"recovered": False, "js": mean + (s - 2) / 1000} for s in range(5)
            ])  # fmt: skip

    return build


def uniform(store: Store, outcome: str) -> None:
    gap = {TRUE: 0.05, FALSE: -0.05, OPEN: 0.0}[outcome]
    put_values(store, "CP", (SYNTHETIC, 150), [
        {"recovered": True, "js": 0.1, "js_uniform": 0.1 + gap + (s - 2) / 1000} for s in range(5)
    ])  # fmt: skip


def excess(store: Store, outcome: str) -> None:
    present = {TRUE: 60, FALSE: 149, OPEN: 135}[outcome]
    put_values(store, "CP", (SYNTHETIC, 150), [
        {"recovered": True, "categories_present": present + s - 2} for s in range(5)
    ])  # fmt: skip


WORLDS: dict[str, World] = {
    "cp-beats-indq": bounds(["CP"], ["INDq"]),
    "indp-matches-cp": bounds(["INDp"], ["CP"], margin=0.5),
    "indqp-matches-cp": bounds(["INDqp"], ["CP"], margin=0.5),
    "hvp-best": bounds(["HVP"], [model for model in SYSTEMS if model != "HVP"]),
    "vp-improves": by_size,
    "cp-more-categories": numbers("entropy", LARGEST, rivals=["INDq"]),
    "cp-purer": numbers("purity_corrected", BY_LABEL, ours=0.5),
    "cp-lists-apart": numbers("top_marked", BY_LABEL, ours=40, step=-30),
    "cp-samples-purer": numbers("generation_purity_corrected", LARGEST, ours=0.5),
    "few-labels": sampled_labels,
    "relaxed-flatters": gaps,
    "cp-recovers-2": modes("CP", 2, recovered=True),
    "cp-recovers-150": modes("CP", 150, recovered=True),
    "indq-fails-150": modes("INDq", 150, recovered=False),
    "vae-recovers": modes("VAE", 2, recovered=True),
    "mg-fails-2": modes("MG", 2, recovered=False),
    "mg-better-at-150": divergences("MG", 2, 150),
    "vp-fails-2": modes("VP", 2, recovered=False),
    "vp-better-at-150": divergences("VP", 2, 150),
    "indp-fails-150": modes("INDp", 150, recovered=False),
    "indp-better-at-2": divergences("INDp", 150, 2),
    "indqp-fails-150": modes("INDqp", 150, recovered=False),
    "indqp-better-at-2": divergences("INDqp", 150, 2),
    "marginal-beats-uniform": uniform,
    "excess-is-empty": excess,
}
"""For the key of every claim, what writes the cells for an outcome."""

"""By which preset a cell was trained, and which of a store's settings are meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from bench.config import Config, load_config, preset_names, shipped_toml_path
from bench.errors import BenchError, UsageError
from bench.files import read_json
from bench.registry import Registry
from bench.report.summary import Row, size_of
from bench.store import Store

__all__ = [
    "PROTOCOLS", "choose_settings", "differences", "of_preset", "presets_of", "protocol_of",
    "runs_on", "trained",
]  # fmt: skip

PROTOCOLS = {
    "paper": "",
    "released": "preset released: the released code's choices",
    "synthetic": "preset synthetic: smaller networks and a shorter schedule than the paper states",
}
"""The presets whose cells have verdicts, the paper's own first, and what is not the paper's."""

FREE = ("training.checkpoint_seconds",)
"""Changes no number."""

KINDS = ("prior", "posterior", "dataset")

Settings = dict[str, Any]


def trained(store: Store, row: Row) -> Settings:
    """How a cell was trained, by the dotted keys of bench.toml, without what was tuned.

    Options of plugins have their defaults where they were not set. Empty where the cell's
    config.json does not say.
    """
    config = read_json(store.folder(row["cell"]) / "config.json")
    if not isinstance(config, dict):
        return {}
    parts = {part: config.get(part) or {} for part in ("training", "model")}
    if not any(parts.values()):
        return {}
    found = {f"{part}.{key}": value for part, values in parts.items()
             for key, value in values.items()}  # fmt: skip
    for kind in KINDS:
        found |= _options(kind, row[kind], config.get(f"{kind}_options") or {})
    free = {*FREE, *(row.get("tuned") or {})}
    return {key: value for key, value in found.items() if key not in free}


def of_preset(preset: str, row: Row) -> Settings:
    """How a preset of the shipped bench.toml trains a cell of these names, as :func:`trained`.

    The user's own bench.toml has no say: a preset that it changes is no longer that preset.
    """
    return dict(_of_preset(preset, row["dataset"], row["prior"], row["posterior"]))


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """``KEY found instead of wanted`` for everything that both have; sections are left out."""
    return [
        f"{key.removeprefix('training.').removeprefix('model.')} {found[key]} instead of {value}"
        for key, value in wanted.items()
        if key in found and found[key] != value
    ]


def runs_on(preset: str, dataset: str) -> bool:
    """Whether a preset of the shipped bench.toml has a dataset among its own."""
    return dataset in _config(preset).run.datasets


def protocol_of(store: Store, row: Row) -> str:
    """Which of ``PROTOCOLS`` a cell is of, on its published data; empty where of none."""
    if str(row["dataset_fingerprint"]).startswith("unverified"):
        return ""
    found = trained(store, row)
    for preset in PROTOCOLS if found else ():
        if runs_on(preset, row["dataset"]) and not differences(found, of_preset(preset, row)):
            return preset
    return ""


def presets_of(store: Store, row: Row) -> list[str]:
    """The shipped presets by which a cell was trained; several may train it alike."""
    found = trained(store, row)
    return [name for name in _presets() if found and not differences(found, of_preset(name, row))]


def choose_settings(store: Store, rows: Sequence[Row], words: Sequence[str]) -> list[Row]:
    """The rows that ``--settings`` leaves.

    The name of a shipped preset leaves the cells that were trained by it. The beginning of a hash
    (which the report prints as ``settings``) chooses for those models alone that have cells of it,
    as every model has its own.

    Raises:
        UsageError: no cell is of such settings.
    """
    if not words:
        return list(rows)
    names = {row["cell"]: presets_of(store, row) for row in rows}
    hit: dict[str, set[str]] = {
        word: {row["cell"] for row in rows
               if word in names[row["cell"]]
               or (word not in _presets() and str(row.get("setting") or "").startswith(word))}
        for word in words
    }  # fmt: skip
    for word, cells in hit.items():
        if not cells:
            raise UsageError(
                f"--settings {word}: no cell is of these settings. Expected "
                f"{_known(rows, names)}; found {word!r}."
            )
    chosen = set().union(*hit.values())
    if any(word in _presets() for word in words):
        return [row for row in rows if row["cell"] in chosen]
    decided = {_model(row) for row in rows if row["cell"] in chosen}
    return [row for row in rows if row["cell"] in chosen or _model(row) not in decided]


def _model(row: Row) -> tuple[Any, ...]:
    return row["dataset"], row["prior"], row["posterior"], size_of(row)


def _known(rows: Sequence[Row], names: Mapping[str, Sequence[str]]) -> str:
    presets = sorted({name for found in names.values() for name in found})
    hashes = sorted({str(row.get("setting")) for row in rows if row.get("setting")})
    listed = ", ".join(hashes[:8]) + (f" and {len(hashes) - 8} more" if len(hashes) > 8 else "")
    said = f"the beginning of a hash ({listed})"
    return f"a preset ({', '.join(presets)}) or {said}" if presets else said


@cache
def _config(preset: str) -> Config:
    return load_config(preset, shipped_toml_path())


@cache
def _presets() -> tuple[str, ...]:
    return tuple(preset_names(shipped_toml_path()))


@cache
def _of_preset(preset: str, dataset: str, prior: str, posterior: str) -> Settings:
    config = _config(preset).for_dataset(dataset)
    found = {f"{part}.{key}": value for part in ("training", "model")
             for key, value in getattr(config, part).model_dump().items()}  # fmt: skip
    for kind, name in zip(KINDS, (prior, posterior, dataset), strict=True):
        found |= _options(kind, name, config.options(kind, name))
    return {key: value for key, value in found.items() if key not in FREE}


def _options(kind: str, name: str, given: Mapping[str, Any]) -> Settings:
    known = {**_defaults(kind, name), **given}
    return {f"{kind}s.{name}.{key}": value for key, value in known.items()}


@cache
def _defaults(kind: str, name: str) -> Settings:
    try:
        return _registry().defaults(kind, name)
    except BenchError:  # a plugin that is not installed here: what was set is all that is known
        return {}


@cache
def _registry() -> Registry:
    return Registry()

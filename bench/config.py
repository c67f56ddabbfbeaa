"""The configuration: how its sources are joined and checked.

The shipped bench.toml < the user's bench.toml < the preset < flags and ``--set``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.best import check_best
from bench.config_check import check_keys, explain
from bench.config_files import (
    OVERRIDES,
    Source,
    Table,
    deep_merge,
    default_preset,
    file_sources,
    flags_source,
    merged,
    model_names,
    preset_names,
    preset_source,
    sets_source,
    shipped_toml_path,
)
from bench.config_sections import (
    EngineConfig,
    EvaluationConfig,
    ModelConfig,
    Pair,
    RunConfig,
    Section,
    TrackingConfig,
    TrainingConfig,
    TuningConfig,
)
from bench.errors import UsageError

__all__ = [
    "Config",
    "EngineConfig",
    "EvaluationConfig",
    "ModelConfig",
    "RunConfig",
    "TrackingConfig",
    "TrainingConfig",
    "TuningConfig",
    "default_preset",
    "load_config",
    "model_names",
    "preset_names",
    "shipped_toml_path",
]


class Config(Section):
    """All settings of a run.

    ``priors``, ``posteriors`` and ``datasets`` hold options by plugin name; a dataset's table may
    also hold tables named after ``OVERRIDES``, which are applied by :meth:`for_dataset`. ``best``
    holds settings of single cells, see :mod:`bench.best`.
    """

    run: RunConfig
    training: TrainingConfig
    model: ModelConfig
    evaluation: EvaluationConfig
    tracking: TrackingConfig
    tuning: TuningConfig
    engine: EngineConfig
    best: dict[str, dict[str, Any]]
    models: dict[str, Pair]
    priors: dict[str, dict[str, Any]]
    posteriors: dict[str, dict[str, Any]]
    datasets: dict[str, dict[str, Any]]

    def for_dataset(self, name: str) -> Config:
        """These settings with the dataset's own overrides applied.

        Raises:
            UsageError: an override has a value that its section does not take.
        """
        own = self.datasets.get(name, {})
        overrides = {section: own[section] for section in OVERRIDES if section in own}
        prefix = f"datasets.{name}."
        return _validated(deep_merge(self.model_dump(), overrides), [], prefix)

    def components_for(self, dataset: str) -> list[int]:
        """The numbers of components to run on a dataset."""
        return self.run.components_by_dataset.get(dataset, self.run.components)

    def options(self, kind: str, name: str) -> dict[str, Any]:
        """The constructor options of one plugin.

        Args:
            kind: ``prior``, ``posterior`` or ``dataset``.
            name: the plugin's name.
        """
        tables = {"prior": self.priors, "posterior": self.posteriors, "dataset": self.datasets}
        reserved = OVERRIDES if kind == "dataset" else ()
        own = tables[kind].get(name, {})
        return {key: value for key, value in own.items() if key not in reserved}

    def with_values(self, values: Mapping[str, Any]) -> Config:
        """These settings with dotted keys replaced, as the tuner does; overrides included.

        Args:
            values: by dotted key, or ``components`` for the number of components.

        Raises:
            UsageError: a key or a value that the configuration does not take.
        """
        dotted = {"run.components" if k == "components" else k: v for k, v in values.items()}
        source = flags_source(dotted)
        check_keys(source, Config)
        data = merged([Source("", self.model_dump()), source])
        return _validated(_completed(data), [source])


def load_config(
    preset: str | None = None,
    config_file: Path | None = None,
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> Config:
    """Join and check every source of settings.

    Args:
        preset: a preset's name, or None for none; see :func:`default_preset`.
        config_file: the user's file, instead of ./bench.toml.
        sets: ``KEY=VALUE`` arguments; these win over ``flags``.
        flags: values by dotted key; None is a flag that was not given.

    Raises:
        UsageError: an unknown key or preset, or a value that a key does not take.
    """
    files = file_sources(config_file)
    for source in files:
        check_keys(source, Config, presets=True)
    sources = list(files)
    if preset is not None:
        sources.append(preset_source(files, preset))
    for source in (flags_source(flags or {}), sets_source(sets)):
        check_keys(source, Config)
        sources.append(source)
    data = _completed(merged(sources))
    config = _validated(data, sources)
    for name in config.datasets:
        config.for_dataset(name)
    if config.tuning.trials:
        _check_ranges(config)
    check_best(config)
    return config


def _completed(data: Table) -> Table:
    """Without presets, which are a source and no setting; with the lists that were withdrawn."""
    data = {key: value for key, value in data.items() if key != "presets"}
    run: Table = {"datasets": [], "models": [], "priors": [], "posteriors": []}
    data["run"] = {**run, "components_by_dataset": {}, **data.get("run", {})}
    return {"best": {}, "models": {}, "priors": {}, "posteriors": {}, "datasets": {}, **data}


def _validated(data: Table, sources: Sequence[Source], prefix: str = "") -> Config:
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise explain(error, sources, prefix) from error


def _check_ranges(config: Config) -> None:
    """Both ends of a range must be values that its key takes."""
    for key, table in config.tuning.space.items():
        if key.split(".")[0] in ("components", *OVERRIDES):
            ends = table["options"] if table["type"] == "choice" else [table["low"], table["high"]]
            for end in ends:
                try:
                    config.with_values({key: end})
                except UsageError as error:
                    raise UsageError(f"tuning.space.{key} reaches {end!r}: {error}") from error

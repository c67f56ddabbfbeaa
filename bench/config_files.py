"""Where configuration comes from, and how one source overrides another.

Nothing here imports pydantic: ``bench list`` reads presets and models through this file alone.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UsageError, unknown

Table = dict[str, Any]

OVERRIDES = ("training", "model", "evaluation")
"""Sections that ``[datasets.NAME.SECTION]`` may override for the cells on one dataset."""

# A choice made in a later source withdraws an earlier one of the same question.
_WITHDRAWN = {
    "components": ("components_by_dataset",),
    "priors": ("models",),
    "posteriors": ("models",),
    "models": ("priors", "posteriors"),
}

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Source:
    """One source of settings.

    Attributes:
        name: what to call it in a message.
        data: its tables.
    """

    name: str
    data: Table


def shipped_toml_path() -> Path:
    """The bench.toml that this installation ships: inside the package, or beside it in a checkout.

    Raises:
        UsageError: the installation is damaged: neither place has it.
    """
    package = Path(__file__).resolve().parent
    for path in (package / "bench.toml", package.parent / "bench.toml"):
        if path.is_file():
            return path
    raise UsageError(f"expected bench.toml in {package} or beside it, found none: reinstall bench")


def user_toml_path(config_file: Path | None = None) -> Path | None:
    """The user's configuration file: ``config_file``, else ./bench.toml unless that is ours.

    Raises:
        UsageError: ``config_file`` does not exist.
    """
    if config_file is not None:
        if not config_file.is_file():
            raise UsageError(f"--config {config_file}: there is no such file")
        return config_file
    here = Path("bench.toml")
    if here.is_file() and not here.samefile(shipped_toml_path()):
        return here
    return None


def read_toml(path: Path) -> Table:
    """The tables of a TOML file.

    Raises:
        UsageError: it cannot be read or is not TOML.
    """
    try:
        return normalised(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def file_sources(config_file: Path | None = None) -> list[Source]:
    """The shipped file and, where there is one, the user's."""
    shipped = Source("the shipped bench.toml", read_toml(shipped_toml_path()))
    user = user_toml_path(config_file)
    return [shipped] if user is None else [shipped, Source(str(user), read_toml(user))]


def preset_source(sources: Sequence[Source], preset: str) -> Source:
    """What a preset sets, joined over all files that mention it.

    Raises:
        UsageError: no file has that preset.
    """
    presets = _table(merged(sources).get("presets"))
    if preset not in presets:
        raise unknown("preset", preset, presets)
    data = {key: value for key, value in presets[preset].items() if key != "about"}
    return Source(f"preset {preset}", data)


def preset_names(config_file: Path | None = None) -> dict[str, str]:
    """The presets and what each says about itself."""
    presets = _table(merged(file_sources(config_file)).get("presets"))
    return {name: str(_table(table).get("about", "")) for name, table in presets.items()}


def model_names(config_file: Path | None = None) -> dict[str, tuple[str, str]]:
    """The named models: (prior, posterior) of each.

    Raises:
        UsageError: a file names something else than two plugins.
    """
    models = _table(merged(file_sources(config_file)).get("models"))
    for name, pair in models.items():
        if not isinstance(pair, list) or len(pair) != 2:
            raise UsageError(f"models.{name}: expected [PRIOR, POSTERIOR], found {pair!r}")
    return {name: (str(prior), str(posterior)) for name, (prior, posterior) in models.items()}


def default_preset(
    with_datasets: bool, config_file: Path | None = None, sets: Sequence[str] = ()
) -> str:
    """The preset of a ``bench run`` that names none: one for named datasets, one for a bare run."""
    run = _table(merged([*file_sources(config_file), sets_source(sets)]).get("run"))
    return str(run.get("preset_with_datasets" if with_datasets else "preset_bare", ""))


def flags_source(flags: Mapping[str, Any]) -> Source:
    """Command line flags as settings: dotted keys; None means the flag was not given."""
    data: Table = {}
    for dotted, value in flags.items():
        if value is not None:
            data = deep_merge(data, _nest(dotted.split("."), value))
    return Source("the command line", normalised(data))


def sets_source(sets: Sequence[str]) -> Source:
    """``--set KEY=VALUE`` arguments as settings, the later the stronger."""
    data: Table = {}
    for text in sets:
        data = deep_merge(data, _parse_set(text))
    return Source("--set", normalised(data))


def merged(sources: Sequence[Source]) -> Table:
    """All sources in one table, later ones overriding.

    A general setting also overrides what an earlier source set for one dataset: otherwise
    ``--epochs 3`` would leave a dataset with its own ``epochs`` untouched.
    """
    result: Table = {}
    for source in sources:
        base, layer = deepcopy(result), source.data
        for section in OVERRIDES:
            for options in _table(base.get("datasets")).values():
                for key in _table(layer.get(section)):
                    _table(_table(options).get(section)).pop(key, None)
        chosen = _table(layer.get("run"))
        for key in chosen:
            for withdrawn in _WITHDRAWN.get(key, ()):
                if withdrawn not in chosen:
                    _table(base.get("run")).pop(withdrawn, None)
        result = deep_merge(base, layer)
    tuning = _table(result.get("tuning"))
    if isinstance(tuning.get("space"), dict):
        tuning["space"] = {k: v for k, v in tuning["space"].items() if v is not False}
    return result


def deep_merge(base: Mapping[str, Any], layer: Mapping[str, Any]) -> Table:
    """``base`` with ``layer`` over it, table by table; a typed range is replaced whole."""
    result = dict(base)
    for key, value in layer.items():
        known = result.get(key)
        if isinstance(known, dict) and isinstance(value, dict) and not _is_range(value):
            result[key] = deep_merge(known, value)
        else:
            result[key] = deepcopy(value)
    return result


def _table(value: Any) -> Table:
    """``value`` if it is a table; a wrong value is reported when the configuration is checked."""
    return value if isinstance(value, dict) else {}


def _is_range(table: Mapping[str, Any]) -> bool:
    return "type" in table and ("low" in table or "options" in table)


def normalised(data: Table) -> Table:
    """``data`` with every [tuning.space] keyed by dotted names, however it was written."""
    result = dict(data)
    tuning = result.get("tuning")
    if isinstance(tuning, Mapping) and isinstance(tuning.get("space"), Mapping):
        result["tuning"] = {**tuning, "space": _flatten(tuning["space"])}
    if isinstance(best := result.get("best"), Mapping):
        result["best"] = {k: _flatten(v) if isinstance(v, Mapping) else v for k, v in best.items()}
    presets = result.get("presets")
    if isinstance(presets, Mapping):
        result["presets"] = {
            name: normalised(dict(table)) if isinstance(table, Mapping) else table
            for name, table in presets.items()
        }
    return result


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Table:
    flat: Table = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and not isinstance(value.get("type"), str):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _parse_set(text: str) -> Table:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set expects KEY=VALUE, got {text!r}")
    try:
        path = list(_path(tomllib.loads(f"{key} = 0")))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"--set expects a dotted key before '=', got {key!r}") from error
    return _nest(path, _parse_value(value.strip()))


def _path(table: Mapping[str, Any]) -> list[str]:
    ((key, value),) = table.items()
    return [key, *(_path(value) if isinstance(value, Mapping) else [])]


def _parse_value(text: str) -> Any:
    # What a shell user means by True or .5, which TOML does not know, must not become a string
    # that a plugin's option would take for true.
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return float(text) if _NUMBER.fullmatch(text) else text
    return table["value"] if len(table) == 1 else text


def _nest(path: Sequence[str], value: Any) -> Table:
    for key in reversed(path):
        value = {key: value}
    return dict(value)

"""Say what is wrong with a configuration in one line: the key, what it takes, what it got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.best import check_best
from bench.config_files import OVERRIDES, Source
from bench.errors import PluginError, UsageError, unknown

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from bench.config import Config
    from bench.registry import Registry

_PLUGINS = {"priors": "prior", "posteriors": "posterior", "datasets": "dataset"}


def check_keys(source: Source, schema: type[Config], *, presets: bool = False) -> None:
    """Refuse every key of a source that the configuration does not have.

    Args:
        source: what to check.
        schema: the configuration.
        presets: whether the source may define presets, as files do.

    Raises:
        UsageError: an unknown key, with the nearest known one; or a value where a table belongs.
    """
    _check_tables(source.data, schema, "", source.name, extra=("presets",) if presets else ())
    _expect_table("presets", source.data.get("presets", {}), source.name)
    for name, preset in source.data.get("presets", {}).items():
        prefix = f"presets.{name}."
        _expect_table(prefix[:-1], preset, source.name)
        _check_tables(preset, schema, prefix, source.name, extra=("about",))


def _check_tables(
    data: Mapping[str, Any],
    schema: type[BaseModel],
    prefix: str,
    source: str,
    extra: tuple[str, ...] = (),
) -> None:
    sections = schema.model_fields
    for key, value in data.items():
        if key in extra:
            continue
        if key not in sections:
            raise _unknown_section(key, schema, prefix, source)
        dotted = f"{prefix}{key}"
        _expect_table(dotted, value, source)
        section = sections[key].annotation
        if hasattr(section, "model_fields"):
            _check_section(value, section, dotted, source)
        elif key == "best":
            for name, values in value.items():
                _expect_table(f"{dotted}.{name}", values, source)
        elif key in _PLUGINS:
            for name, options in value.items():
                _expect_table(f"{dotted}.{name}", options, source)
                for override in OVERRIDES if key == "datasets" else ():
                    if override in options:
                        inner = f"{dotted}.{name}.{override}"
                        _expect_table(inner, options[override], source)
                        nested = sections[override].annotation
                        _check_section(options[override], nested, inner, source)
    space = data.get("tuning", {}).get("space", {})
    _expect_table(f"{prefix}tuning.space", space, source)
    for key in space:
        _check_range_key(key, schema, f"{prefix}tuning.space", source)


def _check_section(data: Mapping[str, Any], section: Any, dotted: str, source: str) -> None:
    for key in data:
        if key not in section.model_fields:
            known = [f"{dotted}.{field}" for field in section.model_fields]
            raise unknown(f"key (from {source})", f"{dotted}.{key}", known)


def _check_range_key(key: str, schema: type[BaseModel], prefix: str, source: str) -> None:
    head, *rest = key.split(".")
    if head in _PLUGINS and len(rest) == 2:
        return
    tuned = ("training", "model")
    known = [f"{section}.{field}" for section in tuned for field in _fields(schema, section)]
    if key not in ("components", *known):
        known = [f"{prefix}.{name}" for name in ("components", *known, "priors.NAME.OPTION")]
        raise unknown(f"key (from {source})", f"{prefix}.{key}", known)


def _unknown_section(key: str, schema: type[BaseModel], prefix: str, source: str) -> UsageError:
    # `--set epochs=5` forgets its section: say which sections have such a key.
    sections = [name for name in schema.model_fields if key in _fields(schema, name)]
    known = [f"{prefix}{section}.{key}" for section in sections]
    known = known or [f"{prefix}{section}" for section in schema.model_fields]
    return unknown(f"key (from {source})", f"{prefix}{key}", known)


def _fields(schema: type[BaseModel], section: str) -> list[str]:
    return list(getattr(schema.model_fields[section].annotation, "model_fields", ()))


def _expect_table(dotted: str, value: Any, source: str) -> None:
    if not isinstance(value, Mapping):
        raise UsageError(f"{dotted}: expected a table, found {value!r} (from {source})")


def explain(error: ValidationError, sources: Sequence[Source], prefix: str = "") -> UsageError:
    """The first error of a validation in one line, with the source that set the value."""
    first = error.errors(include_url=False)[0]
    path = [part for part in first["loc"] if isinstance(part, str)]
    dotted = prefix + ".".join(path)
    text = first["msg"]
    if first["type"] == "value_error":
        problem = text.removeprefix("Value error, ")
    else:
        for opening in ("Input should be ", "Input should ", "String should ", "List should "):
            text = text.removeprefix(opening)
        problem = f"expected {text}, found {first['input']!r}"
    setters = [source.name for source in sources if _has(source.data, path)]
    origin = f" (from {setters[-1]})" if setters else ""
    return UsageError(f"{dotted}: {problem}{origin}")


def _has(data: Any, path: Sequence[str]) -> bool:
    for key in path:
        if not isinstance(data, Mapping) or key not in data:
            return False
        data = data[key]
    return True


def check_names(config: Config, registry: Registry) -> None:
    """Refuse names of plugins that do not exist and options that their constructors do not take.

    Args:
        config: the settings of the run.
        registry: the plugins of the run.

    Raises:
        UsageError: an unknown name or option, with the nearest known one.
    """
    for plural, kind in _PLUGINS.items():
        for name in getattr(config.run, plural):
            if name != "all":
                registry.get(kind, name)
        for name, options in getattr(config, plural).items():
            for option in options:
                _check_option(registry, kind, name, option)
    known = {name.casefold() for name in config.models}
    for name in config.run.models:
        if name.casefold() not in known and name != "all":
            raise unknown("model", name, config.models)
    for name in config.run.components_by_dataset:
        registry.get("dataset", name)
    check_best(config, partial(_check_option, registry))
    for key in config.tuning.space:
        head, *rest = key.split(".")
        if head in _PLUGINS:
            _check_option(registry, _PLUGINS[head], *rest)


def _check_option(registry: Registry, kind: str, name: str, option: str) -> None:
    try:
        info = registry.get(kind, name)
    except PluginError:
        return  # a broken plugin is reported where it is used
    taken = info.options
    if info.error is not None or taken is None or (kind == "dataset" and option in OVERRIDES):
        return
    if option and option not in taken:
        raise unknown(f"option of {kind} {name}", option, taken)

"""``best.toml``: what searches have found, as a configuration that trains it.

A section ``[best."DATASET PRIOR POSTERIOR K"]`` holds settings by dotted key for the cells of that
name; without K where the cell has none, or where the search chose it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.config import Config

Values = Mapping[str, Any]

_HEADER = """\
# The best settings that searches on the validation bound have found, and all that they ran with.
#
#   bench run --config {path}
#
# trains them. Flags and --set override what is written here; a preset would override all of it but
# the [best] sections, so none is named.
"""
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def best_key(dataset: str, prior: str, posterior: str, components: int | None) -> str:
    """The name of a section of [best]."""
    words = (dataset, prior, posterior, *(() if components is None else (str(components),)))
    return " ".join(words)


def best_values(
    best: Mapping[str, Values],
    names: tuple[str, str, str],
    components: int | None,
    components_fixed: bool,
) -> Values:
    """What [best] says of a cell; empty where it says nothing.

    Args:
        best: the sections.
        names: dataset, prior and posterior.
        components: the cell's K.
        components_fixed: whether the user chose K: settings found with another do not apply then.
    """
    if components is not None and (exact := best.get(best_key(*names, components))) is not None:
        return exact
    found = best.get(best_key(*names, None), {})
    return {} if "components" in found and components_fixed else found


def check_best(config: Config, check: Callable[[str, str, str], None] | None = None) -> None:
    """Refuse sections of [best] that no cell can have, and values that their keys do not take.

    Args:
        config: the settings.
        check: given kind, plugin and option ("" for none), refuses what does not exist.

    Raises:
        UsageError: the first such section.
    """
    for name, values in config.best.items():
        words = name.split(" ")
        if len(words) not in (3, 4) or not all(words) or not all(w.isdigit() for w in words[3:]):
            raise UsageError(f'best."{name}": expected "DATASET PRIOR POSTERIOR K", or without K')
        for key in values:
            if key.partition(".")[0] not in ("components", "training", "model", *_KINDS):
                raise UsageError(
                    f'best."{name}".{key}: expected components, or a key of training, model, '
                    "priors.NAME or posteriors.NAME"
                )
        try:
            config.for_dataset(words[0]).with_values(values)
        except UsageError as error:
            raise UsageError(f'best."{name}": {error}') from error
        if check is not None:
            for kind, word in zip(("dataset", "prior", "posterior"), words, strict=False):
                check(kind, word, "")
            for key in values:
                kind, _, rest = key.partition(".")
                if kind in _KINDS:
                    check(_KINDS[kind], *rest.split(".", 1))


_KINDS = {"priors": "prior", "posteriors": "posterior"}


def best_toml(config: Config, found: Mapping[str, tuple[Values, Sequence[str]]], path: str) -> str:
    """The text of a best.toml.

    Args:
        config: the settings of the search.
        found: by :func:`best_key`, the best values and lines of comment.
        path: of the file, for its heading.
    """
    whole = config.model_dump()
    del whole["tuning"], whole["best"]
    whole["run"] |= {"preset_with_datasets": "", "preset_bare": ""}
    if "@" in whole["tracking"]["uri"]:
        del whole["tracking"]["uri"]  # it may hold a password
    lines = [_HEADER.format(path=path)]
    for key, (values, comments) in found.items():
        lines += [f"# {comment}" for comment in comments]
        lines += [f"[best.{_key(key)}]"]
        lines += [f"{_key(name)} = {_value(value)}" for name, value in values.items()]
        lines += [""]
    lines += ["[tuning]", "trials = 0                      # nothing is searched again", ""]
    for section, table in whole.items():
        lines += _tables(_key(section), table)
    return "\n".join(lines)


def _tables(path: str, table: Mapping[str, Any]) -> list[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    lines = []
    if plain:
        lines = [f"[{path}]", *(f"{_key(k)} = {_value(v)}" for k, v in plain.items()), ""]
    for key, value in table.items():
        if isinstance(value, dict):
            lines += _tables(f"{path}.{_key(key)}", value)
    return lines


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    """A scalar or a list as TOML writes it, which is as JSON does, but for a float's forms."""
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)

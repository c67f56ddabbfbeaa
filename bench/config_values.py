"""Values that a configuration key takes in more than one form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bench.spaces import Choice, Float, Int, Range

MOST_SEEDS = 10_000
"""A larger number is meant as a seed, not as a count of seeds."""


def names(value: Any) -> Any:
    """A list of names, also written ``A,B``."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def integers(value: Any) -> Any:
    """A list of integers, also written ``10,150`` or ``10``."""
    if isinstance(value, str):
        return _split_integers(value)
    return [value] if isinstance(value, int) else value


def seeds(value: Any) -> Any:
    """A list of seeds, also written ``0,4``; a single number counts them from 0.

    Raises:
        ValueError: fewer than one seed, or a number that is hardly a count.
    """
    if isinstance(value, str):
        listed = _split_integers(value)
        value = listed[0] if "," not in value and len(listed) == 1 else listed
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"expected at least one seed, found {value}")
        if value > MOST_SEEDS:
            raise ValueError(
                f"expected a count of at most {MOST_SEEDS} seeds or a list of them, found {value}; "
                f"for that one seed: --set 'run.seeds=[{value}]'"
            )
        return list(range(value))
    return value


def some_unique(values: list[int]) -> list[int]:
    """A list that is not empty and repeats nothing.

    Raises:
        ValueError: it is empty, or repeats a value.
    """
    if not values or len(set(values)) < len(values):
        raise ValueError(f"expected one or more different values, found {values}")
    return values


def not_empty(value: Any) -> Any:
    """A list or a text that is not empty.

    Raises:
        ValueError: it is empty.
    """
    if not value:
        raise ValueError(f"expected at least one value, found {value!r}")
    return value


def pair(value: list[str]) -> list[str]:
    """The prior and the posterior of a named model.

    Raises:
        ValueError: there are not two names.
    """
    if len(value) != 2:
        raise ValueError(f"expected [PRIOR, POSTERIOR], found {value}")
    return value


def device(value: str) -> str:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ValueError: another word.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
        raise ValueError(f"expected auto, cpu, cuda or cuda:N, found {value!r}")
    return value


def to_range(key: str, table: Mapping[str, Any]) -> Range:
    """The typed range that a table of [tuning.space] declares.

    Raises:
        ValueError: it is no such declaration.
    """
    forms: dict[str, tuple[type[Float] | type[Int], set[str], set[str]]]
    forms = {"float": (Float, {"low", "high"}, {"log"}), "int": (Int, {"low", "high"}, {"log"})}
    kind = table.get("type")
    fields = {name: value for name, value in table.items() if name != "type"}
    if kind == "choice":
        if set(fields) != {"options"} or not isinstance(fields["options"], list):
            raise ValueError(f"expected {key} to have options = [...], found {dict(table)}")
        return Choice(tuple(fields["options"]))
    if kind not in forms:
        raise ValueError(f"expected {key} to have type float, int or choice, found {kind!r}")
    form, needed, allowed = forms[str(kind)]
    if not needed <= set(fields) <= needed | allowed:
        raise ValueError(
            f"expected {key} to have low, high and perhaps log, found {sorted(fields)}"
        )
    numeric = (int,) if kind == "int" else (int, float)
    for name in ("low", "high"):
        if not isinstance(fields[name], numeric) or isinstance(fields[name], bool):
            raise ValueError(f"expected {name} of {key} to be {kind}, found {fields[name]!r}")
    if not isinstance(fields.get("log", False), bool):
        raise ValueError(f"expected log of {key} to be true or false, found {fields['log']!r}")
    try:
        return form(**fields)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _split_integers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"expected integers separated by commas, found {text!r}") from None

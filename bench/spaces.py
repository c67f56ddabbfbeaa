"""Typed ranges: how a plugin, or bench.toml, declares what the tuner may change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Float:
    """A real option in ``[low, high]``, searched on a logarithmic scale if ``log``."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Int:
    """An integer option in ``{low, ..., high}``, searched on a logarithmic scale if ``log``."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of a finite set of values."""

    options: tuple[str | int | float | bool, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError("Choice needs at least one option, got none")

    def __contains__(self, value: object) -> bool:
        return value in self.options


Range = Float | Int | Choice


def _check_bounds(low: float, high: float, log: bool) -> None:
    if not low < high:
        raise ValueError(f"a range needs low < high, got low={low}, high={high}")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range needs low > 0, got low={low}")

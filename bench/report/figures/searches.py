"""How searches went: their history, what mattered, and the bound over each setting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from bench.report.figures.source import Drawing, Source
from bench.report.search_lines import search_lines
from bench.report.searches import Search, find_searches
from bench.spaces import Choice, Float, Range
from bench.tuning.figures import bars, history, slices

__all__ = ["histories", "importances", "over_settings"]

SPAN = 8.0
"""A setting whose largest value is so many times its smallest is drawn on a logarithmic axis."""


def histories(source: Source) -> Iterator[Drawing]:
    """The bound of each trial in their order, and the best so far."""
    for one in _searches(source):
        caption = (
            f"The validation bound of every trial in the search of {one.name}, in the order in "
            "which they were drawn, and the best so far. Stopped trials are shown with the bound "
            "that they had then."
            + (
                " After the dotted line the finalists, trained again on further seeds: their mean "
                "chooses."
                if one.result.repeats
                else ""
            )
        )
        yield _drawing(one, "history", "Searches: history", caption, partial(history, one.result))


def importances(source: Source) -> Iterator[Drawing]:
    """Which settings explain the bound."""
    for one in _searches(source):
        if one.weights:
            caption = (
                f"How much of the variation of the validation bound each setting explains in the "
                f"search of {one.name}, by fANOVA over the trials that ran to their end. With "
                "few trials it is a hint, no result."
            )
            title = "Searches: importance of settings"
            yield _drawing(one, "importances", title, caption, partial(bars, one.weights))


def over_settings(source: Source) -> Iterator[Drawing]:
    """The bound over each setting."""
    for one in _searches(source):
        space = _space(one)
        if space:
            caption = (
                f"The validation bound of the trials in the search of {one.name} over each of "
                "the settings that it may change; all others differ, too."
            )
            title = "Searches: the bound over each setting"
            yield _drawing(one, "slices", title, caption, partial(slices, one.result, space))


def _searches(source: Source) -> list[Search]:
    lines = [system.line for system in source.systems]
    return find_searches(source.store, [*lines, *search_lines(source.store)])


def _drawing(one: Search, kind: str, title: str, caption: str, draw: Callable[[], Any]) -> Drawing:
    key = f"search-{kind}-{one.key}"
    return Drawing(key, title, caption, one.cells, draw, one.dataset, (one.model,), one.components)


def _space(one: Search) -> dict[str, Range]:
    """As wide as what was tried: the declared ranges of plugins are not in the store."""
    space: dict[str, Range] = {}
    names = dict.fromkeys(name for trial in one.result.trials for name in trial.params)
    for name in names:
        values = [trial.params[name] for trial in one.result.trials if name in trial.params]
        numbers = [float(value) for value in values if not isinstance(value, str)]
        if len(numbers) < len(values):
            space[name] = Choice(tuple(sorted(set(values), key=str)))
        elif min(numbers) < max(numbers):
            low, high = min(numbers), max(numbers)
            space[name] = Float(low, high, log=low > 0 and high >= SPAN * low)
    return space

"""What a section of the report is made of: columns that say what they show and what it means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.report.summary import Line, Value

__all__ = ["Column", "Section", "beside", "check", "flag", "markdown_cell", "noise", "number"]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: its heading.
        meaning: one short line for the legend; empty where the heading says it.
        metrics: the columns of results.csv that it shows.
        show: its text for a line; blank where it does not apply.
        words: whether it holds words rather than numbers.
    """

    heading: str
    meaning: str
    metrics: tuple[str, ...]
    show: Callable[[Line], str]
    words: bool = False


@dataclass(frozen=True)
class Section:
    """A question that the report answers with a table.

    Attributes:
        key: its name on the command line.
        title: what it is about.
        columns: what it shows beside each line's name.
        needs: metrics of which a line has at least one, or it is left out; without them every
            line is shown.
        note: what the legend says beyond the meaning of each column.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    needs: tuple[str, ...] = ()
    note: str = ""

    def lines(self, lines: Sequence[Line]) -> list[Line]:
        """Those to which the section applies."""
        if not self.needs:
            return list(lines)
        return [line for line in lines if any(name in line.values for name in self.needs)]

    def filled(self, lines: Sequence[Line]) -> list[Column]:
        """The columns that are not blank in every one of ``lines``; all where all are shown."""
        if not self.needs:
            return list(self.columns)
        return [column for column in self.columns if any(column.show(line) for line in lines)]


def number(
    heading: str,
    metric: str,
    digits: int,
    meaning: str,
    *,
    error: bool = False,
    mark: Callable[[Line], str] = lambda _: "",
    marked_by: tuple[str, ...] = (),
) -> Column:
    """A mean over seeds, where asked with its error; ``mark``, of ``marked_by``, follows it."""

    def show(line: Line) -> str:
        value = line.values.get(metric)
        return "" if value is None else value.text(digits, error=error) + mark(line)

    return Column(heading, meaning, (metric, *marked_by), show)


def beside(
    heading: str, metric: str, reference: str, digits: int, meaning: str, *, error: bool = False
) -> Column:
    """A mean over seeds, and in brackets what it is to be held against."""

    def show(line: Line) -> str:
        value, held = line.values.get(metric), line.values.get(reference)
        if value is None:
            return ""
        against = "" if held is None else f" ({held.text(digits, error=False)})"
        return value.text(digits, error=error) + against

    return Column(heading, meaning, (metric, reference), show)


def noise(heading: str, metric: str, digits: int, meaning: str) -> Column:
    """The Monte Carlo error of a metric."""

    def show(line: Line) -> str:
        value = line.values.get(metric, Value(0.0)).mc
        return "" if value is None else f"{value:.{digits}f}"

    return Column(heading, meaning, (metric,), show)


def check(heading: str, metric: str, digits: int, meaning: str) -> Column:
    """A mean over seeds that ought to be zero, always with its own standard error.

    The deviation over seeds would not say whether it is: it also holds what training varies.
    """

    def show(line: Line) -> str:
        value = line.values.get(metric)
        if value is None:
            return ""
        error = "" if value.pooled is None else f" ± {value.pooled:.{digits}f}"
        return f"{value.mean:.{digits}f}{error}"

    return Column(heading, meaning, (metric,), show)


def flag(
    heading: str,
    metric: str,
    meaning: str,
    yes: str = "yes",
    no: str = "no",
    *,
    warning: bool = False,
) -> Column:
    """A yes or no; where seeds disagree, the share of ``yes``, or of ``no`` if it is a warning."""

    def show(line: Line) -> str:
        value = line.values.get(metric)
        if value is None:
            return ""
        mixed = f"{no} {1 - value.mean:.0%}" if warning else f"{yes} {value.mean:.0%}"
        return {0.0: no, 1.0: yes}.get(value.mean, mixed)

    return Column(heading, meaning, (metric,), show, words=True)


def markdown_cell(text: str) -> str:
    """The text as a cell of a Markdown table."""
    return text.replace("|", r"\|")

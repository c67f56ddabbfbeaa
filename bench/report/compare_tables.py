"""A comparison for a terminal, as plain lines, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.report.bootstrap import Interval
from bench.report.columns import markdown_cell
from bench.report.compare import METRICS, Compared, Report
from bench.report.statistics import BOOTSTRAP_SEEDS, Estimate

__all__ = ["FORMATS", "to_csv", "to_markdown", "to_terminal"]

MODELS, PROCEDURES = "these trained models", "the training procedures"

LEGEND = (
    f"Claim 1, {MODELS}: on new test data; t test and BCa bootstrap interval of the paired "
    "difference over examples, each the mean over its side's seeds. "
    f"Claim 2, {PROCEDURES}: with new seeds and new test data, the training data as they are; "
    "variance over examples plus variance over seeds, Welch-Satterthwaite degrees of freedom and "
    f"t interval. Bootstrap over seeds and examples from {BOOTSTRAP_SEEDS} seeds a side."
)

HEADINGS = ("claim", "difference", "SE", "t", "df", "p", "p (Holm)", "95% interval", "verdict")


def to_terminal(report: Report, console: Console) -> None:
    """A table for each comparison on a terminal that is wide enough, plain lines elsewhere."""

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    say(_title(report), "bold")
    for one in report.compared:
        say("")
        say(_what(report, one))
        rows, several = list(_claims(report, one)), len(report.compared) > 1
        table = _table(rows, several, console)
        if table is not None:
            console.print(table)
        else:
            for row in rows:
                say(_line(row, several))
        for note in _notes(one):
            say(f"note: {note}", "yellow")
    say("")
    for missing in report.missing:
        say(f"not compared: {missing}", "dim")
    say(LEGEND, "dim")


def to_markdown(report: Report) -> str:
    """A table with one row for every comparison and claim."""
    headings = ("dataset", "K", "examples", "seeds", report.a, report.b, "share", *HEADINGS)
    parts = [f"{_title(report)}\n"]
    parts.append("| " + " | ".join(markdown_cell(text) for text in headings) + " |")
    parts.append("|" + "|".join("---" for _ in headings) + "|")
    notes = []
    for one in report.compared:
        left, right = one.found.means
        names = [
            one.match.dataset, _sizes(one), str(one.found.examples), _seeds(one),
            f"{left:.4f}", f"{right:.4f}", f"{one.found.share:.0%}",
        ]  # fmt: skip
        for row in _claims(report, one):
            texts = [*names, *(row[heading] for heading in HEADINGS)]
            parts.append("| " + " | ".join(markdown_cell(text) for text in texts) + " |")
        notes += [f"{one.match.dataset}, K {_sizes(one)}: {text}\n" for text in _notes(one)]
    notes += [f"not compared: {text}\n" for text in report.missing]
    share = f"share: of the examples, how many have a lower {report.metric} under {report.a}."
    return "\n".join([*parts, "", *notes, f"{share} {LEGEND}", ""])


def to_csv(report: Report) -> str:
    """One row a comparison; columns of claim 2 begin with ``seeds_``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rows = records(report)
    writer.writerow(rows[0])
    writer.writerows(row.values() for row in rows)
    return text.getvalue()


def records(report: Report) -> list[dict[str, object]]:
    """One record a comparison, unrounded; what does not apply is a blank."""
    return [_record(report, one) for one in report.compared]


FORMATS: dict[str, Callable[[Report], str]] = {"csv": to_csv, "markdown": to_markdown}


def _title(report: Report) -> str:
    return (
        f"{report.a} against {report.b}: {report.metric}, {METRICS[report.metric]}, nats per test "
        f"example; a negative difference means that {report.a} is lower"
    )


def _sizes(one: Compared) -> str:
    left, right = ("none" if size is None else str(size) for size in one.match.sizes)
    return left if left == right else f"{left} against {right}"


def _seeds(one: Compared) -> str:
    left, right = one.found.seeds
    return str(left) if left == right else f"{left} against {right}"


def _what(report: Report, one: Compared) -> str:
    left, right = one.found.means
    return (
        f"{one.match.dataset}, K {_sizes(one)}, {one.found.examples} examples, seeds {_seeds(one)}"
        f": {report.a} {left:.4f}, {report.b} {right:.4f}; "
        f"{report.a} is lower on {one.found.share:.0%} of the examples"
    )


def _claims(report: Report, one: Compared) -> Iterator[dict[str, str]]:
    """The two claims, the second where both sides have several seeds."""
    models = one.found.models
    yield _row(report, MODELS, models, one.models_p, one.found.models_bootstrap)
    procedures, p = one.found.procedures, one.procedures_p
    if procedures is not None and p is not None:
        yield _row(report, PROCEDURES, procedures, p, (procedures.low, procedures.high))


def _notes(one: Compared) -> list[str]:
    """What may mislead, and the bootstrap over seeds where there is one."""
    notes = list(one.warnings)
    if one.found.procedures_bootstrap is not None:
        low, high = one.found.procedures_bootstrap
        notes.append(f"bootstrap over seeds and examples, 95%: {low:+.4f} to {high:+.4f}")
    return notes


def _row(
    report: Report, claim: str, estimate: Estimate, adjusted: float, interval: Interval
) -> dict[str, str]:
    values = (
        claim,
        f"{estimate.difference:+.4f}",
        f"{estimate.se:.4f}",
        f"{estimate.t:.2f}",
        f"{estimate.df:.1f}",
        _p(estimate.p),
        _p(adjusted),
        f"{interval[0]:+.4f} to {interval[1]:+.4f}",
        report.verdict(estimate.difference, adjusted),
    )
    return dict(zip(HEADINGS, values, strict=True))


def _table(rows: Sequence[dict[str, str]], several: bool, console: Console) -> Table | None:
    """The widest of the tables that fit; None where none does, or there is no terminal."""
    unbounded = console.options.update(max_width=1000)
    for left_out in ((), ("t", "df")):
        table = Table(box=SIMPLE_HEAD, header_style="bold")
        shown = [h for h in HEADINGS if h not in left_out and (several or h != "p (Holm)")]
        for heading in shown:
            words = heading in ("claim", "verdict")
            table.add_column(heading, justify="left" if words else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(escape(row[heading]) for heading in shown))
        fits = console.measure(table, options=unbounded).maximum <= console.width
        if console.is_terminal and fits:
            return table
    return None


def _line(row: dict[str, str], several: bool) -> str:
    adjusted = f" ({row['p (Holm)']} by Holm)" if several else ""
    return (
        f"{row['claim']}: {row['verdict']}; difference {row['difference']}, SE {row['SE']}, "
        f"t {row['t']}, df {row['df']}, p {row['p']}{adjusted}, "
        f"95% interval {row['95% interval']}"
    )


def _p(value: float) -> str:
    return "<.0001" if value < 1e-4 else f"{value:.4f}".removeprefix("0")


def _record(report: Report, one: Compared) -> dict[str, object]:
    found, (a, b) = one.found, one.match.sizes
    record: dict[str, object] = {
        "dataset": one.match.dataset, "metric": report.metric, "a": report.a, "b": report.b,
        "components_a": a, "components_b": b, "examples": found.examples,
        "seeds_a": found.seeds[0], "seeds_b": found.seeds[1],
        "mean_a": found.means[0], "mean_b": found.means[1], "share_lower_a": found.share,
    }  # fmt: skip
    claims = (
        ("", found.models, one.models_p, found.models_bootstrap),
        ("seeds_", found.procedures, one.procedures_p, found.procedures_bootstrap),
    )
    for prefix, estimate, adjusted, interval in claims:
        for name in ("difference", "se", "t", "df", "p", "low", "high"):
            record[prefix + name] = getattr(estimate, name, None)
        record[f"{prefix}p_holm"] = adjusted
        low, high = (None, None) if interval is None else interval
        record[f"{prefix}bootstrap_low"], record[f"{prefix}bootstrap_high"] = low, high
    record["fingerprint"] = one.match.a[0]["dataset_fingerprint"]
    record["notes"] = "; ".join(one.warnings)
    return {name: "" if value is None else value for name, value in record.items()}

"""The scorecard in every format."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from bench.errors import UsageError
from bench.report import render
from bench.report.document import Choice, chosen_rows
from bench.report.latex import to_latex
from bench.report.scorecard.claims import judge_evidence
from bench.report.scorecard.evidence import Evidence
from bench.report.scorecard.verdict import FAILS, HOLDS, UNKNOWN, Verdict
from bench.report.table import Table
from bench.store import Row, Store

__all__ = ["as_table", "show_scorecard"]

STYLES = {HOLDS: "green", FAILS: "red", UNKNOWN: "yellow"}

CAPTION = (
    "A claim holds where every test of it says so, and does not hold where one says the opposite; "
    "behind each estimate its own answer: yes, no, or ? where it cannot be told from chance at 5%, "
    "adjusted by Holm. The tests that the verdict counts are one family of that adjustment, the "
    "claim's other tests a second, so that the verdict is what the answers say that it counts, and "
    "here what all of them say. "
    "The verdict is on the claim as it stands, by cells of the paper's protocol (or of preset "
    "released or synthetic, where it says so) with two training seeds or more a side; here is on "
    "all that was run, however short. No correction is made between claims."
)


def show_scorecard(
    store: Store, rows: Sequence[Row], choice: Choice, format_: str, console: Console
) -> None:
    """Print the verdicts.

    Args:
        store: where the cells' files are.
        rows: of the store.
        choice: which models and datasets count.
        format_: terminal, markdown, csv, json, latex, or html (a table, to be put into a page).
        console: where a terminal's text goes; the other formats go to standard output.

    Raises:
        UsageError: sections were named, or an unknown model, dataset or setting.
    """
    if choice.sections:
        raise UsageError(
            "the scorecard has no sections: expected --scorecard without --section, found "
            f"--section {','.join(choice.sections)}"
        )
    evidence = Evidence(store, chosen_rows(store, rows, choice))
    verdicts, chosen = judge_evidence(evidence), evidence.chosen()
    if format_ == "terminal":
        to_terminal(verdicts, console)
        if chosen:
            console.print(chosen, style="yellow", markup=False, highlight=False)
        return
    if chosen:  # standard output may be data, or go into a document
        sys.stderr.write(f"{chosen}\n")
    if format_ == "json":
        sys.stdout.write(json.dumps([asdict(verdict) for verdict in verdicts], indent=1) + "\n")
    else:
        write = {
            "markdown": render.to_markdown, "csv": render.to_csv, "html": render.to_html,
            "latex": to_latex,
        }[format_]  # fmt: skip
        sys.stdout.write(write([as_table(verdicts, brief=format_ == "latex")]))


def as_table(verdicts: Sequence[Verdict], *, brief: bool = False) -> Table:
    """One row a claim; ``brief`` leaves out all but the verdicts, for a page of paper."""
    names = ("claim", "source", "verdict", "here", "numbers", "test", "detail")[: 4 if brief else 7]
    return Table(
        key="scorecard",
        title="The paper's claims on these results",
        caption=CAPTION,
        header=list(names),
        rows=[[str(getattr(verdict, name)) for name in names] for verdict in verdicts],
        words=frozenset(range(len(names))),
        prose=frozenset({0, 1, 4, 5, 6} & set(range(len(names)))),
        records=tuple(asdict(verdict) for verdict in verdicts),
    )


def to_terminal(verdicts: Sequence[Verdict], console: Console) -> None:
    """A paragraph for each claim, then the count of each verdict."""
    for verdict in verdicts:
        head = Text(f"{verdict.verdict:<15}", style=f"bold {STYLES[verdict.verdict]}")
        console.print(head + Text(f"{verdict.claim} ({verdict.source})", style="bold"))
        for name in ("numbers", "test", "detail"):
            said = getattr(verdict, name)
            if said and (verdict.numbers or name != "test"):
                style = "" if name == "numbers" else "dim"
                console.print(Text(f"{name}: {said}", style=style), highlight=False)
        console.print()
    counted = Counter(verdict.verdict for verdict in verdicts)
    console.print(", ".join(f"{counted[kind]} {kind}" for kind in STYLES), highlight=False)
    console.print(CAPTION, style="dim", markup=False, highlight=False)

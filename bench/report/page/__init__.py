"""The report as one page that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.files import write_text
from bench.report import render
from bench.report.papertables import tables
from bench.report.scorecard import as_table, judge
from bench.report.sections import SECTIONS
from bench.report.summary import summarise
from bench.report.tables import as_tables
from bench.store import Row, Store

__all__ = ["write_page"]


def write_page(store: Store, rows: Sequence[Row]) -> Path:
    """Write all tables and the scorecard into ``report/index.html`` of the store."""
    found = as_tables(summarise(rows), SECTIONS) + tables(store, rows)
    body = render.to_html([*found, as_table(judge(store, rows))])
    path = store.out / "report" / "index.html"
    write_text(
        path,
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>bench</title>\n'
        f"<body>\n<h1>bench</h1>\n{body}</body>\n</html>\n",
    )
    return path

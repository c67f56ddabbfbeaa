"""The page: everything that a store holds, in one HTML file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench import __version__
from bench.files import write_text
from bench.report.best import mark_best
from bench.report.page.cells import PICTURES, Shown, cell_cards, cell_table, name_of
from bench.report.page.inline import inline
from bench.report.page.links import find_links
from bench.report.page.pairs import paired
from bench.report.page.parts import Figure, Parts, make_parts
from bench.report.page.pictures import Embedded, Embedder
from bench.report.page.views import TRAINING, view
from bench.report.sections import SECTIONS, UNITS
from bench.report.summary import Row, summarise
from bench.store import Store

__all__ = ["page_path", "write_page"]

CELL_ROOM, FIGURE_ROOM = 3_300_000, 2_300_000
"""Bytes for pictures of cells and for figures: with base64, three quarters of ten megabytes."""

LIMIT = 10_000_000
"""A page that is larger is said to be so."""

STYLES = (
    "dataTables.dataTables.min.css", "buttons.dataTables.min.css",
    "columnControl.dataTables.min.css", "keyTable.dataTables.min.css",
)  # fmt: skip
SCRIPTS = (
    "dataTables.min.js", "dataTables.buttons.min.js", "dataTables.columnControl.min.js",
    "dataTables.keyTable.min.js",
)  # fmt: skip

CLAIM = (
    "Cells are single trained models: a difference of two of them holds for these, on new test "
    "examples, and says nothing of models trained again. The line below it compares the training "
    "procedures, where both have several seeds. No p value here is adjusted for how many pairs "
    "one looks at; `bench compare` adjusts, and has bootstrap intervals."
)


def page_path(store: Store) -> Path:
    """Where the page of a store lies."""
    return store.out / "report" / "index.html"


def write_page(
    store: Store,
    rows: Sequence[Row],
    *,
    uri: str = "",
    notice: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write the page of ``rows`` and return where it is.

    The file needs no network and no other file: styles, scripts and pictures are inside. Its
    tables and figures are plain HTML; scripts sort, filter and compare. A content security
    policy lets no script run but those that are written here, whatever a plugin's name holds.

    Args:
        store: where the cells' files are.
        rows: of the store.
        uri: the [tracking] uri; empty for the store inside the results folder.
        notice: told what had to be left out.
    """
    ran = [row for row in rows if row["status"] != "skipped"]
    done = [row for row in ran if row["status"] == "ok"]
    lines = summarise(rows)
    mark_best(lines, store)
    parts = make_parts(store, rows, notice)
    pictures = _sizes([store.folder(row["cell"]) / name for row in ran for name in PICTURES])
    spare = max(0, CELL_ROOM - sum(pictures))
    general, of_cells = _figures(parts, store, FIGURE_ROOM + spare, notice)
    embedder = Embedder(CELL_ROOM, pictures)
    links = find_links(uri, store.out, notice)
    cards = cell_cards(store, ran, embedder, links.runs, of_cells)
    if embedder.left_out:
        notice(f"{embedder.left_out} pictures of cells are links: the page has no more room")
    sections = [view(section, lines) for section in (*SECTIONS, TRAINING)]
    scripts = [_asset("vendor", name) for name in SCRIPTS]
    scripts += [_asset("templates", name) for name in ("page.js", "compare.js")]
    early = _asset("templates", "early.js")
    text = _environment().get_template("page.html.j2").render(
        store=store.out.resolve().name,
        version=__version__,
        counts=_counts(rows),
        units=UNITS,
        claim=CLAIM,
        sections=[section for section in sections if section is not None],
        table=cell_table(ran),
        cards=cards,
        names={str(row["cell"]): name_of(row) for row in done},
        titles={section.key: section.title for section in (*SECTIONS, TRAINING)},
        pairs=paired(store, done, lines),
        parts=parts,
        figures=general,
        links=links,
        styles=[_asset("vendor", name) for name in STYLES] + [_asset("templates", "page.css")],
        early=early,
        scripts=scripts,
        hashes=[_hash(script) for script in (early, *scripts)],
    )  # fmt: skip
    path = page_path(store)
    write_text(path, text)
    if len(text.encode()) > LIMIT:
        notice(
            f"{path} is larger than {LIMIT // 10**6} MB, by its tables: a browser may take long "
            "to open it. A page has all cells of its results folder; `bench run --out DIR` into "
            "another folder gives a smaller one"
        )
    return path


def _figures(
    parts: Parts, store: Store, room: int, notice: Callable[[str], None]
) -> tuple[dict[str, list[Shown]], dict[str, list[Shown]]]:
    """Figures by title, and those about one cell by its id; those of the grid have room first."""
    figures = sorted(parts.figures, key=lambda figure: bool(figure.cell))
    drawings = [
        inline(figure.svg, figure.caption) if figure.asked and figure.svg else ""
        for figure in figures
    ]
    pictures = [one.png for one, drawing in zip(figures, drawings, strict=True) if not drawing]
    embedder = Embedder(room, _sizes(pictures))
    general: dict[str, list[Shown]] = {}
    of_cells: dict[str, list[Shown]] = {}
    for figure, drawing in zip(figures, drawings, strict=True):
        found = Embedded("") if drawing else embedder.embed(*_formats(figure))
        if found is None:
            continue
        link = _seen_from(page_path(store).parent, figure.svg or figure.png)
        shown = Shown(found, figure.caption, link, drawing)
        if figure.cell:
            of_cells.setdefault(figure.cell, []).append(shown)
        else:
            general.setdefault(figure.title, []).append(shown)
    if embedder.left_out:
        notice(f"{embedder.left_out} figures are links: the page has no more room")
    return general, of_cells


def _sizes(paths: Sequence[Path]) -> list[int]:
    return [path.stat().st_size for path in paths if path.is_file()]


def _formats(figure: Figure) -> list[Path]:
    return [path for path in (figure.svg, figure.png) if path is not None]


def _seen_from(folder: Path, path: Path) -> str:
    """A relative address, where the file lies below the page."""
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return ""


def _counts(rows: Sequence[Row]) -> dict[str, int]:
    states = [str(row["status"]) for row in rows]
    return {state: states.count(state) for state in ("ok", "failed", "skipped") if state in states}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bench.report.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}  # sections have an order
    return environment


def _asset(folder: str, name: str) -> Markup:
    """A style or script of ours, to be put in as it is."""
    path = files("bench.report.page").joinpath(folder, name)
    return Markup(path.read_text(encoding="utf-8").strip())


def _hash(script: Any) -> str:
    """What the content security policy calls a script."""
    digest = hashlib.sha256(str(script).encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"

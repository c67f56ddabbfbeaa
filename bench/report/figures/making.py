"""All figures of a store: what is new is drawn, the rest is there already."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.errors import BenchError, first_line
from bench.files import atomic_write, write_json
from bench.report.figures import (
    comparison,
    components,
    critical,
    density,
    latent_map,
    learning,
    samples,
    traversal,
    usage,
)
from bench.report.figures.marks import Marks
from bench.report.figures.record import Figure
from bench.report.figures.source import Drawing, Source
from bench.report.figures.style import house_style, png, svg
from bench.store import Row, Store

__all__ = ["KINDS", "make_figures"]

Notice = Callable[[str], None]

KINDS: tuple[Callable[[Source], Iterable[Drawing]], ...] = (
    comparison.bound_and_purity,
    comparison.decomposition,
    comparison.convergence,
    learning.curves,
    density.histograms,
    density.by_category,
    samples.all_systems,
    samples.by_category,
    samples.two_ways,
    samples.by_label,
    usage.bars,
    usage.by_label,
    components.means,
    traversal.within_category,
    latent_map.maps,
    critical.diagram,
)
"""Every kind of figure: from a source to those that apply. A new one is a line here."""


def make_figures(store: Store, rows: Sequence[Row], notice: Notice) -> list[Figure]:
    """Draw every figure that applies, as ``OUT/report/figures/KEY.png`` and ``.svg``.

    Nothing is trained. A figure whose cells and code are as they were is not drawn again; a figure
    that fails is told and left out, a cell's damaged file as well, and the others are drawn.

    Args:
        store: the results.
        rows: of the cells that the figures are about, as ``store.rows()`` gives them.
        notice: told, a line for each reason, what could not be drawn and why.

    Returns:
        The figures, in the order of ``KINDS``.
    """
    folder = store.out / "report" / "figures"
    source, marks = Source(store, rows), Marks(store, rows)
    known = _known(folder)
    made: list[Figure] = []
    kept: dict[str, str] = {}
    failed: dict[str, list[str]] = {}
    for kind in KINDS:
        try:
            drawings = list(kind(source))
        except Exception as error:  # one bad file must not cost all other figures
            failed.setdefault(_why(error), []).append(kind.__name__.replace("_", "-"))
            continue
        for drawing in drawings:
            mark = marks.of(drawing)
            paths = folder / f"{drawing.key}.png", folder / f"{drawing.key}.svg"
            if known.get(drawing.key) != mark or not all(path.is_file() for path in paths):
                try:
                    _write(drawing, *paths)
                except Exception as error:
                    failed.setdefault(_why(error), []).append(drawing.key)
                    continue
            kept[drawing.key] = mark
            made.append(_record(drawing, *paths))
    for path, why in source.damaged.items():
        notice(f"left out of the figures: {path}: {why}")
    for why, keys in failed.items():
        several = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        notice(f"not drawn: {keys[0]}{several}: {why}")
    for gone in known.keys() - kept.keys():
        for suffix in (".png", ".svg"):
            with suppress(FileNotFoundError):
                (folder / f"{gone}{suffix}").unlink()
    if kept:
        write_json(folder / "index.json", kept)
    return made


def _write(drawing: Drawing, png_path: Path, svg_path: Path) -> None:
    with house_style():
        canvas = drawing.draw()
    picture = png(canvas)
    canvas.set_layout_engine("none")  # it stays as it was laid out for the first
    for path, content in ((png_path, picture), (svg_path, svg(canvas))):
        with atomic_write(path) as stream:
            stream.write(content)


def _record(drawing: Drawing, png_path: Path, svg_path: Path) -> Figure:
    return Figure(
        drawing.key,
        drawing.title,
        drawing.caption,
        png_path,
        svg_path,
        drawing.dataset,
        drawing.models,
        drawing.components,
        drawing.cell,
    )


def _why(error: Exception) -> str:
    said = first_line(error)
    return said if isinstance(error, BenchError) else f"{type(error).__name__}: {said}"


def _known(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "index.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

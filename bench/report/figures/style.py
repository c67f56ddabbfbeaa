"""The house style: one place for sizes, letters and how a figure becomes bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

__all__ = [
    "SIZES",
    "WIDTH",
    "axes_grid",
    "blocks",
    "hide_axes",
    "house_style",
    "lay_out",
    "montage",
    "panels",
    "png",
    "show_montage",
    "svg",
    "titled_blocks",
]

DPI = 110
WIDTH = 9.0  # inches: two columns of print
SIZES = {"label": 9.0, "tick": 8.0, "title": 9.0}  # points
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # it comes with matplotlib: the same on every machine
    "font.size": SIZES["label"],
    "axes.titlesize": SIZES["title"],
    "axes.labelsize": SIZES["label"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "xtick.labelsize": SIZES["tick"],
    "ytick.labelsize": SIZES["tick"],
    "legend.fontsize": SIZES["tick"],
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "image.cmap": "cividis",
    "svg.fonttype": "none",
    "svg.hashsalt": "bench",  # else every file has other identifiers
}
GAP = 1  # pixels between the pictures of a montage
BACKGROUND = 0.75  # grey: both black and white pictures end visibly


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's settings while a figure is drawn and saved; those outside stay as they are."""
    import matplotlib

    rc: Any = STYLE  # its stubs name every setting
    with matplotlib.rc_context(rc):
        yield


def axes_grid(
    rows: int, columns: int, *, height: float, width: float = WIDTH, **options: Any
) -> tuple[Canvas, NDArray[Any]]:
    """A figure with a grid of axes, as an array (rows, columns), in the house style.

    Args:
        rows, columns: of axes.
        height, width: of the figure in inches.
        options: for ``Figure.subplots``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    with house_style():
        figure = Canvas(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        axes: NDArray[Any] = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, axes


def panels(
    count: int, most: int, *, height: float, width: float | None = None, **options: Any
) -> tuple[Canvas, NDArray[Any], list[Axes]]:
    """Axes for so many panels in rows of at most ``most``; the last row may be short.

    Args:
        count: of panels, at least one.
        most: panels in a row.
        height: of a row in inches.
        width: of a panel in inches; None: together they take ``WIDTH``.
        options: for ``Figure.subplots``.

    Returns:
        The figure, its grid of axes, and those of the panels; the rest of the grid is hidden.
    """
    columns = min(most, count)
    rows = -(-count // columns)
    whole = WIDTH if width is None else width * columns
    figure, grid = axes_grid(rows, columns, height=height * rows, width=whole, **options)
    places: list[Axes] = list(grid.flat)[:count]
    for axes in list(grid.flat)[count:]:
        axes.set_visible(False)
    for axes in places[-columns:]:
        axes.tick_params(labelbottom=True)  # below it, an axis that is shared may be hidden
    return figure, grid, places


def hide_axes(axes: Axes) -> None:
    """No ticks and no frame, with the labels kept."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def montage(
    pictures: Sequence[NDArray[Any]] | NDArray[Any], shape: tuple[int, int], columns: int
) -> NDArray[np.float64]:
    """Grey pictures (n, P) in rows of ``columns`` as one, with values from 0 to 1.

    Args:
        pictures: the pictures; values outside of [0, 1] are cut off.
        shape: height and width of each.
        columns: pictures in a row; a last row that is not full ends in grey.
    """
    found = np.clip(np.asarray(pictures, dtype=np.float64), 0.0, 1.0).reshape(-1, *shape)
    high, wide = shape[0] + GAP, shape[1] + GAP
    rows = -(-len(found) // columns)
    whole = np.full((rows * high + GAP, columns * wide + GAP), BACKGROUND)
    for index, picture in enumerate(found):
        top, left = GAP + index // columns * high, GAP + index % columns * wide
        whole[top : top + shape[0], left : left + shape[1]] = picture
    return whole


def blocks(
    rows: Sequence[Sequence[NDArray[np.float64]]], gap: int = 4, above: int = 0
) -> NDArray[np.float64]:
    """Rows of equally large montages on white, as one: far quicker to draw than axes for each.

    Args:
        rows: of montages; a row may be short.
        gap: pixels between them.
        above: pixels that are left free above each, for its title.
    """
    (tall, broad), high = rows[0][0].shape, rows[0][0].shape[0] + gap + above
    wide = broad + gap
    whole = np.ones((len(rows) * high - gap, max(map(len, rows)) * wide - gap))
    for i, row in enumerate(rows):
        for j, block in enumerate(row):
            top, left = i * high + above, j * wide
            whole[top : top + tall, left : left + broad] = block
    return whole


def titled_blocks(found: Mapping[str, NDArray[np.float64]], most: int, *, width: float) -> Canvas:
    """A figure of equally large montages, each below its title.

    Args:
        found: title to montage.
        most: montages in a row.
        width: of one in inches.
    """
    titles, parts = list(found), list(found.values())
    tall, broad = parts[0].shape
    gap, above = max(1, broad // 20), round(broad * 0.19 / width)  # a title's height in inches
    rows = [parts[start : start + most] for start in range(0, len(parts), most)]
    whole = blocks(rows, gap, above)
    columns = min(most, len(parts))
    figure, grid = axes_grid(
        1, 1, height=0.1 + width * columns * whole.shape[0] / whole.shape[1], width=width * columns
    )
    show_montage(grid[0, 0], whole)
    for place, title in enumerate(titles):
        i, j = divmod(place, most)
        across, down = j * (broad + gap) + broad / 2, i * (tall + gap + above) + above - 1
        grid[0, 0].text(across, down, title, ha="center", va="bottom", fontsize=SIZES["tick"])
    return figure


def show_montage(axes: Axes, whole: NDArray[Any]) -> None:
    """A montage on its axes."""
    axes.imshow(whole, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    hide_axes(axes)


def lay_out(figure: Canvas) -> None:
    """Place a figure's parts once, for all files that it is saved as.

    Saving a figure that has a layout engine draws it once more, for the engine alone.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def png(figure: Canvas) -> bytes:
    """The figure as a PNG file, the same bytes for the same figure."""
    return _saved(figure, "png", {"Software": None})


def svg(figure: Canvas, tips: Mapping[str, str] | None = None) -> bytes:
    """The figure as an SVG file, the same bytes for the same figure.

    Args:
        figure: what is drawn.
        tips: of parts, by their gid: a browser shows them under the pointer, the keyboard reaches
            the parts one after the other, and a screen reader says them.
    """
    content = _saved(figure, "svg", {"Date": None, "Creator": None})
    for gid, text in (tips or {}).items():
        part, said = f'<g id="{gid}"', escape(text, {'"': "&quot;"})
        named = f'{part} tabindex="0" role="img" aria-label="{said}"><title>{said}</title>'
        content = content.replace(f"{part}>".encode(), named.encode(), 1)
    return content


def _saved(figure: Canvas, form: str, metadata: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    with house_style():
        figure.savefig(stream, format=form, metadata=metadata)
    return stream.getvalue()

"""Per-label purity as MLflow shows it: a table and a bar chart."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Text

TABLE, FIGURE = "purity.json", "purity.png"
BAR_INCHES = 0.3
POINTS_PER_INCH = 72

Rows = Sequence[Mapping[str, Any]]


def table(rows: Rows) -> dict[str, Any]:
    """The rows in the JSON layout of MLflow's ``log_table``; a missing or non-finite value is null.

    Args:
        rows: one a label; columns are the union of their keys, in the order of first appearance.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return {"columns": columns, "data": [[plain(row.get(c)) for c in columns] for row in rows]}


class Charts:
    """Bar charts of purity; one frame is kept for each set of labels, as most of a chart's time
    goes into making its axes."""

    def __init__(self) -> None:
        self._frames: dict[tuple[str, ...], _Frame] = {}

    def png(self, rows: Rows, title: str) -> bytes:
        """One bar a label, with the chance level as a line.

        Args:
            rows: one a label, with ``label`` and ``purity``, and ``chance`` where it is known.
            title: what the chart is of.
        """
        names = tuple(str(row["label"]) for row in rows)
        if names not in self._frames:
            self._frames[names] = _Frame(names)
        purity = [_number(row["purity"]) for row in rows]
        chance = [_number(row.get("chance")) for row in rows]
        return self._frames[names].draw(purity, chance, title)


class _Frame:
    """A figure whose bars and line can be moved.

    It uses Matplotlib's object interface, not pyplot, as it is drawn beside the training thread,
    and places its parts by hand, as automatic layout doubles the time.
    """

    figure: Figure
    bars: LineCollection
    line: Line2D
    title: Text

    def __init__(self, names: tuple[str, ...]) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        longest = max(map(len, names))
        left, right, top, bottom = 0.6, 0.2, 0.35, 0.3 + 0.07 * min(25, longest)
        width, height = max(5.0, BAR_INCHES * (len(names) + 1)), 2.2
        across, up = left + width + right, top + height + bottom
        self.figure = Figure(figsize=(across, up), dpi=80)
        FigureCanvasAgg(self.figure)
        axes = self.figure.add_axes((left / across, bottom / up, width / across, height / up))
        axes.set(xlim=(-1, len(names)), ylim=(0, 1), xticks=[], yticks=[0, 0.5, 1])
        thickness = 0.7 * POINTS_PER_INCH * width / (len(names) + 1)
        self.bars = axes.vlines(range(len(names)), 0, 0, lw=thickness, color="#4477aa")
        (self.line,) = axes.step([], [], where="mid", color="#cc3311")
        for place, name in enumerate(names):
            turn = 90 if longest > 2 else 0
            axes.text(place, -0.03, name, ha="center", va="top", rotation=turn, fontsize=9)
        self.title = self.figure.text(left / across, 1 - 0.1 / up, "", va="top", fontsize=10)

    def draw(self, purity: list[float], chance: list[float], title: str) -> bytes:
        self.bars.set_segments([[(x, 0.0), (x, y)] for x, y in enumerate(purity)])
        known = any(map(math.isfinite, chance))
        self.line.set_data(range(-1, len(chance) + 1), [chance[0], *chance, chance[-1]])
        self.title.set_text(f"{title}: purity" + " (red: chance)" * known)
        stream = io.BytesIO()
        self.figure.savefig(stream, format="png", pil_kwargs={"compress_level": 1})
        return stream.getvalue()


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def plain(value: Any) -> Any:
    """A JSON value: NumPy scalars as Python's, NaN as null."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)

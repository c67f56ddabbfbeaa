"""One colour, point and dash for every system, the same in all figures.

Paul Tol's "muted" scheme (https://sros.nl/~p.tol): nine hues that the common kinds of colour
blindness keep apart. Nothing is told by its colour alone, for those who print in grey: lines and
points carry a marker and a dash, the parts of a bar a pattern.
"""

from __future__ import annotations

import zlib

__all__ = ["GREY", "MARKERS", "PATTERNS", "TERMS", "colour", "dash", "marker"]

SYSTEMS = {
    "CP": "#882255",
    "INDq": "#CC6677",
    "INDp": "#999933",
    "INDqp": "#DDCC77",
    "VAE": "#332288",
    "MG": "#117733",
    "VP": "#44AA99",
    "HVAE": "#88CCEE",
    "HVP": "#AA4499",
}
"""The nine systems of the paper's Table 3."""

OTHERS = ("#4477AA", "#EE6677", "#228833", "#AA3377", "#66CCEE", "#BBBB33", "#777777")
MARKERS = "osD^vP>Xpd<hH8*"
DASHES = ((0, ()), (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))  # as matplotlib's

TERMS = {
    "B1": "#4477AA",
    "B2": "#EE6677",
    "C1": "#228833",
    "C2": "#CCBB44",
    "T1": "#AA3377",
}
"""Of the decomposition's terms."""

PATTERNS = {"B1": "", "B2": "////", "C1": "....", "C2": "xxxx", "T1": "\\\\\\\\"}
"""Of the terms, in matplotlib's letters."""

GREY = "#BBBBBB"


def colour(model: str) -> str:
    """The colour of a system, as ``#RRGGBB``; a name that Table 3 does not have keeps its own."""
    return SYSTEMS.get(model) or OTHERS[zlib.crc32(model.encode()) % len(OTHERS)]


def marker(model: str) -> str:
    """The point of a system in a scatter plot or on a line, in matplotlib's letters."""
    known = list(SYSTEMS)
    place = known.index(model) if model in known else _place(model) % len(MARKERS)
    return MARKERS[place]


def dash(model: str) -> tuple[int, tuple[float, ...]]:
    """The dash of a system's line, as matplotlib takes it."""
    known = list(SYSTEMS)
    place = known.index(model) if model in known else _place(model) // len(MARKERS)
    return DASHES[place % len(DASHES)]


def _place(model: str) -> int:
    """Of a system that Table 3 does not have, apart from what chooses its colour."""
    return zlib.crc32(model.encode()) // len(OTHERS)

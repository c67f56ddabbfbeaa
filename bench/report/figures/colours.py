"""One colour for every system, the same in all figures.

Paul Tol's "muted" scheme (https://sros.nl/~p.tol): nine hues that the common kinds of colour
blindness keep apart. Lines and points carry a dash or a marker as well.
"""

from __future__ import annotations

import zlib

__all__ = ["GREY", "TERMS", "colour", "marker"]

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
MARKERS = "osD^vP>Xp"

TERMS = {
    "B1": "#4477AA",
    "B2": "#EE6677",
    "C1": "#228833",
    "C2": "#CCBB44",
    "T1": "#AA3377",
}
"""Of the decomposition's terms."""

GREY = "#BBBBBB"


def colour(model: str) -> str:
    """The colour of a system, as ``#RRGGBB``; a name that Table 3 does not have keeps its own."""
    return SYSTEMS.get(model) or OTHERS[zlib.crc32(model.encode()) % len(OTHERS)]


def marker(model: str) -> str:
    """The point of a system in a scatter plot, in matplotlib's letters."""
    known = list(SYSTEMS)
    place = known.index(model) if model in known else zlib.crc32(model.encode())
    return MARKERS[place % len(MARKERS)]

"""results.json as one picture."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.products import KINDS
from benchmarks.tables import by_kind
from benchmarks.targets import Spread

SIZE = (12.0, 8.5)
COLOURS = (
    "#1b6ca8",
    "#e07b39",
    "#8f5ea2",
    "#3f9b63",
    "#b33a3a",
    "#6b6b6b",
    "#c2a200",
    "#4fb3bf",
    "#d16ba5",
)


def picture(results: dict[str, Any]) -> bytes:
    """A PNG with a panel for each of the sections that can be drawn."""
    sections = results["sections"]
    drawn = {name: draw for name, draw in PANELS.items() if name in sections}
    figure = Figure(figsize=SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    columns = min(2, max(1, len(drawn)))
    for number, (name, draw) in enumerate(drawn.items(), start=1):
        draw(figure.add_subplot(-(-len(drawn) // columns), columns, number), sections[name])
    device = results["environment"]["gpu"] or results["environment"]["processor"]
    threads = results["environment"]["threads"]
    figure.suptitle(f"{device}, threads: {threads}; bars and points: median and quartiles")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def _peers(axes: Axes, section: dict[str, Any]) -> None:
    systems = list(section["seconds"])
    names = list(dict.fromkeys(n for found in section["seconds"].values() for n in found))
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        for place, system in enumerate(systems):
            found = section["seconds"][system].get(name)
            if found is None:
                continue
            at = place + number * width
            label = name if place == 0 else None
            axes.bar(at, found["median"], width, color=_colour(number), label=label)
            _whisker(axes, at, found)
            axes.annotate(
                f"{found['median']:.3g}",
                (at, found["high"]),
                textcoords="offset points",
                xytext=(0, 3),
                ha="center",
                fontsize=8,
            )
    axes.set_xticks([place + 0.4 - width / 2 for place in range(len(systems))], systems)
    axes.set_ylabel("seconds an epoch of 50,000 images")
    axes.set_title("Against others")
    axes.legend()


def _roofline(axes: Axes, section: dict[str, Any]) -> None:
    bars = [
        (system, mode, found)
        for system, found in section["systems"].items()
        for mode in found["modes"]
    ]
    for place, (_, mode, found) in enumerate(bars):
        left = 0.0
        for number, kind in enumerate(KINDS):
            part = 1e3 * by_kind(found)[kind][1]
            label = f"products: {kind}" if place == 0 else None
            axes.barh(place, part, left=left, color=_colour(number), label=label)
            left += part
        step = 1e3 * found["modes"][mode]["step_seconds"]["median"]
        label = "the rest of the step" if place == 0 else None
        axes.barh(place, max(0.0, step - left), left=left, color="#d0d0d0", label=label)
        share = f"{found['modes'][mode]['share_of_roofline']['median']:.0%}"
        axes.annotate(share, (step, place), textcoords="offset points", xytext=(4, -4))
    axes.margins(x=0.1)
    axes.set_yticks(range(len(bars)), [f"{system}\n{mode}" for system, mode, _ in bars])
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds a step")
    axes.set_title("Against the machine: the products' share")
    axes.legend()


def _replicas(axes: Axes, section: dict[str, Any]) -> None:
    numbers: list[int] = []
    for place, (name, rows) in enumerate(section["cells"].items()):
        numbers = [row["replicas"] for row in rows]
        _line(axes, numbers, [row["aggregate_rate"] for row in rows], place, name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(numbers, [str(number) for number in numbers])
    axes.axhline(1.0, color="#999999", linewidth=0.8)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("replicas")
    axes.set_ylabel("epochs a second, relative to one")
    axes.set_title("Replicas")
    axes.legend()


def _systems(axes: Axes, section: dict[str, Any]) -> None:
    rows = section["rows"]
    names = list(dict.fromkeys(row["system"] for row in rows))
    sizes = sorted({row["components"] for row in rows if row["components"] is not None})
    for number, name in enumerate(names):
        own = {row["components"]: row["to_vae"] for row in rows if row["system"] == name}
        constant = own.get(None)
        values = [constant or own[size] for size in sizes]
        _line(axes, list(range(len(sizes))), values, number, name)
    axes.axhline(2.0, color="#999999", linewidth=0.8, linestyle="--")
    axes.set_xticks(range(len(sizes)), [f"K = {size}" for size in sizes])
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("step, times the VAE's")
    axes.set_title("The systems of Table 3")
    axes.legend(ncols=3, fontsize=8)


PANELS: dict[str, Callable[[Axes, dict[str, Any]], None]] = {
    "peers": _peers,
    "roofline": _roofline,
    "replicas": _replicas,
    "systems": _systems,
}


def _line(axes: Axes, at: list[int], values: list[Spread], number: int, label: str) -> None:
    medians = [value["median"] for value in values]
    style = "-" if number < len(COLOURS) else ":"
    axes.plot(at, medians, style, marker="o", color=_colour(number), label=label)
    for place, value in zip(at, values, strict=True):
        _whisker(axes, place, value)


def _whisker(axes: Axes, at: float, found: Spread) -> None:
    axes.vlines(at, found["low"], found["high"], color="black", linewidth=1.0)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]

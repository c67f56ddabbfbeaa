"""What was to be reached, and whether it was: from results.json alone."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.sections.peers import PYTHAE, ours

SIZES = {"batch_size": 100, "hidden": 300, "latent_dim": 40}
EXCEPTED = ("HVAE", "HVP", "VP")
Spread = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """One thing that was to be reached.

    Attributes:
        what: in words.
        wanted: the bound.
        at_least: whether the value may not be below it; else not above.
        found: the measured value with its quartiles, or None where it was not measured.
    """

    what: str
    wanted: float
    at_least: bool
    found: Spread | None

    @property
    def met(self) -> bool | None:
        """By the median of the rounds; None where it was not measured."""
        if self.found is None:
            return None
        reached: Callable[[float, float], bool] = operator.ge if self.at_least else operator.le
        return reached(self.found["median"], self.wanted)


def targets(results: dict[str, Any]) -> list[Target]:
    """Every target that applies to the device of ``results``; none for networks of other sizes."""
    if any(results["settings"][name] != size for name, size in SIZES.items()):
        return []
    environment = results["environment"]
    of_device = _gpu if environment["gpu"] else _cpu
    return list(of_device(results["sections"], environment["bfloat16_products"]))


def judged(sections: dict[str, Any]) -> tuple[str, str]:
    """The mode that bench is judged in, and how it came to be that one.

    It is the one that the engine chooses by itself, if that was measured.
    """
    chosen = _look(sections, "peers", "chosen_mode")
    measured = _look(sections, "roofline", "systems", "VAE", "modes") or {}
    against = _look(sections, "peers", "times_as_fast", "VAE") or {}
    names = [*measured, *(name.split(", ")[1] for name in against)]
    if chosen is None or chosen in names:
        return chosen or next(iter(names), "eager"), "chosen by the engine"
    return next(iter(names), chosen), f"the engine would choose {chosen}, which was not measured"


def _cpu(sections: dict[str, Any], bfloat16: bool) -> Iterator[Target]:
    mode, _ = judged(sections)
    for system, least, aim in (("VAE", 1.6, None), ("VP, K = 500", 2.5, 3.5)):
        found = _look(sections, "peers", "times_as_fast", system, ours(mode), PYTHAE)
        yield Target(f"{system}: times pythae's speed", least, True, found)
        if aim:
            yield Target(f"{system}: times pythae's speed, the aim", aim, True, found)
    if bfloat16:
        low = ours(mode, "bfloat16")
        found = _look(sections, "peers", "times_as_fast", "VAE", low, PYTHAE)
        yield Target("VAE in bfloat16: times pythae's speed", 2.0, True, found)
    share = _look(sections, "roofline", "systems", "VAE", "modes", mode, "share_of_roofline")
    yield Target("VAE: share of the roofline", 0.45, True, share)
    yield Target("VAE: share of the roofline, the aim", 0.55, True, share)
    name, slowest = _slowest(sections)
    which = f"the slowest system at K = 150 but VP and those of two layers{name}"
    yield Target(f"{which}: times the step of the VAE", 2.0, False, slowest)
    found = _look(sections, "systems", "cp_to_indq", "500")
    yield Target("CP at K = 500: times the step of INDq", 1.3, False, found)


def _gpu(sections: dict[str, Any], _bfloat16: bool) -> Iterator[Target]:
    mode, _ = judged(sections)
    found = _look(sections, "peers", "times_as_fast", "VAE", ours(mode), PYTHAE)
    yield Target("VAE: times pythae's speed", 15.0, True, found)
    rows = _look(sections, "replicas", "cells", "VAE") or []
    many = [row["aggregate_rate"] for row in rows if row["replicas"] == 32]
    wanted = "32 replicas: times the epochs a second of one"
    yield Target(wanted, 10.0, True, many[0] if many else None)


def _slowest(sections: dict[str, Any]) -> tuple[str, Spread | None]:
    rows = [
        row
        for row in _look(sections, "systems", "rows") or []
        if row["components"] == 150 and row["system"] not in EXCEPTED
    ]
    if not rows:
        return "", None
    row = max(rows, key=lambda row: float(row["to_vae"]["median"]))
    return f", {row['system']}", row["to_vae"]


def _look(tree: Any, *path: str) -> Any:
    """What lies at ``path``, or None where it was not measured."""
    for name in path:
        if not isinstance(tree, dict) or name not in tree:
            return None
        tree = tree[name]
    return tree

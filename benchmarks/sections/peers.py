"""(a) and (b): bench against pythae and against a textbook loop, in turns, on the same images."""

from __future__ import annotations

import importlib.util
from typing import Any

from benchmarks.data import Images
from benchmarks.ours import System, Training, chosen_mode, compete, fewest_epochs, precisions
from benchmarks.settings import FULL_EPOCH, Settings
from benchmarks.textbook import Textbook
from benchmarks.timing import Work, ratio, scaled, spread

PYTHAE, PYTHAE_PLAIN, TEXTBOOK = "pythae", "pythae, two products a gate", "textbook loop"
TIMED = (
    "one pass over the training images: data loading, forward, backward, Adam. Not timed on any "
    "side: the validation set, checkpoints, copies of the best parameters, the first pass. "
    "Binarization at every step: bench and the textbook loop; pythae has none and trains on grey "
    "levels. What bench needs to start (compilation, capture) is shared out among {} epochs, the "
    "fewest that a cell trains under the paper's protocol"
)


def ours(mode: str, precision: str = "float32") -> str:
    """What bench is called here."""
    return f"bench, {mode}" + ("" if precision == "float32" else f", {precision}")


def measure(settings: Settings, images: Images) -> dict[str, Any]:
    """Seconds of an epoch of 50,000 images, and how many times as fast bench is."""
    some = images.first(settings.images)
    section: dict[str, Any] = {
        "timed": TIMED.format(fewest_epochs()),
        "images": settings.images,
        "chosen_mode": chosen_mode(settings),
        "left_out": "" if _has_pythae() else "pythae is not installed (make bench installs it)",
        "notes": [],
        "seconds": {},
        "times_as_fast": {},
    }
    for system in (System("VAE"), System("VP", max(settings.components))):
        trainings = _trainings(system, some, settings)
        others = _others(system, some, settings)
        taken = compete(trainings, others, settings).taken
        factor = FULL_EPOCH / settings.images
        section["seconds"][system.label] = {
            name: spread(scaled(values, factor)) for name, values in taken.items()
        }
        section["times_as_fast"][system.label] = {
            name: {other: ratio(taken[other], taken[name]) for other in others}
            for name in trainings
        }
        section["notes"] += [
            f"{system.label}, {name}: {note}"
            for name, training in trainings.items()
            for note in training.notes
        ]
    return section


def _trainings(system: System, images: Images, settings: Settings) -> dict[str, Training]:
    return {
        ours(mode, precision): Training(system, images, settings, mode=mode, precision=precision)
        for precision in precisions(settings)
        for mode in settings.modes
    }


def _others(system: System, images: Images, settings: Settings) -> dict[str, Work]:
    work: dict[str, Work] = {}
    if _has_pythae():
        from benchmarks.pythae_peer import Pythae

        work[PYTHAE] = Pythae(images, settings, system.components).epoch
        work[PYTHAE_PLAIN] = Pythae(images, settings, system.components, fused=False).epoch
    work[TEXTBOOK] = Textbook(images, settings, system.components).epoch
    return work


def _has_pythae() -> bool:
    return importlib.util.find_spec("pythae") is not None

"""What the engine's modes and precisions give, and after how many epochs compiling has paid."""

from __future__ import annotations

from typing import Any

from bench.engine.steps import Mode
from benchmarks.data import Images
from benchmarks.ours import System, Training, compete, precisions, usual_mode
from benchmarks.settings import FULL_EPOCH, Settings
from benchmarks.timing import ratio, scaled, spread

EAGER: Mode = "eager"


def measure(settings: Settings, images: Images) -> dict[str, Any]:
    """For two systems: seconds of an epoch in each mode and each precision."""
    some = images.first(settings.few_images)
    systems = (System("VAE"), System("CP", settings.components[len(settings.components) // 2]))
    return {
        "images": settings.few_images,
        "mode_of_precisions": usual_mode(settings),
        "modes": {system.label: _modes(system, some, settings) for system in systems},
        "precisions": {system.label: _precisions(system, some, settings) for system in systems},
    }


def _modes(system: System, images: Images, settings: Settings) -> dict[str, Any]:
    """Each mode's epoch without its start, its start, and when that has paid."""
    modes: dict[Mode, None] = dict.fromkeys((EAGER, *settings.modes))
    trainings: dict[str, Training] = {
        mode: Training(system, images, settings, mode=mode) for mode in modes
    }
    turns = compete(trainings, {}, settings, share_start=False)
    scale = FULL_EPOCH / len(images.train)
    eager = spread(scaled(turns.taken[EAGER], scale))["median"]
    found: dict[str, Any] = {}
    for mode, values in turns.taken.items():
        epoch = spread(scaled(values, scale))
        gain = eager - epoch["median"]
        pays = mode != EAGER and gain > 0
        found[mode] = {
            "epoch_seconds": epoch,
            "times_as_fast_as_eager": ratio(turns.taken[EAGER], values),
            "start_seconds": turns.start[mode],
            "break_even_epochs": turns.start[mode] / gain if pays else None,
            "notes": trainings[mode].notes,
        }
    return found


def _precisions(system: System, images: Images, settings: Settings) -> dict[str, Any]:
    trainings: dict[str, Training] = {
        precision: Training(system, images, settings, precision=precision)
        for precision in precisions(settings)
    }
    taken = compete(trainings, {}, settings).taken
    return {
        precision: {
            "epoch_seconds": spread(scaled(values, FULL_EPOCH / len(images.train))),
            "times_as_fast_as_float32": ratio(taken["float32"], values),
        }
        for precision, values in taken.items()
    }

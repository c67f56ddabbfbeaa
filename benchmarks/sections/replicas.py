"""(d): how much cheaper a cell gets when several train together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.data import Images, random_images
from benchmarks.ours import System, Training, compete, usual_mode
from benchmarks.settings import FULL_EPOCH, Settings
from benchmarks.timing import ratio, scaled, spread

SMALL = {"hidden": 64, "latent_dim": 8}
SMALL_PIXELS = 64


def measure(settings: Settings, images: Images) -> dict[str, Any]:
    """Epochs a second, of all replicas together, for each number of replicas."""
    small = replace(settings, **{k: min(v, getattr(settings, k)) for k, v in SMALL.items()})
    tiny = random_images(settings.few_images, SMALL_PIXELS, "random images of 8 x 8 pixels")
    cases = {
        "VAE": (settings, images.first(settings.few_images)),
        f"small VAE ({SMALL_PIXELS} pixels, {small.hidden} units)": (small, tiny),
    }
    return {
        "images": settings.few_images,
        "mode": usual_mode(settings),
        "cells": {name: _cell(*case) for name, case in cases.items()},
    }


def _cell(settings: Settings, images: Images) -> list[dict[str, Any]]:
    trainings = {
        str(number): Training(System("VAE"), images, settings, replicas=number)
        for number in settings.replicas
    }
    taken = compete(trainings, {}, settings).taken
    each = {name: scaled(values, 1.0 / int(name)) for name, values in taken.items()}
    alone = each[str(settings.replicas[0])]
    return [
        {
            "replicas": int(name),
            "epoch_seconds": spread(scaled(taken[name], FULL_EPOCH / settings.few_images)),
            "aggregate_rate": ratio(alone, each[name]),
        }
        for name in trainings
    ]

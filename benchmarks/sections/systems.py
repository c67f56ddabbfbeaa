"""(e): what a step of each system of Table 3 costs beside our own VAE's, at every K."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.data import Images
from benchmarks.ours import System, Training, compete, judged_mode, shipped, table3
from benchmarks.settings import Settings
from benchmarks.timing import ratio, scaled, spread

REFERENCE = System("VAE")
TRAINING_IMAGES = {"mnist": 50_000, "fashion_mnist": 50_000, "omniglot": 23_000}


def measure(settings: Settings, images: Images) -> dict[str, Any]:
    """Seconds of a step, relative to the VAE's in the same round; and CP against INDq."""
    some = images.first(settings.few_images)
    systems = list(dict.fromkeys(s for k in settings.components for s in table3(k)))
    mode = judged_mode(settings)
    trainings = {system.label: Training(system, some, settings, mode=mode) for system in systems}
    taken = compete(trainings, {}, settings).taken
    steps = settings.few_images // settings.batch_size
    rows = [
        {
            "system": system.name,
            "components": system.components,
            "step_seconds": spread(scaled(taken[system.label], 1.0 / steps)),
            "to_vae": ratio(taken[system.label], taken[REFERENCE.label]),
        }
        for system in systems
    ]
    cp_to_indq = {
        str(k): ratio(taken[System("CP", k).label], taken[System("INDq", k).label])
        for k in settings.components
    }
    found = {"steps": steps, "mode": mode, "rows": rows, "cp_to_indq": cp_to_indq}
    return {**found, "table3": table3_epochs(rows, settings.batch_size)}


def table3_epochs(rows: Sequence[dict[str, Any]], batch_size: int) -> dict[str, float]:
    """Seconds that an epoch of every cell of Table 3 takes, by dataset, one cell after the other.

    Steps at a K that was not measured are interpolated; beyond the measured ones, the nearest is
    taken.
    """
    measured: dict[str, dict[int, float]] = defaultdict(dict)
    for row in rows:
        measured[row["system"]][row["components"] or 0] = row["step_seconds"]["median"]
    found = {}
    for dataset, sizes in shipped().run.components_by_dataset.items():
        if dataset not in TRAINING_IMAGES:
            continue  # the synthetic mixture is not of Table 3
        steps = TRAINING_IMAGES[dataset] // batch_size
        each = [
            float(np.interp(k, list(by_size), list(by_size.values())))
            for by_size in measured.values()
            for k in (sizes if 0 not in by_size else (0,))
        ]
        found[dataset] = steps * sum(each)
    return found

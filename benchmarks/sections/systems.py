"""(e): what a step of each system of Table 3 costs beside our own VAE's, at every K."""

from __future__ import annotations

from typing import Any

from benchmarks.data import Images
from benchmarks.ours import System, Training, compete, judged_mode, table3
from benchmarks.settings import Settings
from benchmarks.timing import ratio, scaled, spread

REFERENCE = System("VAE")


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
    return {"steps": steps, "mode": mode, "rows": rows, "cp_to_indq": cp_to_indq}

"""A store made by hand with all that its page shows, hostile names among it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bench.store import Row, Store
from fabricated import Array, empty, put, row

HOSTILE = "</script><script>document.title = 'taken'</script><img src=x onerror=alert(1)>"
"""A name or a reason that takes the page over where it is not escaped."""

EXAMPLES = 400
MEANS = {"CP": 90.0, "VAE": 92.0, "VP": 91.0}


def costs(seed: int, mean: float) -> Array:
    """NELBO of every example: what is hard for one model is hard for all."""
    shared = np.random.default_rng(0).normal(0.0, 5.0, EXAMPLES)
    own: Array = mean + shared + np.random.default_rng(seed).normal(0.0, 1.0, EXAMPLES)
    return own


def full_store(folder: Path) -> tuple[Store, list[Row]]:
    """Three models of two seeds on one dataset, one cell on another, a failed and a skipped one."""
    store = empty(folder)
    rows = []
    for number, (model, mean) in enumerate(MEANS.items()):
        for seed in range(2):
            values = costs(10 * number + seed, mean + seed / 4)
            changes = {"purity": None, "purity_chance": None} if model == "VAE" else {}
            made = row(seed, model, seconds=5.0 + number, epochs=3, **changes)
            rows.append(put(store, made, nelbo=values, kl_z=values / 10))
    other = row(0, "CP", cell="other0", dataset="gaussians", dataset_fingerprint="4567")
    rows.append(put(store, other, nelbo=costs(99, -1.0)[:100]))
    failed = row(0, HOSTILE, cell="failed0", status="failed", reason=HOSTILE, nelbo=None, nll=None)
    rows.append(put(store, {**failed, "purity": None, "category_information": None}))
    skipped = row(0, "", cell="skipped0", status="skipped", reason=f"no meaning {HOSTILE}")
    rows.append(skipped)
    for cell in ("cp0", "vae1"):
        picture = np.random.default_rng(1).integers(0, 255, (60, 60), dtype=np.uint8)
        Image.fromarray(picture).save(store.folder(cell) / "samples.png")
    return store, rows

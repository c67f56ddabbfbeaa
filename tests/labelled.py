"""A dataset whose labels may be anything, beside images that stay what they are."""

from __future__ import annotations

from pathlib import Path

from bench.preparation import Prepared, Request, prepare
from runs import SETTINGS

DATASET = '''
import numpy as np
from bench.api import Dataset, Split, Splits

class Mine(Dataset):
    """Two kinds of images, whose labels may be anything."""
    embedded = True

    def __init__(self, *, labels="plain"):
        self.labels = labels

    def load(self, roots):
        random = np.random.RandomState(0)
        y = random.randint(0, 2, 500)
        x = (random.randint(0, 256, (500, 2, 3)) * (1 + y[:, None, None]) // 2).astype(np.uint8)
        y = {
            "plain": y,
            "shuffled": random.permutation(y),
            "exchanged": 1 - y,
            "constant": np.zeros_like(y),
        }[self.labels].astype(np.int64)
        return Splits(
            *(
                Split(x[s], y[s], {"again": y[s]})
                for s in np.split(np.arange(500), [200, 300])
            ),
            ("dark", "light"),
        )
'''


def write_dataset(folder: Path) -> Path:
    """The plugin file, for ``--plugin``."""
    path = folder / "mine.py"
    path.write_text(DATASET)
    return path


def prepared(plugin: Path, out: Path, model: str) -> Prepared:
    flags = {
        "run.datasets": ["mine"],
        "run.models": [model],
        "run.out": str(out),
        "training.epochs": 2,
        "tuning.trials": 2,
    }
    return prepare(Request(None, None, (plugin,), SETTINGS, flags), lambda _: None)

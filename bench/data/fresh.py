"""Load a dataset in a process of its own, to see that it comes out the same: ``-m`` runs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.data.base import Dataset, Splits
from bench.data.loading import fingerprint, load_splits
from bench.errors import BenchError
from bench.registry import Registry


def splits_fingerprint(splits: Splits) -> str:
    """Identifies all data and all labels of a dataset, as the plugin returns them."""
    parts = (splits.train, splits.validation, splits.test)
    return fingerprint(
        *(part.x for part in parts),
        *(part.y for part in parts),
        *(part.extra[name] for part in parts for name in sorted(part.extra)),
    )


def main(name: str, plugins: Sequence[str], roots: Sequence[str]) -> int:
    """Print the fingerprint of the registered dataset; 1 and the reason where it does not load."""
    try:
        dataset: Dataset = Registry([Path(file) for file in plugins]).load("dataset", name)()
        splits = load_splits(dataset, [Path(folder) for folder in roots])
    except BenchError as error:
        sys.stderr.write(str(error))
        return 1
    sys.stdout.write(splits_fingerprint(splits))
    return 0


if __name__ == "__main__":
    sys.exit(main(**json.loads(sys.argv[1])))

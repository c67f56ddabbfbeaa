"""``python -m benchmarks.checkpoints``: what checkpoints cost a training, in one process.

Epochs with a checkpoint behind them and epochs without take turns, so that whatever else the
machine does falls on both. The difference is what one checkpoint costs, the caches that it empties
included. It is set against the interval at which training makes them: the one of bench.toml, or a
longer one where that would cost more than a fiftieth of the time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch

from bench.config import load_config
from bench.engine.pace import SHARE
from bench.execution import resolve_device
from benchmarks.data import Images, random_images
from benchmarks.ours import System, Training
from benchmarks.settings import Settings
from benchmarks.timing import seconds

SYSTEMS = (System("VAE"), System("CP", 500), System("HVP", 500))


def measure(
    system: System, images: Images, settings: Settings, folder: Path, replicas: int
) -> tuple[float, float, float]:
    """Seconds of an epoch and of a checkpoint, and its size in MiB."""
    training = Training(system, images, settings, replicas=replicas, mode="eager")
    trainer = training.trainer
    trainer.checkpoint = folder / "checkpoint.pt"
    for replica in trainer.replicas:  # the best parameters are saved beside the latest
        replica.best = {k: v.clone() for k, v in replica.model.state_dict().items()}

    def with_checkpoint() -> None:
        training.epoch()
        trainer.save()

    training.epoch()
    alone, both = [], []
    for _ in range(settings.rounds):
        alone.append(seconds(training.epoch, settings.device))
        both.append(seconds(with_checkpoint, settings.device))
    size = trainer.checkpoint.stat().st_size / 2**20
    return median(alone), max(0.0, median(b - a for a, b in zip(alone, both, strict=True))), size


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; status 1 where checkpoints cost more than they may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, help="a folder on the disk to measure; default: TMPDIR")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--images", type=int, default=2000, help="of an epoch that is timed")
    parser.add_argument("--replicas", type=int, default=1)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    settings = Settings(resolve_device("auto"), 1, chosen.rounds, chosen.images)
    images = random_images(chosen.images, 28 * 28, "random images")
    asked = load_config("paper").training.checkpoint_seconds
    print("system        checkpoint       size   interval   with/without")
    worst = 0.0
    with tempfile.TemporaryDirectory(dir=chosen.out) as folder:
        for system in SYSTEMS:
            _, cost, size = measure(system, images, settings, Path(folder), chosen.replicas)
            interval = max(asked, cost / SHARE)
            worst = max(worst, cost / interval)
            print(
                f"{system.label:12} {1e3 * cost:8.1f} ms {size:6.1f} MiB {interval:8.0f} s "
                f"{1 + cost / interval:14.5f}"
            )
    print(f"at most {worst:.2%} of the time, {SHARE:.0%} allowed")
    return 0 if worst <= SHARE + 1e-9 else 1


if __name__ == "__main__":
    sys.exit(main())

"""What to measure, and at which sizes."""

from __future__ import annotations

import os
from dataclasses import dataclass

from bench.engine.steps import Mode

FULL_EPOCH = 50_000
"""Training images of MNIST: times of an epoch are scaled to so many."""

SECTIONS = ("peers", "roofline", "replicas", "systems", "evaluation", "engine", "workers")


@dataclass(frozen=True)
class Settings:
    """One run of the benchmark.

    Attributes:
        device: where both sides train.
        threads: of this process, for every contender.
        rounds: how often the contenders take turns.
        images: training images in a timed epoch.
        batch_size: images a step.
        hidden: units of a hidden layer.
        latent_dim: D.
        components: every K that is measured; the comparison with others takes the largest.
        replicas: how many cells to train together; the first is what the others are held against.
        modes: the engine's modes that are compared.
    """

    device: str
    threads: int
    rounds: int = 7
    images: int = 10_000
    batch_size: int = 100
    hidden: int = 300
    latent_dim: int = 40
    components: tuple[int, ...] = (10, 150, 500)
    replicas: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    modes: tuple[Mode, ...] = ("eager", "compile")

    @property
    def steps(self) -> int:
        """Steps in a timed epoch."""
        return self.images // self.batch_size

    @property
    def few_images(self) -> int:
        """Training images where there are many contenders: a fifth, but ten batches if possible."""
        return min(self.images, max(10 * self.batch_size, self.images // 5))

    @property
    def cuda(self) -> bool:
        return self.device.startswith("cuda")


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

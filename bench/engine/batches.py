"""Training batches of all replicas, prepared in blocks of several steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from bench.model import Model

BLOCK_STEPS = 64  # steps that are prepared at once, at most; a multiple of a launch's
BLOCK_NUMBERS = 2**21  # numbers of x that one replica's block may hold: they stay in a CPU's cache


@dataclass(frozen=True)
class Pixels:
    """What training may see of a dataset: no labels.

    Attributes:
        train: uint8 grey levels or float32 values, (N, P), on the training device.
        validation: frozen evaluation array, (N', P).
        scale: what one grey level is worth as a probability.
        binary: whether training rows are redrawn as Bernoulli samples every step.
    """

    train: Tensor
    validation: Tensor
    scale: float
    binary: bool

    @cached_property
    def thresholds(self) -> Tensor:
        """What ``draw`` takes in place of grey levels, (N, P), twice as large."""
        return thresholds(self.train, self.scale)


@dataclass(frozen=True)
class Block:
    """Batches of several steps.

    Attributes:
        x: data of S steps and R replicas, (S, R, B, P); booleans where binarized.
        noise: outside noise of each latent, (S, R, B, event).
    """

    x: Tensor
    noise: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.x)

    def part(self, start: int, stop: int) -> Block:
        """Some of its steps."""
        noise = {name: value[start:stop] for name, value in self.noise.items()}
        return Block(self.x[start:stop], noise)

    def step(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        """One step's x (R, B, P), in floating point, and its noise."""
        x = self.x[index]
        x = x.float() if x.dtype == torch.bool else x
        return x, {name: value[index] for name, value in self.noise.items()}


def epoch_generator(seed: int, epoch: int, device: torch.device) -> torch.Generator:
    """The noise of one epoch, whatever happened before it."""
    words = np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(words[0] >> np.uint64(1)))


def binarize(rows: Tensor, scale: float, generator: torch.Generator) -> Tensor:
    """Bernoulli samples of grey rows, as booleans: x ~ Bernoulli(level * scale)."""
    uniform = torch.rand(rows.shape, generator=generator, device=rows.device)
    return uniform < rows * scale


def thresholds(rows: Tensor, scale: float) -> Tensor:
    """What ``draw`` compares random numbers with so that x ~ Bernoulli(level * scale): int16.

    The probability is rounded to a multiple of 2^-16; black and white stay certain, and so is what
    lies closer to white than 1.5 x 2^-16, as no level of eight bits does.
    """
    above = [(part.double() * scale * 65536.0).round_().sub_(32768.0) for part in rows.split(1000)]
    return torch.cat([part.clamp_(-32768.0, 32767.0).to(torch.int16) for part in above])


def draw(levels: Tensor, generator: torch.Generator) -> Tensor:
    """Bernoulli samples, as booleans, for ``thresholds`` (..., P) on a CPU.

    Sixteen random bits a pixel, four pixels a word of a fast generator that the given one seeds:
    torch's own makes one number after the other, which took a tenth of a step.
    """
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    words = np.random.SFC64(seed).random_raw(-(-levels.numel() // 4))
    uniform = torch.from_numpy(words.view(np.int16))[: levels.numel()]
    # The two largest values count as one: no number reaches the threshold of a white pixel.
    return uniform.clamp_(max=32766).reshape(levels.shape) < levels


def steps_an_epoch(pixels: Pixels, size: int) -> tuple[int, int]:
    """Steps of an epoch and rows of a batch: equal batches, what is left over is left out."""
    size = min(size, len(pixels.train))
    return len(pixels.train) // size, size


def blocks(
    model: Model, pixels: Pixels, size: int, generators: Sequence[torch.Generator]
) -> Iterator[Block]:
    """The batches of one epoch, shuffled and binarized for each replica by its own generator.

    A replica's numbers do not depend on how many others there are.

    Args:
        model: one of the replicas, for the shapes of its noise.
        pixels: the data.
        size: rows of a batch, B.
        generators: one a replica, as ``epoch_generator`` makes them.
    """
    on_cpu = not pixels.train.is_cuda
    train = pixels.thresholds if pixels.binary and on_cpu else pixels.train
    steps, size = steps_an_epoch(pixels, size)
    orders = [torch.randperm(len(train), generator=g, device=train.device) for g in generators]
    length = BLOCK_STEPS
    if on_cpu:
        length = max(1, min(length, BLOCK_NUMBERS // (size * train.shape[1])))
    for start in range(0, steps, length):
        count = min(length, steps - start)
        chosen = slice(start * size, (start + count) * size)
        made = []
        for order, generator in zip(orders, generators, strict=True):
            rows = train.index_select(0, order[chosen])
            if pixels.binary:
                rows = draw(rows, generator) if on_cpu else binarize(rows, pixels.scale, generator)
            noise = model.noise((count, size), generator)
            made.append(Block(rows.unflatten(0, (count, size)), noise))
        yield _side_by_side(made)


def _side_by_side(made: Sequence[Block]) -> Block:
    """Blocks of single replicas, (S, B, ...), as one of all, (S, R, B, ...)."""
    if len(made) == 1:
        (only,) = made
        noise = {name: value.unsqueeze(1) for name, value in only.noise.items()}
        return Block(only.x.unsqueeze(1), noise)
    noise = {name: torch.stack([b.noise[name] for b in made], dim=1) for name in made[0].noise}
    return Block(torch.stack([b.x for b in made], dim=1), noise)

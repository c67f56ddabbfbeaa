"""Batches: the data once an epoch, and numbers that belong to a replica whatever trains beside."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench.engine.batches import Block, Pixels, blocks, epoch_generator, steps_an_epoch
from pairs import build
from trainings import pixels

CPU = torch.device("cpu")
MODEL = build("mog", "joint", dtype=torch.float32)


def drawn(some: Pixels, size: int, *seeds: int, epoch: int = 1) -> list[Block]:
    return [*blocks(MODEL, some, size, [epoch_generator(seed, epoch, CPU) for seed in seeds])]


def tensors(found: list[Block], replica: int) -> list[Tensor]:
    """All that one replica is given, block by block."""
    return [value[:, replica] for block in found for value in (block.x, *block.noise.values())]


@given(st.integers(1, 40), st.integers(1, 50))
def test_batches_cover_the_shuffled_data_once(size: int, count: int) -> None:
    rows = torch.arange(count, dtype=torch.float32).unsqueeze(1).expand(-1, 4)
    some = Pixels(rows, rows, 1.0, False)
    found = drawn(some, size, 0)
    steps, size = steps_an_epoch(some, size)
    assert (steps, size) == (count // size, min(size, count))
    assert sum(len(block) for block in found) == steps
    values = torch.cat([block.x[..., 0].flatten() for block in found])
    assert len(values.unique()) == len(values) == steps * size
    for block in found:
        assert block.x.shape == (len(block), 1, size, 4)
        assert block.noise["c"].shape == (len(block), 1, size, 3)
        assert block.noise["z"].shape == (len(block), 1, size, 2)


def test_epochs_and_seeds_differ_in_order_pixels_and_noise() -> None:
    some = pixels()
    first = tensors(drawn(some, 8, 3), 0)
    for seed, epoch, same in ((3, 1, True), (3, 2, False), (4, 1, False)):
        other = tensors(drawn(some, 8, seed, epoch=epoch), 0)
        assert {torch.equal(a, b) for a, b in zip(first, other, strict=True)} == {same}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["binarized", "as it is"])
@pytest.mark.parametrize("length", [1, 4, 64])
def test_a_replicas_numbers_do_not_depend_on_the_others(
    dtype: torch.dtype, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit, in epochs of one block and of several."""
    monkeypatch.setattr("bench.engine.batches.BLOCK_STEPS", length)
    some = pixels(dtype=dtype)
    seeds = (3, 5, 8)
    together = drawn(some, 8, *seeds)
    assert len(together) == -(-6 // length)
    for index, seed in enumerate(seeds):
        alone = tensors(drawn(some, 8, seed), 0)
        pairs = zip(tensors(together, index), alone, strict=True)
        assert all(torch.equal(mine, own) for mine, own in pairs)


def test_a_block_holds_no_more_numbers_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    some = pixels()
    monkeypatch.setattr("bench.engine.batches.BLOCK_NUMBERS", 2 * 8 * 4)
    assert [len(block) for block in drawn(some, 8, 3, 5)] == [2, 2, 2]
    monkeypatch.setattr("bench.engine.batches.BLOCK_NUMBERS", 1)
    assert [len(block) for block in drawn(some, 8, 3, 5)] == [1] * 6


def test_a_steps_data_are_those_of_its_place_in_the_block() -> None:
    (block,) = drawn(pixels(), 8, 3, 5)
    assert block.x.dtype == torch.bool
    part = block.part(2, 5)
    assert len(part) == 3
    x, noise = part.step(1)
    assert x.dtype == torch.float32
    assert torch.equal(x, block.x[3].float())
    assert torch.equal(noise["z"], block.noise["z"][3])

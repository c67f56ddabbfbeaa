"""Compiled and captured steps are the eager ones, and what cannot be either runs eagerly."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import products
from bench.engine.batches import Block, blocks, epoch_generator
from bench.engine.choice import (
    MOST_REPLICAS,
    SMALL_STEP,
    choose_mode,
    choose_replicas,
    size_of_step,
)
from bench.engine.graph import STEPS_A_LAUNCH, Captured
from bench.engine.steps import Compiled, Eager, Mode, Steps
from bench.products import Kernels
from bench.training import Pixels, Replica, ReplicaTrainer
from trainings import TOLERANCES, check_same, each_kind, pixels, replicas

each_count = pytest.mark.parametrize("count", [1, 3])

# no, one and two launches, with and without a rest
LENGTHS = (5, STEPS_A_LAUNCH, 2 * STEPS_A_LAUNCH + 1)


@pytest.mark.parametrize(
    ("wanted", "device", "steps", "chosen"),
    [
        ("eager", "cpu", 10**9, "eager"),
        ("eager", "cuda", 10**9, "eager"),
        ("compile", "cpu", 1, "compile"),
        ("compile", "cuda:1", 1, "compile"),
        ("graph", "cuda", 1, "graph"),
        ("graph", "cpu", 10**9, "eager"),
        ("auto", "cuda", 1, "graph"),
        ("auto", "cuda:0", 10**9, "graph"),
        ("auto", "cpu", 999, "eager"),
        ("auto", "cpu", 1000, "compile"),
    ],
)
def test_the_mode_follows_from_the_settings(
    wanted: str, device: str, steps: int, chosen: str
) -> None:
    assert choose_mode(wanted, device, steps, break_even=1000) == chosen


@pytest.mark.parametrize(
    ("wanted", "device", "cells", "workers", "step", "chosen"),
    [
        (3, "cpu", 100, 4, 10 * SMALL_STEP, 3),
        (0, "cpu", 1000, 2, SMALL_STEP, MOST_REPLICAS["cpu"]),
        (0, "cpu", 1000, 2, SMALL_STEP + 1, 1),
        (0, "cpu", 5, 2, 1, 3),
        (0, "cpu", 2, 4, 1, 1),
        (0, "cuda:1", 1000, 1, 10 * SMALL_STEP, MOST_REPLICAS["cuda"]),
        (0, "cuda", 10, 1, 10 * SMALL_STEP, 10),
        (0, "cuda", 0, 1, 1, 1),
    ],
)
def test_the_number_of_replicas_does_too(
    wanted: int, device: str, cells: int, workers: int, step: int, chosen: int
) -> None:
    assert choose_replicas(wanted, device, cells, workers, step) == chosen


def test_the_size_of_a_step_counts_its_products() -> None:
    assert size_of_step(100, 300, (28, 28)) == 100 * 300 * (784 + 300)


def group(prior: str, posterior: str, count: int, **changes: object) -> list[Replica]:
    return replicas(prior, posterior, **changes)[:count]


def eager(count: int) -> Eager:
    """Steps of a pair with every kind of noise, from the start."""
    made = ReplicaTrainer(group("conditional", "joint", count), pixels()).steps
    assert isinstance(made, Eager)
    return made


def block(steps: Eager, length: int, seed: int = 0) -> Block:
    some = pixels(8 * length)
    generators = [epoch_generator(s, seed, some.train.device) for s in range(len(steps.population))]
    (made,) = blocks(steps.population.models[0], some, 8, generators)
    return made


def trace(steps: Steps, inner: Eager, length: int) -> list[Tensor]:
    """What two blocks, at different settings, give and leave behind."""
    one = torch.ones(len(inner.population))
    totals = [
        steps.run(block(inner, length, seed), 0.3 * seed * one, one / seed) for seed in (1, 2)
    ]
    return [*totals, *inner.adam.state_tensors()]


def check_equal(found: list[Tensor], expected: list[Tensor]) -> None:
    for mine, other in zip(found, expected, strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("length", LENGTHS)
@each_count
def test_captured_steps_are_the_eager_ones(count: int, length: int) -> None:
    """Bit for bit, where a capture only repeats the work; whatever does not fill a launch too."""
    launches: list[int] = []
    recorded: list[int] = []

    def capture(work: Callable[[], None]) -> Callable[[], None]:
        recorded.append(1)
        return lambda: (launches.append(1), work())[1]

    notices: list[str] = []
    inner, expected = eager(count), eager(count)
    captured = Captured(inner, capture, notices.append)
    check_equal(trace(captured, inner, length), trace(expected, expected, length))
    assert len(launches) == 2 * (length // STEPS_A_LAUNCH)
    assert len(recorded) == (length >= STEPS_A_LAUNCH)
    assert not notices


@each_count
def test_warming_up_leaves_no_trace(count: int) -> None:
    """Nor does recording, which on a GPU runs nothing: only launches count."""
    inner = eager(count)
    before = [value.detach().clone() for value in inner.adam.state_tensors()]
    one = torch.ones(count)
    Captured(inner, lambda work: lambda: None).run(block(inner, STEPS_A_LAUNCH), one, one)
    check_equal(inner.adam.state_tensors(), before)


@each_count
def test_what_cannot_be_captured_runs_eagerly(count: int) -> None:
    tried: list[int] = []

    def refuse(work: Callable[[], None]) -> Callable[[], None]:
        tried.append(1)
        work()
        raise RuntimeError("operation not permitted when stream is capturing\nand much more")

    notices: list[str] = []
    inner, expected = eager(count), eager(count)
    captured = Captured(inner, refuse, notices.append)
    check_equal(trace(captured, inner, 20), trace(expected, expected, 20))
    assert tried == [1]
    assert notices == [
        "the step cannot be captured, so it runs without: "
        "operation not permitted when stream is capturing"
    ]


def train(
    made: list[Replica], mode: Mode, some: Pixels | None = None, kernels: Kernels = "blas"
) -> list[str]:
    """Train; the notices."""
    notices: list[str] = []
    data = some or pixels()
    trainer = ReplicaTrainer(made, data, mode, notice=notices.append, kernels=kernels)
    trainer.run()
    return notices


@pytest.mark.slow
@each_count
@pytest.mark.parametrize("kernels", ["blas", "onednn"])
@pytest.mark.parametrize(("prior", "posterior"), [("conditional", "joint"), ("vamp", "continuous")])
def test_compiled_steps_are_the_eager_ones(
    prior: str, posterior: str, kernels: Kernels, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole step is traced and taken apart; with torch's own operations in place of code."""
    monkeypatch.setattr(products, "LEAST", 0)  # small as they are, all by the wanted kernels
    compile_ = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda step, **how: compile_(step, backend="aot_eager", **how)
    )
    compiled, expected = (group(prior, posterior, count, epochs=2) for _ in range(2))
    assert train(compiled, "compile", kernels=kernels) == []
    train(expected, "eager")
    for mine, other in zip(compiled, expected, strict=True):
        check_same(mine, other, TOLERANCES[torch.float32])


@pytest.mark.slow
def test_the_compiler_makes_the_same_steps() -> None:
    """The one that a run uses, for a stack whose gradients are normalised."""
    compiled, expected = (
        group("mog", "continuous", 3, epochs=2, normalise_gradients=True) for _ in range(2)
    )
    notices = train(compiled, "compile")
    train(expected, "eager")
    for mine, other in zip(compiled, expected, strict=True):
        check_same(mine, other, TOLERANCES[torch.float32])
    assert bool(notices) != any(map(shutil.which, ("c++", "g++", "clang++", "cl")))


def refuse_when_called(step: Callable[..., Tensor], **_: object) -> Callable[..., Tensor]:
    def run(*arguments: Any) -> Tensor:
        step(*arguments)
        raise RuntimeError("Unsupported: a plugin's own\n  from user code")

    return run


def refuse_later(step: Callable[..., Tensor], **_: object) -> Callable[..., Tensor]:
    """As the compiler does with a plugin that counts its calls."""
    calls: list[int] = []

    def run(*arguments: Any) -> Tensor:
        calls.append(1)
        if len(calls) > 3:
            raise RuntimeError("Unsupported: a plugin's own\n  from user code")
        return step(*arguments)

    return run


def refuse_at_once(step: Callable[..., Tensor], **_: object) -> Callable[..., Tensor]:
    raise RuntimeError("Unsupported: a plugin's own")


@pytest.mark.parametrize("compile_", [refuse_when_called, refuse_later, refuse_at_once])
@each_count
def test_what_does_not_compile_runs_eagerly(
    count: int,
    compile_: Callable[..., Callable[..., Tensor]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "compile", compile_)
    notices: list[str] = []
    inner, expected = eager(count), eager(count)
    check_equal(trace(Compiled(inner, notices.append), inner, 5), trace(expected, expected, 5))
    assert notices == ["the step does not compile, so it runs eagerly: Unsupported: a plugin's own"]


def test_a_compiled_step_is_captured_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda step, **_: step)
    inner, alone = eager(3), eager(3)
    notices: list[str] = []
    captured = Captured(Compiled(inner, notices.append), lambda work: work, notices.append)
    check_equal(trace(captured, inner, 20), trace(Compiled(alone), alone, 20))
    assert not notices


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA is absent")
@pytest.mark.parametrize("mode", ["graph", "compile"])
@each_count
@each_kind
def test_a_gpu_makes_the_same_steps(prior: str, posterior: str, count: int, mode: Mode) -> None:
    def on_gpu() -> list[Replica]:
        made = group(prior, posterior, count)
        for one in made:
            one.model.cuda()
        return made

    host = pixels(8 * (STEPS_A_LAUNCH + 4))
    some = Pixels(host.train.cuda(), host.validation.cuda(), host.scale, host.binary)
    launched, expected = on_gpu(), on_gpu()
    assert train(launched, mode, some) == []
    train(expected, "eager", some)
    for mine, other in zip(launched, expected, strict=True):
        check_same(mine, other, 1e-3)  # kernels that add in another order, over 120 steps

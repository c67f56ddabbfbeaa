"""Adam for replicas against torch's own, and gradients divided by their norm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.engine.adam import Adam, normalised, update
from pairs import seeded

Tensors = dict[str, Tensor]

SHAPES = {"weight": (4, 3), "bias": (4,), "scalar": (), "unused": (2, 2)}
STEPS = 30
# torch's kernels round another operation of the update; over 30 steps of size 0.01 to 0.03
TOLERANCES = {torch.float64: 1e-14, torch.float32: 1e-6}
RATES = {"one": [0.01], "uniform": [0.01] * 3, "own": [0.01, 0.003, 0.03]}

each_dtype = pytest.mark.parametrize("dtype", TOLERANCES, ids=["float64", "float32"])
each_rates = pytest.mark.parametrize("rates", RATES)


def normal(shape: Sequence[int], seed: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(tuple(shape), generator=seeded(seed), dtype=dtype)


def start(count: int, dtype: torch.dtype) -> Tensors:
    """Parameters, (R, ...) where there are several replicas."""
    made = {name: normal((count, *shape), 1, dtype) for name, shape in SHAPES.items()}
    return made if count > 1 else {name: value[0] for name, value in made.items()}


def gradients(count: int, step: int, dtype: torch.dtype) -> dict[str, Tensor | None]:
    """Of sizes that differ by orders of magnitude, and in memory orders as autograd leaves them."""
    found: dict[str, Tensor | None] = {}
    for number, (name, shape) in enumerate(SHAPES.items()):
        value = 10.0 ** (-2 * number) * normal((count, *shape), 10 * step + number, dtype)
        found[name] = value if count > 1 else value[0]
    found["weight"] = found["weight"].mT.contiguous().mT  # as of a product's right factor
    found["bias"] = found["bias"].sum().expand(found["bias"].shape)  # as of a sum
    found["unused"] = None
    return found


def trained(adam: Adam, count: int, dtype: torch.dtype, steps: range = range(STEPS)) -> Adam:
    for step in steps:
        adam.step(gradients(count, step, dtype))
    return adam


def torchs(rates: Sequence[float], dtype: torch.dtype) -> list[Tensors]:
    """The same parameters after the same gradients, by one torch.optim.Adam for each replica."""
    count, found = len(rates), []
    for index, rate in enumerate(rates):
        whole = start(count, dtype)
        mine = {n: (v[index] if count > 1 else v).clone() for n, v in whole.items()}
        optimiser = torch.optim.Adam(mine.values(), lr=rate, fused=False, foreach=False)
        for step in range(STEPS):
            for name, value in gradients(count, step, dtype).items():
                if value is not None:
                    mine[name].grad = (value[index] if count > 1 else value).clone()
            optimiser.step()
        found.append(mine)
    return found


@each_dtype
@each_rates
def test_it_is_torchs_adam_for_each_replica(rates: str, dtype: torch.dtype) -> None:
    wanted = RATES[rates]
    count = len(wanted)
    adam = trained(Adam(start(count, dtype), wanted, count > 1), count, dtype)
    for index, expected in enumerate(torchs(wanted, dtype)):
        for name, value in expected.items():
            found = adam.learned[name][index] if count > 1 else adam.learned[name]
            assert torch.allclose(found, value, rtol=0, atol=TOLERANCES[dtype]), name


@each_dtype
@each_rates
def test_the_update_at_several_rates_is_the_same(rates: str, dtype: torch.dtype) -> None:
    """What is called in place of torch's fused kernel, which takes one rate; for one rate too."""
    wanted = RATES[rates]
    count = len(wanted)
    adam = Adam(start(count, dtype), wanted, count > 1)
    for step in range(STEPS):
        adam.count.add_(1)
        given = gradients(count, step, dtype)
        update(adam.learned, given, adam.mean, adam.square, adam.rates, adam.count)
    expected = trained(Adam(start(count, dtype), wanted, count > 1), count, dtype)
    for name, value in expected.learned.items():
        assert torch.allclose(adam.learned[name], value, rtol=0, atol=TOLERANCES[dtype]), name


@each_rates
def test_a_parameter_without_gradient_is_left_alone(rates: str) -> None:
    count, before = len(RATES[rates]), start(len(RATES[rates]), torch.float32)
    adam = trained(Adam(start(count, torch.float32), RATES[rates], count > 1), count, torch.float32)
    assert torch.equal(adam.learned["unused"], before["unused"])
    assert not torch.equal(adam.learned["weight"], before["weight"])


@each_rates
def test_a_loaded_state_goes_on_bit_for_bit(rates: str) -> None:
    wanted, dtype = RATES[rates], torch.float32
    count = len(wanted)
    whole = trained(Adam(start(count, dtype), wanted, count > 1), count, dtype)
    first = trained(Adam(start(count, dtype), wanted, count > 1), count, dtype, range(10))
    kept = {name: value.clone() for name, value in first.learned.items()}
    states = [first.state(index) for index in range(count)]
    trained(first, count, dtype, range(10, 12))  # what was kept is a copy
    second = Adam(kept, wanted, count > 1)
    second.load(states)
    trained(second, count, dtype, range(10, STEPS))
    assert second.count == whole.count == STEPS
    for mine, expected in (
        (second.learned, whole.learned),
        (second.mean, whole.mean),
        (second.square, whole.square),
    ):
        assert all(torch.equal(mine[name], value) for name, value in expected.items())


@pytest.mark.parametrize("left", [[0, 2], [1]])
def test_those_that_are_left_go_on_with_their_own_state(left: list[int]) -> None:
    dtype, wanted = torch.float64, RATES["own"]
    whole = trained(Adam(start(3, dtype), wanted, True), 3, dtype)
    first = trained(Adam(start(3, dtype), wanted, True), 3, dtype, range(10))
    many = len(left) > 1
    pick = torch.tensor(left) if many else left[0]
    kept = {name: value[pick].clone() for name, value in first.learned.items()}
    second = Adam(kept, [wanted[index] for index in left], many)
    second.load([first.state(index) for index in left])
    for step in range(10, STEPS):
        given = gradients(3, step, dtype)
        second.step({n: None if v is None else v[pick] for n, v in given.items()})
    for name, value in second.learned.items():
        assert torch.allclose(value, whole.learned[name][pick], rtol=0, atol=1e-14)


@pytest.mark.parametrize("count", [1, 3])
def test_each_block_of_each_replica_is_divided_by_its_own_norm(count: int) -> None:
    blocks = {"weight": 2, "bias": 2, "scalar": 1, "unused": 1}
    given = gradients(count, 0, torch.float64)
    found = normalised(given, blocks, count > 1)
    assert found["unused"] is None
    assert torch.equal(found["scalar"], given["scalar"].sign())
    for name in ("weight", "bias"):
        whole = given[name].reshape(count, *SHAPES[name]).numpy()
        expected = np.empty_like(whole)
        for index in range(count):
            for rows in (slice(0, 2), slice(2, 4)):
                part = whole[index, rows]
                expected[index, rows] = part / np.sqrt((part**2).sum())
        assert np.allclose(found[name].numpy(), expected.reshape(found[name].shape), atol=1e-15)


def test_a_gradient_of_zero_stays_zero() -> None:
    given: dict[str, Tensor | None] = {"weight": torch.zeros(4, 3)}
    found = normalised(given, {"weight": 2}, False)["weight"]
    assert found is not None
    assert torch.equal(found, torch.zeros(4, 3))

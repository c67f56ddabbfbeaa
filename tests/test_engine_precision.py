"""Lowered precision stays within the linear maps of a training step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.distributions import Mixture
from bench.engine.adam import Adam
from bench.engine.population import Population
from bench.joint import Joint
from bench.model import Model
from bench.networks import affine
from bench.normal import DiagNormal, normal_products
from bench.precision import Precision, computing_in, lowered, products_are_exact
from bench.training import Replica, ReplicaTrainer, validation_bound
from pairs import build, data, seeded
from trainings import check_same, each_kind, pixels, replica, replicas

# What a linear map and its gradient are made of: products, the bias's sum, and layouts.
LINEAR = {
    *("mm", "bmm", "addmm", "baddbmm", "add", "sum", "_to_copy"),
    *("t", "transpose", "view", "_unsafe_view", "expand"),
}


class Lowered(TorchDispatchMode):
    """The names of the operations that see bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        seen = tree_leaves((args, kwargs, found))
        name = function.overloadpacket.__name__
        # vmap takes a product with a bias apart, into one without and a sum weighted by 1.
        weighted = name == "mul" and isinstance(args[1], float | int) and args[1] == 1
        low = any(isinstance(value, Tensor) and value.dtype == torch.bfloat16 for value in seen)
        if low and not weighted:
            self.names.add(name)
        return found


def rounded(value: Tensor) -> Tensor:
    """To eight binary digits, as bfloat16 keeps them."""
    mantissa, exponent = torch.frexp(value.double())
    return torch.ldexp((mantissa * 256).round() / 256, exponent)


@pytest.mark.parametrize("bias", [True, False])
def test_a_lowered_map_rounds_its_factors_and_gives_float32(bias: bool) -> None:
    x = torch.randn((20, 30), generator=seeded(1), requires_grad=True)
    weight = torch.randn((7, 30), generator=seeded(2), requires_grad=True)
    shift = torch.randn(7, generator=seeded(3), requires_grad=True) if bias else None
    with computing_in("bfloat16"):
        found = affine(x, weight, shift)
    assert found.dtype == torch.float32
    exact = rounded(x.detach()) @ rounded(weight.detach()).T
    expected = exact if shift is None else exact + rounded(shift.detach())
    assert torch.allclose(found.double(), expected, rtol=2**-8, atol=2**-8)
    assert not torch.equal(found, affine(x, weight, shift))
    found.square().sum().backward()
    learned = [x, weight] if shift is None else [x, weight, shift]
    assert {value.grad.dtype for value in learned} == {torch.float32}
    gradient = 2 * expected
    assert torch.allclose(
        weight.grad.double(), gradient.T @ rounded(x.detach()), rtol=0.02, atol=1.0
    )


def parts(joint: Joint, draw: dict[str, Tensor]) -> Iterator[Tensor]:
    """The parameters of every factor of a joint, and its density."""
    for name in joint.names:
        factor = joint.given(name, draw)
        factor = factor.components if isinstance(factor, Mixture) else factor
        yield from (
            [factor.loc, factor.log_variance] if isinstance(factor, DiagNormal) else [factor.logits]
        )
        yield joint.given(name, draw).log_prob(draw[name])


@each_kind
def test_densities_and_divergences_are_float32(prior: str, posterior: str) -> None:
    model = build(prior, posterior, dtype=torch.float32)
    x, noise = data(8, dtype=torch.float32), model.noise((8,), seeded())
    with computing_in("bfloat16"):
        q, p = model.posterior(x), model.joint_prior()
        draw, _ = q.transform(noise, 0.7)
        terms = model.terms(x, noise, 0.7)
        seen = [*draw.values(), *parts(q, draw), *parts(p, draw)]
        seen += [terms.reconstruction, *terms.kl.values(), terms.elbo(0.5)]
    assert {value.dtype for value in seen} == {torch.float32}


@pytest.mark.parametrize("count", [1, 3])
@each_kind
def test_only_linear_maps_see_bfloat16(prior: str, posterior: str, count: int) -> None:
    """Of all operations of an epoch: step, gradient, update and validation."""
    trainer = ReplicaTrainer(replicas(prior, posterior, precision="bfloat16")[:count], pixels())
    with Lowered() as seen:
        trainer.epoch()
    assert {"_to_copy"} < seen.names <= LINEAR
    assert {value.dtype for value in trainer.optimiser.state_tensors()} == {torch.float32}


def test_nothing_is_lowered_unless_it_is_asked_for() -> None:
    trainer = ReplicaTrainer(replicas("conditional", "joint"), pixels())
    with Lowered() as seen:
        trainer.epoch()
    assert not seen.names


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_optimiser_sees_float32(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype] = []
    step = Adam.step

    def watch(self: Adam, gradients: dict[str, Tensor]) -> None:
        seen.extend(value.dtype for value in gradients.values())
        step(self, gradients)

    monkeypatch.setattr(Adam, "step", watch)
    ReplicaTrainer(replicas("mog", "joint", precision=precision), pixels()).epoch()
    assert set(seen) == {torch.float32}


def copied(model: Model) -> Model:
    fresh = build("conditional", "joint", seed=99, dtype=torch.float32)
    fresh.load_state_dict(model.state_dict())
    return fresh


def test_the_validation_bound_is_never_lowered() -> None:
    """The number that a lowered training reports is float32's, to the last bit."""
    trained = replica("conditional", "joint", 3, precision="bfloat16")
    trainer = ReplicaTrainer([trained], pixels())
    ((_, record),) = trainer.epoch()
    population = Population([copied(trained.model)])
    arguments = population, pixels().validation, trainer.validation_noise
    (bound,), (error,) = validation_bound(*arguments)
    assert (record.validation_bound, record.validation_se) == (bound, error)
    with computing_in("bfloat16"):
        (other,), _ = validation_bound(*arguments)
    assert other != bound


@each_kind
def test_a_lowered_training_ends_near_the_exact_one(prior: str, posterior: str) -> None:
    """Within 0.005 nats, where training moves the bounds by 0.1 to 1.7; 0.0005 was found."""
    ends: dict[str, list[Replica]] = {}
    for precision in ("float32", "bfloat16"):
        made = replicas(prior, posterior, precision=precision, epochs=6, patience=6)
        ReplicaTrainer(made, pixels()).run()
        ends[precision] = made
    for low, exact in zip(ends["bfloat16"], ends["float32"], strict=True):
        bounds = [one.progress.best_bound for one in (low, exact)]
        assert bounds[0] == pytest.approx(bounds[1], abs=0.005)
        assert bounds[0] != bounds[1]


def test_products_that_cancel_are_float64_under_tf32() -> None:
    value, loc = (torch.randn((5, 2), generator=seeded(k), requires_grad=True) for k in (1, 2))
    log_variance = torch.zeros(5, 2)
    exact = normal_products(value, loc, log_variance)
    assert exact.dtype == torch.float32
    with computing_in("tf32"):
        found = normal_products(value, loc, log_variance)
        assert affine(value, loc.detach()).dtype == torch.float32
    assert found.dtype == torch.float64
    assert torch.allclose(found.float(), exact, atol=1e-5)
    found.sum().backward()
    assert value.grad is not None
    assert value.grad.dtype == torch.float32


@each_kind
def test_tf32_is_float32_on_a_cpu(prior: str, posterior: str) -> None:
    """All but for the products that cancel, which are then better than float32's."""
    found, expected = (replicas(prior, posterior, precision=p) for p in ("tf32", "float32"))
    for made in (found, expected):
        ReplicaTrainer(made, pixels()).run()
    for mine, other in zip(found, expected, strict=True):
        check_same(mine, other, 1e-4)


STATES = {"float32": (False, True), "tf32": (False, False), "bfloat16": (True, True)}


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("precision", STATES)
def test_the_state_before_is_restored(precision: Precision, before: bool) -> None:
    matmul = torch.backends.cuda.matmul
    kept = matmul.allow_tf32
    matmul.allow_tf32 = before
    try:
        with computing_in(precision):
            assert (lowered(), products_are_exact()) == STATES[precision]
            assert matmul.allow_tf32 == (before or precision == "tf32")
            with computing_in("float32"):
                assert (lowered(), products_are_exact()) == STATES["float32"]
            assert (lowered(), products_are_exact()) == STATES[precision]
        assert (lowered(), products_are_exact()) == STATES["float32"]
        assert matmul.allow_tf32 == before
        with pytest.raises(ZeroDivisionError), computing_in(precision):
            _ = 1 / 0
        assert (lowered(), products_are_exact()) == STATES["float32"]
        assert matmul.allow_tf32 == before
    finally:
        matmul.allow_tf32 = kept

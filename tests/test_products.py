"""Products by oneDNN are those of a BLAS; which of them multiplies follows from the machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vmap

from bench import products
from bench.products import (
    LEAST,
    Kernels,
    choose_kernels,
    faster_kernels,
    has_onednn,
    linear,
    multiplying_by,
)
from bench.training import ReplicaTrainer
from pairs import seeded
from trainings import pixels, replica

KERNELS: tuple[Kernels, ...] = ("blas", "onednn") if has_onednn() else ("blas",)
ROWS, INPUTS, OUTPUTS = 128, 200, 180  # just enough multiplications

Sides = tuple[Tensor, Tensor, Tensor | None]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=seeded(seed))


def plain() -> Sides:
    return draw(ROWS, INPUTS), draw(OUTPUTS, INPUTS, seed=1), draw(OUTPUTS, seed=2)


def without_bias() -> Sides:
    return *plain()[:2], None


def transposed() -> Sides:
    return draw(INPUTS, ROWS).mT, draw(INPUTS, OUTPUTS, seed=1).mT, draw(OUTPUTS, seed=2)


def parts() -> Sides:
    """Columns of larger matrices, as a layer on [h, e_k] has them."""
    return (
        draw(ROWS, INPUTS + 40)[:, 40:],
        draw(OUTPUTS, INPUTS + 40, seed=1)[:, 40:],
        draw(OUTPUTS, seed=2),
    )


def repeated() -> Sides:
    return draw(1, INPUTS).expand(ROWS, -1), draw(OUTPUTS, INPUTS, seed=1), draw(OUTPUTS, seed=2)


def deep() -> Sides:
    return draw(2, ROWS // 2, INPUTS), draw(OUTPUTS, INPUTS, seed=1), draw(OUTPUTS, seed=2)


def strided_bias() -> Sides:
    return *plain()[:2], draw(2 * OUTPUTS, seed=2)[::2]


def repeated_bias() -> Sides:
    return *plain()[:2], draw(1, seed=2).expand(OUTPUTS)


CASES = (plain, without_bias, transposed, parts, repeated, deep, strided_bias, repeated_bias)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
each_kernel = pytest.mark.parametrize("kernels", KERNELS)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often oneDNN multiplies."""
    found: list[int] = []
    multiply = products.onednn
    monkeypatch.setattr(products, "onednn", lambda *a: (found.append(1), multiply(*a))[1])
    return found


@pytest.mark.parametrize("weights", ["all ones", "random"])
@each_kernel
@each_case
def test_product_and_gradients_are_those_in_float64(
    case: object, kernels: Kernels, weights: str, calls: list[int]
) -> None:
    assert callable(case)
    sides = [None if one is None else one.requires_grad_() for one in case()]
    x, weight, bias = sides
    assert x is not None
    assert weight is not None
    with multiplying_by(kernels):
        found = linear(x, weight, bias)
        outer = torch.ones_like(found) if weights == "all ones" else draw(*found.shape, seed=9)
        # the gradient of a sum is one number repeated, without memory of its own
        total = found.sum() if weights == "all ones" else (found * outer).sum()
        used = [one for one in sides if one is not None]
        gradients = torch.autograd.grad(total, used)
    wide = [one.detach().double() for one in used]
    expected = (wide[0].unsqueeze(-2) * wide[1]).sum(-1) + (wide[2] if bias is not None else 0.0)
    assert found.shape == expected.shape
    assert torch.allclose(found.double(), expected, rtol=1e-5, atol=1e-4)
    flat, wide_outer = wide[0].reshape(-1, INPUTS), outer.double().reshape(-1, OUTPUTS)
    by_hand = [
        torch.einsum("bn,nk->bk", wide_outer, wide[1]).reshape(wide[0].shape),
        torch.einsum("bn,bk->nk", wide_outer, flat),
        wide_outer.sum(0),
    ]
    for mine, other in zip(gradients, by_hand, strict=False):
        assert torch.allclose(mine.double(), other, rtol=1e-5, atol=1e-4)
    assert len(calls) == (3 if kernels == "onednn" else 0)


@pytest.mark.parametrize("needed", [(True, False), (False, True)])
def test_no_gradient_is_made_that_nobody_wants(needed: tuple[bool, bool], calls: list[int]) -> None:
    """The first layer's input needs none: a third of its work."""
    x, weight, _ = plain()
    with multiplying_by("onednn"):
        made = linear(x.requires_grad_(needed[0]), weight.requires_grad_(needed[1]))
        made.sum().backward()
    assert len(calls) == 2
    assert (x.grad is not None, weight.grad is not None) == needed


@pytest.mark.parametrize(
    "why", ["small", "float64", "one vector", "under vmap", "under grad", "not wanted"]
)
def test_what_onednn_does_not_serve_the_blas_multiplies(why: str, calls: list[int]) -> None:
    x, weight, bias = plain()
    with multiplying_by("blas" if why == "not wanted" else "onednn"):
        if why == "small":
            rows = (LEAST - 1) // (INPUTS * OUTPUTS)
            found, expected = linear(x[:rows], weight), F.linear(x[:rows], weight)
        elif why == "float64":
            found = linear(x.double(), weight.double())
            expected = F.linear(x.double(), weight.double())
        elif why == "one vector":
            long = draw(5000)
            found, expected = linear(long, draw(1000, 5000)), F.linear(long, draw(1000, 5000))
        elif why == "under vmap":
            several = torch.stack([weight, -weight])
            found = vmap(linear, (None, 0))(x, several)
            expected = vmap(F.linear, (None, 0))(x, several)
        elif why == "under grad":
            found = torch.func.grad(lambda w: linear(x, w).square().sum())(weight)
            expected = torch.func.grad(lambda w: F.linear(x, w).square().sum())(weight)
        else:
            found, expected = linear(x, weight, bias), F.linear(x, weight, bias)
    assert not calls
    assert torch.equal(found, expected)


def test_a_compiler_takes_both_ways() -> None:
    """Traced with torch's own operations in place of code, in one piece."""
    x, weight, bias = plain()

    def gradients(x: Tensor, weight: Tensor) -> Tensor:
        return torch.func.grad(lambda w: linear(x, w, bias).square().sum())(weight)

    expected = gradients(x, weight)
    for kernels in KERNELS:
        torch.compiler.reset()
        with multiplying_by(kernels):
            compiled = torch.compile(gradients, backend="aot_eager", fullgraph=True)
            compiled(x, weight)
            with torch.profiler.profile() as profile:
                found = compiled(x, weight)
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-2)  # of numbers up to 1e5
        names = [event.name for event in profile.events()]
        # forward, and backward for the weight alone
        assert names.count("bench::linear") == (2 if kernels == "onednn" else 0)
    torch.compiler.reset()


@pytest.mark.parametrize("transform", ["weights", "inputs", "biases", "grad", "vmapped grad"])
def test_a_plugins_own_transforms_keep_their_gradients_in_a_compiled_step(transform: str) -> None:
    x, weight, bias = plain()
    assert bias is not None
    several = torch.stack([weight, 0.5 * weight])

    def value(multiply: Callable[..., Tensor], w: Tensor) -> Tensor:
        if transform == "weights":
            return vmap(lambda one: multiply(x, one, bias))(w * several)
        if transform == "inputs":
            return vmap(lambda one: multiply(one, w, bias))(torch.stack([x, -x]))
        if transform == "biases":
            return vmap(lambda one: multiply(x, w, one))(torch.stack([bias, -bias]))
        inner = torch.func.grad(lambda one, w: multiply(one, w, bias).tanh().sum())
        if transform == "grad":
            return inner(x, w)
        return vmap(inner, (0, None))(torch.stack([x, -x]), w)

    def gradient(multiply: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda w: torch.func.grad(lambda v: value(multiply, v).square().sum())(w)

    expected = gradient(F.linear)(weight)
    torch.compiler.reset()
    with multiplying_by("onednn"):
        compiled = torch.compile(gradient(linear), backend="aot_eager", fullgraph=True)
        found = compiled(weight)
    torch.compiler.reset()
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@each_kernel
def test_gradients_have_gradients(kernels: Kernels) -> None:
    """A penalty on a gradient, as a plugin may have one."""
    x, weight, bias = plain()

    def penalty(multiply: Callable[..., Tensor], dtype: torch.dtype) -> list[Tensor]:
        assert bias is not None
        sides = [one.to(dtype).requires_grad_() for one in (x, weight, bias)]
        (slope,) = torch.autograd.grad(multiply(*sides).tanh().sum(), sides[0], create_graph=True)
        return list(torch.autograd.grad(slope.square().sum(), sides))

    with multiplying_by(kernels):
        found = penalty(linear, torch.float32)
    for mine, other in zip(found, penalty(F.linear, torch.float64), strict=True):
        assert float(other.abs().max()) > 1.0
        close = 1e-4 * float(other.abs().max())
        assert torch.allclose(mine.double(), other, rtol=1e-3, atol=close)


def test_a_compiler_that_is_not_told_leaves_it_to_the_blas(calls: list[int]) -> None:
    x, weight, _ = plain()
    torch.compiler.reset()
    found = torch.compile(linear, backend="aot_eager", fullgraph=True)(x, weight)
    assert torch.equal(found, F.linear(x, weight))
    assert not calls
    torch.compiler.reset()


@pytest.mark.parametrize(
    ("wanted", "device", "there", "chosen"),
    [
        ("blas", "cpu", True, "blas"),
        ("onednn", "cpu", True, "onednn"),
        ("onednn", "cpu", False, "blas"),
        ("onednn", "cuda:1", True, "blas"),
        ("auto", "cuda", True, "blas"),
        ("auto", "cpu", False, "blas"),
    ],
)
def test_the_kernels_follow_from_the_settings(
    wanted: str, device: str, there: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "has_onednn", lambda: there)
    monkeypatch.setattr(products, "faster_kernels", lambda: "onednn")
    assert choose_kernels(wanted, device) == chosen


@pytest.mark.parametrize(
    ("maker", "capability", "chosen"),
    [
        ("AuthenticAMD", "AVX512", "onednn"),
        ("GenuineIntel", "AVX512", "blas"),
        ("AuthenticAMD", "AVX2", "blas"),
        ("", "DEFAULT", "blas"),
    ],
)
def test_auto_knows_the_processor(
    maker: str, capability: str, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "_maker", lambda: maker)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(products, "has_onednn", lambda: True)
    assert faster_kernels.__wrapped__() == chosen  # not the one that the cache has


def test_this_torch_has_what_we_call() -> None:
    """Fails where a new torch moves the operation, which would otherwise only be slow."""
    assert has_onednn() == torch.backends.mkldnn.is_available()


@each_kernel
def test_training_multiplies_as_it_is_told(
    kernels: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = replica("mog", "joint", 3)
    seen: set[str | None] = set()
    serves = products._serves

    def watch(*sides: Tensor | None) -> bool:
        seen.add(products._active)
        return serves(*sides)  # type: ignore[arg-type]

    monkeypatch.setattr(products, "LEAST", 0)
    monkeypatch.setattr(products, "_serves", watch)
    trainer = ReplicaTrainer([one], pixels(), kernels=kernels)
    trainer.epoch()
    assert seen == {kernels}
    assert products._active is None


def test_a_training_ends_alike_with_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every product by oneDNN: steps and validation, with mixtures and one-hot tables."""
    monkeypatch.setattr(products, "LEAST", 0)
    bounds = []
    for kernels in KERNELS:
        one = replica("conditional", "joint", 3)
        ReplicaTrainer([one], pixels(), kernels=kernels).run()
        bounds.append(one.progress.best_bound)
    assert bounds[0] == pytest.approx(bounds[1], abs=1e-4)

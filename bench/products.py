"""Products of float32 matrices on a CPU, by whichever of torch's libraries is faster there.

torch multiplies by a BLAS, as a rule MKL, which takes its AVX-512 kernels on Intel's processors
alone. oneDNN, which torch carries for convolutions, takes them wherever they are: on an AMD EPYC
that doubles the rate. Both add in float32; the sums differ in their order only.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Kernels = Literal["blas", "onednn"]

LEAST = 2**22
"""Multiplications from which oneDNN's start, some 10 microseconds, is worth its rate."""

_active: Kernels | None = None


@contextmanager
def multiplying_by(kernels: Kernels) -> Iterator[None]:
    """Products inside take these kernels; the state before is restored."""
    global _active
    before = _active
    _active = kernels
    try:
        yield
    finally:
        _active = before


def choose_kernels(wanted: str, device: str) -> Kernels:
    """The kernels that ``engine.products`` stands for: a property of the machine, never timed.

    Args:
        wanted: ``auto``, ``blas`` or ``onednn``; the last falls back where torch has none.
        device: ``cpu`` or ``cuda``, with or without a number.
    """
    if wanted == "blas" or not device.startswith("cpu") or not has_onednn():
        return "blas"
    return "onednn" if wanted == "onednn" else faster_kernels()


@cache
def faster_kernels() -> Kernels:
    """oneDNN on processors that have AVX-512 and are not Intel's."""
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return "onednn" if has_onednn() and wide and _maker() != "GenuineIntel" else "blas"


@cache
def has_onednn() -> bool:
    """Whether this torch has oneDNN and the operation that we call it by."""
    if not torch.backends.mkldnn.is_available():
        return False
    try:
        onednn(*(torch.ones(n, 3, dtype=torch.float32, device="cpu") for n in (2, 4)))
    except (AttributeError, RuntimeError, TypeError):
        return False
    return True


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x weight^T + bias``, shape (..., N), for x (..., K) and weight (N, K)."""
    if x.numel() * weight.shape[0] < LEAST or not _serves(x, weight, bias):
        return F.linear(x, weight, bias)
    rows, weight = _dense(x.reshape(-1, x.shape[-1])), _dense(weight)
    bias = None if bias is None else bias.contiguous()  # oneDNN reads on from its first number
    if torch.is_grad_enabled():
        found: Tensor = _Linear.apply(rows, weight, bias)
    else:
        found = _multiply(rows, weight, bias)
    return found.reshape(*x.shape[:-1], weight.shape[0])


def _serves(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether oneDNN is wanted and takes these: plain float32 matrices of a CPU."""
    compiling = torch.compiler.is_compiling()  # it cannot look at the machine, so it must be told
    if (_active or ("blas" if compiling else faster_kernels())) != "onednn" or x.ndim < 2:
        return False
    if any(one is not None and not _plain(one) for one in (x, weight, bias)):
        return False
    # Under vmap a BLAS multiplies all replicas at once, and knows derivatives of every order.
    if compiling:
        return bool(_under_one_gradient())
    return not any(
        torch._C._functorch.is_functorch_wrapped_tensor(one)
        for one in (x, weight, bias)
        if one is not None
    )


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _under_one_gradient() -> bool:
    """Whether what is traced stands in no other transform than the gradient of our own step.

    The operation below has no rule for any other: a plugin's ``vmap`` or ``grad`` inside the step
    would lose its gradient without an error.
    """
    stack = torch._C._functorch.get_interpreter_stack() or []
    gradient = torch._C._functorch.TransformType.Grad
    return len(stack) < 2 and all(one.key() == gradient for one in stack)


def _dense(one: Tensor) -> Tensor:
    """A matrix without gaps: of part of a larger one oneDNN makes a plain loop, 1,000 times slower.

    Its transpose may be what lies in order.
    """
    return one if one.mT.is_contiguous() else one.contiguous()


def _plain(one: Tensor) -> bool:
    return one.dtype == torch.float32 and one.device.type == "cpu"


def onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x weight^T + bias`` by oneDNN: float32 matrices of a CPU, without gaps."""
    found: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")
    return found


# torch's compiler takes the operation above for constant weights only; it calls this one as it is.
_library = torch.library.Library("bench", "DEF")
_library.define("linear(Tensor x, Tensor weight, Tensor? bias) -> Tensor")
_library.impl("linear", onednn, "CPU")


def _fake(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[0])


torch.library.register_fake("bench::linear", _fake, lib=_library)


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if not torch.compiler.is_compiling():
        return onednn(x, weight, bias)
    found: Tensor = torch.ops.bench.linear.default(x, weight, bias)
    return found


class _Linear(torch.autograd.Function):
    """The product by oneDNN, and the gradients that are wanted."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _multiply(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Any) -> None:
        x, weight, _ = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient = gradients[0].contiguous()
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        # With create_graph these products are differentiated again, and need their own rule.
        again = torch.is_grad_enabled() and not torch.compiler.is_compiling()
        multiply = _Linear.apply if again else _multiply
        return (
            multiply(gradient, weight.mT, None) if wants_x else None,
            multiply(gradient.mT.contiguous(), x.mT, None) if wants_weight else None,
            gradient.sum(0) if wants_bias else None,
        )


def _maker() -> str:
    """The processor's maker as it names itself, such as ``AuthenticAMD``."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")]
    return names[0] if names else platform.processor().rpartition(" ")[2]

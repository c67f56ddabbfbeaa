"""The matrix products of a step: which there are, what they cost, how fast the machine does them.

Their time alone, by whichever of torch's libraries is faster at each, is the roofline: no step that
computes the same function with the same products can be faster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from bench.products import Kernels, has_onednn, multiplying_by, onednn
from benchmarks.timing import Work, seconds

aten = torch.ops.aten
FACTORS = {aten.mm: 0, aten.bmm: 0, aten.addmm: 1, aten.baddbmm: 1}
"""Where the first factor stands among the arguments."""

FORWARD, WEIGHT, INPUT = KINDS = "forward", "weight gradient", "input gradient"
SAMPLE_SECONDS = 1e-2


@dataclass(frozen=True)
class Factor:
    """One side of a product, as it lies in memory: a transposed one is read differently."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> Factor:
        return cls(tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)

    def make(self, device: str) -> Tensor:
        empty = torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device=device)
        return empty.normal_()


@dataclass(frozen=True)
class Product:
    """A matrix product (m, k) x (k, n), or ``batch`` of them at once."""

    kind: str
    left: Factor
    right: Factor

    @property
    def batch(self) -> int:
        return self.left.shape[0] if len(self.left.shape) == 3 else 1

    @property
    def sizes(self) -> tuple[int, int, int]:
        """m, k, n."""
        m, k = self.left.shape[-2:]
        return m, k, self.right.shape[-1]

    @property
    def flops(self) -> int:
        m, k, n = self.sizes
        return 2 * self.batch * m * k * n

    @property
    def result(self) -> tuple[int, ...]:
        """The shape of what comes out."""
        return (*self.left.shape[:-1], self.right.shape[-1])

    def kernels(self, device: str) -> tuple[Kernels, ...]:
        """What can multiply it: the BLAS, and oneDNN where torch has that for a CPU's float32."""
        plain = device == "cpu" and self.left.dtype == torch.float32 and self.batch == 1
        return ("blas", "onednn") if plain and has_onednn() else ("blas",)

    def work(self, device: str, kernels: Kernels = "blas") -> Callable[[], Tensor]:
        """The product alone, into memory that is there already where the kernels can do that."""
        left, right = self.left.make(device), self.right.make(device)
        if kernels == "onednn":
            left, turned = left.contiguous(), right.mT
            turned = turned if right.is_contiguous() else turned.contiguous()
            return lambda: onednn(left, turned)
        out = torch.empty(self.result, dtype=self.left.dtype, device=device)
        multiply = torch.bmm if len(self.left.shape) == 3 else torch.mm
        return lambda: multiply(left, right, out=out)


@dataclass(frozen=True)
class Count:
    """What one step multiplies."""

    flops: int
    products: Mapping[Product, int]

    def flops_of(self, kind: str) -> int:
        return sum(p.flops * count for p, count in self.products.items() if p.kind == kind)


class _Recorder(TorchDispatchMode):
    """Keeps the factors of every product that is dispatched, so that no memory is used twice."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        at = FACTORS.get(func.overloadpacket)
        if at is not None:
            self.seen.append((args[at], args[at + 1]))
        return func(*args, **(kwargs or {}))


def count(loss: Callable[[], Tensor]) -> Count:
    """Count the floating-point operations of one forward and backward pass.

    torch's own counter gives the sum; the products are noted beside it and must add up to it. One
    in the backward pass that reads the right factor of a forward one (a weight) is the gradient of
    the left one (the input), and the other way round.

    Raises:
        RuntimeError: they do not, so a product was overlooked.
    """
    counter, recorder = FlopCounterMode(display=False), _Recorder()
    with multiplying_by("blas"), counter, recorder:  # neither knows other operations than torch's
        value = loss()
        forward = len(recorder.seen)
        value.backward()
    rights = {_memory(right) for _, right in recorder.seen[:forward]}
    products: Counter[Product] = Counter()
    for number, (left, right) in enumerate(recorder.seen):
        kind = FORWARD
        if number >= forward:
            kind = INPUT if {_memory(left), _memory(right)} & rights else WEIGHT
        products[Product(kind, Factor.of(left), Factor.of(right))] += 1
    flops, found = counter.get_total_flops(), sum(p.flops * n for p, n in products.items())
    if flops != found:
        raise RuntimeError(f"the counter saw {flops} operations, the noted products make {found}")
    return Count(flops, products)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def repeated(product: Product, device: str, kernels: Kernels) -> tuple[Work, int]:
    """The product so many times that the clock can see it, and how many times that is."""
    once = product.work(device, kernels)
    once()
    times = max(1, round(SAMPLE_SECONDS / max(seconds(once, device), 1e-7)))

    def work() -> None:
        for _ in range(times):
            once()

    return work, times

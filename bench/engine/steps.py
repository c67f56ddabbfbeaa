"""The training step: forward, backward and optimiser, run eagerly, compiled or captured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from bench.engine.adam import Adam, normalised
from bench.engine.batches import Block
from bench.engine.population import Population
from bench.errors import first_line
from bench.precision import Precision, computing_in
from bench.products import Kernels, multiplying_by

Mode = Literal["eager", "compile", "graph"]
Noise = Mapping[str, Tensor]
Gradients = dict[str, Tensor | None]


class Steps(Protocol):
    """Runs the steps of a block and changes the parameters in place."""

    @property
    def ran(self) -> Mode:
        """How steps have run, which is not as it was asked where that has failed."""
        ...

    def run(self, block: Block, beta: Tensor, temperature: Tensor) -> Tensor:
        """The objectives of the block's steps, (S, R) in float64, not waited for."""
        ...


Step = Callable[[Tensor, Noise, Tensor, Tensor], Tensor]


@dataclass
class Eager:
    """One operation after the other.

    Attributes:
        population: the replicas.
        adam: their optimiser.
        precision: of the linear maps.
        kernels: what multiplies on a CPU; a stack is multiplied by the BLAS, all at once.
        blocks: what ``normalised`` needs, where gradients are normalised; else None.
    """

    population: Population
    adam: Adam
    precision: Precision = "float32"
    kernels: Kernels = "blas"
    blocks: dict[str, int] | None = None

    ran: ClassVar[Mode] = "eager"

    def run(self, block: Block, beta: Tensor, temperature: Tensor) -> Tensor:
        return self.one_by_one(self.step, block, beta, temperature)

    def one_by_one(self, step: Step, block: Block, beta: Tensor, temperature: Tensor) -> Tensor:
        """The objectives of a block's steps, (S, R) in float64, not waited for."""
        kernels = "blas" if self.population.stacked else self.kernels
        with computing_in(self.precision), multiplying_by(kernels):
            found = [step(*block.step(k), beta, temperature) for k in range(len(block))]
        return torch.stack(found).double()

    def step(self, x: Tensor, noise: Noise, beta: Tensor, temperature: Tensor) -> Tensor:
        """One step; returns its objectives."""
        losses = self.population.losses(x, noise, beta, temperature)
        learned = self.population.learned
        found = torch.autograd.grad(losses.sum(), list(learned.values()), allow_unused=True)
        self.adam.step(self.shaped(dict(zip(learned, found, strict=True))))
        return losses.detach()

    def shaped(self, gradients: Gradients) -> Gradients:
        """What the optimiser is given: the gradients, normalised where that is wanted."""
        if self.blocks is None:
            return gradients
        return normalised(gradients, self.blocks, self.population.stacked)


class Compiled:
    """The objective and its gradients as one compiled function, then the optimiser's own kernel.

    Args:
        eager: what is compiled, and what takes over where that fails.
        notice: told why, in one line, if it fails.
    """

    def __init__(self, eager: Eager, notice: Callable[[str], None] = lambda _: None) -> None:
        self.eager, self.notice = eager, notice
        self.compiled: Callable[..., tuple[Gradients, Tensor]] | None = None
        self.failed = self.settled = False
        # The same memory, which the optimiser changes in place.
        self.learned = {name: value.detach() for name, value in eager.adam.learned.items()}

    @property
    def ran(self) -> Mode:
        return "eager" if self.failed else "compile"

    def run(self, block: Block, beta: Tensor, temperature: Tensor) -> Tensor:
        one_by_one = self.eager.one_by_one
        if self.failed or not self.settled or len(block) == 1:
            # All of the first block is looked at: a plugin that counts its calls shows by then.
            self.settled = True
            return one_by_one(self.step, block, beta, temperature)
        first = one_by_one(self.step, block.part(0, 1), beta, temperature)
        # Whether a compiled function still fits what it is called with takes longer to find out
        # than some layers to compute, and within a block nothing changes but the numbers.
        with torch.compiler.set_stance(skip_guard_eval_unsafe=not self.failed):
            rest = block.part(1, len(block))
            return torch.cat([first, one_by_one(self.step, rest, beta, temperature)])

    def step(self, x: Tensor, noise: Noise, beta: Tensor, temperature: Tensor) -> Tensor:
        """One step; returns its objectives."""
        if self.failed:
            return self.eager.step(x, noise, beta, temperature)
        state = self.learned, self.eager.population.fixed
        arguments = self.eager, *state, x, dict(noise), beta, temperature
        gradients: Gradients
        losses: Tensor
        try:
            if self.compiled is None:
                self.compiled = torch.compile(_apart(_gradients), dynamic=False, fullgraph=True)
            gradients, losses = self.compiled(*arguments)
        except Exception as error:  # nothing has changed yet, so the step can be made eagerly
            self.failed = True
            self.notice(f"the step does not compile, so it runs eagerly: {first_line(error)}")
            return self.eager.step(x, noise, beta, temperature)
        self.eager.adam.step(gradients)
        return losses


def _gradients(
    eager: Eager,
    learned: dict[str, Tensor],
    fixed: dict[str, Tensor],
    x: Tensor,
    noise: dict[str, Tensor],
    beta: Tensor,
    temperature: Tensor,
) -> tuple[Gradients, Tensor]:
    """The gradients and the objectives, as a pure function."""

    def total(at: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        losses = eager.population.losses_at(at, fixed, x, noise, beta, temperature)
        return losses.sum(), losses

    gradients: Gradients
    losses: Tensor
    gradients, losses = torch.func.grad(total, has_aux=True)(learned)
    return eager.shaped(gradients), losses


def _apart(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function on code of its own.

    The compiler remembers what it made by the code that it was made from, and gives up after a few
    kinds of arguments: those of other models would count.
    """
    assert isinstance(function, FunctionType)
    code, closure = function.__code__.replace(), function.__closure__
    return FunctionType(code, function.__globals__, code.co_name, function.__defaults__, closure)

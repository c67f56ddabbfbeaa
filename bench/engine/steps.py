"""The training step: forward, backward and optimiser, run eagerly, compiled or captured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

from bench.engine.adam import Adam, normalised, update
from bench.engine.batches import Block
from bench.engine.population import Population
from bench.errors import first_line
from bench.precision import Precision, computing_in

Mode = Literal["eager", "compile", "graph"]
Noise = Mapping[str, Tensor]


class Steps(Protocol):
    """Runs the steps of a block and changes the parameters in place."""

    @property
    def ran(self) -> Mode:
        """How steps have run, which is not as it was asked where that has failed."""
        ...

    def run(self, block: Block, beta: Tensor, temperature: Tensor) -> Tensor:
        """The sum of the objectives over the block, (R,) in float64, not waited for."""
        ...


Step = Callable[[Tensor, Noise, Tensor, Tensor], Tensor]


def one_by_one(
    step: Step, precision: Precision, block: Block, beta: Tensor, temperature: Tensor
) -> Tensor:
    """The sum of the objectives of a block's steps, (R,) in float64, not waited for."""
    total = torch.zeros_like(beta, dtype=torch.float64)
    with computing_in(precision):
        for index in range(len(block)):
            total += step(*block.step(index), beta, temperature)
    return total


@dataclass
class Eager:
    """One operation after the other.

    Attributes:
        population: the replicas.
        adam: their optimiser.
        precision: of the linear maps.
        blocks: what ``normalised`` needs, where gradients are normalised; else None.
    """

    population: Population
    adam: Adam
    precision: Precision = "float32"
    blocks: dict[str, int] | None = None

    ran: ClassVar[Mode] = "eager"

    def run(self, block: Block, beta: Tensor, temperature: Tensor) -> Tensor:
        return one_by_one(self.step, self.precision, block, beta, temperature)

    def step(self, x: Tensor, noise: Noise, beta: Tensor, temperature: Tensor) -> Tensor:
        """One step; returns its objectives."""
        losses = self.population.losses(x, noise, beta, temperature)
        learned = self.population.learned
        found = torch.autograd.grad(losses.sum(), list(learned.values()), allow_unused=True)
        gradients: dict[str, Tensor | None] = dict(zip(learned, found, strict=True))
        if self.blocks is not None:
            gradients = normalised(gradients, self.blocks, self.population.stacked)
        self.adam.step(gradients)
        return losses.detach()


class Compiled:
    """The whole step as one compiled function.

    Args:
        eager: what is compiled, and what takes over where that fails.
        notice: told why, in one line, if it fails.
    """

    def __init__(self, eager: Eager, notice: Callable[[str], None] = lambda _: None) -> None:
        self.eager, self.notice = eager, notice
        torch.compiler.reset()  # after a few shapes of the same code it would give up compiling
        self.compiled: Callable[..., Tensor] | None = None
        self.failed = False
        # The same memory, which a pure function may change in place.
        self.learned = {name: value.detach() for name, value in eager.adam.learned.items()}

    @property
    def ran(self) -> Mode:
        return "eager" if self.failed else "compile"

    def run(self, block: Block, beta: Tensor, temperature: Tensor) -> Tensor:
        return one_by_one(self.step, self.eager.precision, block, beta, temperature)

    def step(self, x: Tensor, noise: Noise, beta: Tensor, temperature: Tensor) -> Tensor:
        """One step; returns its objectives."""
        if self.failed:
            return self.eager.step(x, noise, beta, temperature)
        adam = self.eager.adam
        state = self.learned, adam.mean, adam.square, adam.count
        arguments = self.eager.population.fixed, x, dict(noise), beta, temperature, adam.rates
        if self.compiled is not None:
            return self.compiled(*state, *arguments)
        restore = adam.snapshot()
        try:
            compiled: Callable[..., Tensor] = torch.compile(self._step, dynamic=False)
            found = compiled(*state, *arguments)
        except Exception as error:
            restore()
            self.failed = True
            self.notice(f"the step does not compile, so it runs eagerly: {first_line(error)}")
            return self.eager.step(x, noise, beta, temperature)
        self.compiled = compiled
        return found

    def _step(
        self,
        learned: dict[str, Tensor],
        mean: dict[str, Tensor],
        square: dict[str, Tensor],
        count: Tensor,
        fixed: dict[str, Tensor],
        x: Tensor,
        noise: dict[str, Tensor],
        beta: Tensor,
        temperature: Tensor,
        rates: Tensor,
    ) -> Tensor:
        """The step as a pure function, but for the state that it changes."""
        population = self.eager.population

        def total(at: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            losses = population.losses_at(at, fixed, x, noise, beta, temperature)
            return losses.sum(), losses

        gradients: dict[str, Tensor | None]
        losses: Tensor
        gradients, losses = torch.func.grad(total, has_aux=True)(learned)
        if self.eager.blocks is not None:
            gradients = normalised(gradients, self.eager.blocks, population.stacked)
        count.add_(1)
        update(learned, gradients, mean, square, rates, count)
        return losses

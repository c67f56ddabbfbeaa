"""Adam for replicas: one learning rate each, in one update of stacked parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """The optimiser's state and its update.

    Args:
        learned: parameters by name, (R, ...) where stacked.
        rates: the learning rate of every replica.
        stacked: whether the parameters have the dimension R.

    References: Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015.
    """

    def __init__(
        self, learned: Mapping[str, Tensor], rates: Sequence[float], stacked: bool
    ) -> None:
        self.learned, self.stacked = dict(learned), stacked
        some = next(iter(self.learned.values()))
        self.rates = torch.tensor(rates, device=some.device, dtype=some.dtype)
        self.rate = rates[0] if len(set(rates)) == 1 else None  # what the fused kernel can take
        self.mean = {name: torch.zeros_like(value) for name, value in self.learned.items()}
        self.square = {name: torch.zeros_like(value) for name, value in self.learned.items()}
        # float32, as torch's own optimiser counts; it lies on the device, so that a captured
        # step can count on
        self.count = torch.zeros((), device=some.device)

    def state_tensors(self) -> list[Tensor]:
        """All that a step changes: parameters, moments and counts."""
        parts = (self.learned, self.mean, self.square)
        return [value for part in parts for value in part.values()] + [self.count]

    def snapshot(self) -> Callable[[], None]:
        """What takes back all that steps have changed since."""
        changed = self.state_tensors()
        kept = [value.detach().clone() for value in changed]

        @torch.no_grad()
        def restore() -> None:
            for mine, before in zip(changed, kept, strict=True):
                mine.copy_(before)

        return restore

    @torch.no_grad()
    def step(self, gradients: Mapping[str, Tensor | None]) -> None:
        """Update the parameters in place; one without a gradient stays as it is."""
        self.count += 1
        if self.rate is None:
            update(self.learned, gradients, self.mean, self.square, self.rates, self.count)
            return
        used = {name: value for name, value in gradients.items() if value is not None}
        # What torch.optim.Adam calls, without its bookkeeping, which took a tenth of a millisecond.
        torch._fused_adam_(
            [self.learned[name] for name in used],
            [_laid_out_as(self.learned[name], value) for name, value in used.items()],
            [self.mean[name] for name in used],
            [self.square[name] for name in used],
            [],
            [self.count] * len(used),
            lr=self.rate,
            beta1=BETA1,
            beta2=BETA2,
            weight_decay=0.0,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def state(self, index: int) -> dict[str, dict[str, Tensor] | Tensor]:
        """A copy of one replica's state, to be given to ``load``."""
        pick = (lambda value: value[index].clone()) if self.stacked else torch.clone
        return {
            "mean": {name: pick(value) for name, value in self.mean.items()},
            "square": {name: pick(value) for name, value in self.square.items()},
            "count": self.count.clone(),
        }

    def load(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Take up the states of all replicas, which have made the same number of steps."""
        for kind, moments in (("mean", self.mean), ("square", self.square)):
            for name, value in moments.items():
                each = [state[kind][name] for state in states]
                value.copy_(torch.stack(each) if self.stacked else each[0])
        count = states[0]["count"]
        self.count.copy_(count)


def update(
    learned: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor | None],
    mean: Mapping[str, Tensor],
    square: Mapping[str, Tensor],
    rates: Tensor,
    count: Tensor,
) -> None:
    """One update of stacked parameters in place, each replica at its own rate.

    Args:
        learned, gradients, mean, square: tensors (R, ...) by name; R may be absent if it is 1.
            A parameter without a gradient stays as it is.
        rates: (R,).
        count: the number of this step, from 1.
    """
    steps = count.double()  # 1 - 0.999 leaves few digits of a float32
    first = 1.0 - BETA1**steps
    second = (1.0 - BETA2**steps).sqrt()
    for name, gradient in gradients.items():
        if gradient is None:
            continue
        mean[name].lerp_(gradient, 1.0 - BETA1)
        square[name].mul_(BETA2).addcmul_(gradient, gradient, value=1.0 - BETA2)
        size = rates / first
        if len(size) > 1:
            size = size.reshape(-1, *(1 for _ in gradient.shape[1:]))
        else:
            size = size.squeeze(0)
        scale = square[name].sqrt() / second + EPSILON
        learned[name].sub_(size * mean[name] / scale)


def normalised(
    gradients: Mapping[str, Tensor | None], blocks: Mapping[str, int], stacked: bool
) -> dict[str, Tensor | None]:
    """Each parameter tensor's gradient divided by its norm, as the released code does.

    Maps that share a product here (a layer and its gate, mean and log-variance) are tensors of
    their own there, so each block has its own norm.
    """
    lead = 1 if stacked else 0
    found: dict[str, Tensor | None] = {}
    for name, gradient in gradients.items():
        if gradient is None:
            found[name] = None
            continue
        parts = (gradient,) if blocks[name] == 1 else gradient.chunk(blocks[name], dim=lead)
        parts = tuple(part / _norm(part, lead) for part in parts)
        found[name] = parts[0] if len(parts) == 1 else torch.cat(parts, dim=lead)
    return found


def _laid_out_as(like: Tensor, value: Tensor) -> Tensor:
    """``value`` in the memory order of ``like``: fused kernels walk memory, not indices.

    The gradient of stacked weights comes transposed, that of a sum as one repeated number.
    """
    return value if value.stride() == like.stride() else torch.empty_like(like).copy_(value)


def _norm(value: Tensor, lead: int) -> Tensor:
    """Over all but the first ``lead`` dimensions, to divide by: a number has none to reduce."""
    norm: Tensor = torch.linalg.vector_norm(value.reshape(*value.shape[:lead], -1), dim=-1)
    return norm.clamp_min(1e-12).reshape((*norm.shape, *(1 for _ in value.shape[lead:])))

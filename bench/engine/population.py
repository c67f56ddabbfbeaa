"""Replicas of one model as one program: their parameters stacked, their step under ``vmap``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from bench.errors import BenchError
from bench.joint import Values
from bench.model import Model
from bench.networks import Linear

Tensors = Mapping[str, Tensor]
PLAIN = (bool, int, float, str, tuple, type(None))


class NotStackable(BenchError):
    """Models cannot train as one program."""


def objective(
    model: Model, x: Tensor, noise: Values, beta: Tensor | float, temperature: Tensor | float
) -> Tensor:
    """The scalar that is minimised: pure in (parameters, x, noise, beta, temperature)."""
    return -model.terms(x, noise, temperature).elbo(beta).mean()


def bounds(model: Model, x: Tensor, noise: Values, rows: int) -> Tensor:
    """A valid bound for each datum, shape (B,): exact categories, beta 1, one draw.

    The prior is made once, so that a VampPrior encodes its pseudo-inputs once a pass.
    """
    prior = model.joint_prior()
    dtype = next(model.parameters()).dtype
    parts = []
    for start in range(0, len(x), rows):
        some = slice(start, start + rows)
        part = {name: value[some] for name, value in noise.items()}
        parts.append(model.terms(x[some].to(dtype), part, prior=prior).elbo())
    return torch.cat(parts)


class _Calls(nn.Module):
    """The two functions of a model as a module's call, which is what torch.func takes."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, what: str, *arguments: object) -> Tensor:
        function = objective if what == "objective" else bounds
        return function(self.model, *arguments)  # type: ignore[arg-type]


class Population:
    """R models of one shape.

    Where R is 1 the model is called as it is; else its parameters are stacked and one call under
    ``vmap`` serves all.

    Args:
        models: equal in everything but the values of their parameters and buffers.

    Attributes:
        learned: what the optimiser changes, by name, (R, ...) where stacked.
        fixed: the other parameters and the buffers.

    Raises:
        NotStackable: the models differ in shape, in what is learned, or in an option.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        _check_alike(models)
        self.models = list(models)
        self.stacked = len(models) > 1
        self._calls = _Calls(models[0])
        self.learned: dict[str, Tensor] = {}
        self.fixed: dict[str, Tensor] = {}
        states = [_state(model) for model in models]
        for name, value in states[0].items():
            wanted = isinstance(value, nn.Parameter) and value.requires_grad
            if self.stacked:
                stack = torch.stack([state[name].detach() for state in states])
                value = stack.requires_grad_(wanted)
            (self.learned if wanted else self.fixed)[name] = value

    def __len__(self) -> int:
        return len(self.models)

    def losses(self, x: Tensor, noise: Values, beta: Tensor, temperature: Tensor) -> Tensor:
        """The objective of every replica, (R,), at x (R, B, P) and noise (R, B, event)."""
        if self.stacked:
            return self.losses_at(self.learned, self.fixed, x, noise, beta, temperature)
        alone = {name: value[0] for name, value in noise.items()}
        return objective(self.models[0], x[0], alone, beta[0], temperature[0]).unsqueeze(0)

    def losses_at(
        self,
        learned: Tensors,
        fixed: Tensors,
        x: Tensor,
        noise: Values,
        beta: Tensor,
        temperature: Tensor,
    ) -> Tensor:
        """``losses`` as a pure function of the parameters too."""

        def call(state: Tensors, *arguments: object) -> Tensor:
            found: Tensor = functional_call(self._calls, dict(state), ("objective", *arguments))
            return found

        state = {f"model.{name}": value for name, value in (*learned.items(), *fixed.items())}
        if self.stacked:
            return vmap(call)(state, x, dict(noise), beta, temperature)
        alone = {name: value[0] for name, value in noise.items()}
        return call(state, x[0], alone, beta[0], temperature[0]).unsqueeze(0)

    @torch.no_grad()
    def bounds(self, x: Tensor, noise: Values, rows: int) -> Tensor:
        """A valid bound of every replica for each datum, (R, N).

        Args:
            x: data that all share, (N, P).
            noise: theirs too, (N, event).
            rows: data that are decoded at once, for all replicas together.
        """
        if not self.stacked:
            return bounds(self.models[0], x, noise, rows).unsqueeze(0)

        def call(state: Tensors) -> Tensor:
            arguments = ("bounds", x, noise, max(1, rows // len(self)))
            found: Tensor = functional_call(self._calls, dict(state), arguments)
            return found

        state = {f"model.{n}": v for n, v in (*self.learned.items(), *self.fixed.items())}
        return vmap(call)({name: value.detach() for name, value in state.items()})

    def state(self, index: int) -> dict[str, Tensor]:
        """A copy of all that one replica's model holds, by the names of its ``state_dict``."""
        model, whole = self.models[index], {**self.learned, **self.fixed}
        # A tensor that two modules share has two names in a state_dict, and one here.
        names = {id(value): name for name, value in _state(model).items()}
        found = {}
        for name, value in model.state_dict(keep_vars=True).items():
            kept = whole[names[id(value)]].detach()
            found[name] = (kept[index] if self.stacked else kept).clone()
        return found

    def blocks_of(self) -> dict[str, int]:
        """How many maps share a parameter's first dimension, by name."""
        found = {}
        for prefix, module in self.models[0].named_modules():
            count = module.blocks if isinstance(module, Linear) else 1
            for name, _ in module.named_parameters(prefix, recurse=False):
                found[name] = count
        return found


def _state(model: Model) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _check_alike(models: Sequence[Model]) -> None:
    """One model's code runs for all: what is no tensor has to be equal in all of them."""
    first, *others = (
        {n: _kind(value) for n, value in _state(model).items()} | _options(model)
        for model in models
    )
    for other in others:
        for name in sorted(first.keys() | other.keys()):
            one, another = first.get(name, "absent"), other.get(name, "absent")
            if one != another:
                raise NotStackable(f"{name} is {one} in one replica and {another} in another")


def _options(model: Model) -> dict[str, str]:
    """The plain attributes of all its modules, by name: an option of a plugin, say."""
    return {
        f"{path}.{name}": repr(value)
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if not name.startswith("_") and isinstance(value, PLAIN)
    }


def _kind(value: Tensor) -> str:
    learned = "learned" if value.requires_grad else "fixed"
    return f"{learned} and of shape {tuple(value.shape)}"

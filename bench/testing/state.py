"""What a model is: all in its state dict, nothing from global generators or from the batch."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bench.bounds import elbo_enumerated
from bench.joint import Draw
from bench.model import Model
from bench.testing.finding import Breach
from bench.testing.subject import ROWS, Subject, check_equal, rows, seeded


def check_round_trip(subject: Subject) -> None:
    """A model that was started elsewhere and loads the state dict gives the same bounds."""
    saved, other = subject.model(seed=0), subject.model(seed=1)
    stream = io.BytesIO()
    torch.save(saved.state_dict(), stream)
    stream.seek(0)
    other.load_state_dict(torch.load(stream, weights_only=True))
    check_equal(
        _bounds(other),
        _bounds(saved),
        "bounds after loading the state dict into a new model",
        "those before",
    )


def _bounds(model: Model) -> Tensor:
    noise = model.noise((ROWS,), seeded())
    with torch.no_grad():
        drawn = model.terms(rows(), noise).elbo().double()
        return torch.cat([drawn, elbo_enumerated(model, rows(), seeded(1)).elbo()])


def check_random_state(subject: Subject) -> None:
    """Global generators are left alone, and the constructor draws from torch's only."""
    with Untouched(("numpy", "python")) as constructing:
        first, second = subject.model(seed=2), subject.model(seed=2)
    constructing.check("the constructor")
    for (name, one), other in zip(
        first.state_dict().items(), second.state_dict().values(), strict=True
    ):
        if not torch.equal(one, other):
            raise Breach(
                "the same start for the same seed",
                f"another {name}",
                "Draw the start from torch's global generator, which the harness seeds, or from "
                "one of your own seeded with spec.seed.",
            )
    noise = first.noise((ROWS,), seeded())
    with Untouched() as stepping:
        prior = first.joint_prior()
        first.terms(rows(), noise).elbo().sum().backward()
    stepping.check("a step")
    with Untouched() as drawing:
        prior.sample((3,), seeded())
    drawing.check("a draw from the prior")


_GENERATORS: dict[str, Callable[[], object]] = {
    "torch": lambda: torch.get_rng_state().numpy().tobytes(),
    "numpy": lambda: repr(np.random.get_state(legacy=False)),
    "python": random.getstate,
}


class Untouched:
    """A context that notices which global random generators moved inside it.

    Args:
        names: among ``torch``, ``numpy`` and ``python``.
    """

    def __init__(self, names: tuple[str, ...] = ("torch", "numpy", "python")) -> None:
        self.names = names
        self.moved: list[str] = []

    def __enter__(self) -> Untouched:
        self._before = {name: _GENERATORS[name]() for name in self.names}
        return self

    def __exit__(self, *error: object) -> None:
        self.moved = [name for name in self.names if _GENERATORS[name]() != self._before[name]]

    def check(self, who: str) -> None:
        """Raise where a generator moved.

        Raises:
            Breach: with the generators.
        """
        if self.moved:
            raise Breach(
                f"{who} to leave the global random state alone",
                f"a draw from the global generator of {' and '.join(self.moved)}",
            )


@torch.no_grad()
def check_batch(subject: Subject) -> None:
    """p(z) is the same whatever data are encoded; a datum's bound does not depend on others."""
    model = subject.model().double()
    latents = model.joint_prior().sample((ROWS,), seeded(2))
    held = model.joint_prior()  # its factors may be evaluated before or after data are encoded
    before = model.joint_prior().log_prob(latents)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for count, seed in ((ROWS, 3), (2 * ROWS, 4), (1, 5)):
        x = rows(count, seed=seed).double()
        with torch.enable_grad():  # as in training
            model.terms(x, model.noise((count,), seeded(seed)))
        for prior, when in ((model.joint_prior(), "a prior made"), (held, "a prior held")):
            after = prior.log_prob(latents)
            check_equal(after, before, f"log p(z) of {when} while data are encoded", "before")
    for name, value in model.state_dict().items():
        if not torch.equal(value, state[name]):
            raise Breach(f"a bound to leave {name} as it was", "another value")
    alone = [model.joint_prior().log_prob(_row(latents, index)) for index in range(ROWS)]
    check_equal(torch.cat(alone), before, "log p(z) of one draw alone", "that in a batch", 1e-9)
    x = rows().double()
    noise = model.noise((ROWS,), seeded(6))
    together = model.terms(x, noise).elbo()
    apart = [
        model.terms(x[i : i + 1], {n: v[i : i + 1] for n, v in noise.items()}).elbo()
        for i in range(ROWS)
    ]
    check_equal(torch.cat(apart), together, "the bound of a datum alone", "that in a batch", 1e-9)


def _row(draw: Draw, index: int) -> Draw:
    return Draw({name: value[index : index + 1] for name, value in draw.items()})

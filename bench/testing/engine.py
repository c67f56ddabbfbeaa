"""The step is a pure function: replicas under vmap, compiled, in float64, on another device."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from bench.distributions import DiagNormal, Mixture
from bench.engine.choice import has_compiler
from bench.engine.population import Population, bounds, objective
from bench.joint import Values
from bench.model import Model
from bench.testing.finding import Breach, describe
from bench.testing.learning import BATCH, BETA, TEMPERATURE
from bench.testing.subject import Subject, check_equal, rows, seeded

REPLICAS = 3
PURE = (
    "Keep the step pure: no .item(), no branching on a tensor's values, no in-place change of "
    "module state, no value checks (validate_args=False)."
)


class Step(nn.Module):
    """The training objective as a module's call, which is what torch.func and compile take."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, noise: Values) -> Tensor:
        return objective(self.model, x, noise, BETA, TEMPERATURE)


def check_replicas(subject: Subject) -> None:
    """Models trained at once under vmap have the gradients and bounds that each has alone."""
    models = [subject.model(subject.spec(seed=k), seed=k) for k in range(REPLICAS)]
    together = Population(models)
    x = torch.stack([rows(BATCH, seed=seed) for seed in range(REPLICAS)])
    noise = models[0].noise((REPLICAS, BATCH), seeded())
    betas, temperatures = (
        value * torch.linspace(0.8, 1.2, REPLICAS) for value in (BETA, TEMPERATURE)
    )
    losses = together.losses(x, noise, betas, temperatures)
    learned = together.learned
    found = torch.autograd.grad(losses.sum(), list(learned.values()), allow_unused=True)
    gradients = dict(zip(learned, found, strict=True))
    for index, model in enumerate(models):
        own = {name: value[index] for name, value in noise.items()}
        alone = objective(model, x[index], own, betas[index], temperatures[index])
        alone.backward()
        check_equal(losses[index], alone, "a replica's objective", "the model's alone", 1e-4)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and parameter.grad is not None:
                gradient = gradients[name]
                if gradient is None:
                    raise Breach(f"a replica's gradient of {name}", "none")
                what = f"a replica's gradient of {name}"
                check_equal(gradient[index], parameter.grad, what, "the model's alone", 1e-4)
    _check_bounds(together, models)


def _check_bounds(together: Population, models: list[Model]) -> None:
    """The bound that stops training, of all replicas at once and decoded in parts."""
    x, noise = rows(BATCH), models[0].noise((BATCH,), seeded(1))
    found = together.bounds(x, noise, REPLICAS * (BATCH - 1))
    with torch.no_grad():
        for index, model in enumerate(models):
            alone = bounds(model, x, noise, BATCH - 1)
            check_equal(found[index], alone, "a replica's bound", "the model's alone", 1e-4)


def check_compiled(subject: Subject) -> str | None:
    """The compiled step has the objective and the gradients of the eager one."""
    from torch._dynamo.utils import counters

    backend = "inductor" if subject.full and has_compiler() else "aot_eager"
    eager = Step(subject.model())
    compiled = deepcopy(eager)
    x, noise = rows(BATCH), eager.model.noise((BATCH,), seeded())
    torch.compiler.reset()
    counters.clear()
    try:
        found = torch.compile(compiled, backend=backend, dynamic=False)(x, noise)
        found.backward()
        breaks = dict(counters["graph_break"])
    finally:
        torch.compiler.reset()
    expected = eager(x, noise)
    expected.backward()
    check_equal(found, expected, f"the compiled objective ({backend})", "the eager one", 1e-4)
    pairs = zip(compiled.named_parameters(), eager.parameters(), strict=True)
    for (name, one), other in pairs:
        if one.grad is not None and other.grad is not None:
            what = f"the compiled gradient of {name.removeprefix('model.')}"
            check_equal(one.grad, other.grad, what, "the eager one", 1e-4)
    if breaks:
        why = "; ".join(reason.splitlines()[0] for reason in breaks)
        return f"{sum(breaks.values())} graph breaks: {why}"[:300]
    return None


def check_float64(subject: Subject) -> None:
    """A model in float64 is one in all its parts, and its bound is that of float32."""
    single = subject.model()
    double = deepcopy(single).double()
    noise = single.noise((BATCH,), seeded())
    wide = {name: value.double() for name, value in noise.items()}
    x = rows(BATCH)
    bounds = single.terms(x, noise).elbo(), double.terms(x.double(), wide).elbo()
    for model, dtype in ((single, torch.float32), (double, torch.float64)):
        prior = model.joint_prior()
        draw = prior.sample((3,), seeded())
        for name, value in draw.items():
            _check_dtype(value, dtype, f"draws of {name} from the prior")
            factor = prior.given(name, draw)
            parts = factor.components if isinstance(factor, Mixture) else factor
            if isinstance(parts, DiagNormal):
                _check_dtype(parts.loc, dtype, f"the mean of the prior's {name}")
                _check_dtype(parts.log_variance, dtype, f"the variance of the prior's {name}")
        _check_dtype(prior.log_prob(draw), dtype, "the prior's log_prob")
    _check_dtype(bounds[0], torch.float32, "the bound")
    _check_dtype(bounds[1], torch.float64, "the bound")
    check_equal(bounds[0], bounds[1], "the float32 bound", "that of the model in float64", 1e-4)


def _check_dtype(value: Tensor, dtype: torch.dtype, what: str) -> None:
    if value.dtype != dtype:
        raise Breach(f"{what} in {dtype} like the model", f"{value.dtype}")


def check_device(subject: Subject) -> str | None:
    """Nothing stays behind when the model moves to another device (torch's device without data)."""
    model = subject.model()
    noise = {name: value.to("meta") for name, value in model.noise((BATCH,), seeded()).items()}
    try:
        model = model.to("meta")
        objective(model, rows(BATCH).to("meta"), noise, BETA, TEMPERATURE)
    except Exception as error:
        if "device" in str(error):
            raise Breach("every tensor to move with the model", describe(error)) from error
        return f"could not be told: {describe(error)}"[:300]
    return None

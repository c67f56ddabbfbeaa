"""Every prior x posterior pair that the registry allows, small and with random parameters."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.model import Model
from bench.pairs import pair_up
from bench.registry import Registry
from bench.spec import Spec

REGISTRY = Registry()
PAIRS = [
    (prior.name, posterior.name)
    for prior in REGISTRY.infos("prior")
    for posterior in REGISTRY.infos("posterior")
    if not pair_up(prior, posterior, {}).reason
]

each_pair = pytest.mark.parametrize(("prior", "posterior"), PAIRS)


def spec_of(prior: str, posterior: str, *, size: int = 4, **sizes: int) -> Spec:
    categorical = REGISTRY.get("posterior", posterior).categorical
    defaults = {"latent_dim": 2, "components": 3, "hidden": 5}
    return Spec(
        event_shape=(size,),
        categories=sizes.pop("categories", 3) if categorical else None,
        latents=REGISTRY.get("prior", prior).latents,
        **{**defaults, **sizes},
    )


def build(
    prior: str,
    posterior: str,
    *,
    seed: int = 0,
    noise: float = 0.2,
    dtype: torch.dtype = torch.float64,
    spec: Spec | None = None,
    likelihood: str = "bernoulli",
) -> Model:
    """A pair whose every learned parameter is moved off its start, without the global generator."""
    spec = spec_of(prior, posterior) if spec is None else spec
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = REGISTRY.load("prior", prior)(spec), REGISTRY.load("posterior", posterior)(spec)
        model = Model(spec, *made, likelihood)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(noise * torch.randn_like(parameter))
    return model.to(dtype)


def data(count: int, size: int = 4, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.bernoulli(torch.full((count, size), 0.5), generator=generator).to(dtype)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)

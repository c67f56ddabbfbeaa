"""The pair that is checked, at sizes where everything can be checked in well under a second."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from bench.model import Model
from bench.registry import Registry
from bench.spec import Spec
from bench.testing.finding import Breach, describe

# Sizes that differ from each other, so that a transposed or confused dimension shows.
SPEC = Spec(latent_dim=2, event_shape=(2, 3), components=4, hidden=8)
CATEGORIES = 3
ROWS = 5
POOL = 1024  # training inputs that a prior may ask for


class Subject:
    """A prior crossed with a posterior, and models of them.

    Args:
        registry: where the plugins are.
        prior, posterior: their names.
        full: whether what is slow is checked at its real size too.
    """

    def __init__(self, registry: Registry, prior: str, posterior: str, full: bool = False) -> None:
        self.label = f"{prior} x {posterior}"
        self.prior = registry.load("prior", prior)
        self.posterior = registry.load("posterior", posterior)
        self.full = full

    def spec(self, **sizes: Any) -> Spec:
        """The small spec, with other sizes where they are given, and training inputs."""
        made = replace(SPEC, **{"categories": CATEGORIES, "latents": self.prior.latents, **sizes})
        if not self.posterior.categorical:
            made = replace(made, categories=None)
        return replace(made, source=lambda count: inputs(made)[:count])

    def model(
        self,
        spec: Spec | None = None,
        *,
        seed: int = 0,
        moved: float = 0.3,
        likelihood: str = "bernoulli",
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Model:
        """A model whose global generator was seeded with ``seed`` and is left alone.

        Args:
            spec: its sizes; None for the small ones.
            seed: of what is drawn at the start.
            moved: standard deviation of what is added to every learned parameter. Much is hidden
                at the start, where standard deviations are one and equal to variances.
            likelihood: of x.
            options: keyword options by kind.
        """
        spec = self.spec() if spec is None else spec
        given = options or {}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            prior = self.prior(spec, **given.get("prior", {}))
            posterior = self.posterior(spec, **given.get("posterior", {}))
            model = Model(spec, prior, posterior, likelihood)
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.requires_grad and moved:
                        parameter.add_(moved * torch.randn_like(parameter))
        return model

    @cached_property
    def broken(self) -> str:
        """Why no model can be built, or nothing."""
        try:
            self.model()
        except Exception as error:  # a plugin may raise anything
            return describe(error)
        return ""


def small_model(registry: Registry, prior_name: str, posterior_name: str) -> Model:
    """The pair at sizes where everything can be checked in well under a second."""
    return Subject(registry, prior_name, posterior_name).model(moved=0.0)


def seeded(seed: int = 0) -> torch.Generator:
    """A generator of its own for every use."""
    return torch.Generator().manual_seed(seed)


def inputs(spec: Spec) -> Tensor:
    """Made-up training inputs (N, P) in the spec's bounds, standard normal where it has none."""
    if spec.bounds is None:
        return torch.randn(POOL, spec.event_size, generator=seeded(3))
    low, high = spec.bounds
    return low + (high - low) * torch.rand(POOL, spec.event_size, generator=seeded(3))


def rows(count: int = ROWS, size: int = SPEC.event_size, seed: int = 0) -> Tensor:
    """Binary data, shape (count, size)."""
    return torch.rand(count, size, generator=seeded(seed)).round()


def check_equal(
    found: Tensor, expected: Tensor, what: str, against: str, tolerance: float = 0.0
) -> None:
    """Raise where two tensors differ by more than ``tolerance`` times their size.

    Raises:
        Breach: with the largest difference.
    """
    if found.shape != expected.shape:
        raise Breach(f"{what} of shape {tuple(expected.shape)}", f"{tuple(found.shape)}")
    gap = (found.detach().double() - expected.detach().double()).abs()
    scale = tolerance * (1.0 + float(expected.detach().double().abs().max()))
    largest = float(gap.max()) if gap.numel() else 0.0
    if not largest <= scale:  # NaN is a difference
        bound = "exactly" if tolerance == 0.0 else f"up to {scale:.1g}"
        raise Breach(f"{what} {bound} equal to {against}", f"a difference of {largest:.3g}")


def check_mean(found: float, expected: float, error: float, what: str, slack: float = 0.0) -> None:
    """Raise where a Monte Carlo mean is further than 5 standard errors from what it estimates.

    Raises:
        Breach: with both numbers.
    """
    if not abs(found - expected) <= 5.0 * error + slack or not math.isfinite(error):
        raise Breach(f"{what} {expected:.4f}", f"{found:.4f} ± {error:.4f}")

"""Priors crossed with posteriors: which pairs make a model, under which name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.discovery import PluginInfo


@dataclass(frozen=True)
class Pair:
    """A prior crossed with a posterior; ``reason`` says why it is skipped, if it is."""

    prior: str
    posterior: str
    model: str = ""
    reason: str = ""
    varies_with_components: bool = False
    categorical: bool = False

    @property
    def label(self) -> str:
        """Table 3's name, or prior x posterior."""
        return self.model or f"{self.prior} x {self.posterior}"


def pair_up(prior: PluginInfo, posterior: PluginInfo, models: Mapping[str, Sequence[str]]) -> Pair:
    """Whether and under which name a prior and a posterior make a model (MATHS 1)."""
    names = [name for name, pair in models.items() if tuple(pair) == (prior.name, posterior.name)]
    reason = ""
    if prior.categorical and not posterior.categorical:
        reason = f"{prior.name} needs a posterior with a category"
        if prior.without_categories:
            reason += f"; without one, {prior.without_categories}"
    return Pair(
        prior.name,
        posterior.name,
        names[0] if names else "",
        reason,
        prior.mixture or posterior.categorical,
        posterior.categorical,
    )

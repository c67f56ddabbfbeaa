"""The bounds of every test example, and how far their importance weights can be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.bounds import elbo_enumerated, importance_weights
from bench.config import EvaluationConfig
from bench.errors import BenchError
from bench.evaluation.numbers import standard_error
from bench.evaluation.section import Section
from bench.joint import Joint
from bench.model import Model, Terms
from bench.store import COLUMNS
from bench.weights import WeightSummary

__all__ = ["measure_bounds"]

Array = npt.NDArray[np.float64]

ROWS = 1000  # data rows evaluated together
DOUBTFUL_SHARE = 0.05  # of the data; above it the whole estimate is marked


def measure_bounds(
    model: Model,
    test: Tensor,
    prior: Joint,
    config: EvaluationConfig,
    tick: Callable[[float], None] = lambda _: None,
) -> tuple[Section, dict[str, Array]]:
    """The ELBO and the importance-weighted bounds of the test set.

    Where there is a category, the bound with it summed out of every weight stands beside the one
    that draws it, at an equal number of decodes: S samples against S / K, rounded up.

    Args:
        model: with its best parameters.
        test: the frozen test set, shape (N, P).
        prior: ``model.joint_prior()``.
        config: the [evaluation] section.
        tick: told the share that is done, between blocks; may raise to stop.

    Returns:
        The section, and per-example arrays (N,): nelbo = reconstruction + kl_z + kl_c, all as
        costs in nats, nll (and nll_rb), and the effective sample size and k-hat of nll.

    Raises:
        BenchError: a bound is not finite.

    References: MATHS 2.2 (b) and 3.
    """

    def stream(offset: int) -> torch.Generator:
        # Of their own: the bound does not move when importance_samples does.
        return torch.Generator(test.device).manual_seed(config.seed + offset)

    elbo_noise, weight_noise, summed_noise = stream(0), stream(2), stream(4)
    size = model.spec.categories
    summed_samples = math.ceil(config.importance_samples / size) if size else 0
    bounds: list[list[Terms]] = []
    weights: list[WeightSummary] = []
    summed: list[WeightSummary] = []
    done = 0
    for rows in test.split(ROWS):
        tick(done / len(test))
        done += len(rows)
        x = rows.float()
        options: dict[str, Any] = {"prior": prior, "chunk": config.chunk}
        bounds.append(
            [
                elbo_enumerated(model, x, elbo_noise, prune=config.prune, **options)
                for _ in range(config.elbo_samples)
            ]
        )
        weights.append(
            importance_weights(model, x, config.importance_samples, weight_noise, **options)
        )
        if size:
            tick((done - len(rows) / 2) / len(test))
            summed.append(
                importance_weights(
                    model, x, summed_samples, summed_noise, over_categories=True, **options
                )
            )

    examples, mc_variance = _elbo(bounds)
    metrics: dict[str, Any] = {"importance_samples": config.importance_samples}
    details: dict[str, Any] = {}
    drawn = WeightSummary.concatenate(weights)
    examples["nll"] = -_numpy(drawn.log_mean)
    examples["ess"], examples["pareto"] = _numpy(drawn.ess), _numpy(drawn.pareto)
    metrics |= _trust(drawn)
    metrics["nll_mc_se"] = _mc_error(_numpy(drawn.log_mean_variance))
    metrics |= _convergence("nll", drawn)
    details["sampled"] = _describe(drawn)
    if summed:
        over_categories = WeightSummary.concatenate(summed)
        examples["nll_rb"] = -_numpy(over_categories.log_mean)
        metrics["rb_samples"] = summed_samples
        metrics |= {f"rb_{name}": value for name, value in _trust(over_categories).items()}
        metrics["nll_rb_mc_se"] = _mc_error(_numpy(over_categories.log_mean_variance))
        metrics |= _convergence("nll_rb", over_categories)
        details["category_summed_out"] = _describe(over_categories)
    for name in ("nelbo", "nll", "nll_rb"):
        if name in examples:
            metrics[name], metrics[f"{name}_se"] = _mean_and_error(name, examples[name])
    metrics["nelbo_mc_se"] = None if mc_variance is None else _mc_error(mc_variance)
    for name in ("reconstruction", "kl_z", "kl_c"):
        applies = name != "kl_c" or size is not None
        metrics[name] = float(examples[name].mean()) if applies else None
    return Section(metrics, {**metrics, **details}), examples


def _elbo(bounds: Sequence[Sequence[Terms]]) -> tuple[dict[str, Array], Array | None]:
    """Means over draws of the terms, as costs, and the variance of the mean bound."""

    def stacked(part: Callable[[Terms], Tensor]) -> Array:  # (R, N)
        return _numpy(torch.cat([torch.stack([part(t) for t in draws]) for draws in bounds], dim=1))

    nelbo = -stacked(lambda terms: terms.elbo())
    examples = {
        "nelbo": nelbo.mean(0),
        "reconstruction": -stacked(lambda terms: terms.reconstruction).mean(0),
        "kl_z": stacked(lambda terms: terms.kl_z).mean(0),
        "kl_c": stacked(lambda terms: terms.kl_c).mean(0),
    }
    count = len(nelbo)
    return examples, nelbo.var(0, ddof=1) / count if count > 1 else None


def _trust(weights: WeightSummary) -> dict[str, Any]:
    """Medians over the data, and whether averages of these weights may be believed.

    The bound is valid in any case; what fails is its error, and its closeness to log p(x).
    """
    told = weights.pareto.isnan().logical_not()
    doubtful = float(weights.doubtful.double().mean())
    high = (weights.pareto > weights.pareto_limit).double().mean() if bool(told.any()) else None
    trusted: bool | None = doubtful <= DOUBTFUL_SHARE
    if trusted and high is None:
        trusted = None  # too few weights to tell
    return {
        "ess": float(weights.ess.median()),
        "max_weight_share": float(weights.largest_share.median()),
        "pareto_high": None if high is None else float(high),
        "weights_trusted": trusted,
    }


def _convergence(name: str, weights: WeightSummary) -> dict[str, float]:
    """The bound at fewer samples, as a cost."""
    return {
        f"{name}_{samples}": -float(values.mean())
        for samples, values in weights.by_samples.items()
        if samples < weights.samples and f"{name}_{samples}" in COLUMNS
    }


def _describe(weights: WeightSummary) -> dict[str, Any]:
    """What likelihood.json says of one estimator."""
    by_samples = []
    for samples, values in weights.by_samples.items():
        mean, error = _mean_and_error(f"bound at S = {samples}", _numpy(values))
        by_samples.append({"samples": samples, "bound": mean, "se": error})
    variance = _numpy(weights.log_mean_variance)
    return {
        "samples": weights.samples,
        "by_samples": by_samples,
        **_trust(weights),
        "mc_se": _mc_error(variance),
        "bias": float(0.5 * variance.mean()),
        "pareto_limit": weights.pareto_limit,
        "quantiles": {
            name: _quantiles(_numpy(values))
            for name, values in (
                ("ess", weights.ess),
                ("largest_share", weights.largest_share),
                ("pareto", weights.pareto),
            )
        },
    }


def _quantiles(values: Array) -> dict[str, float | None]:
    known = values[np.isfinite(values)]
    levels = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
    return {f"{q:g}": float(np.quantile(known, q)) if len(known) else None for q in levels}


def _mc_error(variance: Array) -> float:
    """The Monte Carlo error of a mean over data whose own estimates have these variances."""
    return math.sqrt(float(variance.sum())) / len(variance)


def _numpy(values: Tensor) -> Array:
    array: Array = values.double().cpu().numpy()
    return array


def _mean_and_error(name: str, values: Array) -> tuple[float, float]:
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise BenchError(
            f"the {name} of {bad} of {len(values)} test examples is not finite; finite numbers "
            "were expected. Try a lower training.learning_rate."
        )
    return float(values.mean()), standard_error(values)

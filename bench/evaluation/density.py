"""What a model generates on the line, against the density that its data came from (MATHS 8)."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp

from bench.config import EvaluationConfig
from bench.data.loading import LoadedData
from bench.evaluation.density_kernels import REPLICATES, Array, Kernels, draw_kernels
from bench.evaluation.density_picture import density_picture
from bench.evaluation.density_scores import (
    Truth,
    covering_grid,
    js_divergence,
    mode_purity,
    sample_wasserstein,
    score,
)
from bench.evaluation.numbers import standard_error
from bench.evaluation.section import Section
from bench.joint import Joint
from bench.model import Model, category_of

__all__ = ["measure_density"]

STREAM = 8  # added to the evaluation's seed
OF_BOTH = ("log_likelihood", "js", "w1", "valley", "mass_left", "mass_right", "recovered")
DIGITS = 6  # of the stored curves


@torch.no_grad()
def measure_density(
    model: Model,
    data: LoadedData,
    prior: Joint,
    config: EvaluationConfig,
    weights: Array | None = None,
    nll: Array | None = None,
) -> Section:
    r"""The density of generated data, without a histogram, and how near it is to the true one.

    .. math:: \hat p_M(x) = \frac1M \sum_m N(x; f_m, \sigma_m^2), \qquad (z_m, c_m) \sim p(z, c)

    It is unbiased and integrates to one; its logarithm is too low on average, by the ``bias`` in
    the details. Where the model has a category there are two densities, from the same draws: with
    c ~ ``weights``, the paper's practice (metrics without a suffix), and with c ~ p(c), the model
    that was trained (``_uniform``). Without one, metrics without a suffix are the model's.

    Args:
        model: with its best parameters.
        data: one-dimensional, with a known density.
        prior: ``model.joint_prior()``.
        config: the [evaluation] section; M is ``density_samples``.
        weights: q(c) over the training set, shape (K,); None where the model has no category.
        nll: the importance-weighted bound of the test set, as a cost, shape (N,): the model's own
            density must agree with it, up to the errors of both and the bound's bias.

    Returns:
        Metrics in nats, W1 in units of x; curves, Monte Carlo errors and the sides of every
        category in the details; ``density.png``. Empty where the true density is not known, the
        data are not one-dimensional or the likelihood is not Gaussian.

    Raises:
        ValueError: ``weights`` are not K probabilities.

    References: Lavda et al. 2020, section 6.1 and Figures 3 to 5; MATHS 8.
    """
    if data.log_density is None or model.likelihood != "gaussian" or model.spec.event_size != 1:
        return Section()
    truth = Truth.over(covering_grid(data.train_x), data.log_density)
    weightings = _weightings(model, prior, weights)
    shares = np.stack(list(weightings.values()))  # (V, K)
    device = next(model.decoder.parameters()).device
    generator = torch.Generator(device).manual_seed(config.seed + STREAM)
    kernels = draw_kernels(model, prior, config.density_samples, shares, generator, config.chunk)

    test = data.test_x[:, 0].astype(np.float64)
    on_grid = kernels.density(truth.grid, shares)  # (V, R, G)
    on_test = kernels.log_density(test, shares)  # (V, R, N)
    true_logs = data.log_density(data.test_x)
    metrics: dict[str, Any] = {"log_likelihood_ceiling": truth.ceiling}
    described: dict[str, Any] = {}
    curves: dict[str, Array] = {}
    for v, (name, share) in enumerate(weightings.items()):
        found, described[name] = _measure(truth, kernels, share, on_grid[v], on_test[v], true_logs)
        metrics |= {f"{key}_uniform": found[key] for key in OF_BOTH} if v else found
        curves[name] = on_grid[v].mean(axis=0)
    details: dict[str, Any] = {
        "truth": _describe(truth, true_logs),
        "draws": len(kernels.loc),
        "replicates": REPLICATES,
        "sigma": [float(kernels.scale.min()), float(kernels.scale.max())],
        "weightings": described,
        "curves": {"true": _rounded(truth.density)}
        | {name: _rounded(curve) for name, curve in curves.items()},
    }
    if "js_uniform" in metrics:
        details["js_difference"] = metrics["js_uniform"] - metrics["js"]
    if truth.middle is not None and model.spec.categories is not None:
        left = kernels.shares_below(truth.middle)
        metrics["mode_purity"] = mode_purity(shares[0], left)
        details["categories"] = {
            "weight": shares[0].tolist(),
            "left": left.tolist(),
            "draws": kernels.counts.tolist(),
        }
    return Section(metrics, details, {"density.png": density_picture(truth, curves)})


def _weightings(model: Model, prior: Joint, weights: Array | None) -> dict[str, Array]:
    """The distributions of c under which data are generated, by name, shape (K,) each."""
    size = model.spec.categories
    if size is None:
        if weights is not None:
            raise ValueError("expected no weights for a model without a category, found some")
        return {"model": np.ones(1)}
    own = category_of(prior).probs.double().cpu().numpy()
    own = own / own.sum()
    if weights is None:
        return {"c ~ p(c)": own}
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (size,) or not (given >= 0).all() or abs(given.sum() - 1.0) > 1e-4:
        raise ValueError(
            f"expected {size} probabilities of the categories, found shape {given.shape} with "
            f"sum {given.sum():g}"
        )
    return {"c ~ q(c)": given / given.sum(), "c ~ p(c)": own}


def _measure(
    truth: Truth, kernels: Kernels, share: Array, on_grid: Array, on_test: Array, true_logs: Array
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metrics and details of one density, from its replicates (R, G) and logarithms (R, N)."""
    density, likelihood = on_grid.mean(axis=0), _log_mean(on_test)
    gap = true_logs - likelihood
    below = float(share @ kernels.shares_below(float(truth.grid[0])))
    scores = asdict(score(truth, density, below))
    kl = scores.pop("kl")
    metrics = {
        "log_likelihood": float(likelihood.mean()),
        "log_likelihood_se": standard_error(likelihood),
        "density_gap": float(gap.mean()),
        "density_gap_se": standard_error(gap),
        **scores,
    }

    # The jackknife: each replicate left out once.
    rest = [np.delete(np.arange(REPLICATES), r) for r in range(REPLICATES)]
    partial = np.array([_log_mean(on_test[r]).mean() for r in rest])
    partial_js = np.array(
        [js_divergence(truth.grid, truth.density, on_grid[r].mean(axis=0)) for r in rest]
    )
    means = kernels.loc.cpu().numpy()
    of_draws = kernels.weights(share).cpu().numpy()
    metrics["log_likelihood_mc_se"] = _jackknife_error(partial)
    metrics["js_mc_se"] = _jackknife_error(partial_js)
    details = {
        "log_likelihood_mc_se": metrics["log_likelihood_mc_se"],
        "log_likelihood_bias": (REPLICATES - 1) * float(partial.mean() - likelihood.mean()),
        "js_mc_se": metrics["js_mc_se"],
        "kl": kl if math.isfinite(kl) else None,
        "mass_on_grid": truth.mass(density, truth.grid[0], truth.grid[-1]),
        "w1_mean": sample_wasserstein(truth.grid, truth.density, means, of_draws),
    }
    return metrics, details


def _log_mean(logs: Array) -> Array:
    """The logarithm of the mean over replicates, (R, P) to (P,)."""
    mean: Array = logsumexp(logs, axis=0) - math.log(len(logs))
    return mean


def _jackknife_error(partial: Array) -> float:
    return math.sqrt((len(partial) - 1) * float(partial.var()))


def _describe(truth: Truth, true_logs: Array) -> dict[str, Any]:
    return {
        "grid": [float(truth.grid[0]), float(truth.grid[-1]), len(truth.grid)],
        "ceiling_on_test": float(true_logs.mean()),
        "log_density_sd": truth.log_density_sd,
        "modes": truth.modes.tolist(),
        "js_gaussian": truth.js_gaussian,
        "mode_purity_ceiling": truth.mode_purity_ceiling,
    }


def _rounded(curve: Array) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in curve]

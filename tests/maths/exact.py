"""The decomposition of MATHS 4 by quadrature over z, through the public classes: no draws."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import entropy
from torch import Tensor

from bench.evaluation.aggregate import AggregatedPosterior
from bench.model import Model
from maths.paths import nodes, vertices


def decomposition(model: Model, x: Tensor, within: bool) -> dict[str, float]:
    """Every column of T7's table, and what stands below it, for a model with one latent z in 1-D.

    Args:
        model: the model.
        x: the N data, shape (N, P).
        within: the row's family: q(z | c) and p(z | c) in B1 and C1, or q(z) and p(z).
    """
    aggregate, prior = AggregatedPosterior(model, x), model.joint_prior()
    noise, weight = nodes(model)
    sums = dict.fromkeys(("A", "log q(z|x,c)", "log q(z)", "log q(z|c)", "log p(z|c)"), 0.0)
    with torch.no_grad():
        for row in x:
            rows = row.expand(len(weight), -1)
            q = model.posterior(rows)
            for share in vertices(model, rows, noise):
                values, _ = q.transform(noise)
                whole, given = aggregate.log_prob(values["z"], values.get("c"))
                parts = {
                    "A": model.decode(values).log_prob(rows),
                    "log q(z|x,c)": q.given("z", values).log_prob(values["z"]),
                    "log q(z)": whole,
                    "log q(z|c)": given,
                    "log p(z|c)": prior.given("z", values).log_prob(values["z"]),
                }
                for name, value in parts.items():
                    sums[name] += share * float(weight @ value) / len(x)
    middle = sums["log q(z|c)"] if within else sums["log q(z)"]
    found = {
        "A": sums["A"],
        "B1": sums["log q(z|x,c)"] - middle,
        "C1": middle - sums["log p(z|c)"],
        "I(z;c)": sums["log q(z|c)"] - sums["log q(z)"],
        "kl_z": sums["log q(z|x,c)"] - sums["log p(z|c)"],
        "h(q(z))": -sums["log q(z)"],
        **categories(model, x),
    }
    found["I((z,c);x)"] = sums["log q(z|x,c)"] - sums["log q(z|c)"] + found["B2"]
    found["ELBO"] = found["A"] - found["B1"] - found["B2"] - found["C1"] - found["C2"]
    return found


def categories(model: Model, x: Tensor) -> dict[str, float]:
    """B2, C2, H(q(c)) and the mean of kl_c, with scipy's entropies."""
    if model.spec.categories is None:
        return dict.fromkeys(("B2", "C2", "H", "kl_c"), 0.0)
    with torch.no_grad():
        pi = model.posterior(x).given("c", {}).mean.double().numpy()  # (N, K)
        p = model.joint_prior().given("c", {}).mean.double().numpy()
    used = pi.mean(0)
    return {
        "B2": float(entropy(used) - entropy(pi, axis=1).mean()),
        "C2": float(entropy(used, p)),
        "H": float(entropy(used)),
        "kl_c": float(np.mean([entropy(row, p) for row in pi])),
    }

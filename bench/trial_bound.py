"""What a trial is judged by: its validation bound, measured afresh with many draws.

Early stopping looks at one draw of z for each validation example, the same in every epoch. That is
enough to follow one training, but too little to compare settings: on a few hundred examples it
varies by tenths of a nat, and the best epoch was chosen for being lucky with it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from bench.engine.population import Population
from bench.model import Model
from bench.products import Kernels, multiplying_by
from bench.training import validation_bound

__all__ = ["DRAWS", "trial_bound"]

DRAWS = 10_000  # over all validation examples, at least
SEED = 778  # not that of early stopping, whose draws chose the parameters


def trial_bound(
    model: Model, state: Mapping[str, Tensor], x: Tensor, kernels: Kernels = "blas"
) -> float:
    """The mean valid bound of a model on the validation data, in nats: exact categories, beta 1.

    All trials have the same draws, as far as they have the same sizes.

    Args:
        model: the model; it is not changed.
        state: the parameters that are judged.
        x: the validation data, shape (N, P). Each is drawn for ceil(``DRAWS`` / N) times.
        kernels: what multiplies.
    """
    judged = copy.deepcopy(model)
    judged.load_state_dict(dict(state))
    population = Population([judged])
    generator = torch.Generator(x.device).manual_seed(SEED)
    means = []
    with multiplying_by(kernels):
        for _ in range(math.ceil(DRAWS / len(x))):
            (mean,), _ = validation_bound(population, x, judged.noise((len(x),), generator))
            means.append(mean)
    return math.fsum(means) / len(means)

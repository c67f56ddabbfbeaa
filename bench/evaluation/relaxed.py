"""By how much the objective of training lies below the bound that it stands for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.config import EvaluationConfig
from bench.evaluation.numbers import standard_error
from bench.evaluation.section import Section
from bench.joint import Joint
from bench.model import Model

__all__ = ["measure_relaxation"]

Array = npt.NDArray[np.float64]

NOISE_SEED = 6  # a stream of its own: no bound moves because this is measured
ROWS = 1000  # data rows evaluated together


@torch.no_grad()
def measure_relaxation(
    model: Model,
    test: Tensor,
    prior: Joint,
    config: EvaluationConfig,
    temperature: float | None,
    nelbo: Array,
) -> tuple[Section, dict[str, Array]]:
    r"""What a test number taken with a relaxed category would flatter the model by.

    .. math:: \text{relaxed gap} = \widehat{-\mathcal L}(x) - \widehat{-\tilde{\mathcal L}}(x)

    with :math:`\tilde{\mathcal L}` the objective of MATHS 2.1 at weight 1 and the temperature at
    which the model's best epoch was trained. It is no bound: the relaxed category can carry more
    about x than is paid for it (MATHS T5). Only the gap is reported, never
    :math:`\tilde{\mathcal L}` beside a bound.

    Args:
        model: with its best parameters.
        test: the frozen test set, shape (N, P).
        prior: ``model.joint_prior()``.
        config: the [evaluation] section.
        temperature: of the Gumbel-Softmax; None where it is not known.
        nelbo: minus the bound of every example, shape (N,), nats.

    Returns:
        The section, blank without a category or a temperature, and ``relaxed`` of every example.

    References: PROTOCOL, defect 5 of the released code; MATHS 2.1 and T5.
    """
    if model.spec.categories is None or temperature is None:
        blank = dict.fromkeys(("relaxed_gap", "relaxed_gap_se", "relaxed_temperature"))
        return Section(blank), {}
    noise = torch.Generator(test.device).manual_seed(config.seed + NOISE_SEED)
    costs = np.zeros(len(test))
    for _ in range(config.elbo_samples):
        parts = [
            -model.terms(x, model.noise((len(x),), noise), temperature, prior).elbo().double()
            for x in (rows.float() for rows in test.split(ROWS))
        ]
        costs += torch.cat(parts).cpu().numpy()
    relaxed: Array = costs / config.elbo_samples
    gap = nelbo - relaxed
    metrics = {
        "relaxed_gap": float(gap.mean()),
        "relaxed_gap_se": standard_error(gap),
        "relaxed_temperature": temperature,
    }
    return Section(metrics), {"relaxed": relaxed}

"""The gap between the bound and the objective of training: known where it has a closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.evaluation.relaxed import measure_relaxation
from bench.joint import DiagNormal, Joint, OneHotCategorical
from bench.model import Model
from bench.spec import Spec
from bench.store import COLUMNS
from maths.cells import Affine, Fixed, FixedPrior, assemble
from pairs import build, data
from runs import results, run_tiny
from test_evaluation_cell import settings

DRAWS = 40_000


def counterexample(a: float, s: float) -> Model:
    """MATHS T5: two even categories that x says nothing about; the decoder is N(a c_1, s^2)."""
    spec = Spec(1, (1,), categories=2, components=1, hidden=2)

    def joint(batch: int) -> Joint:
        like = torch.zeros(batch, 1, dtype=torch.float64)
        even = OneHotCategorical(torch.zeros(batch, 2, dtype=torch.float64))
        return Joint(c=even, z=DiagNormal(like, torch.ones_like(like)))

    prior = Joint(
        c=OneHotCategorical(torch.zeros(2, dtype=torch.float64)),
        z=DiagNormal(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)),
    )
    decoder = Affine({"c": [[a, 0.0]]}, [0.0], std=s)
    return assemble(spec, FixedPrior(spec, prior), Fixed(spec, lambda x: joint(len(x))), decoder)


def test_the_gap_is_the_known_one_of_the_counterexample() -> None:
    a, s = 1.0, 0.5
    model = counterexample(a, s)
    x = torch.full((DRAWS, 1), a / 2, dtype=torch.float32)
    nelbo = np.full(DRAWS, 0.7257913526)  # c says nothing, so the bound is log p(x) itself
    section, examples = measure_relaxation(
        model, x, model.joint_prior(), settings(elbo_samples=1), 1.0, nelbo
    )
    gap, error = section.metrics["relaxed_gap"], section.metrics["relaxed_gap_se"]
    assert gap == pytest.approx(a**2 / (12 * s**2), abs=4 * error)
    assert error < 0.003
    assert examples["relaxed"].shape == (DRAWS,)


def test_it_is_blank_without_a_category_or_a_temperature() -> None:
    x = data(20)
    for posterior, temperature in (("continuous", 1.0), ("joint", None)):
        model = build("standard", posterior)
        section, examples = measure_relaxation(
            model, x, model.joint_prior(), settings(), temperature, np.zeros(20)
        )
        assert set(section.metrics.values()) == {None}
        assert set(section.metrics) <= set(COLUMNS)
        assert not examples


@pytest.mark.slow
def test_a_run_measures_it_at_the_temperature_of_the_best_epoch(tmp_path) -> None:  # type: ignore[no-untyped-def]
    run_tiny(tmp_path, "--datasets", "digits", "--models", "CP,VAE", "--set",
             "training.temperature_decay=0.1", epochs=1)  # fmt: skip
    rows = {row["model"]: row for row in results(tmp_path)}
    assert rows["VAE"]["relaxed_gap"] == ""
    assert float(rows["CP"]["relaxed_temperature"]) == pytest.approx(np.exp(-0.1), abs=1e-6)
    assert float(rows["CP"]["relaxed_gap_se"]) > 0

"""Training: the schedules, the step, early stopping, and what must not matter."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.config import load_config
from bench.engine.adam import Adam
from bench.engine.batches import binarize, draw, thresholds
from bench.engine.population import Population
from bench.engine.replica import beta_at, temperature_at
from bench.engine.steps import Eager
from bench.model import Model
from bench.networks import Linear
from bench.priors.mog import MixtureOfGaussians
from bench.spec import Spec
from bench.training import TrainingFailed, validation_bound
from pairs import build, seeded
from runs import results, run_tiny
from trainings import Trainer, config, pixels

PAPER = load_config("paper").training


def trainer(seed: int = 0, model: Model | None = None, **changes: object) -> Trainer:
    model = build("conditional", "joint", dtype=torch.float32) if model is None else model
    return Trainer(model, pixels(), config(**changes), seed)


@pytest.mark.parametrize(
    ("epoch", "warmup", "beta"),
    [(1, 100, 0.01), (50, 100, 0.5), (100, 100, 1.0), (2000, 100, 1.0), (1, 0, 1.0), (1, 1, 1.0)],
)
def test_beta_rises_linearly_from_the_first_epoch(epoch: int, warmup: int, beta: float) -> None:
    assert beta_at(epoch, warmup) == pytest.approx(beta)


def test_temperature_follows_the_protocol() -> None:
    """About 0.86 at epoch 100 and 0.5 from epoch 215 on (PROTOCOL)."""
    assert temperature_at(100, PAPER) == pytest.approx(0.86, abs=0.005)
    assert temperature_at(214, PAPER) > 0.5
    assert {temperature_at(epoch, PAPER) for epoch in (215, 216, 2000)} == {0.5}


@given(st.integers(1, 60), st.floats(0, 0.01), st.floats(0.5, 2.0))
def test_temperature_compounds(epochs: int, decay: float, start: float) -> None:
    settings = PAPER.model_copy(update={"temperature_decay": decay, "temperature_start": start})
    expected = start
    for epoch in range(1, epochs + 1):
        expected = max(expected * math.exp(-decay * epoch), settings.temperature_floor)
    assert temperature_at(epochs, settings) == pytest.approx(expected, rel=1e-9)


def test_history_tells_the_schedules() -> None:
    history = trainer(epochs=4, warmup_epochs=4).run().history
    assert [record.beta for record in history] == [0.25, 0.5, 0.75, 1.0]
    assert [record.epoch for record in history] == [1, 2, 3, 4]


# bounds of the epochs, warm-up, patience -> epochs trained, best epoch
STOPPING = {
    "never better": ([-5.0] * 30, 0, 3, 5, 1),
    "counted only after warm-up": ([-5.0] * 30, 10, 3, 13, 1),
    "the best may come in warm-up": ([-9.0, -1.0] + [-5.0] * 30, 6, 2, 8, 2),
    "a better bound starts the count anew": (
        [-9.0, -8.0, -8.0, -8.0, -7.0] + [-7.5] * 30, 0, 3, 9, 5,
    ),
    "to the last epoch": ([-30.0 + k for k in range(30)], 0, 3, 12, 12),
}  # fmt: skip


@pytest.mark.parametrize("case", STOPPING)
def test_early_stopping_keeps_the_best(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds, warmup, patience, epochs, best = STOPPING[case]
    seen: list[dict[str, torch.Tensor]] = []

    def bound(population: Population, *_: object) -> tuple[list[float], list[float]]:
        seen.append(population.state(0))
        return [bounds[len(seen) - 1]], [0.1]

    monkeypatch.setattr("bench.training.validation_bound", bound)
    made = trainer(epochs=12 if warmup < 10 else 30, warmup_epochs=warmup, patience=patience)
    progress = made.run()
    assert (progress.epoch, progress.best_epoch) == (epochs, best)
    assert progress.best_bound == bounds[best - 1]
    for name, value in made.model.state_dict().items():
        assert torch.equal(value, seen[best - 1][name])


@pytest.mark.parametrize("level", [0, 1, 4, 8, 15, 16])
def test_binarization_has_the_grey_levels_frequency(level: int) -> None:
    rows = torch.full((2000, 10), level, dtype=torch.uint8)
    drawn = binarize(rows, 1 / 16, seeded())
    assert drawn.dtype == torch.bool
    p = level / 16
    assert float(drawn.float().mean()) == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / 20_000))
    assert torch.equal(binarize(rows, 1 / 16, seeded(1)), drawn) == (p in (0, 1))


@pytest.mark.parametrize("white", [1, 16, 255])
def test_thresholds_are_the_grey_levels_probabilities(white: int) -> None:
    """Counted over every value that sixteen random bits can take."""
    levels = thresholds(torch.arange(white + 1).unsqueeze(1), 1 / white)
    every = torch.arange(-(2**15), 2**15).clamp(max=32766)
    found = (every < levels).double().mean(1)
    expected = torch.arange(white + 1).double() / white
    assert float((found - expected).abs().max()) <= 2**-17
    assert (float(found[0]), float(found[-1])) == (0.0, 1.0)


@pytest.mark.parametrize("level", [0, 1, 4, 8, 15, 16])
def test_drawn_bits_have_the_grey_levels_frequency(level: int) -> None:
    levels = thresholds(torch.full((2001, 11), level, dtype=torch.uint8), 1 / 16)
    drawn = draw(levels, seeded())
    assert drawn.dtype == torch.bool
    assert drawn.shape == (2001, 11)
    p = level / 16
    assert float(drawn.float().mean()) == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / 22_011))
    assert torch.equal(draw(levels, seeded()), drawn)
    assert torch.equal(draw(levels, seeded(1)), drawn) == (p in (0, 1))


def test_drawn_bits_are_independent_of_their_neighbours() -> None:
    """Four pixels come from one word of the generator."""
    bits = draw(thresholds(torch.full((4000, 16), 8, dtype=torch.uint8), 1 / 16), seeded()).double()
    correlation = torch.corrcoef(bits.T)
    correlation.fill_diagonal_(0.0)
    assert float(correlation.abs().max()) < 5 / math.sqrt(4000)


def test_validation_bound_is_the_same_number_each_time() -> None:
    made = trainer()
    x, noise = made.pixels.validation, made.together.validation_noise
    population = Population([made.model])
    once = validation_bound(population, x, noise)
    torch.rand(3)
    assert validation_bound(population, x, noise) == once
    other = trainer(seed=5)
    assert torch.equal(other.together.validation_noise["z"], noise["z"])


def test_gradients_are_divided_by_their_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by its own, and the halves of a shared product apart, which are two tensors in the
    released code; without the option they are left alone."""
    norms = {}
    for normalised in (True, False):
        seen: list[dict[str, torch.Tensor]] = []
        monkeypatch.setattr(Adam, "step", lambda _, gradients, seen=seen: seen.append(gradients))
        made = trainer(normalise_gradients=normalised)
        made.together.epoch()
        norms[normalised] = [
            float(block.norm())
            for prefix, module in made.model.named_modules()
            for name, _ in module.named_parameters(prefix, recurse=False)
            for block in seen[0][name].chunk(module.blocks if isinstance(module, Linear) else 1)
        ]
    assert norms[True] == pytest.approx([1.0] * len(norms[True]), abs=1e-5)
    assert max(abs(norm - 1.0) for norm in norms[False]) > 0.1


@pytest.mark.parametrize("scheme", ["glorot", "he"])
def test_initial_weights_have_the_schemes_variance(scheme: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = Linear((700, 84), 600, blocks=2)
        layer.initialise("glorot" if scheme == "glorot" else "he")
    expected = 2 / 784 if scheme == "he" else 2 / (784 + 300)
    for block in layer.weight.detach().chunk(2):
        assert float(block.var()) == pytest.approx(expected, rel=0.02)
    assert not layer.bias.any()
    bounded = float(layer.weight.detach().abs().max()) <= math.sqrt(3 * expected)
    assert bounded == (scheme == "glorot")


def test_frozen_components_stay_where_they_start() -> None:
    spec = Spec(2, (4,), components=3, hidden=5)
    with torch.random.fork_rng():
        prior = MixtureOfGaussians(spec, learn=False)
        model = build("mog", "continuous", dtype=torch.float32)
    model.prior = prior
    before = prior.loc.detach().clone()
    trainer(model=model).run()
    assert torch.equal(prior.loc, before)


@pytest.mark.parametrize("rate", [1e30])
def test_numbers_that_are_not_finite_end_the_training(rate: float) -> None:
    with pytest.raises(TrainingFailed, match=r"epoch [12], step \d of 6: .*learning_rate"):
        trainer(learning_rate=rate).run()


@pytest.mark.parametrize("at", [0, 3, 5])
def test_the_step_that_diverges_is_named(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    real, made = Eager.step, 0

    def step(self: Eager, *arguments: Any) -> torch.Tensor:
        nonlocal made
        made += 1
        losses = real(self, *arguments)
        return losses * math.nan if made > 6 + at else losses

    monkeypatch.setattr(Eager, "step", step)
    with pytest.raises(TrainingFailed, match=rf"epoch 2, step {at + 1} of 6: .*objective is nan"):
        trainer().run()


def test_seeds_change_the_numbers_and_name_them() -> None:
    bounds = [trainer(seed).run().best_bound for seed in (0, 0, 1)]
    assert bounds[0] == bounds[1] != bounds[2]


LABELLED = '''
import numpy as np
from bench.api import Dataset, Split, Splits

class Mine(Dataset):
    """Noise whose labels are shifted by {shift}."""
    embedded = True

    def load(self, roots):
        random = np.random.RandomState(0)
        x = random.randint(0, 256, (600, 2, 3)).astype(np.uint8)
        y = (x[:, 0, 0] > 127).astype(np.int64)
        y = np.roll(y, {shift})
        return Splits(*(Split(x[s], y[s]) for s in np.split(np.arange(600), [300, 400])),
                      ("dark", "light"))
'''


def test_labels_change_nothing_but_what_is_measured_against_them(tmp_path: Path) -> None:
    """Two datasets that differ in their labels alone: parameters and bounds are equal, bit for bit.

    A label that reached training or model choice by any way would move them.
    """
    words: list[object] = []
    for name, shift in (("true", 0), ("moved", 1)):
        (tmp_path / f"{name}.py").write_text(LABELLED.format(shift=shift))
        words += ["--plugin", tmp_path / f"{name}.py"]
    out = tmp_path / "runs"
    words += ["--datasets", "true,moved", "--models", "CP,MG", "--components", 3]
    assert run_tiny(out, *words, epochs=4).status == 0
    for model in ("CP", "MG"):
        true, moved = (
            next(r for r in results(out) if (r["dataset"], r["model"]) == (name, model))
            for name in ("true", "moved")
        )
        assert true["dataset_fingerprint"] != moved["dataset_fingerprint"]
        assert true["purity"] != moved["purity"]
        for column in ("nelbo", "nll", "entropy", "category_information", "epochs", "kl_z"):
            assert true[column] == moved[column], column
        first, second = (
            torch.load(out / "cells" / row["cell"] / "model.pt", weights_only=True)
            for row in (true, moved)
        )
        assert all(torch.equal(first[name], second[name]) for name in first)
        bounds = []
        for row in (true, moved):
            with (out / "cells" / row["cell"] / "history.csv").open() as stream:
                bounds.append([line["validation_bound"] for line in csv.DictReader(stream)])
        assert bounds[0] == bounds[1]

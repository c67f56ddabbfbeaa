"""What trials are judged by: the bound itself, not the luck of early stopping's draws."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import bench.trials
from bench.bounds import elbo_enumerated
from bench.engine.replica import Epoch
from bench.grid import Cell
from bench.trial_bound import trial_bound
from pairs import build, data, each_pair, seeded
from test_trials import ONE_SHAPE, Heard, search

ROWS, AGAIN = 50, 200


@each_pair
def test_it_is_the_exact_bound_of_that_state(prior: str, posterior: str) -> None:
    model, judged, x = build(prior, posterior), build(prior, posterior, seed=1), data(ROWS)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = trial_bound(model, judged.state_dict(), x)
    with torch.no_grad():
        terms = elbo_enumerated(judged, x.repeat(AGAIN, 1), seeded(3)).elbo()
    draws = terms.reshape(AGAIN, ROWS)
    error = float((draws.var(0).mean() * 2 / draws.numel()).sqrt())  # of both estimates
    assert found == pytest.approx(float(draws.mean()), abs=5 * error + 1e-9)
    assert error < 0.2  # so that a term that is missing, or counted twice, shows
    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_many_draws_tell_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spread over draws falls as their number rises."""
    model, x = build("standard", "continuous"), data(ROWS)

    def spread() -> float:
        found = []
        for seed in range(20):
            monkeypatch.setattr("bench.trial_bound.SEED", seed)
            found.append(trial_bound(model, model.state_dict(), x))
        return float(torch.tensor(found).std())

    many = spread()
    monkeypatch.setattr("bench.trial_bound.DRAWS", ROWS)
    assert many < spread() / 5  # a factor of sqrt(200) = 14 is expected


@pytest.mark.slow
def test_a_search_compares_these_and_not_what_stopped_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Listening(Heard):
        seen: list[float]

        def epoch(self, cell: Cell, epoch: Epoch, trial: int | None) -> None:
            super().epoch(cell, epoch, trial)
            self.seen.append(epoch.validation_bound)

    measured: list[float] = []

    def spy(*arguments: object) -> float:
        measured.append(trial_bound(*arguments))  # type: ignore[arg-type]
        return measured[-1]

    monkeypatch.setattr(bench.trials, "trial_bound", spy)
    heard = Listening()
    heard.seen = []
    result = search(tmp_path, heard, *ONE_SHAPE)
    values = {trial.value for trial in result.trials}
    assert values <= set(measured)
    assert not values & set(heard.seen)
    assert result.value == max(value for value in values if value is not None)

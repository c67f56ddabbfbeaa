"""Replicas that train together end as each does alone, and as a plain loop of torch's own does."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from bench.config import TrainingConfig
from bench.engine.batches import blocks, epoch_generator
from bench.engine.population import NotStackable, Population, bounds
from bench.engine.steps import Mode
from bench.model import Model
from bench.priors.mog import MixtureOfGaussians
from bench.spec import Spec
from bench.training import VALIDATION_SEED, Pixels, Replica, ReplicaTrainer
from pairs import build, data, seeded
from trainings import (
    DIFFERENCES,
    SEEDS,
    TOLERANCES,
    check_same,
    each_dtype,
    each_kind,
    gap,
    history,
    pixels,
    replica,
    replicas,
)

# What several rates are updated with is the engine's own, what one rate is, a kernel of torch's.
WAYS = {
    "own rates": (torch.float32, {}),
    "own rates, float64": (torch.float64, {}),
    "one rate": (torch.float32, {"learning_rate": 0.01}),
    "one rate, float64": (torch.float64, {"learning_rate": 0.01}),
    "normalised": (torch.float64, {"learning_rate": 0.01, "normalise_gradients": True}),
}


@pytest.mark.parametrize("way", WAYS)
@each_kind
def test_a_replica_ends_as_it_does_alone(prior: str, posterior: str, way: str) -> None:
    dtype, changes = WAYS[way]
    changes = {"patience": 2, **changes}
    together, alone = (replicas(prior, posterior, dtype=dtype, **changes) for _ in range(2))
    ReplicaTrainer(together, pixels(dtype=dtype)).run()
    for one in alone:
        ReplicaTrainer([one], pixels(dtype=dtype)).run()
    assert len({r.progress.epoch for r in alone}) > 1
    for mine, expected in zip(together, alone, strict=True):
        check_same(mine, expected, TOLERANCES[dtype])


@dataclass
class Plain:
    """A training as a textbook would write it, on the engine's data alone."""

    model: Model
    config: TrainingConfig
    seed: int
    bounds: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def run(self, some: Pixels) -> None:
        config, model = self.config, self.model
        optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=False)
        fixed = torch.Generator().manual_seed(VALIDATION_SEED)
        noise = model.noise((len(some.validation),), fixed)
        x = some.validation.to(next(model.parameters()).dtype)
        temperature = config.temperature_start
        for epoch in range(1, config.epochs + 1):
            beta = min(1.0, epoch / config.warmup_epochs) if config.warmup_epochs else 1.0
            temperature *= math.exp(-config.temperature_decay * epoch)
            temperature = max(temperature, config.temperature_floor)
            generator = epoch_generator(self.seed, epoch, torch.device("cpu"))
            for block in blocks(model, some, config.batch_size, [generator]):
                for step in range(len(block)):
                    batch = block.x[step, 0].to(x.dtype)
                    drawn = {name: value[step, 0] for name, value in block.noise.items()}
                    terms = model.terms(batch, drawn, temperature)
                    loss = -(terms.reconstruction - beta * sum(terms.kl.values())).mean()
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
            with torch.no_grad():
                terms = model.terms(x, noise)
                bound = float((terms.reconstruction - sum(terms.kl.values())).double().mean())
            if bound > max(self.bounds, default=-math.inf):
                self.best = {name: p.detach().clone() for name, p in model.state_dict().items()}
            self.bounds.append(bound)


@each_dtype
@each_kind
def test_it_ends_as_a_plain_loop_does(prior: str, posterior: str, dtype: torch.dtype) -> None:
    """No accuracy is traded: alone and together, the parameters of torch's own Adam."""
    together = replicas(prior, posterior, dtype=dtype)
    alone = replica(prior, posterior, SEEDS[0], dtype=dtype, **DIFFERENCES[0])
    ReplicaTrainer(together, pixels(dtype=dtype)).run()
    ReplicaTrainer([alone], pixels(dtype=dtype)).run()
    for trained in (alone, *together):
        fresh = build(prior, posterior, seed=trained.seed, dtype=dtype)
        plain = Plain(fresh, trained.config, trained.seed)
        plain.run(pixels(dtype=dtype))
        found = [record["validation_bound"] for record in history(trained)]
        assert found == pytest.approx(plain.bounds, abs=TOLERANCES[dtype])
        assert gap(trained.model.state_dict(), plain.best) <= TOLERANCES[dtype]


@each_kind
def test_bounds_of_many_are_those_of_each(prior: str, posterior: str) -> None:
    models = [build(prior, posterior, seed=seed) for seed in SEEDS]
    x, noise = data(20), models[0].noise((20,), seeded())
    found = Population(models).bounds(x, noise, rows=21)  # seven data at once
    with torch.no_grad():
        for row, model in zip(found, models, strict=True):
            assert torch.allclose(row, bounds(model, x, noise, 20), rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("failing", range(3))
def test_one_whose_numbers_are_not_finite_fails_alone(
    failing: int, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it leaves at once or, as steps of a fixed size have it, is trained along."""
    monkeypatch.setattr("bench.training.make_steps", lambda mode, eager, notice: eager)
    together = replicas("vamp", "joint")
    expected = replicas("vamp", "joint")
    broken = together[failing]
    broken.config = broken.config.model_copy(update={"learning_rate": 1e30})
    told: list[tuple[int, int]] = []
    trainer = ReplicaTrainer(together, pixels(), mode)
    trainer.run(lambda one, record: told.append((one.seed, record.epoch)))
    assert broken.progress.failure.startswith("epoch 1, step ")
    assert "(now 1e+30)" in broken.progress.failure
    assert not broken.progress.history
    assert broken.seed not in {seed for seed, _ in told}
    for index, one in enumerate(together):
        if index != failing:
            ReplicaTrainer([expected[index]], pixels()).run()
            check_same(one, expected[index], TOLERANCES[torch.float32])
            assert not one.progress.failure
            epochs = [epoch for seed, epoch in told if seed == one.seed]
            assert epochs == [*range(1, one.config.epochs + 1)]


def test_one_that_fails_later_keeps_its_best(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [replica("mog", "joint", seed) for seed in SEEDS]
    trainer = ReplicaTrainer(made, pixels())
    seen: list[dict[str, Tensor]] = []

    def bound(population: Population, *_: object) -> tuple[list[float], list[float]]:
        seen.append(population.state(1))
        bounds = [-3.0] * len(population)
        if len(seen) == 2:
            bounds[1] = math.nan
        return bounds, [0.1] * len(population)

    monkeypatch.setattr("bench.training.validation_bound", bound)
    trainer.run()
    progress = made[1].progress
    assert progress.failure.startswith("epoch 2: ")
    assert (progress.epoch, progress.best_epoch, len(progress.history)) == (1, 1, 1)
    assert gap(made[1].model.state_dict(), seen[0]) == 0.0
    assert [one.progress.epoch for one in made] == [3, 1, 3]


def frozen(seed: int) -> Replica:
    """A mixture whose components stay where they start."""
    made = replica("mog", "continuous", seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made.model.prior = MixtureOfGaussians(made.model.spec, learn=False)
    return made


def test_what_is_fixed_stays_each_replicas_own() -> None:
    together = [frozen(seed) for seed in SEEDS]
    before = [one.model.prior.loc.clone() for one in together]
    ReplicaTrainer(together, pixels()).run()
    assert not torch.equal(before[0], before[1])
    for one, loc in zip(together, before, strict=True):
        assert torch.equal(one.model.prior.loc, loc)
        expected = frozen(one.seed)
        ReplicaTrainer([expected], pixels()).run()
        check_same(one, expected, TOLERANCES[torch.float32])


def tied(seed: int) -> Replica:
    """A model two of whose layers are one, under two names."""
    made = replica("standard", "independent", seed)
    decoder = made.model.decoder
    decoder.second.linear.bias = decoder.first["z"].linear.bias
    return made


def test_a_tensor_that_two_layers_share_stays_shared() -> None:
    together, alone = [tied(seed) for seed in SEEDS], [tied(seed) for seed in SEEDS]
    ReplicaTrainer(together, pixels()).run()
    for mine, expected in zip(together, alone, strict=True):
        ReplicaTrainer([expected], pixels()).run()
        check_same(mine, expected, TOLERANCES[torch.float32])
        weights = mine.model.state_dict()
        shared = weights["decoder.second.linear.bias"]
        assert torch.equal(shared, weights["decoder.first.z.linear.bias"])


def wide() -> Replica:
    spec = Spec(2, (4,), categories=3, components=3, hidden=6)
    return Replica(build("mog", "joint", spec=spec, dtype=torch.float32), DEFAULT.config, 1)


DEFAULT = replica("mog", "joint", 0)
UNLIKE = {
    "another width": (wide, r"bias is learned and of shape \(1[02],\) in one replica and"),
    "another prior": (lambda: replica("vamp", "joint", 1), r"prior\.\w+.* is (absent|learned)"),
    "another batch": (lambda: replica("mog", "joint", 1, batch_size=4), "share batch_size"),
    "another precision": (lambda: replica("mog", "joint", 1, precision="bfloat16"), "precision"),
    "other gradients": (
        lambda: replica("mog", "joint", 1, normalise_gradients=True),
        "normalise_gradients",
    ),
}


@pytest.mark.parametrize("case", UNLIKE)
def test_replicas_that_are_not_alike_are_refused(case: str) -> None:
    make, words = UNLIKE[case]
    for pair in ([DEFAULT, make()], [make(), DEFAULT]):
        with pytest.raises(NotStackable, match=words):
            ReplicaTrainer(pair, pixels())


def test_replicas_that_learn_other_parameters_are_refused() -> None:
    learned = replica("mog", "continuous", 0)
    with pytest.raises(NotStackable, match=r"prior\.loc is fixed .* and learned"):
        ReplicaTrainer([frozen(1), learned], pixels())

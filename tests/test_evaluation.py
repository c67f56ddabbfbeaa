"""Purity, entropy, responsibilities and active units away from their reference values."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pytest
import torch

import bench.evaluation.responsibilities as responsibilities
from bench.distributions import Mixture
from bench.evaluation.entropy import category_use, harden
from bench.evaluation.purity import cluster_purity_chance, hard_agreement, purity
from bench.evaluation.responsibilities import active_units, prior_responsibilities
from bench.joint import DiagNormal, Joint
from bench.model import Model
from bench.priors.hierarchical import Hierarchical
from bench.priors.standard import Standard
from bench.spec import Spec
from maths.cells import Affine, Fixed, Table, assemble, tensor
from pairs import build, data, each_pair, seeded

UNIFORM = np.full((8, 4), 0.25)


def test_uniform_use_counts_no_category() -> None:
    found = category_use(UNIFORM)
    assert found.categories_used == 0
    assert found.categories_present == 4
    assert found.entropy == pytest.approx(math.log(4))
    assert found.category_information == pytest.approx(0.0, abs=1e-12)
    single = category_use(np.full((8, 3), np.float32(1 / 3)))
    assert single.categories_used == 0


def test_certain_use_of_one_category() -> None:
    found = category_use(np.eye(4)[[2] * 8])
    assert (found.entropy, found.effective_categories, found.categories_used) == (0.0, 1.0, 1)
    assert found.mean_conditional_entropy == 0.0
    assert found.hard_entropy == 0.0


def test_hard_histogram_is_another_quantity() -> None:
    a = UNIFORM.copy()
    a[:, 0] += 0.03
    a[:, 1:] -= 0.01
    found = category_use(a)
    assert found.entropy > 1.37
    assert found.hard_entropy == 0.0


def test_one_datum_has_no_standard_error() -> None:
    assert math.isnan(category_use([[0.5, 0.5]]).entropy_se)
    found = purity([[0.5, 0.5]], [3])
    assert math.isnan(found.macro_se)
    assert found.macro_corrected is None


def test_one_label_leaves_nothing_to_correct() -> None:
    found = purity(UNIFORM, [7] * 8)
    assert found.macro == pytest.approx(1.0)
    assert found.macro_corrected is None
    assert found.homogeneity is None
    assert found.overlap is None
    assert [line.label for line in found.labels] == [7]


def test_empty_categories_change_nothing() -> None:
    rng = np.random.default_rng(0)
    a, y = rng.dirichlet(np.ones(3), 30), rng.integers(0, 3, 30)
    wider = np.concatenate([a[:, :1], np.zeros((30, 2)), a[:, 1:]], axis=1)
    first, second = asdict(purity(a, y)), asdict(purity(wider, y))
    for result in (first, second):
        result.pop("labels")
        result.pop("top")
    assert second == pytest.approx(first)


def test_labels_that_are_absent_are_dropped() -> None:
    a = np.random.default_rng(0).dirichlet(np.ones(3), 4)
    found = purity(a, np.array([5, 9, 5, 9], dtype=np.uint8))
    assert [(line.label, line.count) for line in found.labels] == [(5, 2), (9, 2)]


def test_duplicate_components_do_not_change_purity() -> None:
    rng = np.random.default_rng(0)
    a, y = rng.dirichlet(np.ones(3), 30), rng.integers(0, 3, 30)
    twice = np.concatenate([a, a], axis=1) / 2
    assert purity(twice, y).macro == pytest.approx(purity(a, y).macro)
    assert category_use(twice).effective_categories == pytest.approx(
        2 * category_use(a).effective_categories
    )


def test_likeliest_categories_break_ties_downwards() -> None:
    hard = harden([[0.5, 0.5], [0.2, 0.8]])
    assert np.array_equal(hard, [[1.0, 0.0], [0.0, 1.0]])


def test_results_are_json_numbers() -> None:
    a, y = np.random.default_rng(0).dirichlet(np.ones(3), 9), np.arange(9) % 2
    json.dumps(asdict(purity(a, y)))
    json.dumps(asdict(hard_agreement(a, y)))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: category_use([0.5, 0.5]), "shape (N, K) with N, K >= 1, got (2,)"),
        (lambda: category_use(np.zeros((0, 3))), "got (0, 3)"),
        (lambda: category_use([[0.5, 0.5], [0.5, 0.6]]), "row 1 has minimum 0.5 and sum 1.1"),
        (lambda: category_use([[1.5, -0.5]]), "row 0 has minimum -0.5 and sum 1"),
        (lambda: category_use([[math.nan, 1.0]]), "1 of 1 rows are not"),
        (lambda: purity(UNIFORM, [0, 1]), "integers of shape (8,)"),
        (lambda: purity(UNIFORM, [0.5] * 8), "got float64 of shape (8,)"),
        (lambda: cluster_purity_chance(UNIFORM, [0, 1]), "integers of shape (8,)"),
        (
            lambda: prior_responsibilities(build("mog", "continuous"), data(2), 0, seeded()),
            "samples must be at least 1, got 0",
        ),
    ],
)
def test_errors_say_what_they_got(call: Callable[[], object], match: str) -> None:
    with pytest.raises(ValueError, match=re.escape(match)):
        call()


@each_pair
def test_responsibilities_of_every_pair(prior: str, posterior: str) -> None:
    model = build(prior, posterior)
    found = prior_responsibilities(model, data(5), 6, seeded())
    top = model.joint_prior().factors[model.spec.latents[0]]
    if not isinstance(top, Mixture) and not type(model.prior).categorical:
        assert found is None
        return
    assert found is not None
    assert found.shape == (5, 3)
    assert found.dtype == torch.float64
    assert torch.allclose(found.sum(1), torch.ones(5, dtype=torch.float64))
    again = prior_responsibilities(model, data(5), 6, seeded(), model.joint_prior())
    assert again is not None
    assert torch.equal(found, again)


def test_responsibilities_need_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """In small tables the draws differ but the expectation does not."""
    model, x = build("vamp", "joint"), data(4)
    whole = prior_responsibilities(model, x, 4000, seeded())
    monkeypatch.setattr(responsibilities, "DRAWN", 90)
    parts = prior_responsibilities(model, x, 4000, seeded(1))
    assert whole is not None
    assert parts is not None
    assert parts.shape == whole.shape
    assert torch.allclose(whole, parts, atol=0.03)


def test_separated_components_are_recognised() -> None:
    """Where components lie apart, each datum belongs to the one that its posterior lies in."""
    model = build("mog", "continuous")
    with torch.no_grad():
        model.prior.loc.copy_(tensor([[-9.0, 0.0], [0.0, 0.0], [9.0, 0.0]]))
        model.prior.log_variance.fill_(-2.0)
    means = tensor([[9.0, 0.0], [-9.0, 0.0]])
    model.posterior = Table(model.spec, None, means, torch.full_like(means, 0.1))
    found = prior_responsibilities(model, tensor([[0.0] * 4, [1.0] * 4]), 5, seeded())
    assert found is not None
    assert torch.allclose(found, tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]), atol=1e-9)


def _follows_x(spec: Spec, slopes: tuple[float, ...]) -> Fixed:
    slope = tensor(slopes)

    def make(x: torch.Tensor) -> Joint:
        return Joint(z=DiagNormal(x * slope, torch.ones_like(slope)))

    return Fixed(spec, make)


@pytest.mark.parametrize(
    ("slopes", "active"), [((0.0, 0.0, 0.0), 0), ((1.0, 0.0, 0.19), 1), ((1.0, -3.0, 0.21), 3)]
)
def test_active_units_follow_the_data(slopes: tuple[float, ...], active: int) -> None:
    """x is 0 or 1 half the time: a slope s gives a variance of s^2/4, against .01."""
    spec = Spec(3, (1,), hidden=2)
    decoder = Affine({"z": [[0.0] * 3]}, [0.0])
    model: Model = assemble(spec, Standard(spec), _follows_x(spec, slopes), decoder, "bernoulli")
    assert active_units(model, tensor([[0.0], [1.0]] * 10)) == active


def test_active_units_average_over_the_category() -> None:
    """Means +-3 for the two categories: what moves with x is pi."""
    spec = Spec(1, (1,), categories=2, hidden=2)
    loc, scale = tensor([[[-3.0], [3.0]]] * 2), torch.ones(2, 2, 1, dtype=torch.float64)
    for pi, active in (([[0.5, 0.5], [0.5, 0.5]], 0), ([[0.5, 0.5], [0.6, 0.4]], 1)):
        model = assemble(
            spec, Standard(spec), Table(spec, pi, loc, scale), Affine({"z": [[0.0]]}, [0.0])
        )
        assert active_units(model, tensor([[0.0], [1.0]] * 5)) == active


def test_active_units_count_both_layers() -> None:
    spec = Spec(1, (1,), hidden=2, latents=("z2", "z1"))
    one = torch.ones(1, dtype=torch.float64)
    posterior = Fixed(
        spec, lambda x: Joint(z2=DiagNormal(x, one), z1=lambda v: DiagNormal(-v["z2"], one))
    )
    decoder = Affine({"z2": [[0.0]], "z1": [[0.0]]}, [0.0])
    model = assemble(spec, Hierarchical(spec), posterior, decoder)
    assert active_units(model, tensor([[0.0], [1.0]] * 5)) == 2


@each_pair
def test_active_units_of_every_pair(prior: str, posterior: str) -> None:
    model = build(prior, posterior)
    assert 0 <= active_units(model, data(6)) <= 2 * len(model.spec.latents)

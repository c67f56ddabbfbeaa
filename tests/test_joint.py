"""Joints: draws by the chain rule, marginals over the category, errors."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import distributions as td

from bench.distributions import DiagNormal, Mixture, OneHotCategorical
from bench.joint import Joint, enumerate_category
from bench.normal import combine
from pairs import build, data, each_pair, seeded

STANDARD = DiagNormal(torch.zeros(2), torch.ones(2))
UNIFORM = OneHotCategorical(torch.zeros(3))
TABLE = DiagNormal(torch.arange(6.0).reshape(3, 2), torch.ones(3, 2))


@each_pair
@pytest.mark.parametrize("side", ["prior", "posterior"])
def test_draws_have_the_declared_shapes(side: str, prior: str, posterior: str) -> None:
    model = build(prior, posterior)
    joint = model.joint_prior() if side == "prior" else model.posterior(data(5))
    batch = () if side == "prior" else (5,)
    draw = joint.sample((7,), seeded())
    assert tuple(draw) == joint.names
    for name, value in draw.items():
        size = 3 if name == "c" else 2
        assert value.shape == (7, *batch, size), name
    assert joint.log_prob(draw).shape == (7, *batch)


@each_pair
def test_log_prob_is_the_sum_of_factors(prior: str, posterior: str) -> None:
    joint = build(prior, posterior).posterior(data(5))
    draw = joint.sample((), seeded())
    total = sum(joint.given(name, draw).log_prob(draw[name]) for name in joint.names)
    assert isinstance(total, torch.Tensor)
    assert torch.allclose(joint.log_prob(draw), total)


@each_pair
def test_sampling_leaves_the_global_generator_alone(prior: str, posterior: str) -> None:
    model = build(prior, posterior)
    before = torch.get_rng_state()
    for joint in (model.joint_prior(), model.posterior(data(3))):
        first, second = (joint.sample((4,), seeded(1)) for _ in range(2))
        for name in joint.names:
            assert torch.equal(first[name], second[name])
    assert torch.equal(before, torch.get_rng_state())


@each_pair
def test_prior_draws_follow_its_density(prior: str, posterior: str) -> None:
    """E_p[q / (p + q)] = E_q[p / (p + q)] for any other density q (MATHS 7, T23).

    Only if p is normalised and is the one that was sampled. Both are averages of numbers in [0, 1]:
    those of q / p itself have no variance where a component is narrower than q.
    """
    joint = build(prior, posterior, noise=0.1).joint_prior()
    count = 40_000
    draw = joint.sample((count,), seeded())
    factors = {
        name: OneHotCategorical(value.mean(0).log())
        if name == "c"
        else DiagNormal(value.mean(0), value.std(0))
        for name, value in draw.items()
    }
    other = Joint(**factors)
    drawn = other.sample((count,), seeded(1))
    with torch.no_grad():
        of_other = (other.log_prob(draw) - joint.log_prob(draw)).sigmoid()
        of_prior = (joint.log_prob(drawn) - other.log_prob(drawn)).sigmoid()
    error = float((of_other.var() + of_prior.var()).sqrt()) / count**0.5
    assert float(of_other.mean() - of_prior.mean()) == pytest.approx(0.0, abs=4 * error)
    assert error < 1e-2


def test_transform_relaxes_only_with_a_temperature() -> None:
    joint = Joint(c=UNIFORM, z=lambda v: TABLE[v["c"]])
    noise = {"c": torch.tensor([[0.0, 5.0, 0.0]]), "z": torch.zeros(1, 2)}
    hard, _ = joint.transform(noise)
    soft, at = joint.transform(noise, temperature=1.0)
    assert torch.equal(hard["c"], torch.tensor([[0.0, 1.0, 0.0]]))
    assert torch.equal(hard["z"], TABLE.loc[1:2])
    assert 0.9 < float(soft["c"][0, 1]) < 1.0
    assert torch.allclose(soft["z"], soft["c"] @ TABLE.loc)
    assert isinstance(at["z"], DiagNormal)


def test_marginal_sums_the_category_out() -> None:
    logits = torch.randn(4, 3, generator=seeded())
    joint = Joint(c=OneHotCategorical(logits), z=lambda v: TABLE[v["c"]])
    z = torch.randn(4, 2, generator=seeded(1))
    marginal = joint.marginal("z")
    assert isinstance(marginal, Mixture)
    by_category = TABLE.log_prob(z.unsqueeze(1)) + logits.log_softmax(-1)
    assert torch.allclose(marginal.log_prob(z), by_category.logsumexp(-1), atol=1e-6)


def test_marginal_of_an_independent_latent_is_its_factor() -> None:
    assert Joint(c=UNIFORM, z=STANDARD).marginal("z") is STANDARD
    assert Joint(z2=STANDARD, z1=lambda v: STANDARD).marginal("z2") is STANDARD


def test_torchs_one_hot_categorical_is_taken() -> None:
    joint = Joint(c=td.OneHotCategorical(logits=torch.zeros(3)), z=lambda v: TABLE[v["c"]])
    assert isinstance(joint.factors["c"], OneHotCategorical)


def test_categories_are_leftmost() -> None:
    ones = enumerate_category(OneHotCategorical(torch.zeros(5, 3)))
    assert ones.shape == (3, 1, 3)
    assert torch.equal(ones[:, 0], torch.eye(3))


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: Joint(), ValueError, "at least one named factor, got none"),
        (lambda: Joint(z=3.0), TypeError, "'z' must be a torch Distribution or a function"),
        (
            lambda: Joint(z2=STANDARD, z1=lambda v: DiagNormal(v["z2"], torch.ones(2))).marginal(
                "z1"
            ),
            ValueError,
            "marginal('z1') can sum out the category only, but the factor reads 'z2'",
        ),
        (
            lambda: Joint(z=Mixture(TABLE)).marginal("z"),
            ValueError,
            "needs a DiagNormal factor, got Mixture",
        ),
        (
            lambda: Joint(z=Mixture(TABLE)).transform({"z": torch.zeros(2)}),
            TypeError,
            "'z' is Mixture",
        ),
    ],
)
def test_errors_say_what_they_got(make: Callable[[], object], error: type, match: str) -> None:
    with pytest.raises(error, match=re.escape(match)):
        make()


def test_all_vertices_pick_the_table_itself() -> None:
    """Marked, they are not multiplied; whatever is computed from them is again."""
    table = torch.randn(3, 4, generator=seeded())
    ones = enumerate_category(OneHotCategorical(torch.zeros(5, 3)))
    assert torch.equal(combine(ones, table), torch.eye(3).reshape(3, 1, 3) @ table)
    assert combine(ones, table).shape == (3, 1, 4)
    assert torch.equal(combine(ones.flip(0), table), table.flip(0).unsqueeze(1))
    assert torch.equal(combine(0.5 * ones, table), 0.5 * table.unsqueeze(1))
    assert torch.equal(combine(torch.eye(3), table), table)

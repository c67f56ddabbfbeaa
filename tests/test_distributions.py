"""Distributions: matrix products equal broadcasts, and the shapes and errors users meet."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch import distributions as td

from bench.distributions import (
    AdditiveNormal,
    DiagNormal,
    Mixture,
    OneHotCategorical,
    closed_form_kl,
    gumbel_noise,
    sample_from,
)
from pairs import seeded

B, K, D = 7, 5, 4


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=dtype)


def torch_normal(d: DiagNormal) -> td.Independent:
    scale = d.scale.expand(*d.batch_shape, *d.event_shape)
    return td.Independent(td.Normal(d.loc.expand_as(scale), scale), 1)


def rows(dtype: torch.dtype = torch.float64) -> DiagNormal:
    return DiagNormal.from_log_variance(
        randn(B, D, seed=1, dtype=dtype), randn(B, D, seed=2, dtype=dtype)
    )


def columns(dtype: torch.dtype = torch.float64, offset: float = 0.0) -> DiagNormal:
    loc, log_variance = randn(K, 1, D, seed=3, dtype=dtype), randn(K, 1, D, seed=4, dtype=dtype)
    return DiagNormal.from_log_variance(loc + offset, log_variance)


def additive(dtype: torch.dtype = torch.float64, offset: float = 0.0) -> AdditiveNormal:
    q, column = rows(dtype), columns(dtype)
    return AdditiveNormal(
        (q.loc + offset, 0.5 * q.log_variance), (0.5 * column.loc, 0.5 * column.log_variance)
    )


def explicit(d: DiagNormal) -> DiagNormal:
    """The same numbers with no structure that a product could use."""
    shape = (*d.batch_shape, *d.event_shape)
    return DiagNormal.from_log_variance(
        d.loc.expand(shape).clone(), d.log_variance.expand(shape).clone()
    )


SHARED = DiagNormal(randn(D, seed=5), randn(D, seed=6).exp())
KL_PAIRS: dict[str, tuple[DiagNormal, DiagNormal]] = {
    "rows, shared": (rows(), SHARED),
    "rows, columns": (rows(), columns()),
    "additive, shared": (additive(), SHARED),
    "additive, columns": (additive(), columns()),
    "additive, far columns": (additive(offset=300.0), columns(offset=300.0)),
    "explicit, columns": (explicit(additive()), columns()),
    "explicit, explicit": (explicit(additive()), explicit(columns())),
}


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("pair", KL_PAIRS)
def test_kl_equals_torch(pair: str, grad: bool) -> None:
    q, p = KL_PAIRS[pair]
    with torch.set_grad_enabled(grad):
        found = closed_form_kl(q, p)
    shape = torch.broadcast_shapes(q.batch_shape, p.batch_shape)
    expected = td.kl_divergence(torch_normal(q.expand(shape)), torch_normal(p.expand(shape)))
    assert found is not None
    assert torch.allclose(found.expand(shape), expected, rtol=1e-9, atol=1e-9)


def test_additive_normal_equals_the_explicit_sum() -> None:
    q = additive()
    full = explicit(q)
    value, noise = randn(B, D, seed=7), randn(K, B, D, seed=8)
    assert torch.allclose(q.log_prob(value), full.log_prob(value))
    assert torch.allclose(q.transform(noise), full.transform(noise))
    assert torch.allclose(q.entropy(), full.entropy())
    assert q.batch_shape == (K, B)
    assert q.event_shape == (D,)


@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_products_in_float32_are_close(offset: float) -> None:
    """Training's float32 products lose little to cancellation, wherever the components lie."""
    q, p = additive(torch.float32, offset), columns(torch.float32, offset)
    with torch.enable_grad():
        rough = closed_form_kl(q, p)
        values = Mixture(_flat(p)).log_prob(q.loc)
    with torch.no_grad():
        exact = closed_form_kl(q, p)
        exact_values = Mixture(_flat(p)).log_prob(q.loc)
    assert rough is not None
    assert exact is not None
    assert (rough.dtype, exact.dtype) == (torch.float32, torch.float64)
    assert (values.dtype, exact_values.dtype) == (torch.float32, torch.float64)
    assert torch.allclose(rough.double(), exact, rtol=1e-4, atol=1e-3)
    assert torch.allclose(values.double(), exact_values, rtol=1e-4, atol=1e-3)


def _flat(d: DiagNormal) -> DiagNormal:
    return DiagNormal.from_log_variance(d.loc.squeeze(1), d.log_variance.squeeze(1))


@pytest.mark.parametrize("grad", [True, False])
def test_mixture_equals_torch(grad: bool) -> None:
    parts, logits, z = _flat(columns()), randn(K, seed=9), randn(3, B, D, seed=10)
    with torch.set_grad_enabled(grad):
        found = Mixture(parts, logits)
        density, shares = found.log_prob(z), found.responsibilities(z)
    expected = td.MixtureSameFamily(td.Categorical(logits=logits), torch_normal(parts))
    assert torch.allclose(density, expected.log_prob(z), atol=1e-10)
    joint = torch_normal(parts).log_prob(z.unsqueeze(-2)) + logits.log_softmax(-1)
    assert torch.allclose(shares, joint.softmax(-1), atol=1e-10)


def test_mixture_of_mixtures_is_flat() -> None:
    inner_logits, outer_logits, z = randn(3, K, seed=1), randn(3, seed=2), randn(6, D, seed=3)
    parts = DiagNormal(randn(3, K, D, seed=4), randn(3, K, D, seed=5).exp())
    whole = Mixture(Mixture(parts, inner_logits), outer_logits)
    inner = td.MixtureSameFamily(td.Categorical(logits=inner_logits), torch_normal(parts))
    joint = inner.log_prob(z.unsqueeze(1)) + outer_logits.log_softmax(-1)  # (6, 3)
    assert torch.allclose(whole.log_prob(z), joint.logsumexp(-1), atol=1e-10)
    assert torch.allclose(whole.responsibilities(z), joint.softmax(-1), atol=1e-10)


def test_mixture_of_torchs_own_distributions() -> None:
    parts = td.Independent(td.Laplace(randn(K, D, seed=1), torch.ones(K, D).double()), 1)
    found = Mixture(parts)
    expected = td.MixtureSameFamily(td.Categorical(torch.ones(K)), parts)
    z = randn(6, D, seed=2)
    assert torch.allclose(found.log_prob(z), expected.log_prob(z).double(), atol=1e-6)
    assert found.sample((9,), seeded()).shape == (9, D)


BROADCAST = {"scale": ((3, 2), ()), "row": ((3, 2), (3, 1)), "shared mean": ((2,), (3, 1))}


@pytest.mark.parametrize("shapes", BROADCAST.values(), ids=BROADCAST)
def test_mixture_of_broadcast_parameters(shapes: tuple[tuple[int, ...], ...]) -> None:
    """Means and standard deviations of which one is shared, by components or coordinates."""
    loc, scale = randn(*shapes[0], seed=1), randn(*shapes[1], seed=2).exp()
    whole = DiagNormal(*(part.expand(3, 2).contiguous() for part in (loc, scale)))
    shared, explicit = Mixture(DiagNormal(loc, scale)), Mixture(whole)
    draw = explicit.sample((5,), seeded())
    torch.testing.assert_close(shared.sample((5,), seeded()), draw)
    torch.testing.assert_close(shared.log_prob(draw), explicit.log_prob(draw))


def test_mixture_mean_equals_torch() -> None:
    loc, logits = randn(4, 3, 2, seed=1), randn(4, 3, seed=2)
    base = td.Independent(td.Normal(loc, torch.ones_like(loc)), 1)
    expected = td.MixtureSameFamily(td.Categorical(logits=logits), base).mean
    torch.testing.assert_close(Mixture(DiagNormal(loc, torch.ones(2)), logits).mean, expected)


@pytest.mark.parametrize("nested", [False, True])
def test_mixture_draws_have_its_moments(nested: bool) -> None:
    loc, scale = torch.tensor([[-2.0], [3.0], [0.0]]), torch.tensor([[0.5], [1.0], [2.0]])
    logits = torch.tensor([0.2, 0.5, 0.3]).log()
    if nested:
        parts = DiagNormal(loc.reshape(1, 3, 1), scale.reshape(1, 3, 1))
        mix = Mixture(Mixture(parts, logits.reshape(1, 3)))
    else:
        mix = Mixture(DiagNormal(loc, scale), logits)
    draws = mix.sample((60_000,), seeded())
    mean = 0.2 * -2 + 0.5 * 3
    variance = 0.2 * (4 + 0.25) + 0.5 * (9 + 1) + 0.3 * 4 - mean**2
    assert draws.mean().item() == pytest.approx(mean, abs=4 * (variance / 60_000) ** 0.5)
    assert draws.var().item() == pytest.approx(variance, rel=0.03)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("index", [0, 1])
def test_a_group_of_a_mixture_is_its_part_alone(nested: bool, index: int) -> None:
    parts = DiagNormal(randn(2, 3, D), randn(2, 3, D, seed=1).exp())
    inner, outer = randn(2, 3, seed=2), torch.tensor([0.3, 0.7]).log().double()
    if nested:
        whole = Mixture(Mixture(parts, inner), outer)
        expected = Mixture(
            DiagNormal(parts.loc[index], parts.scale[index]), inner[index]
        )  # weights of this group, whatever the group's own
    else:
        whole = Mixture(DiagNormal(parts.loc[:, 0], parts.scale[:, 0]), outer)
        expected = Mixture(DiagNormal(parts.loc[index, :1], parts.scale[index, :1]))
    z = randn(B, D, seed=3)
    torch.testing.assert_close(whole.group(index).log_prob(z), expected.log_prob(z))
    draws = whole.group(index).sample((20_000,), seeded())
    error = draws.std(0) / 20_000**0.5
    assert ((draws.mean(0) - expected.mean).abs() < 5 * error).all()


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: DiagNormal(torch.tensor(0.0), torch.tensor(1.0)), ValueError, "last dimension"),
        (
            lambda: Mixture(DiagNormal(torch.zeros(2), torch.ones(2))),
            ValueError,
            "event shape (2,)",
        ),
        (
            lambda: Mixture(DiagNormal(torch.zeros(3, 2), torch.ones(2)), torch.zeros(4)),
            ValueError,
            "number of components 3, got shape (4,)",
        ),
        (
            lambda: Mixture(DiagNormal(torch.zeros(3, 2), torch.ones(2))).group(3),
            ValueError,
            "group must be in 0..2, got 3",
        ),
        (
            lambda: Mixture(Mixture(td.Independent(td.Laplace(torch.zeros(2, 3, 1), 1.0), 1))),
            TypeError,
            "needs DiagNormal components at the bottom, got Independent",
        ),
    ],
)
def test_errors_say_what_they_got(make: Callable[[], object], error: type, match: str) -> None:
    with pytest.raises(error, match=re.escape(match)):
        make()


def test_one_hot_picks_components() -> None:
    parts = _flat(columns())
    chosen = parts[torch.eye(K, dtype=torch.float64)[[3, 0]]]
    assert torch.equal(chosen.loc, parts.loc[[3, 0]])
    assert torch.allclose(chosen.scale, parts.scale[[3, 0]])


def test_categorical_equals_torch() -> None:
    logits = randn(B, K)
    ours, theirs = OneHotCategorical(logits), td.OneHotCategorical(logits=logits)
    value = torch.eye(K, dtype=torch.float64)[:1].expand(B, -1)
    assert torch.allclose(ours.log_prob(value), theirs.log_prob(value))
    assert torch.allclose(ours.entropy(), theirs.entropy())
    other = OneHotCategorical(randn(B, K, seed=1))
    expected = td.kl_divergence(theirs, td.OneHotCategorical(logits=other.logits))
    kl = closed_form_kl(ours, other)
    assert kl is not None
    assert torch.allclose(kl, expected)


def test_gumbel_noise_is_finite_in_float32() -> None:
    noise = gumbel_noise((1_000_000,), seeded(), torch.zeros(()))
    assert noise.isfinite().all()
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.01)


def test_gumbel_noise_survives_a_draw_of_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "exponential_", lambda self, generator=None: self.zero_())
    assert gumbel_noise((3,), None, torch.zeros(())).isfinite().all()


def test_no_closed_form_is_none() -> None:
    assert closed_form_kl(rows(), Mixture(_flat(columns()))) is None


@pytest.mark.parametrize(
    "distribution",
    [
        SHARED,
        OneHotCategorical(torch.zeros(3)),
        Mixture(_flat(columns())),
        td.Independent(td.Laplace(torch.zeros(2), torch.ones(2)), 1),
    ],
    ids=lambda d: type(d).__name__,
)
def test_draws_leave_the_global_generator_alone(distribution: td.Distribution) -> None:
    before = torch.get_rng_state()
    first = sample_from(distribution, (4,), seeded(1))
    second = sample_from(distribution, (4,), seeded(1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, second)
    assert not torch.equal(first, sample_from(distribution, (4,), seeded(2)))


NUMBERS = st.floats(-5.0, 5.0)
LOG_STDS = st.floats(-3.0, 1.0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(NUMBERS, LOG_STDS, NUMBERS, LOG_STDS), min_size=1, max_size=4))
def test_kl_of_normals_is_not_negative(parts: list[tuple[float, ...]]) -> None:
    loc, log_std, target, log_target = torch.tensor(parts, dtype=torch.float64).T
    q, p = DiagNormal(loc, log_std.exp()), DiagNormal(target, log_target.exp())
    kl, zero = closed_form_kl(q, p), closed_form_kl(q, q)
    assert kl is not None
    assert zero is not None
    assert float(kl) >= -1e-9
    assert float(zero) == pytest.approx(0.0, abs=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6))
def test_kl_of_categoricals_is_not_negative(parts: list[tuple[float, float]]) -> None:
    q, p = (OneHotCategorical(row) for row in torch.tensor(parts, dtype=torch.float64).T)
    kl = closed_form_kl(q, p)
    assert kl is not None
    assert float(kl) >= -1e-12

"""T1, T2 and T2b: divergences and mixture densities, alone and inside models."""

from __future__ import annotations

import math

import pytest
import torch

from bench.bounds import elbo_enumerated
from bench.distributions import AdditiveNormal, closed_form_kl
from bench.evaluation.responsibilities import prior_responsibilities
from bench.joint import DiagNormal, Joint, OneHotCategorical
from bench.model import Model
from bench.posteriors.continuous import Continuous
from bench.posteriors.independent import Independent
from bench.posteriors.joint import JointPosterior
from bench.posteriors.joint_pi import JointPi
from bench.priors.conditional import Conditional
from bench.priors.mog import MixtureOfGaussians
from bench.priors.standard import Standard
from bench.spec import Spec
from maths.cases import case
from maths.cells import (
    Affine,
    FixedPrior,
    assemble,
    copies,
    mixture,
    normal,
    set_components,
    set_head,
    tensor,
)
from maths.paths import close, expectations, generator, nodes, within

MEAN, STD = (0.3, -1.2, 0.7), (0.5, 1.3, 0.9)
TARGET = normal((0.0, -0.5, 1.0), (1.0, 0.8, 1.5))
T1, T1_STANDARD = 1.2915899885, 1.4211434318

Q = {
    "plain": normal(MEAN, STD),
    "batch": normal([MEAN], [STD]),
    "columns": normal([[MEAN]], [[STD]]),
    "additive": AdditiveNormal(
        (tensor([[0.1, -1.0, 0.0]]), tensor([[0.2, -0.1, 0.3]])),
        (
            tensor([[[0.2, -0.2, 0.7]]]),
            (2.0 * tensor([[STD]]).log() - tensor([0.2, -0.1, 0.3])),
        ),
    ),
}


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("form", Q)
def test_t1_closed_form(form: str, grad: bool) -> None:
    columns = DiagNormal(TARGET.loc.reshape(1, 1, 3), TARGET.scale.reshape(1, 1, 3))
    with torch.set_grad_enabled(grad):
        for p, value in ((TARGET, T1), (columns, T1), (normal([0.0] * 3, [1.0] * 3), T1_STANDARD)):
            kl = closed_form_kl(Q[form], p)
            assert kl is not None
            close(float(kl.sum()), value, f"KL of {form}")


@pytest.mark.parametrize("path", ["terms", "enumerated"])
@pytest.mark.parametrize("posterior", [Continuous, Independent, JointPi, JointPosterior])
@pytest.mark.parametrize("prior", [Standard, Conditional])
def test_t1_in_a_model(prior: type, posterior: type, path: str) -> None:
    if prior is Conditional and posterior is Continuous:
        prior = MixtureOfGaussians  # what the pair stands for
    spec = Spec(3, (1,), categories=None if posterior is Continuous else 2, components=1, hidden=2)
    p = prior(spec)
    if prior is not Standard:
        size = 1 if prior is MixtureOfGaussians else 2
        set_components(p, TARGET.loc.expand(size, -1), TARGET.scale.expand(size, -1))
    mean, std = ([MEAN] * 2, [STD] * 2) if posterior is JointPosterior else (MEAN, STD)
    pi = None if posterior is Continuous else (0.3, 0.7)
    q = set_head(posterior(spec), pi, mean, std)
    model = assemble(spec, p, q, Affine({"z": [[0.0] * 3]}, [0.0], std=1.0))
    x = copies([0.0], 4000)
    if path == "terms":
        terms = model.terms(x, model.noise((4000,), generator()))
    else:
        terms = elbo_enumerated(model, x, generator())
    within(terms.kl_z, T1_STANDARD if prior is Standard else T1, "kl_z")


def test_t2_mixture() -> None:
    mix = mixture(
        (0.2, 0.5, 0.3), [(-1, 0), (0.5, -0.5), (2, 1)], [(0.5, 1), (0.7, 0.4), (1.2, 0.8)]
    )
    z = tensor((0.4, -0.7))
    close(float(mix.log_prob(z)), -1.3807459149, "log p(z)")
    expected = tensor((0.0039327, 0.9875613, 0.0085060))
    assert torch.allclose(mix.responsibilities(z), expected, atol=1e-7)
    geometric = (mix.log_weights.exp() * mix.component_log_prob(z)).sum()
    close(float(geometric), -2.8951306515, "the mean of logs")


def test_t2b_divergence() -> None:
    found = expectations(case("t2b"))
    close(found["kl_z"], 0.3724619214, "KL(q || p)")
    components = normal([[-1.0], [0.5], [2.0]], [[0.6], [0.4], [0.8]])
    kl = closed_form_kl(normal([0.2], [0.7]), components)
    assert kl is not None
    assert torch.allclose(kl, tensor((2.0264048757, 0.7528842121, 2.5475938926)), atol=1e-9)


@pytest.mark.parametrize(
    ("pi", "value"),
    [
        ((0.5, 0.3, 0.2), 1.7485864800),
        ((0.2, 0.6, 0.2), 1.5991604429),
        (None, 1.5012112592),
    ],
)
def test_t2b_categorical_chain(pi: tuple[float, ...] | None, value: float) -> None:
    """kl_z + kl_c >= -log sum_j w_j exp(-KL_j) >= KL(q || mixture), equal left at the best pi."""
    weights = tensor((0.5, 0.3, 0.2))
    if pi is None:
        kl = tensor((2.0264048757, 0.7528842121, 2.5475938926))
        pi = tuple(torch.softmax(weights.log() - kl, 0).tolist())
    spec = Spec(1, (1,), categories=3, hidden=2)
    parts = normal([[-1.0], [0.5], [2.0]], [[0.6], [0.4], [0.8]])
    joint = Joint(c=OneHotCategorical(weights.log()), z=lambda v: parts[v["c"]])
    posterior = set_head(Independent(spec), pi, [0.2], [0.7])
    decoder = Affine({"z": [[0.0]]}, [0.0], std=1.0)
    model = assemble(spec, FixedPrior(spec, joint), posterior, decoder)
    terms = elbo_enumerated(model, copies([0.0], 2), generator())
    close(float((terms.kl_z + terms.kl_c)[0]), value, "kl_z + kl_c")
    assert value > 0.3724619214


R = (0.3619636776, 0.5258798910, 0.1121564314)


def test_t2b_responsibilities() -> None:
    subject = case("t2b")
    mix = subject.model.joint_prior().factors["z"]
    noise, weight = nodes(subject.model)
    q = normal([0.2], [0.7])
    exact = weight @ mix.responsibilities(q.transform(noise["z"]))  # type: ignore[union-attr]
    plug_in = mix.responsibilities(q.mean)  # type: ignore[union-attr]
    assert torch.allclose(plug_in, tensor((0.16139, 0.81015, 0.02846)), atol=1e-5)
    found = prior_responsibilities(subject.model, copies([0.0], 4000), 5, generator())
    assert found is not None
    assert torch.allclose(found.sum(1), torch.ones(4000, dtype=torch.float64))
    for j, reference in enumerate(R):
        close(float(exact[j]), reference, f"r_{j}")
        within(found[:, j], reference, f"estimated r_{j}")


def test_a_categorical_priors_components_are_its_categories() -> None:
    """The conditional prior as a mixture, with weights 1/K: T2b's components, even weights."""
    spec = Spec(1, (1,), categories=3, components=3, hidden=2)
    shape = ([[-1.0], [0.5], [2.0]], [[0.6], [0.4], [0.8]])
    found = []
    for prior, posterior, pi in (
        (Conditional(spec), Independent(spec), (0.2, 0.5, 0.3)),
        (MixtureOfGaussians(spec), Independent(spec), (0.2, 0.5, 0.3)),
    ):
        q = set_head(posterior, pi, [0.2], [0.7])
        decoder = Affine({"z": [[0.0]]}, [0.0], std=1.0)
        model: Model = assemble(spec, set_components(prior, *shape), q, decoder)
        found.append(prior_responsibilities(model, copies([0.0], 8), 50, generator()))
    assert torch.allclose(found[0], found[1])


def test_gaussian_density_keeps_its_constant() -> None:
    close(
        float(normal([0.0], [1.0]).log_prob(tensor([0.0]))), -0.5 * math.log(2 * math.pi), "log N"
    )

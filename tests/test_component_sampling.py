"""Every category draws from its own density, and what is kept of the draws adds up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from bench.evaluation.classifier import Classifier
from bench.evaluation.component_sampling import (
    component_count,
    draw_images,
    generate,
    given_component,
)
from bench.joint import DiagNormal, Joint, Mixture, OneHotCategorical
from bench.model import Model
from bench.spec import Spec
from maths.cells import Affine, Fixed, FixedPrior, assemble, normal, tensor
from pairs import build, each_pair, seeded, spec_of

COUNT = 2000
ALMOST_NEVER = 1e-4  # a p-value below it is no accident


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Nothing here draws from torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


def line(prior: str, posterior: str) -> Model:
    """A pair with latents on a line and components that differ."""
    spec = spec_of(prior, posterior, latent_dim=1)
    model = build(prior, posterior, noise=1.0, spec=spec)
    with torch.no_grad():
        for name, parameter in model.prior.named_parameters():
            if name == "pseudo_inputs":
                parameter.copy_(torch.eye(3, 4))
    return model


def ks(draws: Tensor, cdf: Callable[[np.ndarray], np.ndarray]) -> float:
    return float(stats.kstest(draws.flatten().numpy(), cdf).pvalue)


def of_normal(at: DiagNormal) -> Callable[[np.ndarray], np.ndarray]:
    return stats.norm(at.loc.item(), at.scale.item()).cdf


def draws_of(model: Model, index: int, seed: int = 0) -> dict[str, Tensor]:
    with torch.no_grad():
        latents = given_component(model, model.joint_prior(), index)
    return dict(latents.sample((COUNT,), seeded(seed)))


@pytest.mark.parametrize("index", range(3))
def test_a_conditional_prior_draws_from_the_categorys_own_normal(index: int) -> None:
    model = line("conditional", "joint")
    found = draws_of(model, index)
    assert (found["c"] == torch.eye(3)[index]).all()
    with torch.no_grad():
        at = model.prior(model.posterior).given("z", {"c": torch.eye(3).double()[index]})
    assert isinstance(at, DiagNormal)
    assert ks(found["z"], of_normal(at)) > ALMOST_NEVER


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("posterior", ["independent", "joint"])
def test_a_product_prior_draws_z_as_ever_and_hands_on_the_category(
    posterior: str, index: int
) -> None:
    found = draws_of(line("standard", posterior), index)
    assert (found["c"] == torch.eye(3)[index]).all()
    assert ks(found["z"], stats.norm().cdf) > ALMOST_NEVER


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("prior", ["mog", "vamp"])
def test_a_mixture_draws_from_one_component(prior: str, index: int) -> None:
    model = line(prior, "continuous")
    with torch.no_grad():
        mixture = model.joint_prior().factors["z"]
    assert isinstance(mixture, Mixture)
    assert isinstance(mixture.components, DiagNormal)
    at = DiagNormal(mixture.components.loc[index], mixture.components.scale[index])
    found = draws_of(model, index)["z"]
    assert ks(found, of_normal(at)) > ALMOST_NEVER
    other = DiagNormal(mixture.components.loc[index - 1], mixture.components.scale[index - 1])
    assert ks(found, of_normal(other)) < ALMOST_NEVER  # or the test could not fail


def test_a_pseudo_inputs_component_is_its_encoding() -> None:
    model = line("vamp", "continuous")
    with torch.no_grad():
        at = model.posterior(model.prior.pseudo_inputs.clamp(0, 1)[1:2]).given("z", {})
    assert isinstance(at, DiagNormal)
    assert ks(draws_of(model, 1)["z"], of_normal(at)) > ALMOST_NEVER


@pytest.mark.parametrize("index", range(3))
def test_the_lower_layer_follows_from_the_upper_one(index: int) -> None:
    model = line("hierarchical_vamp", "continuous")
    found = draws_of(model, index)
    with torch.no_grad():
        top = model.joint_prior().factors["z2"]
        lower = model.prior.lower(found["z2"])
    assert isinstance(top, Mixture)
    assert isinstance(top.components, DiagNormal)
    at = DiagNormal(top.components.loc[index], top.components.scale[index])
    assert ks(found["z2"], of_normal(at)) > ALMOST_NEVER
    noise = (found["z1"] - lower.loc) / lower.scale
    assert ks(noise, stats.norm().cdf) > ALMOST_NEVER
    assert abs(np.corrcoef(noise.flatten(), found["z2"].flatten())[0, 1]) < 0.1


@torch.random.fork_rng()
def nested() -> Model:
    """A prior whose two components are mixtures themselves, of unequal weights."""
    spec = Spec(1, (1,), components=2, hidden=2)
    inner = Mixture(
        normal([[[-3.0], [1.0]], [[0.0], [5.0]]], [[[0.5], [0.2]], [[1.0], [0.3]]]),
        logits=tensor([[0.2, 0.8], [0.6, 0.4]]).log(),
    )
    prior = FixedPrior(spec, Joint(z=Mixture(inner, logits=tensor([0.1, 0.9]).log())))
    posterior = Fixed(spec, lambda x: Joint(z=DiagNormal(x, torch.ones_like(x))))
    return assemble(spec, prior, posterior, Affine({"z": [[1.0]]}, [0.0], std=0.1))


@pytest.mark.parametrize(
    ("index", "parts"),
    [(0, [(0.2, -3.0, 0.5), (0.8, 1.0, 0.2)]), (1, [(0.6, 0.0, 1.0), (0.4, 5.0, 0.3)])],
)
def test_within_a_group_components_are_drawn_by_weight(
    index: int, parts: list[tuple[float, float, float]]
) -> None:
    found = draws_of(nested(), index)["z"]
    assert ks(found, lambda z: sum(w * stats.norm(m, s).cdf(z) for w, m, s in parts)) > ALMOST_NEVER


@each_pair
def test_components_are_the_categories_or_those_of_the_first_latent(
    prior: str, posterior: str
) -> None:
    model = line(prior, posterior)
    with torch.no_grad():
        joint = model.joint_prior()
    count = component_count(model, joint)
    plain = prior in ("standard", "hierarchical") and posterior == "continuous"
    assert count == (None if plain else 3)
    for index in (-1, count or 0):
        with pytest.raises(ValueError, match=f"one of {count or 0} categories or components"):
            given_component(model, joint, index)
    if count:
        found = given_component(model, joint, 1).sample((7,), seeded())
        assert tuple(found) == joint.names
        assert all(len(value) == 7 for value in found.values())


# --- from latents to data


def test_binary_data_are_shown_as_probabilities_and_drawn_as_pixels() -> None:
    model = line("mog", "continuous")
    latents = Joint(z=normal([0.3], [1e-9]))
    (images,) = draw_images(model, latents, 4000, seeded(), 8192)
    assert ((images.shown > 0) & (images.shown < 1)).all()
    assert images.drawn.unique().tolist() == [0.0, 1.0]
    error = (images.shown * (1 - images.shown) / 4000).mean(0).sqrt()
    assert ((images.drawn.mean(0) - images.shown.mean(0)).abs() < 5 * error).all()


def test_a_gaussian_decoder_is_drawn_from_with_its_noise() -> None:
    (images,) = draw_images(nested(), Joint(z=normal([0.3], [1e-9])), COUNT, seeded(), 8192)
    assert images.drawn is images.shown
    assert ks(images.shown, stats.norm(0.3, 0.1).cdf) > ALMOST_NEVER


def test_no_more_than_a_chunk_at_once() -> None:
    parts = list(draw_images(nested(), Joint(z=normal([0.0], [1.0])), 23, seeded(), 10))
    assert [len(part.shown) for part in parts] == [10, 10, 3]


def untrained(labels: int = 3) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Classifier((4,), labels)


@pytest.mark.parametrize("chunk", [8192, 7])
def test_what_is_kept_of_generated_data_adds_up(chunk: int) -> None:
    model = line("conditional", "joint")
    with torch.no_grad():
        prior = model.joint_prior()
    sources = [given_component(model, prior, k) for k in range(3)]
    made = generate(
        model, sources, untrained(), 40, seeded(), chunk, lambda x: x.new_ones(len(x), 3) / 3, 12
    )
    assert made.binary
    for counts in (made.shown_labels, made.drawn_labels):
        assert counts.shape == (3, 3)
        np.testing.assert_array_equal(counts.sum(1), 40)
    np.testing.assert_allclose(made.assignments, 1 / 3)
    assert made.pictures.shape == (3, 12, 4)
    assert (made.shown_distance > 0).all()
    assert (made.drawn_distance > made.shown_distance).all()  # pixels add their own noise


def test_kept_pictures_and_labels_are_those_of_the_draws() -> None:
    model, judge = line("mog", "continuous"), untrained()
    latents = [Joint(z=normal([at], [0.1])) for at in (-1.0, 2.0)]
    made = generate(model, latents, judge, 30, seeded(4), 8192, pictures=5)
    assert made.assignments is None
    noise = seeded(4)
    for k, source in enumerate(latents):
        (images,) = draw_images(model, source, 30, noise, 8192)
        np.testing.assert_allclose(made.pictures[k], images.shown[:5].float())
        labels = judge.judge(images.drawn).labels
        np.testing.assert_array_equal(made.drawn_labels[k], np.bincount(labels, minlength=3))


@torch.random.fork_rng()
def rare() -> Model:
    """A model that nearly never draws its second category."""
    spec = Spec(1, (1,), categories=2, hidden=2)
    c = OneHotCategorical(tensor([50.0, -50.0]))
    prior = FixedPrior(spec, Joint(c=c, z=lambda v: normal([[0.0], [9.0]], 1.0)[v["c"]]))
    weight = tensor([[0.0, 1.0]])
    posterior = Fixed(
        spec, lambda x: Joint(c=OneHotCategorical(x @ weight), z=DiagNormal(x, torch.ones_like(x)))
    )
    decoder = Affine({"z": [[1.0]], "c": [[0.0, 0.0]]}, [0.0], std=0.1)
    return assemble(spec, prior, posterior, decoder)


def test_a_category_is_certain_whatever_its_own_probability() -> None:
    assert draws_of(rare(), 1)["z"].mean().item() == pytest.approx(9.0, abs=0.1)

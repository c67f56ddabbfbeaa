"""T22: what must be equal, to rounding, whatever the parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from bench.bounds import elbo_enumerated, importance_log_likelihood
from bench.joint import DiagNormal, Joint, Mixture, OneHotCategorical
from bench.model import Model
from bench.posteriors.continuous import Continuous
from bench.priors.mog import MixtureOfGaussians
from bench.priors.standard import Standard
from bench.spec import Spec
from maths.cells import Affine, Fixed, assemble, copies, normal, set_components, tensor
from maths.paths import close
from pairs import REGISTRY, build, data, seeded

X = data(6)
POSTERIORS = [info.name for info in REGISTRY.infos("posterior") if info.categorical]
each_posterior = pytest.mark.parametrize("posterior", POSTERIORS)


def _terms(model: Model) -> Tensor:
    return model.terms(X, model.noise((len(X),), seeded())).elbo()


PATHS: dict[str, Callable[[Model], Tensor]] = {
    "terms": _terms,
    "relaxed": lambda m: m.terms(X, m.noise((len(X),), seeded()), 0.5).elbo(),
    "enumerated": lambda m: elbo_enumerated(m, X, seeded()).elbo(),
    "importance": lambda m: importance_log_likelihood(m, X, 7, seeded()),
}
each_path = pytest.mark.parametrize("path", PATHS)


def same(first: Model, second: Model, path: str) -> None:
    with torch.no_grad():
        difference = (PATHS[path](first) - PATHS[path](second)).abs().max()
    assert float(difference) < 1e-9, f"{path} differs by {float(difference):.3g}"


@pytest.mark.parametrize("components", [1, 5])
def test_identical_components_are_one_gaussian(components: int) -> None:
    spec = Spec(2, (1,), components=components, hidden=2)
    prior = set_components(MixtureOfGaussians(spec), [[0.0, 0.0]] * components, [[1.0, 1.0]])
    z = prior(Continuous(spec)).factors["z"]
    assert isinstance(z, Mixture)
    for density in (z, normal([0.0] * 2, [1.0] * 2)):
        value = density.log_prob(tensor((0.3, -0.2))).detach()
        close(float(value), -1.9028770664, "log p(z)")


@each_path
@each_posterior
def test_conditional_with_equal_components_is_standard(posterior: str, path: str) -> None:
    first, second = build("conditional", posterior), build("standard", posterior)
    second.posterior, second.decoder = first.posterior, first.decoder
    with torch.no_grad():
        first.prior.loc.zero_()
        first.prior.log_variance.zero_()
    same(first, second, path)


@each_path
@pytest.mark.parametrize("prior", ["standard", "conditional", "mog"])
def test_joint_pi_is_an_independent_posterior(prior: str, path: str) -> None:
    """Its mean and scale are functions of x alone, so a table of them gives the same numbers."""
    model = build(prior, "joint_pi")

    def make(x: Tensor) -> Joint:
        q = model.posterior(x)
        z, c = q.given("z", {}), q.given("c", {})
        assert isinstance(z, DiagNormal)
        assert isinstance(c, OneHotCategorical)
        return Joint(c=OneHotCategorical(c.logits), z=DiagNormal(z.loc, z.scale))

    table = assemble(model.spec, model.prior, Fixed(model.spec, make), model.decoder, "bernoulli")
    same(model, table, path)


@each_path
def test_joint_pi_blind_to_pi_is_independent(path: str) -> None:
    first, second = build("conditional", "joint_pi"), build("conditional", "independent")
    hidden = first.spec.hidden
    second.prior, second.decoder = first.prior, first.decoder
    with torch.no_grad():
        state = first.posterior.state_dict()
        weight = state["heads.z.linear.weight"]
        weight[:, hidden:] = 0.0
        second.posterior.load_state_dict({**state, "heads.z.linear.weight": weight[:, :hidden]})
    same(first, second, path)


def test_uniform_category_that_the_decoder_ignores_is_no_category() -> None:
    """INDqp = VAE, exactly, given the same z."""
    first, second = build("standard", "independent"), build("standard", "continuous")
    with torch.no_grad():
        first.posterior.category.linear.weight.zero_()
        first.posterior.category.linear.bias.zero_()
        weight = first.decoder.first["z"].linear.weight
        weight[:, 2:] = 0.0
        second.decoder.first["z"].linear.weight.copy_(weight[:, :2])
        for name in ("second", "out"):
            parts = getattr(first.decoder, name).state_dict()
            getattr(second.decoder, name).load_state_dict(parts)
        second.decoder.first["z"].linear.bias.copy_(first.decoder.first["z"].linear.bias)
        kept = {k: v for k, v in first.posterior.state_dict().items() if "category" not in k}
        second.posterior.load_state_dict(kept)
        noise = first.noise((len(X),), seeded())
        left, right = first.terms(X, noise), second.terms(X, {"z": noise["z"]})
    assert torch.allclose(left.elbo(), right.elbo(), atol=1e-9)
    assert torch.allclose(left.kl_c, torch.zeros_like(left.kl_c), atol=1e-9)


class Renamed(torch.nn.Module):
    """A decoder whose categories are permuted."""

    def __init__(self, decoder: torch.nn.Module, order: Tensor) -> None:
        super().__init__()
        self.decoder, self.order = decoder, order

    def forward(self, values: Mapping[str, Tensor]) -> Tensor:
        return self.decoder({**values, "c": values["c"][..., self.order]})


@pytest.mark.parametrize("path", ["terms", "relaxed", "enumerated"])
@each_posterior
def test_names_of_categories_do_not_matter(posterior: str, path: str) -> None:
    model = build("conditional", posterior)
    other = copy.deepcopy(model)
    order = torch.tensor([2, 0, 1])  # the other model's category i is this one's order[i]
    back = order.argsort()
    hidden = model.spec.hidden
    with torch.no_grad():
        for part in (other.posterior.category.linear.weight, other.posterior.category.linear.bias):
            part.copy_(part[order])
        head = other.posterior.heads["z"].linear.weight
        if head.shape[1] > hidden:
            head[:, hidden:] = head[:, hidden:][:, order]
        for part in (other.prior.loc, other.prior.log_variance):
            part.copy_(part[order])
        other.decoder = Renamed(other.decoder, back)
        noise = model.noise((len(X),), seeded())
        renamed = {**noise, "c": noise["c"][:, order]}
        if path == "enumerated":
            # One z for all categories, so that the two models see the same draws.
            first, second = (_shared(m, noise["z"]) for m in (model, other))
        else:
            temperature = 0.5 if path == "relaxed" else None
            first = model.terms(X, noise, temperature).elbo()
            second = other.terms(X, renamed, temperature).elbo()
    assert torch.allclose(first, second, atol=1e-9)


def _shared(model: Model, noise: Tensor) -> Tensor:
    """The enumerated bound with one noise for all categories."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DiagNormal, "rsample", lambda self, *_, **__: self.transform(noise))
        return elbo_enumerated(model, X, seeded()).elbo()


def test_exact_posterior_has_no_variance() -> None:
    """q = p(z | x) gives log p(x) at every draw and every S."""
    spec = Spec(1, (1,), hidden=2, bounds=None)
    posterior = Fixed(spec, lambda x: Joint(z=DiagNormal(0.8 * x, tensor([0.2]).sqrt())))
    model = assemble(spec, Standard(spec), posterior, Affine({"z": [[1.0]]}, [0.0], std=0.5))
    log_p = normal([0.0], [1.25**0.5]).log_prob(tensor([1.0]))
    for samples in (1, 2, 9):
        found = importance_log_likelihood(model, copies([1.0], 20), samples, seeded(samples))
        assert torch.allclose(found, log_p.expand(20), atol=1e-12)

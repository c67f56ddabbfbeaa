"""T21: with a decoder that ignores its latents, mean w/p(x) is 1 whatever prior and posterior."""

from __future__ import annotations

import math

import pytest
import torch

from bench.bounds import elbo_enumerated, log_weight, log_weights
from bench.joint import Joint, Mixture
from bench.likelihoods import Bernoulli
from bench.posteriors.continuous import Continuous
from bench.spec import Spec
from maths.cases import Case
from maths.cells import Affine, FixedPrior, assemble, copies, mixture, set_head, tensor
from maths.paths import check_evidence, close, generator, within
from pairs import build, data, each_pair

DRAWS = 20_000


@each_pair
def test_t21_every_pair(prior: str, posterior: str) -> None:
    model = build(prior, posterior, noise=0.1)
    with torch.no_grad():
        model.decoder.out.weight.zero_()
        model.decoder.out.bias.copy_(torch.linspace(-1.0, 1.0, 4))
        x = data(2)
        log_p = Bernoulli(model.decoder.out.bias).log_prob(x)
        weights = torch.cat(list(log_weights(model, x, DRAWS, generator())))  # (S, B)
        prior, q = model.joint_prior(), model.posterior(x)
        own = log_weight(model, x, q, prior, prior.sample((DRAWS, len(x)), generator(1)))
        # w itself has no variance where q is narrower than p: both sides of
        # E_q[w / (w + p(x))] = E_p[p(x) / (w + p(x))] average numbers in [0, 1]
        for of_q, of_p in zip((weights - log_p).T, (log_p - own).T, strict=True):
            difference = of_q.sigmoid() - of_p.sigmoid()
            within(difference, 0.0, "mean w / (w + p(x)) under q less p(x) / (w + p(x)) under p")
        bound = elbo_enumerated(model, x.repeat(500, 1), generator()).elbo()
        assert (bound.reshape(500, 2).mean(0) < log_p).all()


def _mixture_case() -> Case:
    spec = Spec(2, (2,), hidden=2)
    prior = mixture((0.5, 0.5), [(-1.0, 0.0), (1.0, 0.5)], [(0.6, 0.8), (0.7, 0.5)])
    posterior = set_head(Continuous(spec), None, (0.2, 0.3), (1.3, 1.0))
    decoder = Affine({"z": [[0.0, 0.0], [0.0, 0.0]]}, [0.4, -0.3])
    model = assemble(spec, FixedPrior(spec, Joint(z=prior)), posterior, decoder, "bernoulli")
    log_p = float(Bernoulli(tensor([0.4, -0.3])).log_prob(tensor([1.0, 0.0])))
    return Case(model, (1.0, 0.0), math.nan, log_p)


def test_t21_mixture_is_normalised() -> None:
    subject = _mixture_case()
    check_evidence(subject)
    blocks = log_weights(subject.model, copies(subject.x, 1), 100_000, generator())
    ratios = (torch.cat(list(blocks))[:, 0].detach() - subject.log_p).exp()
    within(ratios, 1.0, "mean w / p(x)")


def test_t21_mean_of_logs_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The released code's mixture density would be found: its mass is .27."""
    subject = _mixture_case()

    def mean_of_logs(self: Mixture, value: torch.Tensor) -> torch.Tensor:
        return (self.log_weights.exp() * self.component_log_prob(value)).sum(-1)

    monkeypatch.setattr(Mixture, "log_prob", mean_of_logs)
    short = Case(subject.model, subject.x, math.nan, subject.log_p + math.log(0.2709238744))
    check_evidence(short)
    with pytest.raises(AssertionError, match=r"log E\[w\]"):
        check_evidence(subject)
    close(math.exp(short.log_p - subject.log_p), 0.2709238744, "the mass")

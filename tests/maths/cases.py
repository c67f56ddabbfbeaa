"""The models of MATHS 7 whose bounds are known, as the harness builds them."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.joint import DiagNormal, Joint
from bench.model import Model
from bench.posteriors.continuous import Continuous
from bench.posteriors.independent import Independent
from bench.posteriors.joint import JointPosterior
from bench.priors.conditional import Conditional
from bench.priors.hierarchical import Hierarchical
from bench.priors.hierarchical_vamp import HierarchicalVamp
from bench.priors.standard import Standard
from bench.spec import Spec
from maths.cells import (
    Affine,
    Fixed,
    FixedPrior,
    Lower,
    assemble,
    mixture,
    normal,
    set_components,
    set_head,
)


@dataclass(frozen=True)
class Case:
    """A model, one datum, and what MATHS 7 says of them.

    ``terms`` holds what it gives of A (``reconstruction``) and the divergences; ``importance``
    the bound L_S by S, with the error of the reference where that is not exact.
    """

    model: Model
    x: tuple[float, ...]
    elbo: float
    log_p: float
    terms: dict[str, float] = field(default_factory=dict)
    importance: dict[int, tuple[float, float]] = field(default_factory=dict)


def _ppca(mean: tuple[float, float], variance: tuple[float, float]) -> Model:
    spec = Spec(2, (3,), hidden=2, bounds=None)
    std = tuple(math.sqrt(v) for v in variance)
    decoder = Affine({"z": [[1.0, 0.2], [-0.5, 0.8], [0.3, -0.6]]}, [0.1, -0.2, 0.3], std=0.5)
    return assemble(spec, Standard(spec), set_head(Continuous(spec), None, mean, std), decoder)


def t3_best() -> Case:
    model = _ppca((0.6255834688, 0.0912571459), (1 / 6.36, 1 / 5.16))
    terms = {"reconstruction": -1.5627986642, "kl_z": 1.1208393270, "kl_c": 0.0}
    return Case(model, (0.9, -0.4, 0.5), -2.6836379912, -2.6471368735, terms)


def t3_prior() -> Case:
    model = _ppca((0.0, 0.0), (1.0, 1.0))
    return Case(model, (0.9, -0.4, 0.5), -6.8773740579, -2.6471368735, {"kl_z": 0.0})


def _gaussians(posterior: JointPosterior | Independent, spec: Spec) -> Model:
    prior = set_components(Conditional(spec), [[-1.0], [0.5], [2.0]], [[0.6], [0.4], [0.8]])
    decoder = Affine({"z": [[0.7]], "c": [[0.2, 0.0, -0.3]]}, [0.0], std=0.5)
    return assemble(spec, prior, posterior, decoder)


T4_SPEC = Spec(1, (1,), categories=3, hidden=2, bounds=None)


def t4_exact() -> Case:
    posterior = set_head(
        JointPosterior(T4_SPEC),
        (0.1225375859, 0.5246271109, 0.3528353032),
        [[-0.3499061914], [0.5852618758], [1.6025550035]],
        [[0.4594229189], [0.3490024064], [0.5328126154]],
    )
    terms = {"reconstruction": -0.5865769432, "kl_z": 0.1889261625, "kl_c": 0.1353770752}
    exact = {1: (-0.9108801809, 0.0), 3: (-0.9108801809, 0.0)}
    return Case(_gaussians(posterior, T4_SPEC), (0.6,), -0.9108801809, -0.9108801809, terms, exact)


def t4_independent() -> Case:
    pi = (0.0214633704, 0.8825934750, 0.0959431546)
    posterior = set_head(Independent(T4_SPEC), pi, [0.6176215587], [0.3607091267])
    return Case(_gaussians(posterior, T4_SPEC), (0.6,), -1.4364685726, -0.9108801809)


def t4b() -> Case:
    posterior = set_head(
        JointPosterior(T4_SPEC),
        (0.3, 0.6, 0.1),
        [[-0.5], [0.6], [1.2]],
        [[0.5], [0.45], [0.6]],
    )
    terms = {"reconstruction": -0.8307413526, "kl_z": 0.1976906862, "kl_c": 0.2006665638}
    importance = {2: (-1.1108, 8e-4), 5: (-1.0160, 8e-4), 10: (-0.9712, 8e-4)}
    return Case(
        _gaussians(posterior, T4_SPEC), (0.6,), -1.2290986027, -0.9108801809, terms, importance
    )


def t9() -> Case:
    spec = Spec(1, (1,), hidden=2, bounds=None)
    posterior = set_head(Continuous(spec), None, [0.3], [0.6])
    model = assemble(spec, Standard(spec), posterior, Affine({"z": [[1.0]]}, [0.0], std=0.5))
    importance = {
        1: (-2.1616169764, 0.0),
        2: (-1.7300820075, 0.0),
        3: (-1.6089242315, 0.0),
        10: (-1.4750, 8e-4),
    }
    return Case(model, (1.0,), -2.1616169764, -1.4305103089, {}, importance)


T10_SPEC = Spec(1, (1,), hidden=2, latents=("z2", "z1"), bounds=None)
T10_X = 0.9


def _two_layers(mean: float, std: float, shift: float = 0.0, stretch: float = 1.0) -> Fixed:
    """q(z2) = N(mean, std^2) with the exact q(z1 | x, z2), moved and stretched.

    At x = -10 and 10 it is the first and second component of T10's mixture over z2 instead:
    these are the pseudo-inputs.
    """
    precision = 1 / 0.6**2 + 1.1**2 / 0.5**2
    anchors = torch.tensor([-10.0, 10.0, T10_X], dtype=torch.float64)
    table = normal([[-1.0], [1.2], [mean]], [[0.5], [0.7], [std]])

    def make(x: Tensor) -> Joint:
        row = (x - anchors).abs().argmin(-1)

        def z1(values: dict[str, Tensor]) -> DiagNormal:
            prior = (0.8 * values["z2"] + 0.1) / 0.6**2
            data = 1.1 * (x + 0.4 * values["z2"] - 0.2) / 0.5**2
            loc = (prior + data) / precision + shift
            return DiagNormal(loc, torch.full_like(loc, stretch / math.sqrt(precision)))

        return Joint(z2=table.gather((row,)), z1=z1)

    return Fixed(T10_SPEC, make)


def _hierarchical(prior: Hierarchical | HierarchicalVamp, posterior: Fixed) -> Model:
    decoder = Affine({"z2": [[-0.4]], "z1": [[1.1]]}, [0.2], std=0.5)
    model = assemble(T10_SPEC, prior, posterior, decoder)
    prior.lower = Lower(0.8, 0.1, 0.6)  # type: ignore[assignment]
    return model


def t10_exact() -> Case:
    model = _hierarchical(Hierarchical(T10_SPEC), _two_layers(0.3091703057, 0.8651425407))
    terms = {"reconstruction": -0.6411873453, "z1": 0.3570027023, "z2": 0.0668899455}
    exact = {1: (-1.0650799931, 0.0), 4: (-1.0650799931, 0.0)}
    return Case(model, (T10_X,), -1.0650799931, -1.0650799931, terms, exact)


def t10_perturbed() -> Case:
    posterior = _two_layers(0.3091703057 + 0.3, 1.4 * 0.8651425407, shift=0.2, stretch=1.3)
    model = _hierarchical(Hierarchical(T10_SPEC), posterior)
    return Case(model, (T10_X,), -1.5037215680, -1.0650799931)


def t10_vamp() -> Case:
    spec = Spec(1, (1,), components=2, hidden=2, latents=("z2", "z1"), bounds=None)
    prior = HierarchicalVamp(spec).double()
    prior.pseudo_inputs.data = torch.tensor([[-10.0], [10.0]], dtype=torch.float64)
    model = _hierarchical(prior, _two_layers(0.9, 0.6))
    return Case(model, (T10_X,), -1.4689176161, -1.1077431944)


def t18() -> Case:
    spec = Spec(1, (3,), categories=2, hidden=2)
    prior = set_components(Conditional(spec), [[-0.5], [1.0]], [[0.7], [0.9]])
    posterior = set_head(JointPosterior(spec), (0.35, 0.65), [[-0.2], [0.9]], [[0.6], [0.8]])
    weights = {"z": [[1.2], [-0.7], [0.5]], "c": [[0.3, -0.4], [-0.8, 0.6], [0.1, 0.9]]}
    model = assemble(spec, prior, posterior, Affine(weights, [0.0, 0.0, 0.0]), "bernoulli")
    terms = {"reconstruction": -1.6052707069, "kl_z": 0.0520284660, "kl_c": 0.0457005415}
    importance = {2: (-1.6008133319, 0.0)}
    return Case(model, (1.0, 0.0, 1.0), -1.7029997144, -1.4843221849, terms, importance)


def t2b() -> Case:
    """A decoder that ignores z and x = 0: log p(x) is the decoder's, the rest is KL(q || p)."""
    spec = Spec(1, (1,), components=3, hidden=2, bounds=None)
    prior = FixedPrior(
        spec, Joint(z=mixture((0.5, 0.3, 0.2), [[-1.0], [0.5], [2.0]], [[0.6], [0.4], [0.8]]))
    )
    posterior = set_head(Continuous(spec), None, [0.2], [0.7])
    model = assemble(spec, prior, posterior, Affine({"z": [[0.0]]}, [0.0], std=1.0))
    log_p = -0.5 * math.log(2 * math.pi)
    kl = 0.3724619214
    return Case(model, (0.0,), log_p - kl, log_p, {"reconstruction": log_p, "z": kl})


BUILDERS = {
    build.__name__: build
    for build in (
        t2b,
        t3_best,
        t3_prior,
        t4_exact,
        t4_independent,
        t4b,
        t9,
        t10_exact,
        t10_perturbed,
        t10_vamp,
        t18,
    )
}


@functools.cache
def case(name: str) -> Case:
    return BUILDERS[name]()

"""A planted error fails training, validation, evaluation and the value checks alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution

import bench.bounds
import bench.model
from bench.distributions import DiagNormal, Mixture, OneHotCategorical
from bench.joint import Joint
from bench.likelihoods import Bernoulli
from bench.model import Terms
from maths.cases import case
from maths.paths import PATHS

BOUNDS = ("terms", "objective", "validation", "enumerated")
WEIGHTS = ("importance", "evidence")
ALL = BOUNDS + WEIGHTS


def negated(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda *arguments, **options: -function(*arguments, **options)


def sign_of_elbo(patch: pytest.MonkeyPatch) -> None:
    def elbo(self: Terms, beta: float = 1.0) -> Tensor:
        return self.reconstruction + beta * (self.kl_z + self.kl_c)

    patch.setattr(Terms, "elbo", elbo)


def category_left_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Terms, "elbo", lambda self, beta=1.0: self.reconstruction - beta * self.kl_z)


def sign_of_closed_forms(patch: pytest.MonkeyPatch) -> None:
    right = bench.model.closed_form_kl

    def wrong(q: Distribution, p: Distribution) -> Tensor | None:
        value = right(q, p)
        return None if value is None else -value

    patch.setattr(bench.model, "closed_form_kl", wrong)


def direction_of_closed_forms(patch: pytest.MonkeyPatch) -> None:
    right = bench.model.closed_form_kl
    patch.setattr(bench.model, "closed_form_kl", lambda q, p: right(p, q))


def sign_of_expected_kl(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(bench.model, "expected_kl", negated(bench.model.expected_kl))


def sign_of_divergence(patch: pytest.MonkeyPatch) -> None:
    wrong = negated(bench.model.divergence)
    patch.setattr(bench.model, "divergence", wrong)
    patch.setattr(bench.bounds, "divergence", wrong)


def mean_of_logs(patch: pytest.MonkeyPatch) -> None:
    def log_prob(self: Mixture, value: Tensor) -> Tensor:
        return (self.log_weights.exp() * self.component_log_prob(value)).sum(-1)

    patch.setattr(Mixture, "log_prob", log_prob)


def weights_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Mixture, "log_prob", lambda s, value: s.component_log_prob(value).logsumexp(-1))


def variance_drawn_as_std(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(DiagNormal, "scale", property(lambda self: self.log_variance.exp()))


def std_read_as_variance(patch: pytest.MonkeyPatch) -> None:
    def init(self: DiagNormal, loc: Tensor, scale: Tensor) -> None:
        self._setup(loc, scale.log())

    patch.setattr(DiagNormal, "__init__", init)


def constant_dropped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("bench.normal.LOG_2PI", 0.0)


def sign_of_bernoulli(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Bernoulli, "log_prob", negated(Bernoulli.log_prob))


def sign_of_category(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OneHotCategorical, "log_prob", negated(OneHotCategorical.log_prob))


def sign_of_joint(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Joint, "log_prob", negated(Joint.log_prob))


@dataclass(frozen=True)
class Fault:
    plant: Callable[[pytest.MonkeyPatch], None]
    case: str
    paths: tuple[str, ...]


FAULTS = [
    Fault(sign_of_elbo, "t3_best", BOUNDS),
    Fault(sign_of_elbo, "t4b", BOUNDS),
    Fault(sign_of_elbo, "t10_vamp", BOUNDS),
    Fault(category_left_out, "t4b", BOUNDS),
    Fault(sign_of_closed_forms, "t3_best", BOUNDS),
    Fault(sign_of_closed_forms, "t4b", BOUNDS),
    Fault(sign_of_closed_forms, "t18", BOUNDS),
    Fault(direction_of_closed_forms, "t4b", BOUNDS),
    Fault(sign_of_expected_kl, "t4_independent", ("terms", "objective", "validation")),
    Fault(sign_of_divergence, "t2b", BOUNDS),
    Fault(sign_of_divergence, "t10_vamp", BOUNDS),
    Fault(mean_of_logs, "t2b", ALL),
    Fault(mean_of_logs, "t10_vamp", ALL),
    Fault(weights_forgotten, "t2b", ALL),
    Fault(variance_drawn_as_std, "t4b", ALL),
    Fault(variance_drawn_as_std, "t9", BOUNDS),
    Fault(std_read_as_variance, "t10_perturbed", ALL),
    Fault(constant_dropped, "t9", ALL),
    Fault(sign_of_bernoulli, "t18", ALL),
    Fault(sign_of_category, "t4b", WEIGHTS),
    Fault(sign_of_joint, "t9", WEIGHTS),
]


@pytest.mark.parametrize(
    ("fault", "path"),
    [
        pytest.param(fault, path, id=f"{fault.plant.__name__}-{fault.case}-{path}")
        for fault in FAULTS
        for path in fault.paths
    ],
)
def test_fault_is_found(fault: Fault, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = case(fault.case)  # built before the fault, and kept
    fault.plant(monkeypatch)
    with torch.no_grad(), pytest.raises(AssertionError):
        PATHS[path](subject)

"""T19 as the planted fault: the released code trains with one standard deviation, draws another.

Its divergence reads the variable v through log-variance = softplus with beta 1/2, its generation
through std = exp(v) (MATHS 2.5).
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from bench.registry import Registry
from bench.testing import Finding, check_model_plugin
from maths.paths import close

V = 0.5
TRAINED, GENERATED = 2.2840254167, 1.6487212707

RELEASED = """
import torch
import torch.nn.functional as F
from torch import nn
from bench.api import DiagNormal, Joint, Posterior, Prior, Spec

class Released(Prior):
    '''One Gaussian of the released code's mixture; v is not learned there (defect 1).'''

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.loc = nn.Parameter(torch.zeros(spec.latent_dim))
        self.register_buffer("v", torch.full((spec.latent_dim,), 0.5))

    def forward(self, posterior: Posterior) -> Joint:
        return Joint(z={returned})

class _Released(DiagNormal):
    v = None

    def sample(self, sample_shape=(), generator=None):
        return DiagNormal(self.loc, self.v.exp()).sample(sample_shape, generator)

def _mismatched(loc, v):
    made = _Released.from_log_variance(loc, F.softplus(v, beta=0.5))
    made.v = v
    return made
"""
RETURNED = {
    "released": "_mismatched(self.loc, self.v)",
    "trained": "DiagNormal.from_log_variance(self.loc, F.softplus(self.v, beta=0.5))",
    "generated": "DiagNormal(self.loc, self.v.exp())",
}
SIZE_FREE = {"integral", "bridge", "samples", "divergence", "evidence"}


def findings(folder: Path, returned: str) -> dict[str, Finding]:
    path = folder / "released.py"
    path.write_text(RELEASED.format(returned=returned))
    found = check_model_plugin(
        "prior", "released", Registry([path]), partners=["continuous"], checks=SIZE_FREE
    )
    return {finding.slug: finding for finding in found}


def test_t19_the_kit_finds_it(tmp_path: Path) -> None:
    found = findings(tmp_path, RETURNED["released"])
    assert {slug for slug, finding in found.items() if finding.failed} == {"samples", "bridge"}
    assert f"standard deviation {TRAINED:.3f}" in found["samples"].expected
    drawn = float(found["samples"].found.split("standard deviation ")[1].split()[0])
    assert drawn == pytest.approx(GENERATED, rel=4.0 / math.sqrt(2 * 20_000))


@pytest.mark.parametrize("reading", ["trained", "generated"])
def test_t19_either_reading_alone_is_sound(tmp_path: Path, reading: str) -> None:
    found = findings(tmp_path, RETURNED[reading])
    assert found.keys() == SIZE_FREE
    assert all(finding.passed for finding in found.values())


def test_t19_values(tmp_path: Path) -> None:
    path = tmp_path / "released.py"
    path.write_text(RELEASED.format(returned=RETURNED["released"]))
    from bench.testing.subject import Subject

    model = Subject(Registry([path]), "released", "continuous").model(moved=0.0).double()
    factor = model.joint_prior().given("z", {})
    close(float(factor.scale[0]), 1.0 + math.exp(V / 2), "std of the density")
    close(float(factor.scale[0]), TRAINED, "std of the density")
    drawn = model.joint_prior().sample((400_000,), torch.Generator().manual_seed(0))["z"]
    spread = drawn.std(0)
    assert torch.allclose(
        spread, torch.full_like(spread, GENERATED), rtol=4.0 / math.sqrt(2 * 400_000)
    )

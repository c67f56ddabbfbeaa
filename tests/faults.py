"""Prior and posterior plugins with one planted fault each, beside the sound twin of each."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

HEAD = """
import random
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import register_kl
from bench.api import (
    CategoryHead, Choice, DiagNormal, Float, GaussianHead, Joint, Mixture, Posterior, Prior, Spec,
)
"""

NORMAL = '''
class Mine(Prior):
    """A normal with a learned mean and variance."""

    search_space = {"start": Float(-1.0, 1.0)}

    def __init__(self, spec: Spec, *, start: float = 0.0) -> None:
        super().__init__(spec)
        self.loc = nn.Parameter(torch.full((spec.latent_dim,), start))
        self.log_variance = nn.Parameter(torch.zeros(spec.latent_dim))

    def forward(self, posterior):
        return Joint(z=DiagNormal(self.loc, (0.5 * self.log_variance).exp()))
'''

MIXTURE = '''
class Mine(Prior):
    """A mixture with learned weights."""

    mixture = True

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.loc = nn.Parameter(2.0 * torch.randn(spec.components, spec.latent_dim))
        self.logits = nn.Parameter(torch.randn(spec.components))

    def forward(self, posterior):
        parts = DiagNormal(self.loc, torch.ones_like(self.loc))
        return Joint(z=Mixture(parts, self.logits))
'''

ENCODER = '''
class Mine(Posterior):
    """Independent, with heads of its own."""

    categorical = True

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.category = CategoryHead(spec.hidden, spec.categories or 1)
        heads = {name: GaussianHead(spec.hidden, spec.latent_dim) for name in spec.latents}
        self.heads = nn.ModuleDict(heads)

    def forward(self, x):
        features = self.trunk(x)
        given = features.chain(lambda name, h: self.heads[name](h))
        return Joint(c=self.category(features.top), **given)
'''


@dataclass(frozen=True)
class Fault:
    """An edit of a sound plugin.

    Attributes:
        sound: the plugin's source.
        old, new: what is replaced by what.
        extra: further code above the class.
        red: the checks that fail, all of them.
        words: what the first finding of the first of them says.
        kind: of plugin.
    """

    sound: str
    old: str
    new: str
    red: tuple[str, ...]
    words: str
    extra: str = ""
    kind: str = "prior"

    def write(self, path: Path) -> Path:
        assert self.old in self.sound
        source = self.sound.replace(self.old, self.new)
        path.write_text(HEAD + textwrap.dedent(self.extra) + source)
        return path


def write_sound(source: str, path: Path) -> Path:
    path.write_text(HEAD + source)
    return path


SOUND = {"normal": NORMAL, "mixture": MIXTURE, "encoder": ENCODER}
SCALE = "(0.5 * self.log_variance).exp()"
RETURN = f"        return Joint(z=DiagNormal(self.loc, {SCALE}))"
MIXED = "Mixture(parts, self.logits)"

FAULTS = {
    "averages log-densities": Fault(
        MIXTURE,
        MIXED,
        "Averaged(parts, self.logits)",
        ("integral", "bridge", "dead_decoder", "samples"),
        "the density of z to integrate to 1",
        """
        class Averaged(Mixture):
            def log_prob(self, value):
                return (self.component_log_prob(value) * self.log_weights.exp()).sum(-1)
        """,
    ),
    "takes a standard deviation for a variance": Fault(
        NORMAL,
        "DiagNormal(",
        "Wide(",
        ("samples", "bridge"),
        "standard deviation",
        """
        class Wide(DiagNormal):
            def sample(self, sample_shape=(), generator=None):
                return DiagNormal(self.loc, self.variance).sample(sample_shape, generator)
        """,
    ),
    "keeps a learned tensor in a list": Fault(
        NORMAL.replace("DiagNormal(self.loc,", "DiagNormal(self.means[0],").replace(
            "loc =", "means ="
        ),
        "nn.Parameter(torch.full((spec.latent_dim,), start))",
        "[torch.full((spec.latent_dim,), start, requires_grad=True)]",
        ("registered", "float64", "device"),
        "does not list (it is kept in prior.means)",
    ),
    "keeps a Variable, as the released code does": Fault(
        NORMAL,
        "self.loc = nn.Parameter(torch.full((spec.latent_dim,), start))",
        "self.loc = torch.autograd.Variable(torch.randn(spec.latent_dim), requires_grad=True)",
        ("registered", "round_trip", "replicas", "float64", "device"),
        "does not list (it is kept in prior.loc)",
    ),
    "detaches what it would learn": Fault(
        NORMAL,
        "DiagNormal(self.loc,",
        "DiagNormal(self.loc.detach(),",
        ("gradients", "moves"),
        "a gradient for parameter prior.loc",
    ),
    "makes its parameter anew": Fault(
        NORMAL,
        RETURN,
        "        self.loc = nn.Parameter(self.loc.detach().clone())\n" + RETURN,
        ("moves", "registered", "replicas"),
        "parameter prior.loc of shape (2,) to change",
    ),
    "samples without the weights": Fault(
        MIXTURE,
        MIXED,
        "Even(parts, 2.0 * self.logits)",  # so far from even that no check can miss it
        ("components", "samples", "dead_decoder", "bridge"),
        "components of z drawn as often as their weights say",
        """
        class Even(Mixture):
            def sample(self, sample_shape=(), generator=None):
                return Mixture(self.components).sample(sample_shape, generator)
        """,
    ),
    "forgets the weights": Fault(
        MIXTURE,
        MIXED,
        "Summed(parts, self.logits)",
        ("integral", "bridge", "dead_decoder", "samples", "gradients", "moves"),
        "found 4.0000",
        """
        class Summed(Mixture):
            def log_prob(self, value):
                return torch.logsumexp(self.component_log_prob(value), -1)
        """,
    ),
    "leaks the batch through a hook": Fault(
        NORMAL,
        RETURN,
        """\
        if not hasattr(self, "seen"):
            self.seen = 0.0
            posterior.register_forward_hook(self.see)
        return Joint(z=DiagNormal(self.loc + self.seen, (0.5 * self.log_variance).exp()))

    def see(self, posterior, inputs, output):
        self.seen = inputs[0].detach().mean()
""",
        ("batch", "replicas", "agreement"),
        "log p(z)",
    ),
    "sees the other draws of a batch": Fault(
        NORMAL,
        "DiagNormal(",
        "Centred(",
        ("batch", "bridge", "dead_decoder", "samples", "divergence", "evidence"),
        "log p(z) of one draw alone",
        """
        class Centred(DiagNormal):
            def log_prob(self, value):
                return super().log_prob(value - value.mean(0))
        """,
    ),
    "draws from torch's global generator": Fault(
        NORMAL,
        "DiagNormal(self.loc,",
        "DiagNormal(self.loc + 0 * torch.randn_like(self.loc),",
        ("random_state", "replicas"),
        "a step to leave the global random state alone",
    ),
    "draws from numpy's global generator": Fault(
        NORMAL,
        "DiagNormal(self.loc,",
        "DiagNormal(self.loc + 0 * float(np.random.rand()),",
        ("random_state",),
        "global generator of numpy",
    ),
    "starts from python's global generator": Fault(
        NORMAL,
        "torch.full((spec.latent_dim,), start)",
        "torch.full((spec.latent_dim,), start + random.random())",
        ("random_state",),
        "global generator of python",
    ),
    "branches on a value": Fault(
        NORMAL,
        RETURN,
        "        assert self.loc.sum() < 1e6\n" + RETURN,
        ("replicas",),
        "data-dependent control flow",
    ),
    "casts to float32": Fault(
        NORMAL,
        "DiagNormal(self.loc,",
        "DiagNormal(self.loc.float(),",
        ("float64",),
        "torch.float64 like the model",
    ),
    "leaves a constant behind": Fault(
        NORMAL,
        SCALE,
        "torch.ones(self.spec.latent_dim) * self.log_variance.exp()",
        ("device",),
        "every tensor to move with the model",
    ),
    "keeps a random constant out of the state": Fault(
        NORMAL.replace("(self.loc,", "(self.loc + self.shift,").replace(
            "torch.zeros(spec.latent_dim))",
            "torch.zeros(spec.latent_dim))\n        self.shift = 1.0",
        ),
        "self.shift = 1.0",
        "self.shift = float(torch.randn(()))",
        ("round_trip", "replicas"),
        "bounds after loading the state dict",
    ),
    "changes a density but not its divergence": Fault(
        NORMAL,
        "DiagNormal(",
        "Tempered(",
        ("integral", "divergence", "evidence", "bridge", "dead_decoder"),
        "to integrate to 1",
        """
        class Tempered(DiagNormal):
            def log_prob(self, value):
                return super().log_prob(value) - 0.5
        """,
    ),
    "compiles to something else": Fault(
        NORMAL,
        SCALE,
        "(0.5 * self.log_variance).exp() * (2.0 if torch.compiler.is_compiling() else 1.0)",
        ("compiled",),
        "the compiled objective (aot_eager)",
    ),
    "flattens its draws": Fault(
        NORMAL,
        "DiagNormal(",
        "Flat(",
        ("shapes", "dead_decoder"),
        "prior draws of z of shape (7, 6, 2) (sample_shape (7, 6)); found (42, 2)",
        """
        class Flat(DiagNormal):
            def sample(self, sample_shape=(), generator=None):
                count = torch.Size(sample_shape).numel()
                return super().sample((count,) if sample_shape else (), generator)
        """,
    ),
    "has another latent": Fault(
        NORMAL, "Joint(z=", "Joint(w=", ("builds",), "must return a Joint over z"
    ),
    "has another size": Fault(
        NORMAL,
        RETURN,
        "        return Joint(z=DiagNormal(self.loc.repeat(2), self.log_variance.exp().repeat(2)))",
        ("builds",),
        "",
    ),
    "knows one size": Fault(
        NORMAL,
        "torch.zeros(spec.latent_dim)",
        "torch.zeros(2 if spec.latent_dim > 1 else 1)",
        ("dead_decoder", "sizes"),
        "faulty.py, line",
    ),
    "does not say that it reads components": Fault(
        MIXTURE, "mixture = True", "mixture = False", ("sizes",), "Set mixture = True"
    ),
    "says that it reads components": Fault(
        NORMAL,
        "search_space =",
        "mixture = True\n    search_space =",
        ("sizes",),
        "Remove mixture = True",
    ),
    "declares a range that it refuses": Fault(
        NORMAL, "Float(-1.0, 1.0)", 'Choice((0.0, "far"))', ("options",), "start='far'"
    ),
    "declares an option that it lacks": Fault(
        NORMAL, '"start": Float', '"stat": Float', ("options",), "stat=-1.0"
    ),
    "posterior: normalises over the batch": Fault(
        ENCODER,
        "self.trunk(x)",
        "self.trunk(x - x.mean(0))",
        ("batch",),
        "the bound of a datum alone",
        kind="posterior",
    ),
    "posterior: treats one category apart": Fault(
        ENCODER,
        "lambda name, h: self.heads[name](h))",
        "lambda name, h: apart(self.heads[name](h)))",
        ("agreement",),
        "a hard bound of",
        """
        def apart(made):
            def given(v):
                c = v["c"][..., :1]
                return DiagNormal(made.loc + 0 * c + 9 * (c.ndim == 2), made.scale)
            return given
        """,
        kind="posterior",
    ),
}

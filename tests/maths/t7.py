"""T7: three data, two categories, a latent in one dimension, and six models of them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from bench.model import Model
from bench.plugin import Prior
from bench.priors.conditional import Conditional
from bench.priors.standard import Standard
from bench.priors.vamp import VampPrior
from bench.spec import Spec
from maths.cells import Affine, Table, assemble, set_components, tensor

DATA = (-0.7, 1.2, 0.1)
X = tensor(DATA).unsqueeze(1)  # (3, 1)
PI = [[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]]
JOINT = (
    [[[-1.0], [0.4]], [[0.2], [1.1]], [[-0.3], [0.8]]],
    [[[0.5], [0.7]], [[0.6], [0.4]], [[0.8], [0.5]]],
)
INDEPENDENT = ([[-0.8], [0.7], [0.2]], [[0.5], [0.45], [0.7]])


@dataclass(frozen=True)
class Row:
    """A row of the table: its model, its family, and its values by column."""

    model: Model
    within: bool
    values: dict[str, float]


COLUMNS = ("ELBO", "A", "B1", "B2", "C1", "C2", "I(z;c)", "I((z,c);x)")
# fmt: off
TABLE = {
    "CP": (-1.8152002870, -1.4366980193, 0.1870067681, 0.1412002798, 0.0413798044, 0.0089154154,
           0.3761183243, 0.3282070479),
    "INDq": (-1.6158782795, -0.8931246860, 0.3221212244, 0.1412002798, 0.2505166739, 0.0089154154,
             0.0837118231, 0.4633215042),
    "INDp": (-2.2374125553, -1.4366980193, 0.5631250924, 0.1412002798, 0.0874737484, 0.0089154154,
             0.3761183243, 0.3282070479),
    "INDqp": (-1.5114336548, -0.8931246860, 0.4058330476, 0.1412002798, 0.0623602260, 0.0089154154,
              0.0837118231, 0.4633215042),
    "VAE": (-1.3443179596, -0.8761246860, 0.4058330476, 0.0, 0.0623602260, 0.0, 0.0, 0.4058330476),
    "VP": (-1.2819577336, -0.8761246860, 0.4058330476, 0.0, 0.0, 0.0, 0.0, 0.4058330476),
}
# fmt: on
BELOW = {
    "CP": {"kl_z": 0.2283865725, "h(q(z))": 1.3446314515},
    "INDq": {"kl_z": 0.5726378983, "h(q(z))": 1.2086616405},
    "INDp": {"kl_z": 0.6505988408, "h(q(z))": 1.3446314515},
    "INDqp": {"kl_z": 0.4681932736, "h(q(z))": 1.2086616405},
}
CATEGORIES = {"H": 0.6842317651, "kl_c": 0.1501156952}
MOMENTS = {  # the mean entropy of q(z | x, c), and that of the Gaussian with q(z)'s covariance
    "CP": (0.7815063591, 1.4293080372),
    "INDp": (0.7815063591, 1.4293080372),
    "INDq": (0.8028285930, 1.2427788513),
    "INDqp": (0.8028285930, 1.2427788513),
    "VAE": (0.8028285930, 1.2427788513),
    "VP": (0.8028285930, 1.2427788513),
}
CONDITIONAL = (-1.4240610869, -1.2004231513, -1.3003986937)
STANDARD = (-1.1897656619, -1.5874690712, -0.8970898520)
EVIDENCE = {
    "CP": CONDITIONAL,
    "INDq": CONDITIONAL,
    "INDp": STANDARD,
    "INDqp": STANDARD,
    "VAE": (-1.1766828610, -1.6036491532, -0.8620761195),
}
CP_BOUNDS = (-1.7992040458, -1.7978889689, -1.8485078464)


def _model(prior: type[Prior], joint: bool, categories: int | None) -> Model:
    spec = Spec(1, (1,), categories=categories, components=3, hidden=2, bounds=None)
    made = prior(spec)
    if isinstance(made, Conditional):
        set_components(made, [[-0.6], [0.9]], [[0.9], [0.6]])
    if isinstance(made, VampPrior):
        made.double().pseudo_inputs.data = X.clone()
    pi = None if categories is None else PI
    posterior = Table(spec, pi, *(JOINT if joint else INDEPENDENT), keys=DATA)
    if categories is None:
        decoder = Affine({"z": [[0.8]]}, [0.05], std=0.5)
    else:
        decoder = Affine({"z": [[0.8]], "c": [[-0.2, 0.3]]}, [0.0], std=0.5)
    return assemble(spec, made, posterior, decoder)


MODELS: dict[str, tuple[type[Prior], bool, int | None]] = {
    "CP": (Conditional, True, 2),
    "INDq": (Conditional, False, 2),
    "INDp": (Standard, True, 2),
    "INDqp": (Standard, False, 2),
    "VAE": (Standard, False, None),
    "VP": (VampPrior, False, None),
    "Vamp x J": (VampPrior, True, 2),
}


@functools.cache
def row(name: str) -> Row:
    model = _model(*MODELS[name])
    values = dict(zip(COLUMNS, TABLE.get(name, ()), strict=False)) | BELOW.get(name, {})
    if name in BELOW:
        values |= CATEGORIES
    return Row(model, name in ("CP", "INDq"), values)

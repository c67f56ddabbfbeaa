"""Models with hand-set parameters, built from the public classes, in float64."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from bench.joint import DiagNormal, Joint, Mixture, OneHotCategorical
from bench.model import Model
from bench.plugin import Posterior, Prior
from bench.priors.conditional import Conditional
from bench.priors.mog import MixtureOfGaussians
from bench.spec import Spec

Numbers = Sequence[float] | Sequence[Sequence[float]]


def tensor(values: object) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64)


def normal(mean: object, std: object) -> DiagNormal:
    return DiagNormal(tensor(mean), tensor(std))


class Affine(nn.Module):
    """A decoder that is affine in every latent: log-odds, or with ``std`` a normal's mean."""

    def __init__(
        self, weights: Mapping[str, Numbers], bias: Sequence[float], std: float | None = None
    ) -> None:
        super().__init__()
        self.weights = nn.ParameterDict({n: nn.Parameter(tensor(w)) for n, w in weights.items()})
        self.bias = nn.Parameter(tensor(bias))
        self.log_variance = None if std is None else 2.0 * tensor(std).log()

    def forward(self, values: Mapping[str, Tensor]) -> Tensor:
        out = self.bias
        for name, weight in self.weights.items():
            out = out + values[name] @ weight.T
        if self.log_variance is None:
            return out
        return torch.cat([out, self.log_variance.expand_as(out)], dim=-1)


class Fixed(Posterior):
    """q(. | x) given as a function from data to a joint."""

    def __init__(self, spec: Spec, make: Callable[[Tensor], Joint]) -> None:
        super().__init__(spec)
        self.make = make

    def forward(self, x: Tensor) -> Joint:
        return self.make(x)


class Table(Posterior):
    """q(. | x) read from a table with a row for each datum, which is the nearest of ``keys``.

    Without keys x is the row's number. ``loc`` and ``scale`` are (N, D), or (N, K, D) where z
    depends on c.
    """

    def __init__(
        self, spec: Spec, pi: object, loc: object, scale: object, keys: object = None
    ) -> None:
        super().__init__(spec)
        self.log_pi = None if pi is None else tensor(pi).log()
        self.loc, self.scale = tensor(loc), tensor(scale)
        numbers = torch.arange(len(self.loc), dtype=torch.float64)
        self.keys = numbers if keys is None else tensor(keys)

    def forward(self, x: Tensor) -> Joint:
        row = (x[:, :1] - self.keys).abs().argmin(-1)
        loc, scale = self.loc[row], self.scale[row]
        if self.log_pi is None:
            return Joint(z=DiagNormal(loc, scale))
        c = OneHotCategorical(self.log_pi[row])
        if loc.ndim == 2:
            return Joint(c=c, z=DiagNormal(loc, scale))

        def given(values: Mapping[str, Tensor]) -> DiagNormal:
            chosen = values["c"].unsqueeze(-1)
            return DiagNormal((chosen * loc).sum(-2), (chosen * scale).sum(-2))

        return Joint(c=c, z=given)


class FixedPrior(Prior):
    """A prior given as a joint."""

    def __init__(self, spec: Spec, joint: Joint) -> None:
        super().__init__(spec)
        self.joint = joint

    def forward(self, posterior: Posterior) -> Joint:
        return self.joint


class Lower(nn.Module):
    """p(z1 | z2) = N(slope z2 + offset, std^2), in the place of a prior's lower network."""

    def __init__(self, slope: float, offset: float, std: float) -> None:
        super().__init__()
        self.slope, self.offset, self.std = slope, offset, tensor([std])

    def forward(self, z2: Tensor) -> DiagNormal:
        return DiagNormal(self.slope * z2 + self.offset, self.std)


def assemble(
    spec: Spec, prior: Prior, posterior: Posterior, decoder: nn.Module, likelihood: str = "gaussian"
) -> Model:
    """The model, with the given decoder in the place of the usual one."""
    with double():
        model = Model(spec, prior.double(), posterior.double(), likelihood)
    model.decoder = decoder  # type: ignore[assignment]
    return model


@contextlib.contextmanager
def double() -> Iterator[None]:
    """What is made inside has float64 parameters from the start."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(usual)


def set_head(posterior: Posterior, pi: object, mean: object, std: object) -> Posterior:
    """A shipped posterior whose q is the same for every x.

    ``mean`` and ``std`` are (D,), or (K, D) for the posterior whose head sees the category.
    """
    posterior.double()
    loc, log_variance = tensor(mean), 2.0 * tensor(std).log()
    with torch.no_grad():
        for parameter in posterior.parameters():
            parameter.zero_()
        if pi is not None:
            posterior.category.linear.bias.copy_(tensor(pi).log())  # type: ignore[union-attr]
        linear = posterior.heads["z"].linear  # type: ignore[index, union-attr]
        if loc.ndim == 1:
            linear.bias.copy_(torch.cat([loc, log_variance]))
        else:
            table = torch.cat([loc, log_variance], dim=1)  # (K, 2D)
            linear.weight[:, -len(loc) :].copy_(table.T)
    return posterior


def set_components(
    prior: Conditional | MixtureOfGaussians, mean: object, std: object
) -> Conditional | MixtureOfGaussians:
    """A shipped prior with the given (K, D) means and standard deviations."""
    prior.double()
    with torch.no_grad():
        prior.loc.copy_(tensor(mean))
        prior.log_variance.copy_(2.0 * tensor(std).log())
    return prior


def mixture(weights: Sequence[float], mean: object, std: object) -> Mixture:
    return Mixture(normal(mean, std), logits=tensor(weights).log())


def copies(x: Sequence[float], count: int) -> Tensor:
    """One datum ``count`` times: independent draws of one estimator."""
    return tensor(x).expand(count, -1)

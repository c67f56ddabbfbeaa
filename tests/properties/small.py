"""Random small models, drawn by hypothesis, and what numpy and scipy say of them.

Data are numbers, decoders are normal and affine: p(x), the ELBO and every density have a closed
form, written down here from MATHS alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax
from scipy.stats import norm

from bench.joint import Joint, OneHotCategorical
from bench.model import Model
from bench.plugin import Prior
from bench.priors.conditional import Conditional
from bench.priors.mog import MixtureOfGaussians
from bench.priors.standard import Standard
from bench.priors.vamp import VampPrior
from bench.spec import Spec
from maths.cells import Affine, FixedPrior, Table, assemble, set_components, tensor

Array = NDArray[np.float64]

PRIORS = ("standard", "mog", "vamp", "conditional")
POSTERIORS = ("continuous", "independent", "joint")

few = settings(max_examples=25, derandomize=True, deadline=None)


@dataclass(frozen=True)
class Small:
    """N data, K categories, J components, D latent dimensions.

    Attributes:
        prior: the prior's name; ``conditional`` has J = K.
        pi: q(c | x_i), (N, K); None without categories.
        loc, scale: of q(z | x_i, c), (N, K, D), or (N, D) where it does not depend on c.
        m, s: of the prior's components, (J, D); ignored by ``standard`` and ``vamp``.
        anchors: the data that are a ``vamp``'s pseudo-inputs.
        slope, offset: of the decoder's mean in z and c, (D,) and (K,).
        p_c: p(c), (K,); None for a uniform one.
    """

    prior: str
    pi: Array | None
    loc: Array
    scale: Array
    m: Array
    s: Array
    anchors: tuple[int, ...]
    slope: Array
    offset: Array
    p_c: Array | None = None
    noise: float = 0.5

    @property
    def count(self) -> int:
        return len(self.loc)

    @property
    def x(self) -> Array:
        """The data, apart from each other, as they are the keys of a table: (N,)."""
        return np.linspace(-1.3, 1.6, self.count)

    @property
    def joint(self) -> bool:
        """Whether z depends on c given x."""
        return self.loc.ndim == 3

    @property
    def within(self) -> bool:
        """Whether the prior's z depends on c."""
        return self.prior == "conditional"

    def model(self) -> Model:
        categories = None if self.pi is None else self.pi.shape[1]
        size = self.loc.shape[-1]
        components = len(self.anchors) if self.prior == "vamp" else len(self.m)
        spec = Spec(size, (1,), categories=categories, components=components, hidden=2, bounds=None)
        weights: dict[str, Any] = {"z": [self.slope.tolist()]}
        if categories is not None:
            weights["c"] = [self.offset.tolist()]
        bias = [0.0 if categories is not None else float(self.offset[0])]
        posterior = Table(spec, self.pi, self.loc, self.scale, keys=self.x)
        made = self._prior(spec, posterior)
        return assemble(spec, made, posterior, Affine(weights, bias, std=self.noise))

    def _prior(self, spec: Spec, posterior: Table) -> Prior:
        made: Prior
        if self.prior == "standard":
            made = Standard(spec)
        elif self.prior == "vamp":
            made = VampPrior(spec).double()
            made.pseudo_inputs.data = tensor(self.x[list(self.anchors)]).unsqueeze(1)
        else:
            made = Conditional(spec) if self.within else MixtureOfGaussians(spec)
            set_components(made, self.m, self.s)
        if self.p_c is None:
            return made
        category = OneHotCategorical(tensor(self.p_c).log())
        factors = {**made.double()(posterior).factors, "c": category}
        return FixedPrior(spec, Joint(c=factors.pop("c"), **factors))

    def relabelled(self, order: list[int]) -> Small:
        """The same model whose category i is this one's ``order[i]``."""
        assert self.pi is not None
        return replace(
            self,
            pi=self.pi[:, order],
            loc=self.loc[:, order] if self.joint else self.loc,
            scale=self.scale[:, order] if self.joint else self.scale,
            m=self.m[order] if self.within else self.m,
            s=self.s[order] if self.within else self.s,
            offset=self.offset[order],
        )

    def log_p_c(self) -> Array:
        assert self.pi is not None
        size = self.pi.shape[1]
        return np.full(size, -np.log(size)) if self.p_c is None else np.log(self.p_c)

    def posterior_table(self) -> tuple[Array, Array, Array]:
        """pi, loc and scale with all N and K, one category where there is none."""
        pi = np.ones((self.count, 1)) if self.pi is None else self.pi
        shape = (*pi.shape, self.loc.shape[-1])
        if self.joint:
            return pi, self.loc, self.scale
        return (
            pi,
            np.broadcast_to(self.loc[:, None], shape),
            np.broadcast_to(self.scale[:, None], shape),
        )

    def log_q_all(self, z: Array) -> Array:
        """log q(z | x_i, c) for every pair, (M, N, K)."""
        _, loc, scale = self.posterior_table()
        density: Array = norm.logpdf(z[:, None, None], loc, scale).sum(-1)
        return density

    def densities(self, z: Array, i: Array, c: Array) -> dict[str, Array]:
        """All log-densities of MATHS 4 at draws, (M,) each."""
        pi, _, _ = self.posterior_table()
        rows = np.arange(len(z))
        log_q = self.log_q_all(z)  # (M, N, K)
        with np.errstate(divide="ignore"):
            weighted = log_q + np.log(pi)
        given = logsumexp(weighted, axis=1) - np.log(pi.sum(0))  # (M, K)
        return {
            "log q(z|x,c)": log_q[rows, i, c],
            "log q(z|c)": given[rows, c],
            "log q(z)": logsumexp(weighted, axis=(1, 2)) - np.log(self.count),
            "log p(z|c)": self.log_p_z(z)[rows, c] if self.within else self.log_p_z(z)[:, 0],
            "A": self.log_likelihood(z, i, c),
        }

    def log_p_z(self, z: Array) -> Array:
        """log p(z | c), (M, K), or log p(z), (M, 1)."""
        if self.prior == "standard":
            whole: Array = norm.logpdf(z).sum(-1, keepdims=True)
            return whole
        if self.prior == "vamp":
            pi, _, _ = self.posterior_table()
            parts = self.log_q_all(z) + np.log(pi)
            picked = parts[:, list(self.anchors)].reshape(len(z), -1)
            return logsumexp(picked, axis=1, keepdims=True) - np.log(len(self.anchors))
        parts = norm.logpdf(z[:, None], self.m, self.s).sum(-1)  # (M, J)
        if self.within:
            return parts
        return logsumexp(parts, axis=1, keepdims=True) - np.log(parts.shape[1])

    def log_likelihood(self, z: Array, i: Array, c: Array) -> Array:
        density: Array = norm.logpdf(self.x[i], z @ self.slope + self.offset[c], self.noise)
        return density

    def log_evidence(self) -> Array:
        """log p(x_i), (N,), for a prior of Gaussians: z is integrated out by hand."""
        if self.prior == "standard":
            m, s, log_w = np.zeros_like(self.slope)[None], np.ones_like(self.slope)[None], [0.0]
        elif self.prior == "vamp":
            pi, loc, scale = self.posterior_table()
            rows = list(self.anchors)
            m, s = (part[rows].reshape(-1, part.shape[-1]) for part in (loc, scale))
            log_w = np.log(pi[rows]).ravel() - np.log(len(rows))
        else:
            m, s = self.m, self.s
            log_w = np.full(len(m), -np.log(len(m)))
        std = np.sqrt(self.noise**2 + (self.slope**2 * s**2).sum(-1))  # (J,)
        if self.within:
            log_p = norm.logpdf(self.x[:, None], m @ self.slope + self.offset, std)
            return logsumexp(log_p + self.log_p_c(), axis=1)
        mean = m @ self.slope  # (J,)
        if self.pi is None:
            log_p = norm.logpdf(self.x[:, None], mean + self.offset[0], std)
            return logsumexp(log_p + log_w, axis=1)
        log_p = norm.logpdf(
            self.x[:, None, None], mean[:, None] + self.offset, std[:, None]
        )  # (N, J, K)
        return logsumexp(log_p + np.asarray(log_w)[:, None] + self.log_p_c(), axis=(1, 2))


def uniform_categories(small: Small) -> Small:
    assert small.pi is not None
    return replace(small, pi=np.full_like(small.pi, 1 / small.pi.shape[1]))


@st.composite
def smalls(
    draw: st.DrawFn,
    priors: tuple[str, ...] = PRIORS,
    posteriors: tuple[str, ...] = POSTERIORS,
    largest: int = 8,
    dims: int = 2,
) -> Small:
    """Models whose means lie within 2.5 and whose standard deviations within .3 and 1.6."""
    posterior = draw(st.sampled_from(posteriors))
    allowed = [p for p in priors if not (p == "conditional" and posterior == "continuous")]
    prior = draw(st.sampled_from(allowed))
    n, k, d = draw(st.integers(1, largest)), draw(st.integers(1, 4)), draw(st.integers(1, dims))
    j = k if prior == "conditional" else draw(st.integers(1, 4))

    def table(low: float, high: float, *shape: int) -> Array:
        values: Array = draw(arrays(np.float64, shape, elements=st.floats(low, high)))
        return values

    of_z = (n, k, d) if posterior == "joint" else (n, d)
    return Small(
        prior=prior,
        pi=None if posterior == "continuous" else softmax(table(-5.0, 5.0, n, k), axis=1),
        loc=table(-2.5, 2.5, *of_z),
        scale=np.exp(table(-1.2, 0.5, *of_z)),
        m=table(-2.5, 2.5, j, d),
        s=np.exp(table(-1.2, 0.5, j, d)),
        anchors=tuple(draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=4))),
        slope=table(-1.5, 1.5, d),
        offset=table(-1.0, 1.0, k),
    )


def example(prior: str, posterior: str, *, seed: int = 0, n: int = 4, k: int = 3) -> Small:
    """One fixed model, in one dimension, for planted faults."""
    rng = np.random.default_rng(seed)
    of_z = (n, k, 1) if posterior == "joint" else (n, 1)
    return Small(
        prior=prior,
        pi=None if posterior == "continuous" else softmax(1.5 * rng.normal(size=(n, k)), axis=1),
        loc=1.5 * rng.normal(size=of_z),
        scale=np.exp(rng.uniform(-1.2, 0.3, of_z)),
        m=rng.normal(size=(k, 1)),
        s=np.exp(rng.uniform(-0.7, 0.3, (k, 1))),
        anchors=tuple(range(n)),
        slope=np.array([0.8]),
        offset=rng.normal(size=k),
    )

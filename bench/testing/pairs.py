"""The checks of a prior and a posterior, and the pairs on which they are made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from bench.pairs import pair_up
from bench.registry import Registry
from bench.testing import bounds, densities, engine, learning, options, samples, state
from bench.testing.finding import Breach, Case, Finding, Unmet
from bench.testing.subject import Subject

Body = Callable[[Subject], str | None]


@dataclass(frozen=True)
class Check:
    """One check that every pair must pass.

    Attributes:
        question: what is asked, in words.
        body: the check; it may return a note, and raises Breach where it does not hold.
        remedy: what to do where it does not hold.
        same: whether this is what to do about an error, too.
    """

    question: str
    body: Body
    remedy: str
    same: bool = False


CHECKS: Mapping[str, Check] = {
    "builds": Check(
        "builds a model over the declared latents",
        bounds.check_builds,
        "Return a Joint over the declared latents, in the order in which they are drawn.",
        same=True,
    ),
    "shapes": Check(
        "draws and densities have their shapes",
        bounds.check_shapes,
        "Let factors broadcast over leading dimensions: (S, B, D) as well as (B, D).",
    ),
    "integral": Check(
        "density integrates to one (quadrature)",
        densities.check_integral,
        "Sum component densities, not their logarithms; keep every normalising constant.",
    ),
    "bridge": Check(
        "density integrates to one and is the one sampled",
        densities.check_bridge,
        "Let log_prob and sample describe one distribution.",
    ),
    "dead_decoder": Check(
        "weights average p(x) under a dead decoder (T21)",
        densities.check_dead_decoder,
        "Let log_prob and sample describe one normalised distribution.",
    ),
    "samples": Check(
        "samples agree with the density (T23)",
        samples.check_samples,
        "Look for a variance taken for a standard deviation, or for two transformations of one "
        "parameter.",
    ),
    "components": Check(
        "components are drawn by their weights (T23)",
        samples.check_components,
        "Draw a component by its weight and then from it.",
    ),
    "gradients": Check(
        "every learned parameter gets a gradient",
        learning.check_gradients,
        "Compute what forward returns in forward, not in the constructor.",
        same=True,
    ),
    "registered": Check(
        "all that is learned reaches the optimiser",
        learning.check_registered,
        "Compute what forward returns in forward, not in the constructor.",
    ),
    "moves": Check(
        "training moves every learned parameter",
        learning.check_moves,
        "Compute what forward returns in forward, not in the constructor.",
        same=True,
    ),
    "round_trip": Check(
        "state dict round trip",
        state.check_round_trip,
        "Keep all that a density depends on in parameters and buffers.",
    ),
    "replicas": Check(
        "replicas under vmap equal a loop",
        engine.check_replicas,
        engine.PURE,
        same=True,
    ),
    "compiled": Check(
        "compiled equals eager",
        engine.check_compiled,
        engine.PURE,
        same=True,
    ),
    "float64": Check(
        "float64 agrees with float32",
        engine.check_float64,
        "Make constants like a parameter (new_ones, zeros_like) or keep them in buffers; do not "
        "cast.",
        same=True,
    ),
    "device": Check(
        "moves to another device whole",
        engine.check_device,
        "Make constants like a parameter (new_ones, zeros_like) or keep them in buffers.",
    ),
    "agreement": Check(
        "hard and enumerated bounds agree",
        bounds.check_agreement,
        "Let the factors of the posterior depend on the draw that they are given.",
    ),
    "divergence": Check(
        "closed-form divergence equals Monte Carlo",
        bounds.check_divergence,
        "A subclass that changes a density needs a divergence of its own (register_kl).",
    ),
    "evidence": Check(
        "ELBO <= importance-weighted bound <= log p(x)",
        bounds.check_evidence,
        "Look for a density that is not the one sampled, or is not normalised.",
    ),
    "random_state": Check(
        "global random state untouched",
        state.check_random_state,
        "Use the noise and the generator that are given.",
    ),
    "batch": Check(
        "prior does not depend on the batch",
        state.check_batch,
        "Build the prior from parameters, buffers and the posterior at inputs of its own, never "
        "from what was encoded; let rows of a batch not see each other.",
    ),
    "sizes": Check(
        "other sizes make models too",
        options.check_sizes,
        "Take every size from the spec.",
        same=True,
    ),
    "options": Check(
        "the ends of the search space make models",
        options.check_options,
        "Declare in search_space keyword options of the constructor, in ranges that it takes.",
        same=True,
    ),
}
"""By short name: what is asked, the check, and what to do where it does not hold."""


def model_cases(
    kind: str,
    name: str,
    registry: Registry,
    *,
    partners: Collection[str] | None = None,
    checks: Collection[str] | None = None,
    full: bool = False,
) -> list[Case]:
    """The checks of a prior with every posterior that it goes with, or the other way round.

    Args:
        kind: ``prior`` or ``posterior``.
        name: the plugin.
        registry: where it and its partners are.
        partners: the plugins of the other kind to pair it with; None for all.
        checks: short names of the checks; None for all.
        full: at real sizes and with the real compiler, where that is slow.
    """
    other = "posterior" if kind == "prior" else "prior"
    names = registry.names(other, load=True) if partners is None else partners
    cases: list[Case] = []
    for partner in names:
        prior, posterior = (name, partner) if kind == "prior" else (partner, name)
        infos = registry.get("prior", prior), registry.get("posterior", posterior)
        for info in infos:
            info.load()
        if not pair_up(*infos, {}).reason:
            subject = Subject(registry, prior, posterior, full)
            cases += _cases(subject, CHECKS if checks is None else checks)
    return cases or [_no_partner(kind, name, other)]


def _cases(subject: Subject, checks: Collection[str]) -> Iterator[Case]:
    for slug, check in CHECKS.items():
        if slug in checks:
            body = partial(_run, subject, slug, check.body)
            says = (check.remedy, check.remedy if check.same else "")
            yield Case(subject.label, slug, check.question, body, *says)


def _run(subject: Subject, slug: str, check: Body) -> str | None:
    if slug != "builds" and subject.broken:
        raise Unmet("there is no model to check")
    return check(subject)


def _no_partner(kind: str, name: str, other: str) -> Case:
    def body() -> None:
        raise Breach(f"a {other} that goes with {kind} {name}", "none")

    return Case(name, "pairs", f"goes with a {other}", body)


def check_model_plugin(
    kind: str,
    name: str,
    registry: Registry,
    *,
    partners: Collection[str] | None = None,
    checks: Collection[str] | None = None,
) -> list[Finding]:
    """Check a prior against every posterior that it goes with, or a posterior against priors.

    The arguments are those of :func:`model_cases`.
    """
    cases = model_cases(kind, name, registry, partners=partners, checks=checks)
    return [case.run() for case in cases]

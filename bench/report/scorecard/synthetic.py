"""Claims about the synthetic mixture, where the true density is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from bench.report.scorecard.categories import COUNTED, OVER_SEEDS, number
from bench.report.scorecard.evidence import Evidence, Missing, Place, place_name
from bench.report.scorecard.verdict import Claim, Finding, about, estimated
from bench.report.seedtests import above, contrast, majority
from bench.report.stored import Density, Weighting
from bench.store import Row

__all__ = ["SYNTHETIC"]

DATASET = "gaussians"
FEW, MANY = 2, 150
ABSENT = 0.1
"""The share of categories with near-zero mass from which some of them are ignored."""

SHARE = (
    "more than half of all training runs, by the exact binomial test, in each direction one-sided "
    "at 5%: of five seeds all have to agree, on yes or on no. Recovered: JS at most .02, valley at "
    "most .10, both masses in [.40, .55]"
)

RECOVERS = {
    "CP": "correctly recovers the bi-modal structure of the data for both set-ups",
    "VAE": "able to recover the multimodal structure of the data",
}
IMPROVES = {
    MANY: "improve when the number of components/pseudo-inputs is increased to 150",
    FEW: "this is improved when the exact number of components is used",
}
"""The paper's words, by the model, and by the K at which it is better."""

Tests = Callable[[Evidence], list[Finding]]


def recovers(model: str, size: int, *, expected: bool) -> Tests:
    """Whether most training runs recover both modes, or fail to."""

    def tests(evidence: Evidence) -> list[Finding]:
        place: Place = (DATASET, size)
        name = DATASET if model == "VAE" else place_name(place)
        try:
            group = evidence.group(model, place)
            sample = evidence.sample(group, number("recovered"), "the density")
            js = evidence.sample(group, number("js"), "the density")
        except Missing as why:
            return [Finding(name, True, missing=str(why))]
        done = round(sum(sample.values))
        count = len(sample.values)
        p, agree = majority(done if expected else count - done, count)
        shown = f"recovered by {done} of {count} seeds, mean JS {js.mean:.4f}"
        return [about(Finding(name, True, numbers=shown, p=p, favours=agree), evidence, group)]

    return tests


def improves(model: str, worse: int, better: int) -> Tests:
    """JS at one K minus JS at the other, below 0."""

    def tests(evidence: Evidence) -> list[Finding]:
        name = f"{DATASET} K={worse} to {better}"
        try:
            groups = [evidence.group(model, (DATASET, size)) for size in (better, worse)]
            evidence.comparable(*groups)
            samples = [
                evidence.sample(g, number("js", "js_mc_se"), "the density", shared=False)
                for g in groups
            ]
        except Missing as why:
            return [Finding(name, True, missing=str(why))]
        finding = estimated(name, True, contrast(*samples), lower=True, digits=4)
        return [about(finding, evidence, *groups)]

    return tests


def marginal_beats_uniform(evidence: Evidence) -> list[Finding]:
    """JS with c ~ p(c) minus JS with c ~ q(c), of the same trained model, above 0."""
    name = place_name((DATASET, MANY))
    try:
        group = evidence.group("CP", (DATASET, MANY))

        def gap(row: Row) -> tuple[float | None, float | None]:
            uniform, marginal, error = row.get("js_uniform"), row.get("js"), row.get("js_mc_se")
            if uniform is None or marginal is None:
                return None, None
            # As if independent: the same draws serve both, which would make it smaller.
            found = evidence.details(row, Density).weightings.get("c ~ p(c)", Weighting())
            if error is None or found.js_mc_se is None:
                return uniform - marginal, None
            return uniform - marginal, math.hypot(error, found.js_mc_se)

        sample = evidence.sample(group, gap, "the density", shared=False)
    except Missing as why:
        return [Finding(name, True, missing=str(why))]
    finding = estimated(name, True, above(sample, 0.0), lower=False, digits=4)
    return [about(finding, evidence, group)]


def excess_is_empty(evidence: Evidence) -> list[Finding]:
    """The share of CP's categories with a mass below 1/(10 K), minus a tenth, above 0."""
    name = place_name((DATASET, MANY))
    try:
        group = evidence.group("CP", (DATASET, MANY))

        def absent(row: Row) -> tuple[float | None, float | None]:
            present = row.get("categories_present")
            return None if present is None else 1 - present / MANY, None

        sample = evidence.sample(group, absent, "the use of categories", COUNTED / MANY)
    except Missing as why:
        return [Finding(name, True, missing=str(why))]
    test = estimated(name, True, above(sample, ABSENT), lower=False)
    if test.p is None:
        return [test]
    shown = f"{sample.mean:.0%} of the categories, minus {ABSENT:.0%}: {test.numbers}"
    return [about(replace(test, numbers=shown), evidence, group)]


def _said(words: str) -> str:
    return f'section 6.1, Figure 3: "{words}"'


def _recovers(model: str, size: int) -> Claim:
    where = "" if model == "VAE" else f" at K = {size}"
    return Claim(
        f"{model.casefold()}-recovers-{size}" if where else f"{model.casefold()}-recovers",
        f"{model} recovers the two modes of the synthetic mixture{where}", _said(RECOVERS[model]),
        f"recovers: {SHARE}", recovers(model, size, expected=True),
    )  # fmt: skip


def _fails(model: str, size: int) -> Claim:
    return Claim(
        f"{model.casefold()}-fails-{size}", f"{model} does not recover the modes at K = {size}",
        _said("difficulties to recover the structure"), f"fails: {SHARE}",
        recovers(model, size, expected=False),
        "Difficulties are read as most training runs not recovering both modes.",
    )  # fmt: skip


def _improves(model: str, worse: int, better: int) -> Claim:
    return Claim(
        f"{model.casefold()}-better-at-{better}",
        f"{model} is closer to the truth at K = {better} than at K = {worse}",
        _said(IMPROVES[better]),
        f"Jensen-Shannon divergence at K = {better} minus at {worse} below 0, nats: {OVER_SEEDS}",
        improves(model, worse, better),
    )


SYNTHETIC = (
    _recovers("CP", FEW),
    _recovers("CP", MANY),
    _fails("INDq", MANY),
    _recovers("VAE", FEW),
    _fails("MG", FEW),
    _improves("MG", FEW, MANY),
    _fails("VP", FEW),
    _improves("VP", FEW, MANY),
    _fails("INDp", MANY),
    _improves("INDp", MANY, FEW),
    _fails("INDqp", MANY),
    _improves("INDqp", MANY, FEW),
    Claim(
        "marginal-beats-uniform",
        "With 150 categories, sampling c from q(c) is closer to the truth than from a uniform",
        'section 6.1, Figure 5: those from the uniform prior "display some mixing artifacts"',
        "Jensen-Shannon divergence with c uniform minus with c from q(c), of the same models, "
        "above 0, nats: t test over training seeds, or with one seed by its Monte Carlo error",
        marginal_beats_uniform,
    ),
    Claim(
        "excess-is-empty", "CP gives excess categories a mass near zero",
        'section 6.1, Figure 5: "near-zero probability to some of the categories"',
        f"the share of the {MANY} categories with a mass below 1/(10 K) is above {ABSENT:.0%}: t "
        "test over training seeds",
        excess_is_empty,
    ),
)  # fmt: skip

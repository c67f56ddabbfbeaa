"""Claims about categories: how many are used, how pure they are, and what they generate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from bench.report.papertables.published import COLUMNS
from bench.report.scorecard.evidence import Evidence, Measure, Missing, Place, place_name
from bench.report.scorecard.verdict import HOLM, Claim, Finding, about, estimated
from bench.report.seedtests import above, contrast
from bench.report.stored import Generation
from bench.store import Row

__all__ = ["CATEGORIES"]

BY_LABEL = (("fashion_mnist", 150), ("mnist", 150))
LARGEST = (*BY_LABEL, ("omniglot", 500))
SMALL = (("mnist", 10), ("fashion_mnist", 10))
RIVALS = ("INDq", "INDp", "INDqp")
CATEGORICAL = ("CP", *RIVALS)

OVER_SEEDS = (
    "Welch's t test over training seeds, with the error of the measurement added; with one seed a "
    "side, by that error alone (then about these trained models); 95% intervals; "
    f"{HOLM}"
)
COUNTED = 0.5
"""Seeds that agree in a count may still differ by what rounding hides."""


def number(name: str, error: str = "") -> Measure:
    """A column of results.csv, with its error."""
    return lambda row: (row.get(name), row.get(error) if error else None)


def purity(row: Row) -> tuple[float | None, float | None]:
    """Macro purity between chance, 0, and 1, with its error on the same scale."""
    value, chance = row.get("purity_corrected"), row.get("purity_chance")
    error = row.get("purity_se")
    if value is None or error is None or chance is None or chance >= 1:
        return value, None
    return value, error / (1 - chance)


def against(
    rivals: Sequence[str],
    places: Sequence[Place],
    measure: Measure,
    name: str,
    *,
    lower: bool = False,
    digits: int = 2,
    least_sd: float = 0.0,
    shared: bool = True,
) -> Callable[[Evidence], list[Finding]]:
    """CP's number minus that of each rival, in each place."""

    def tests(evidence: Evidence) -> list[Finding]:
        found = []
        for rival in rivals:
            for place, paper in evidence.places(places, ("CP", rival)):
                what = "" if len(rivals) == 1 else f"against {rival}"
                try:
                    a, b = evidence.pair("CP", rival, place)
                    samples = [
                        evidence.sample(g, measure, name, least_sd, shared=shared) for g in (a, b)
                    ]
                except Missing as why:
                    found.append(Finding(place_name(place), paper, what, missing=str(why)))
                    continue
                finding = estimated(
                    place_name(place), paper, contrast(*samples), lower=lower, what=what,
                    digits=digits,
                )  # fmt: skip
                found.append(about(finding, evidence, a, b))
        return found

    return tests


def few_labels(evidence: Evidence) -> list[Finding]:
    """exp H of the labels of MG, VP and HVP samples is below half of the labels."""
    found = []
    for model in ("MG", "VP", "HVP"):
        for place, paper in evidence.places(SMALL, (model,)):
            if place[1] == 10:
                found.append(_few_labels(evidence, model, place, paper))
    return found


def _few_labels(evidence: Evidence, model: str, place: Place, paper: bool) -> Finding:
    name = place_name(place)
    try:
        group = evidence.group(model, place)
        spread = {row["cell"]: _labels(evidence, row) for row in group.rows}
        count = max(size for size, _ in spread.values())
        if not count:
            raise Missing(f"labels of samples were not measured for {model}")

        def measure(row: Row) -> tuple[float | None, float | None]:
            return row.get("marginal_labels"), spread[row["cell"]][1]

        sample = evidence.sample(group, measure, "labels of samples", shared=False)
    except Missing as why:
        return Finding(name, paper, model, missing=str(why))
    test = estimated(name, paper, above(sample, count / 2), lower=True, what=model)
    shown = f"{sample.mean:.1f} of {count}, minus half: {test.numbers}"
    return about(test if test.p is None else replace(test, numbers=shown), evidence, group)


def _labels(evidence: Evidence, row: Row) -> tuple[int, float | None]:
    """How many labels there are, and the error of exp H of those of n samples (delta method)."""
    marginal = evidence.details(row, Generation).marginal
    if marginal is None:
        return 0, None
    shares = marginal.label_probabilities
    p = [share for share in shares if share > 0]
    if not p:
        return len(shares), None
    entropy = -sum(share * math.log(share) for share in p)
    variance = sum(share * math.log(share) ** 2 for share in p) - entropy**2
    return len(shares), math.exp(entropy) * math.sqrt(max(variance, 0.0) / marginal.samples)


def relaxed_flatters(evidence: Evidence) -> list[Finding]:
    """NELBO minus the relaxed objective is above 0 for the models with a category."""
    found = []
    for model in CATEGORICAL:
        for place, paper in evidence.places(COLUMNS, (model,)):
            name = place_name(place)
            try:
                group = evidence.group(model, place)
                sample = evidence.sample(
                    group, number("relaxed_gap", "relaxed_gap_se"), "the relaxed objective"
                )
            except Missing as why:
                found.append(Finding(name, paper, model, missing=str(why)))
                continue
            finding = estimated(name, paper, above(sample, 0.0), lower=False, what=model)
            found.append(about(finding, evidence, group))
    return found


CATEGORIES = (
    Claim(
        "cp-more-categories", "CP uses more categories than INDq",
        'section 6.2, Figures 9, A1 and A7: "many more categories having non-zero probability"',
        f"difference of H(q(c)), the log of the effective number: {OVER_SEEDS}",
        against(("INDq",), LARGEST, number("entropy", "entropy_se"), "H(q(c))"),
        "Entropy alone cannot tell clustering from noise: hold I(c;x) beside it.",
    ),
    Claim(
        "cp-purer", "CP's categories are purer per label than those of INDq, INDp and INDqp",
        'section 6.2, Figures 10 to 12, A2 and A5: "different categories [...] for each label"',
        f"difference of macro purity, corrected for chance: {OVER_SEEDS}",
        against(RIVALS, BY_LABEL, purity, "purity", digits=3),
    ),
    Claim(
        "cp-lists-apart",
        "The labels' top-five lists overlap less in CP than in INDq, INDp and INDqp",
        'section 6.2, Tables 2 and A1, of INDp and INDqp Figure 12: they "use the same categories '
        '[...] in more than one label"',
        "difference of the places whose category is in several lists: Welch's t test over training "
        f"seeds (one seed has no error); {HOLM}",
        against(RIVALS, BY_LABEL, number("top_marked"), "the top-five lists", lower=True,
                digits=1, least_sd=COUNTED),
        "Published: 8 places of CP and 43 of INDq (Table 2), 2 and 19 (A1). Picks at random from "
        "150 give 13.2, so that little overlap alone is no evidence.",
    ),
    Claim(
        "cp-samples-purer",
        "Samples of one category are purer in CP than in INDq, INDp and INDqp",
        "section 6.2, Figures 6 to 8, A3 to A6 and A8 to A10: the others generate "
        '"a mix of images"',
        "difference of the chance that two samples of a category share a label, corrected for "
        f"chance, as a classifier of real images sees them: {OVER_SEEDS}",
        against(RIVALS, LARGEST,
                number("generation_purity_corrected", "generation_purity_corrected_se"),
                "the purity of samples", digits=3, shared=False),
    ),
    Claim(
        "few-labels", "With 10 components, samples of MG, VP and HVP cover few labels",
        "section 6.2, Figures 14 to 16: they collapse to "
        '"generating examples only from a few digits (items, symbols)"',
        "effective number of labels of a model's samples, minus half of the labels, below 0: t "
        f"test over training seeds, or with one seed over its samples; {HOLM}",
        few_labels,
        "Few is read as less than half. The paper has pictures of it and no number.",
    ),
    Claim(
        "relaxed-flatters", "The relaxed objective flatters the bound",
        "not in the paper: the released code reports it as the bound (docs/reproduction.md)",
        "NELBO minus the relaxed objective, above 0, in nats: t test over training seeds, or with "
        f"one seed paired over the test examples; {HOLM}",
        relaxed_flatters,
    ),
)  # fmt: skip

"""Claims about the bounds of Table 3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from bench.report.papertables.published import COLUMNS, SYSTEMS, UNSIZED, published
from bench.report.scorecard.evidence import Evidence, Missing, Place, place_name
from bench.report.scorecard.verdict import HOLM, Claim, Finding, about, estimated
from bench.report.statistics import Estimate, estimate

__all__ = ["BOUNDS"]

PAIRED = (
    "NELBO, paired over the test examples; over seeds and examples where both have several seeds "
    "(then about the training procedures), else about these trained models; 95% intervals in nats; "
    f"{HOLM}"
)

MATCH = 0.5
"""Nats by which a bound may be worse and still match: below what Table 3's text calls slight."""

Numbers = dict[tuple[str, str, int | None], float]


def cp_beats_indq(evidence: Evidence) -> list[Finding]:
    """CP - INDq is below 0 in every column."""
    return [
        _difference(evidence, "CP", "INDq", place, paper)
        for place, paper in evidence.columns("CP", "INDq")
    ]


def matches_cp(model: str) -> Callable[[Evidence], list[Finding]]:
    """MODEL - CP is below the margin in every column."""

    def tests(evidence: Evidence) -> list[Finding]:
        return [
            _difference(evidence, model, "CP", place, paper, margin=MATCH)
            for place, paper in evidence.columns(model, "CP")
        ]

    return tests


def hvp_is_best(evidence: Evidence) -> list[Finding]:
    """HVP - X is below 0 for each of the eight others in every column; the nearest is shown."""
    found: list[Finding] = []
    for place, paper in evidence.columns("HVP"):
        tests = [
            _difference(evidence, "HVP", other, place, paper, what=f"against {other}")
            for other in SYSTEMS
            if other != "HVP"
        ]
        tested = [test for test in tests if test.p is not None]
        if not tested:
            tests = [Finding(place_name(place), paper, missing=tests[0].missing)]
        nearest = max(tested, key=lambda test: test.estimate, default=None)
        tests = [replace(test, shown=test is nearest or test.p is None) for test in tests]
        found += tests
    return found


def vp_improves(evidence: Evidence) -> list[Finding]:
    """VP at the next larger K - VP at K is below 0."""
    columns = evidence.columns("VP")
    tests = []
    for dataset in dict.fromkeys(dataset for (dataset, _), _ in columns):
        known = [size for (name, size), _ in columns if name == dataset]
        theirs = [size for name, size in COLUMNS if name == dataset]
        # The paper's own steps are judged even where another K lies between.
        for small, large in dict.fromkeys([*pairwise(theirs), *pairwise(sorted(known))]):
            paper = small in theirs and large in theirs
            where = f"{dataset} K={small} to {large}"
            try:
                a, b = (evidence.group("VP", (dataset, size)) for size in (large, small))
                evidence.comparable(a, b)
                finding = estimated(where, paper, evidence.bounds(a, b), lower=True)
                tests.append(about(finding, evidence, a, b))
            except Missing as why:
                if paper:
                    tests.append(Finding(where, paper, missing=str(why)))
    return tests


def _difference(
    evidence: Evidence,
    a: str,
    b: str,
    place: Place,
    paper: bool,
    *,
    what: str = "",
    margin: float = 0.0,
) -> Finding:
    """Whether NELBO of A is below that of B plus a margin; the difference itself is shown."""
    name = place_name(place)
    try:
        left, right = evidence.pair(a, b, place)
        found = evidence.bounds(left, right)
    except Missing as why:
        return Finding(name, paper, what, missing=str(why))
    test = about(estimated(name, paper, found, lower=True, what=what), evidence, left, right)
    if not margin:
        return test
    moved = _against(found, margin)
    return replace(test, p=moved.p, favours=moved.difference < 0)


def _against(found: Estimate, margin: float) -> Estimate:
    """The test of the same estimate against a margin instead of zero."""
    return estimate(found.difference - margin, found.se**2, found.df)


def _remark(better: Callable[[Numbers, Place], bool | None], places: Sequence[Place]) -> str:
    """In how many columns of the published table itself the claim is true."""
    numbers: Numbers = {}
    for dataset, size in COLUMNS:
        for model in SYSTEMS:
            found = published(dataset, model, None if model in UNSIZED else size)
            if found is not None:
                numbers[dataset, model, size] = found
    answers = [better(numbers, place) for place in places]
    known = [answer for answer in answers if answer is not None]
    return f"By the published numbers it is so in {sum(known)} of {len(known)}."


def _below(a: str, b: str, margin: float = 0.0) -> str:
    def better(numbers: Numbers, place: Place) -> bool | None:
        dataset, size = place
        return numbers[dataset, a, size] <= numbers[dataset, b, size] + margin

    return _remark(better, COLUMNS)


def _hvp_lowest(numbers: Numbers, place: Place) -> bool | None:
    dataset, size = place
    others = [numbers[dataset, model, size] for model in SYSTEMS
              if model != "HVP" and (dataset, model, size) in numbers]  # fmt: skip
    return numbers[dataset, "HVP", size] < min(others)


def _vp_falls(numbers: Numbers, place: Place) -> bool | None:
    dataset, size = place
    before = [k for name, k in COLUMNS if name == dataset and k < size]
    if not before:
        return None
    return numbers[dataset, "VP", size] < numbers[dataset, "VP", before[-1]]


BOUNDS = (
    Claim(
        "cp-beats-indq", "CP has a better bound than INDq in every column of Table 3",
        'section 6.2, Table 3: "better results when compared to INDq [...] in all of the cases"',
        f"CP - INDq below 0 in every column: {PAIRED}", cp_beats_indq,
        _below("CP", "INDq"),
    ),
    *(
        Claim(
            f"{model.casefold()}-matches-cp", f"{model} beats or matches CP's bound",
            'section 6.2, Table 3: "seem to perform slightly better"',
            f"{model} - CP below a margin of {MATCH} nats in every column: {PAIRED}",
            matches_cp(model), _below(model, "CP", MATCH),
        )
        for model in ("INDp", "INDqp")
    ),
    Claim(
        "hvp-best", "HVP has the best bound of the nine systems throughout",
        'section 6.2, Table 3: "especially the hierarchical VampPrior method consistently perform '
        'the best"',
        f"HVP - each other below 0 in every column: {PAIRED}", hvp_is_best,
        _remark(_hvp_lowest, COLUMNS),
    ),
    Claim(
        "vp-improves", "VampPrior's bound improves with K",
        'Table 3; of its generations section 6.2 says that they "tend to improve"',
        f"VP at the larger K - at the smaller below 0: {PAIRED}", vp_improves,
        _remark(_vp_falls, COLUMNS),
    ),
)  # fmt: skip

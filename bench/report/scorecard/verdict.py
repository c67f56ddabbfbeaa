"""From the tests that bear on a claim to a verdict on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.report.bootstrap import LEVEL
from bench.report.protocols import PROTOCOLS
from bench.report.scorecard.evidence import Evidence, Group
from bench.report.statistics import Estimate, holm

__all__ = ["HOLM", "Claim", "Finding", "Outcome", "Verdict", "about", "conclude", "estimated"]

Outcome = Literal["holds", "does not hold", "cannot be told"]

HOLDS: Outcome = "holds"
FAILS: Outcome = "does not hold"
UNKNOWN: Outcome = "cannot be told"
HOLM = "Holm over the tests that the claim's verdict counts, and over its others apart"
"""How the p values of a claim are adjusted."""
SINGLE = "one training seed on a side; the claim is about systems, and takes at least two"
PAIR = "two training seeds on a side: up to 13% of true nulls may be rejected, not 5%"
MARKS = {HOLDS: "yes", FAILS: "no", UNKNOWN: "?"}


@dataclass(frozen=True)
class Finding:
    """One test that bears on a claim.

    Attributes:
        place: where, as ``mnist K=10``.
        paper: whether the paper claims it of this place; the store may have others.
        what: what is tested there, where a place has several tests.
        numbers: the estimate, as a reader is shown it.
        estimate: the same as a number.
        p: of the estimate being what it is by chance; None where nothing could be tested.
        favours: whether the estimate speaks for the claim.
        missing: why nothing could be tested.
        shown: whether its numbers are among those shown; all are tested.
        other: what differs from the protocol that is judged; such a finding says nothing of its
            claim.
        seeds: training seeds of the side that has fewest. With one a finding is about these
            trained models, and a claim is about systems.
        by: the protocol of cells that count and are not of the paper's, in words.
    """

    place: str
    paper: bool
    what: str = ""
    numbers: str = ""
    estimate: float = 0.0
    p: float | None = None
    favours: bool = False
    missing: str = ""
    shown: bool = True
    other: str = ""
    seeds: int = 0
    by: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a store's results say of a claim.

    Attributes:
        key: a short name.
        claim: in one sentence.
        source: where the paper says so.
        verdict: on the claim as it stands, about systems, for all the places it speaks of.
        numbers: every estimate, with its own answer (yes, no or ?).
        test: how it was tested.
        detail: what is missing, what else must be known.
        here: the same as ``verdict`` for the places alone that the store has cells for, be they
            the paper's or not, and of these trained models where they are one a side.
    """

    key: str
    claim: str
    source: str
    verdict: Outcome
    numbers: str
    test: str
    detail: str
    here: Outcome = UNKNOWN


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, and the function that tests it.

    Attributes:
        key, claim, source, test: as of :class:`Verdict`.
        tests: the tests, given the evidence.
        remark: what the reader should know beside the results.
    """

    key: str
    claim: str
    source: str
    test: str
    tests: Callable[[Evidence], Sequence[Finding]]
    remark: str = ""


def estimated(
    place: str, paper: bool, found: Estimate | None, *, lower: bool, what: str = "", digits: int = 2
) -> Finding:
    """The test of an estimate against zero.

    Args:
        place, paper, what: as of :class:`Finding`.
        found: None where there is no error to test with.
        lower: whether the claim is that it is below zero.
        digits: shown behind the point.
    """
    if found is None:
        return Finding(
            place,
            paper,
            what,
            missing="one seed without an error of its own, or seeds that agree exactly: run more "
            "seeds",
        )
    shown = (f"{value:+.{digits}f}" for value in (found.difference, found.low, found.high))
    numbers = "{} [{}, {}]".format(*shown)
    favours = found.difference < 0 if lower else found.difference > 0
    return Finding(place, paper, what, numbers, found.difference, found.p, favours)


def about(finding: Finding, evidence: Evidence, *groups: Group) -> Finding:
    """The finding with what must be known of the cells that it comes from."""
    others = [evidence.other_protocol(group) for group in groups] if finding.paper else []
    return replace(
        finding,
        other=next((other for other in others if other), ""),
        seeds=min(len(group.rows) for group in groups),
        by=next(filter(None, (PROTOCOLS.get(evidence.protocol(g)) for g in groups)), ""),
    )


def conclude(claim: Claim, tests: Sequence[Finding], passed_over: Sequence[str] = ()) -> Verdict:
    """The verdict of a claim that has to hold in every one of its tests.

    It holds where all tests speak for it, and does not hold where one speaks against it; a test
    speaks where its p value, adjusted by Holm for the number of tests of its family, is below 5%.
    All else, a place without cells too, cannot be told. Cells that were not trained by the protocol
    that is judged, and models with one training seed, count for ``here`` alone. So the tests that
    the verdict counts are one family, and all others a second: a test has one answer, which is
    shown behind its estimate, and which the verdict and ``here`` are made of.

    Args:
        claim: what is tested.
        tests: what they found.
        passed_over: settings of the same models that were not judged.
    """
    tested = [test for test in tests if test.p is not None]
    counting = [test for test in tested if test.paper and not test.other and test.seeds != 1]
    counted = set(map(id, counting))
    left = [test for test in tested if id(test) not in counted]
    # What else was run must not change what the verdict takes a test to say.
    answers = _answers(counting) | _answers(left)
    open_ = [UNKNOWN for test in tests if test.paper and id(test) not in counted]
    overall = _all([*(answers[place] for place in counted), *open_])
    here = _all(list(answers.values()))
    detail = [] if not claim.remark else [claim.remark]
    if missing := _listed(tests, lambda test: test.missing if test.p is None else ""):
        detail.append(f"Missing: {missing}.")
    if others := _listed(tested, lambda test: test.other):
        detail.append(f"Not by the paper's protocol: {others}.")
    if by := _listed(tested, lambda test: test.by):
        detail.append(f"Not the paper's protocol: {by}.")
    if passed_over:
        detail.append(f"Not judged: {', '.join(passed_over)} of the same models (--settings).")
    if single := _listed(tested, lambda test: SINGLE if test.seeds == 1 else ""):
        detail.append(f"About these trained models alone: {single}.")
    # A count of seeds has no estimate, and its test is exact.
    if pairs := _listed(tested, lambda test: PAIR if test.seeds == 2 and test.estimate else ""):
        detail.append(f"Take with care: {pairs}.")
    numbers = "; ".join(
        f"{_name(test)} {test.numbers} {MARKS[answers[id(test)]]}" for test in tested if test.shown
    )
    hidden = Counter(MARKS[answers[id(test)]] for test in tested if not test.shown)
    if hidden:
        detail.append(
            "Tested too, not shown: " + ", ".join(f"{n} {mark}" for mark, n in hidden.items()) + "."
        )
    if here != overall:
        detail.append(f"In what was run: {here}.")
    return Verdict(
        claim.key, claim.claim, claim.source, overall, numbers, claim.test, " ".join(detail), here
    )


def _answers(family: Sequence[Finding]) -> dict[int, Outcome]:
    """What each test of one family says, by its id."""
    adjusted = holm([1.0 if test.p is None else test.p for test in family])
    return {
        id(test): UNKNOWN if p >= LEVEL else HOLDS if test.favours else FAILS
        for test, p in zip(family, adjusted, strict=True)
    }


def _all(answers: Sequence[Outcome]) -> Outcome:
    if FAILS in answers:
        return FAILS
    return HOLDS if answers and set(answers) == {HOLDS} else UNKNOWN


def _name(test: Finding) -> str:
    return f"{test.place} {test.what}".strip() + ":"


def _listed(tests: Sequence[Finding], reason: Callable[[Finding], str]) -> str:
    """Every reason with the places that it is given for; a blank one is none."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for test in tests:
        if why := reason(test):
            dataset, _, size = test.place.partition(" K=")
            sizes = reasons.setdefault(why, {}).setdefault(dataset, [])
            if size and size not in sizes:
                sizes.append(size)
    return "; ".join(
        ", ".join(
            f"{dataset} K={', '.join(sizes)}" if sizes else dataset
            for dataset, sizes in places.items()
        )
        + f" ({why})"
        for why, places in reasons.items()
    )

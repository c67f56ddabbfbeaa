"""Table 1: what the four models with a category assume, and their measured terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.report.summary import Line
from bench.report.table import Formula, Table

__all__ = ["table_1"]

JOINT = Formula("q(z|x,c) q(c|x)", r"q(z \mid x,c)\,q(c \mid x)")
APART = Formula("q(z|x) q(c|x)", r"q(z \mid x)\,q(c \mid x)")
CONDITIONAL = Formula("p(z|c) p(c)", r"p(z \mid c)\,p(c)")
PRODUCT = Formula("p(z) p(c)", r"p(z)\,p(c)")
WITHIN = Formula(
    "E_q(c) KL(q(z|c) ‖ p(z|c))", r"E_{q(c)}\,\mathrm{KL}(q(z \mid c) \,\|\, p(z \mid c))"
)
WHOLE = Formula("KL(q(z) ‖ p(z))", r"\mathrm{KL}(q(z) \,\|\, p(z))")

ASSUMED = {
    "CP": (
        JOINT, CONDITIONAL, Formula("I(z|c; x|c)", r"I_q(z \mid c, x \mid c)"), WITHIN, "",
    ),
    "INDq": (
        APART, CONDITIONAL,
        Formula(
            "E_q(c,x) KL(q(z|x) ‖ q(z|c))",
            r"E_{q(c,x)}\,\mathrm{KL}(q(z \mid x) \,\|\, q(z \mid c))",
        ),
        WITHIN, "[7]",
    ),
    "INDp": (JOINT, PRODUCT, Formula("I(z; (c,x))", r"I_q(z, (c, x))"), WHOLE, "[26,34]"),
    "INDqp": (APART, PRODUCT, Formula("I(z; x)", r"I_q(z, x)"), WHOLE, "[13,21]"),
}  # fmt: skip
"""q(z,c|x), p(z,c), B1, C1 and the references of Table 1."""

TERMS = ("A", "B1", "B2", "C1", "C2")

CAPTION = (
    "The ELBO is A - B1 - B2 - C1 - C2 (equation 20), A = E log p(x|z,c), B2 = I(c; x) and "
    "C2 = KL(q(c) ‖ p(c)) for all four. Measured, in nats, on {points} test examples, which define "
    "the aggregated posterior: compare terms of one number of examples only. ± is the standard "
    "deviation over training seeds; with one seed, the error over the draws of (x, z, c). [n]: the "
    "paper's references."
)


def table_1(lines: Sequence[Line]) -> list[Table]:
    """A table for every dataset and K on which one of the four models was decomposed.

    Args:
        lines: of :func:`bench.report.summary.summarise`.
    """
    places: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        if line.model in ASSUMED and "A" in line.values:
            places.setdefault((line.dataset, line.components), []).append(line)
    return [_table(*place, group) for place, group in places.items()]


def _table(dataset: str, components: str, lines: Sequence[Line]) -> Table:
    rows, records = [], []
    for line in sorted(lines, key=lambda line: list(ASSUMED).index(line.model)):
        q, p, b1, c1, references = ASSUMED[line.model]
        measured = [
            line.values[term].text(3 if term == "C2" else 2) if term in line.values else ""
            for term in TERMS
        ]
        rows.append([line.name, q, p, b1, c1, references, *measured])
        records.append(_record(line))
    points = {round(line.values["decomposition_points"].mean) for line in lines
              if "decomposition_points" in line.values}  # fmt: skip
    return Table(
        key=f"table1-{dataset}-{components}",
        title=f"Table 1 on {dataset}, K = {components}: independence assumptions and their terms",
        caption=CAPTION.format(points=" or ".join(map(str, sorted(points))) or "the"),
        header=[
            "model", Formula("q(z,c|x)", r"q(z,c \mid x)"), Formula("p(z,c)", "p(z,c)"), "B1 is",
            "C1 is", "refs.", *TERMS,
        ],
        rows=rows,
        words=frozenset(range(6)),
        records=tuple(records),
    )  # fmt: skip


def _record(line: Line) -> dict[str, Any]:
    record: dict[str, Any] = {
        "dataset": line.dataset, "components": line.components, "model": line.name,
        "seeds": line.seeds,
    }  # fmt: skip
    for term in TERMS:
        value = line.values.get(term)
        record[term] = value.mean if value else None
        record[f"{term}_sd"] = value.sd if value else None
        record[f"{term}_se"] = value.se if value else None
    return record

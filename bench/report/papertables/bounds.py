"""Table 3: our bounds beside the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.report.papertables.published import COLUMNS, SYSTEMS, UNSIZED, published
from bench.report.summary import Line
from bench.report.table import Table

__all__ = ["table_3"]

CAPTION = (
    "Ours: minus the ELBO in nats, a valid bound: the category is summed out exactly, the weight "
    "of the divergences is 1, test pixels are binarized once with a fixed seed; mean ± standard "
    "deviation over training seeds (with one seed, standard error over test examples); {extent}. "
    "Published: Table 3 of Lavda et al. 2020, one number each, without an error. By the released "
    "code, models with a category (CP, INDq, INDp, INDqp) were measured there with a relaxed "
    "category, which gives no bound and flatters: a lower published number need not be a better "
    "model. Difference: ours minus published."
)
UNSIZED_CAPTION = " VAE and HVAE have no K: their one number stands under K={size}{why}."


def table_3(lines: Sequence[Line]) -> list[Table]:
    """A table for every dataset on which one of the nine systems has finished.

    Args:
        lines: of :func:`bench.report.summary.summarise`.
    """
    datasets: dict[str, list[Line]] = {}
    for line in lines:
        sized = line.components.isdigit() or not line.components
        if line.model in SYSTEMS and "nelbo" in line.values and sized:
            datasets.setdefault(line.dataset, []).append(line)
    return [_table(dataset, group) for dataset, group in datasets.items()]


def _table(dataset: str, lines: Sequence[Line]) -> Table:
    theirs = [size for name, size in COLUMNS if name == dataset]
    ours = {int(line.components) for line in lines if line.components}
    sizes: list[int | None] = [*sorted({*theirs, *ours})] or [None]
    # Where the published one is printed, beside which ours must stand.
    home = theirs[0] if theirs else sizes[0]
    settings = {model: _names(model, lines) for model in SYSTEMS}
    rows, records = [], []
    for model in SYSTEMS:
        for name in settings[model]:
            row = [name]
            for size in sizes:
                own = None if model in UNSIZED else size
                found = _line(lines, name, own)
                if (model in UNSIZED and size != home) or (
                    found is None and published(dataset, model, own) is None
                ):
                    row += ["", "", ""] if theirs else [""]
                    continue
                record = _record(dataset, model, name, own, found)
                records.append(record)
                row.append(found.values["nelbo"].text(2) if found else "")
                if theirs:
                    row += [_number(record["published"]), _number(record["difference"], "+.2f")]
            if any(row[1:]):
                rows.append(row)
    parts = ("ours", "published", "difference") if theirs else ("ours",)
    caption = CAPTION.format(extent=_extent(lines))
    if home is not None and any(record["components"] is None for record in records):
        why = ", where the paper prints it" if theirs else ""
        caption += UNSIZED_CAPTION.format(size=home, why=why)
    return Table(
        key=f"table3-{dataset}",
        title=f"Table 3 on {dataset}: negative variational lower bounds on the test set",
        caption=caption,
        header=["model", *(_heading(size, part) for size in sizes for part in parts)],
        rows=rows,
        records=tuple(records),
    )


def _names(model: str, lines: Sequence[Line]) -> list[str]:
    found = dict.fromkeys(line.name for line in lines if line.model == model)
    return list(found) or [model]


def _line(lines: Sequence[Line], name: str, size: int | None) -> Line | None:
    wanted = "" if size is None else str(size)
    for line in lines:
        if line.name == name and line.components == wanted:
            return line
    return None


def _record(
    dataset: str, model: str, name: str, size: int | None, line: Line | None
) -> dict[str, Any]:
    value = None if line is None else line.values["nelbo"]
    theirs = published(dataset, model, size)
    return {
        "dataset": dataset, "components": size, "model": name,
        "seeds": 0 if line is None else line.seeds,
        "epochs": line.values["epochs"].mean if line and "epochs" in line.values else None,
        "nelbo": value.mean if value else None,
        "nelbo_sd": value.sd if value else None,
        "nelbo_se": value.se if value else None,
        "published": theirs,
        "difference": value.mean - theirs if value and theirs is not None else None,
    }  # fmt: skip


def _heading(size: int | None, part: str) -> str:
    return part if size is None else f"K={size} {part}"


def _number(value: float | None, form: str = ".2f") -> str:
    return "" if value is None else format(value, form)


def _extent(lines: Sequence[Line]) -> str:
    """How many seeds and epochs stand behind our numbers."""
    seeds = sorted({line.seeds for line in lines})
    epochs = sorted(round(line.values["epochs"].mean) for line in lines if "epochs" in line.values)
    said = f"{_range(seeds)} training seed{'' if seeds == [1] else 's'} a number"
    return f"{said}, trained for {_range(epochs)} epochs" if epochs else said


def _range(values: Sequence[int]) -> str:
    return str(values[0]) if values[0] == values[-1] else f"{values[0]} to {values[-1]}"

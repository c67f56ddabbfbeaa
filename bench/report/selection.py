"""Which finished cells a name means, and which cells of two names can be compared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.errors import UsageError, unknown
from bench.report.summary import Row, size_of

__all__ = ["Filter", "Match", "Side", "match", "select"]

Size = int | str | None
Key = tuple[str, str, Size]  # dataset, fingerprint, K


@dataclass(frozen=True)
class Filter:
    """Which cells of a name are meant; an empty list means all.

    Attributes:
        datasets: names.
        components: values of K; cells without K stay.
        settings: beginnings of the hash that the report prints as ``settings``.
    """

    datasets: tuple[str, ...] = ()
    components: tuple[int, ...] = ()
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: what to call it.
        rows: its finished cells.
        sized: whether the name says which K is meant.
    """

    name: str
    rows: tuple[Row, ...]
    sized: bool


@dataclass(frozen=True)
class Match:
    """Cells of A and of B, the seeds of one model each, on the same test examples."""

    dataset: str
    sizes: tuple[Size, Size]
    a: tuple[Row, ...]
    b: tuple[Row, ...]


def select(rows: Sequence[Row], name: str, chosen: Filter) -> Side:
    """The finished cells that a name means.

    Args:
        rows: of a store.
        name: a model's name or ``prior x posterior``, in any case, with or without ``K=10``
            behind it; or a cell's id, or the beginning of one id alone.
        chosen: which of them.

    Raises:
        UsageError: nothing is called so, several ids begin so, or nothing so called finished.
    """
    base, size = _split(name)
    found = [row for row in rows if _called(row, base)]
    label = found[0].get("model") or _pair(found[0]) if found else ""
    if found and size is not None:
        sizes = sorted({str(size_of(row)) for row in found})
        found = [row for row in found if size_of(row) == size]
        if not found:
            raise UsageError(f"{label} has no cell with K={size}: its K are {', '.join(sizes)}")
        label = f"{label} K={size}"
    cell = not found and size is None
    if cell:
        found = _by_id(rows, base)
        label = f"{found[0].get('model') or _pair(found[0])} ({found[0]['cell']})" if found else ""
    if not found:
        names = {row.get("model") or _pair(row) for row in rows}
        raise unknown("model or cell", name, names)
    kept = [row for row in found if _wanted(row, chosen)]
    done = [row for row in kept if row["status"] == "ok"]
    if not done:
        raise UsageError(_nothing(name, found, kept))
    return Side(label, tuple(done), sized=cell or size is not None)


def match(a: Side, b: Side) -> tuple[list[Match], list[str]]:
    """What can be compared, and one line on each dataset that cannot.

    Cells are compared on equal fingerprints, that is on the same test examples. K must agree
    where both have one, unless both names say which K they mean.

    Raises:
        UsageError: nothing can be compared; both are the same cells; or a side holds several
            settings of one model, which are not seeds of each other.
    """
    left, right = _groups(a), _groups(b)
    matches, told = [], []
    for (dataset, fingerprint, size), cells in left.items():
        for (_, other, other_size), others in right.items():
            if fingerprint != other or not _agree(size, other_size, a.sized and b.sized):
                continue
            if {row["cell"] for row in cells} == {row["cell"] for row in others}:
                raise UsageError(
                    f"{a.name} and {b.name} are the same cells on {dataset}: expected two models. "
                    "Name two cells, or two K as 'CP K=10' and 'CP K=150'."
                )
            matches.append(Match(dataset, (size, other_size), cells, others))
    compared = {found.dataset for found in matches}
    for dataset in sorted({key[0] for key in (*left, *right)} - compared):
        told.append(_why_not(dataset, a.name, left, b.name, right))
    matches.sort(key=lambda found: (found.dataset, *map(str, found.sizes)))
    if not matches:
        raise UsageError("nothing to compare: " + "; ".join(told))
    return matches, told


def _split(name: str) -> tuple[str, int | None]:
    """``CP K=10`` as its name and K."""
    found = re.fullmatch(r"(.+?)\s+k\s*=\s*(\d+)", name.strip(), re.IGNORECASE)
    return (found[1], int(found[2])) if found else (name.strip(), None)


def _pair(row: Row) -> str:
    return f"{row['prior']} x {row['posterior']}"


def _called(row: Row, name: str) -> bool:
    plain = " ".join(name.casefold().split())
    return plain != "" and plain in (str(row.get("model") or "").casefold(), _pair(row).casefold())


def _by_id(rows: Sequence[Row], name: str) -> list[Row]:
    trained = [row for row in rows if row["status"] != "skipped"] if name else []
    found = [row for row in trained if row["cell"].startswith(name)]
    exact = [row for row in found if row["cell"] == name]
    if len(found) > 1 and not exact:
        listed = ", ".join(f"{row['cell']} ({_label(row)})" for row in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise UsageError(
            f"ambiguous cell {name!r}: {len(found)} cells begin so: {listed}{more}. "
            "Type more of the id."
        )
    return exact or found


def _label(row: Row) -> str:
    size = f" K={row['components']}" if row.get("components") else ""
    return f"{row['dataset']} {row.get('model') or _pair(row)}{size} seed {row['seed']}"


def _wanted(row: Row, chosen: Filter) -> bool:
    size = row.get("components")
    setting = str(row.get("setting") or "")
    return (
        (not chosen.datasets or row["dataset"] in chosen.datasets)
        and (not chosen.components or size is None or size in chosen.components)
        and (not chosen.settings or setting.startswith(chosen.settings))
    )


def _nothing(name: str, found: Sequence[Row], kept: Sequence[Row]) -> str:
    if not kept:
        has = "; ".join(sorted({_where(row) for row in found}))
        return (
            f"{name} has no cell left by --datasets, --components and --settings: it has {has}. "
            "Choose among those."
        )
    why = next((row["reason"] for row in kept if row.get("reason")), "")
    statuses = ", ".join(sorted({row["status"] for row in kept}))
    return (
        f"{name} has no finished cell: {len(kept)} found, {statuses}"
        + (f" ({why})" if why else "")
        + ". Expected at least one; finish them with `bench run`."
    )


def _where(row: Row) -> str:
    size = f" K={row['components']}" if row.get("components") else ""
    return f"{row['dataset']}{size} settings {row.get('setting')}"


def _groups(side: Side) -> dict[Key, tuple[Row, ...]]:
    """Cells of the same test examples and K, which must be of one setting."""
    groups: dict[Key, list[Row]] = {}
    for row in side.rows:
        key = (row["dataset"], str(row["dataset_fingerprint"]), size_of(row))
        groups.setdefault(key, []).append(row)
    for (dataset, _, _), rows in groups.items():
        settings = {str(row.get("setting")): row for row in rows}
        if len(settings) > 1:
            listed = ", ".join(f"{name} (cell {row['cell']})" for name, row in settings.items())
            raise UsageError(
                f"{side.name} on {dataset} has cells of {len(settings)} settings, which are not "
                f"seeds of one model: {listed}. Choose with --settings, or name a cell."
            )
    return {key: tuple(sorted(rows, key=lambda row: row["seed"])) for key, rows in groups.items()}


def _agree(size: Size, other: Size, named: bool) -> bool:
    fixed = isinstance(size, int) and isinstance(other, int)
    return named or not fixed or size == other


def _why_not(
    dataset: str,
    a: str,
    left: dict[Key, tuple[Row, ...]],
    b: str,
    right: dict[Key, tuple[Row, ...]],
) -> str:
    here, there = ([key for key in keys if key[0] == dataset] for keys in (left, right))
    if not here or not there:
        absent, present = (a, b) if not here else (b, a)
        return f"{dataset}: {present} has finished cells and {absent} has none"
    prints, others = ({key[1] for key in keys} for keys in (here, there))
    if not prints & others:
        return (
            f"{dataset}: not the same test examples: fingerprint {', '.join(sorted(prints))} for "
            f"{a}, {', '.join(sorted(others))} for {b}"
        )
    sizes, other_sizes = (", ".join(str(key[2]) for key in keys) for keys in (here, there))
    return (
        f"{dataset}: no K in common: {sizes} for {a}, {other_sizes} for {b}; "
        "name both, as 'CP K=10' and 'MG K=150', to compare across K"
    )

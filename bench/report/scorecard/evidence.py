"""The finished cells that claims are tested on, and what may be compared with what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.errors import UsageError
from bench.report.examples import load_examples
from bench.report.papertables.published import COLUMNS, SYSTEMS, UNSIZED
from bench.report.protocols import (
    PROTOCOLS,
    differences,
    of_preset,
    presets_of,
    protocol_of,
    runs_on,
    trained,
)  # fmt: skip
from bench.report.seedtests import Sample
from bench.report.statistics import Estimate, models_test, procedures_test
from bench.report.stored import Stored, read_stored
from bench.store import Row, Store

__all__ = ["Evidence", "Group", "Missing", "Place", "place_name"]

Place = tuple[str, int]  # dataset, K

PAPER = "the paper's protocol"
Key = TypeVar("Key", bound=Hashable)
File = TypeVar("File", bound=Stored)
Kind = tuple[str, str]  # a hash of settings, a fingerprint of the test examples

Measure = Callable[[Row], tuple[float | None, float | None]]  # a number and its error


class Missing(Exception):
    """Why something cannot be tested."""


@dataclass(frozen=True)
class Group:
    """The seeds of one model on one dataset, at one K."""

    model: str
    rows: tuple[Row, ...]

    @property
    def cells(self) -> list[str]:
        return [row["cell"] for row in self.rows]


def place_name(place: Place) -> str:
    """``mnist K=10``."""
    return f"{place[0]} K={place[1]}"


class Evidence:
    """The finished cells of a store.

    Args:
        store: where the cells' files are.
        rows: those that count.

    Attributes:
        judged: the protocol that is judged: ``paper``, or ``released`` where the store has no
            image cells of the paper's. Cells of the one never stand beside cells of the other.
        passed_over: what :meth:`group` did not take, since it was last emptied, where a model has
            cells of several settings.
    """

    def __init__(self, store: Store, rows: Sequence[Row]) -> None:
        self.store = store
        self.groups: dict[tuple[str, str, int | None], dict[Kind, list[Row]]] = {}
        self.protocols: dict[str, str] = {}
        for row in rows:
            if row["status"] == "ok" and "components" not in (row.get("tuned") or {}):
                key = row["dataset"], str(row.get("model") or ""), row.get("components")
                kind = str(row.get("setting")), str(row["dataset_fingerprint"])
                self.groups.setdefault(key, {}).setdefault(kind, []).append(row)
        found = {
            self._protocol(rows)
            for (dataset, _, _), kinds in self.groups.items()
            for rows in kinds.values()
            if runs_on("released", dataset)
        }
        self.judged = "released" if "released" in found and "paper" not in found else "paper"
        self.passed_over: dict[str, None] = {}

    def places(self, paper: Sequence[Place], models: Sequence[str]) -> list[tuple[Place, bool]]:
        """The paper's places, then others where all of ``models`` have images; whether paper's."""
        sized = [model for model in models if model not in UNSIZED]
        others = [
            {(dataset, size) for (dataset, name, size), kinds in self.groups.items()
             if name == model and size and not _known_density(kinds)}
            for model in sized
        ]  # fmt: skip
        more = set.intersection(*others) - set(paper) if others else set()
        return [(place, True) for place in paper] + [(place, False) for place in sorted(more)]

    def columns(self, *models: str) -> list[tuple[Place, bool]]:
        """The columns of Table 3, and the store's own."""
        return self.places(COLUMNS, models)

    def group(self, model: str, place: Place) -> Group:
        """The cells of a model.

        Raises:
            Missing: there are none, or several kinds of them.
        """
        dataset, size = place
        kinds = self.groups.get((dataset, model, None if model in UNSIZED else size), {})
        if not kinds:
            raise Missing(f"no finished {model}")
        usable = self.usable(dataset, kinds)
        if not usable:
            other = "released" if self.judged == "paper" else "paper"
            raise Missing(f"{model} only of preset {other}: --settings {other} judges it")
        if len(usable) > 1:
            settings = ", ".join(sorted(setting for setting, _ in usable))
            raise Missing(
                f"{model} has cells of several settings or data: choose with --settings among "
                f"{settings}"
            )
        (chosen,) = usable
        self.passed_over |= dict.fromkeys(
            self.name(rows) for kind, rows in kinds.items() if kind != chosen
        )
        return Group(model, tuple(sorted(usable[chosen], key=lambda row: int(row["seed"]))))

    def usable(self, dataset: str, kinds: Mapping[Key, Sequence[Row]]) -> dict[Key, Sequence[Row]]:
        """Of one model's seeds, by settings: those that count, of the first protocol they have."""
        counting = {kind: rows for kind, rows in kinds.items() if self._counts(dataset, rows)}
        found = {kind: self._protocol(rows) for kind, rows in counting.items()}
        first = next((name for name in PROTOCOLS if name in found.values()), "")
        return {kind: rows for kind, rows in counting.items() if found[kind] == first}

    def name(self, rows: Sequence[Row]) -> str:
        """What to call the settings of seeds of one model: a preset, or their hash."""
        presets = presets_of(self.store, rows[0])
        return f"preset {presets[0]}" if presets else f"settings {rows[0].get('setting')}"

    def chosen(self) -> str:
        """In one line what is judged, and what else the store has; empty where that is all."""
        mine, others = Counter[str](), Counter[str]()
        for (dataset, model, _), kinds in self.groups.items():
            for rows in kinds.values() if model in SYSTEMS else ():
                protocol = self._protocol(rows)
                if protocol and self._counts(dataset, rows):
                    mine[protocol] += len(rows)
                else:
                    # Every model has a hash of its own: they would fill the line and say little.
                    preset = presets_of(self.store, rows[0])[:1]
                    others[f"preset {preset[0]}" if preset else "other settings"] += len(rows)
        if not others and set(mine) <= {"paper"}:
            return ""
        listed = [f"{count} of {name}" for name, count in others.most_common()]
        if not mine:
            return f"no cell is of the paper's protocol: here is on {', '.join(listed)}."
        said = "; ".join(
            f"{mine[name]} cells of " + (f"{why}, not of the paper's protocol" if why else PAPER)
            for name, why in PROTOCOLS.items()
            if mine[name]
        )
        more = f"; also here: {', '.join(listed)} (--settings chooses)" if listed else ""
        return f"verdicts are on {said}{more}."

    def _counts(self, dataset: str, rows: Sequence[Row]) -> bool:
        """Whether cells may stand beside those of the protocol that is judged."""
        mine = self._protocol(rows)
        return mine in (self.judged, "") or not runs_on("released", dataset)

    def _protocol(self, rows: Sequence[Row]) -> str:
        cell = rows[0]["cell"]
        if cell not in self.protocols:
            self.protocols[cell] = protocol_of(self.store, rows[0])
        return self.protocols[cell]

    def pair(self, a: str, b: str, place: Place) -> tuple[Group, Group]:
        """Two models that were trained and measured alike.

        Raises:
            Missing: why they may not be compared.
        """
        absent, found = [], []
        for model in (a, b):
            try:
                found.append(self.group(model, place))
            except Missing as why:
                absent.append(str(why))
        if absent:
            raise Missing(" and ".join(absent))
        left, right = found
        self.comparable(left, right)
        return left, right

    def comparable(self, a: Group, b: Group) -> None:
        """Whether two groups may be compared.

        Raises:
            Missing: they have other test examples, or were trained otherwise.
        """
        if a.rows[0]["dataset_fingerprint"] != b.rows[0]["dataset_fingerprint"]:
            raise Missing(f"{a.model} and {b.model} were measured on different test examples")
        ours, theirs = (trained(self.store, group.rows[0]) for group in (a, b))
        if ours and theirs:  # the options of a plugin that both have, too: frozen or learned, say
            different = sorted(k for k in ours.keys() & theirs.keys() if ours[k] != theirs[k])
            if different:
                raise Missing(f"{a.model} and {b.model} differ in {', '.join(different)}")

    def bounds(self, a: Group, b: Group) -> Estimate:
        """NELBO of A minus that of B, paired over the test examples; over seeds where there are.

        Raises:
            Missing: the bounds of the examples cannot be read.
        """
        try:
            costs = [load_examples(self.store, group.cells, "nelbo") for group in (a, b)]
        except UsageError as error:
            raise Missing(str(error)) from error
        if costs[0].shape[1] != costs[1].shape[1]:
            raise Missing(f"{a.model} and {b.model} have different numbers of test examples")
        test = procedures_test if min(map(len, costs)) > 1 else models_test
        return test(*costs)

    def sample(
        self,
        group: Group,
        measure: Measure,
        name: str,
        least_sd: float = 0.0,
        *,
        shared: bool = True,
    ) -> Sample:
        """A number of every seed.

        Args:
            group: the seeds.
            measure: the number of one, with its error.
            name: what to call it where a seed has it not.
            least_sd, shared: as of :class:`Sample`.

        Raises:
            Missing: a seed has it not.
        """
        values, errors = [], []
        for row in group.rows:
            value, error = measure(row)
            if value is None:
                raise Missing(f"{name} was not measured for {group.model}")
            values.append(float(value))
            errors.append(error)
        return Sample(tuple(values), tuple(errors), least_sd, shared)

    def details(self, row: Row, kind: type[File]) -> File:
        """A JSON file of the cell; one that says nothing where it is not there.

        Raises:
            Missing: it cannot be read, or is of another structure.
        """
        try:
            return read_stored(kind, (self.store.folder(row["cell"]) / kind.file).read_bytes())
        except FileNotFoundError:
            return kind()
        except (OSError, ValueError) as error:
            raise Missing(f"{kind.file} of cell {row['cell']} is damaged: {error}") from None

    def protocol(self, group: Group) -> str:
        """One of ``PROTOCOLS``, or empty for cells that were trained otherwise."""
        return self._protocol(group.rows)

    def other_protocol(self, group: Group) -> str:
        """What differs from the protocol that is judged; empty where nothing does."""
        row = group.rows[0]
        if self.protocol(group):
            return ""
        if str(row["dataset_fingerprint"]).startswith("unverified"):
            return "unverified data"
        found = trained(self.store, row)
        if not found:
            return "how it was trained is not on disk"
        if not runs_on("paper", row["dataset"]):
            return "the paper has no such data"
        return ", ".join(differences(found, of_preset("paper", row)))


def _known_density(kinds: dict[tuple[str, str], list[Row]]) -> bool:
    return any(row.get("recovered") is not None for rows in kinds.values() for row in rows)

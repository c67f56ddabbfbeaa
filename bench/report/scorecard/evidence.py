"""The finished cells that claims are tested on, and what may be compared with what."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench.config import load_config
from bench.errors import UsageError
from bench.report.examples import load_examples
from bench.report.papertables.published import COLUMNS, UNSIZED
from bench.report.seedtests import Sample
from bench.report.statistics import Estimate, models_test, procedures_test
from bench.store import Row, Store

__all__ = ["Evidence", "Group", "Missing", "Place", "place_name"]

Place = tuple[str, int]  # dataset, K

EXTENT = (
    ("training", "epochs"), ("training", "warmup_epochs"), ("training", "patience"),
    ("training", "batch_size"), ("training", "learning_rate"), ("model", "latent_dim"),
    ("model", "hidden"),
)  # fmt: skip
"""What the presets `paper` and `released` share, and a shorter one does not."""
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
    """

    def __init__(self, store: Store, rows: Sequence[Row]) -> None:
        self.store = store
        self.groups: dict[tuple[str, str, int | None], dict[tuple[str, str], list[Row]]] = {}
        for row in rows:
            if row["status"] == "ok" and "components" not in (row.get("tuned") or {}):
                key = row["dataset"], str(row.get("model") or ""), row.get("components")
                kind = str(row.get("setting")), str(row["dataset_fingerprint"])
                self.groups.setdefault(key, {}).setdefault(kind, []).append(row)

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
        if len(kinds) > 1:
            settings = ", ".join(sorted(setting for setting, _ in kinds))
            raise Missing(f"{model} has cells of several settings or data: {settings}")
        (rows,) = kinds.values()
        return Group(model, tuple(sorted(rows, key=lambda row: int(row["seed"]))))

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
        ours, theirs = self._trained(a), self._trained(b)
        if ours and theirs:
            different = sorted(k for k in ours.keys() & theirs.keys() if ours[k] != theirs[k])
            if different:
                raise Missing(f"{a.model} and {b.model} differ in {', '.join(different)}")
        for kind in ("prior", "posterior"):  # frozen against learned, say
            one, other = (self._options(group, kind) for group in (a, b))
            if a.rows[0][kind] == b.rows[0][kind] and one != other:
                raise Missing(f"{a.model} and {b.model} differ in the options of their {kind}")

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

    def sample(self, group: Group, measure: Measure, name: str, least_sd: float = 0.0) -> Sample:
        """A number of every seed.

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
        return Sample(tuple(values), tuple(errors), least_sd)

    def details(self, row: Row, name: str) -> dict[str, Any]:
        """A JSON file of the cell; empty where it is not there."""
        try:
            found = json.loads((self.store.folder(row["cell"]) / f"{name}.json").read_text())
        except (OSError, json.JSONDecodeError):
            return {}
        return found if isinstance(found, dict) else {}

    def other_protocol(self, group: Group) -> str:
        """What differs from the paper's protocol; empty where nothing does."""
        protocol = _protocol(group.rows[0]["dataset"])
        trained = self._trained(group)
        if str(group.rows[0]["dataset_fingerprint"]).startswith("unverified"):
            return "unverified data"
        if not trained:
            return "how it was trained is not on disk"
        return ", ".join(
            f"{key.partition('.')[2]} {trained[key]} instead of {wanted}"
            for key, wanted in protocol.items()
            if key in trained and trained[key] != wanted
        )

    def _options(self, group: Group, kind: str) -> Any:
        """The options that a group's prior or posterior was given."""
        return self.details(group.rows[0], "config").get(f"{kind}_options") or {}

    def _trained(self, group: Group) -> dict[str, Any]:
        """How a group was trained, without what was tuned."""
        row = group.rows[0]
        config = self.details(row, "config")
        known = {f"{part}.{key}": value for part in ("training", "model")
                 for key, value in (config.get(part) or {}).items()}  # fmt: skip
        free = {"training.checkpoint_seconds", *(row.get("tuned") or {})}
        return {key: value for key, value in known.items() if key not in free}


@cache
def _protocol(dataset: str) -> dict[str, Any]:
    """How long, and how large, the paper's cells on a dataset are; empty for other data."""
    for preset in ("paper", "synthetic"):
        config = load_config(preset, None, ())
        if dataset in config.run.datasets:
            local = config.for_dataset(dataset)
            parts = {"training": local.training.model_dump(), "model": local.model.model_dump()}
            return {f"{part}.{key}": parts[part][key] for part, key in EXTENT}
    return {}


def _known_density(kinds: dict[tuple[str, str], list[Row]]) -> bool:
    return any(row.get("recovered") is not None for rows in kinds.values() for row in rows)

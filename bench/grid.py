"""The plan of a run: which cells there are, which pairs are skipped and why, and cell ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bench.best import best_values
from bench.config import Config
from bench.discovery import PluginInfo, as_loaded
from bench.errors import UsageError, unknown
from bench.pairs import Pair, pair_up
from bench.registry import Registry
from bench.tuning.halving import rungs_of
from bench.tuning.ranges import FORMAT

# Raised when a change to the harness changes the numbers of an unchanged configuration: of its
# trained model, or of what is then measured on it.
TRAINING_NUMERICS = 3
EVALUATION_NUMERICS = 4


@dataclass(frozen=True)
class Cell:
    """One thing to train and evaluate.

    Attributes:
        dataset, prior, posterior: names in the registry.
        model: the name that bench.toml gives the pair, or empty.
        components: K, or None where nothing in the cell depends on it.
        seed: the training seed.
        settings: everything else that can change the cell's numbers, as JSON values.
        reason: why the cell is skipped; empty where it runs.
    """

    dataset: str
    prior: str
    posterior: str
    model: str
    components: int | None
    seed: int
    settings: Mapping[str, Any] = field(hash=False)
    reason: str = ""

    @cached_property
    def id(self) -> str:
        """A hash of all that can change the cell's numbers."""
        return _digest([self._identity(self.settings), TRAINING_NUMERICS, EVALUATION_NUMERICS], 12)

    @cached_property
    def family(self) -> str:
        """A hash of all but the seed: cells that agree in it can train as one program."""
        identity = {**self._identity(self.settings), "seed": None}
        return _digest([identity, TRAINING_NUMERICS, EVALUATION_NUMERICS], 12)

    @cached_property
    def training_id(self) -> str:
        """A hash of all that can change the trained model: cells that agree in it may share it."""
        training = {key: value for key, value in self.settings.items() if key != "evaluation"}
        return _digest([self._identity(training), TRAINING_NUMERICS], 12)

    def _identity(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "dataset": self.dataset,
            "prior": self.prior,
            "posterior": self.posterior,
            "components": self.components,
            "seed": self.seed,
            "settings": settings,
        }

    @cached_property
    def setting(self) -> str:
        """A hash of ``settings``: only cells that agree in it are seeds of one model."""
        return _digest([self.settings, TRAINING_NUMERICS, EVALUATION_NUMERICS], 6)

    @property
    def label(self) -> str:
        """A name for people: dataset, model and K."""
        pair = self.model or f"{self.prior} x {self.posterior}"
        size = "" if self.components is None else f" K={self.components}"
        return f"{self.dataset} {pair}{size} seed {self.seed}"


def _digest(identity: list[Any], length: int) -> str:
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]


@dataclass(frozen=True)
class Plan:
    """What a run will do: ``cells`` in order, and the ``skipped`` with their reasons."""

    cells: tuple[Cell, ...]
    skipped: tuple[Cell, ...]


def select_pairs(config: Config, registry: Registry) -> list[Pair]:
    """The pairs that the selection names: by model, or every chosen prior x posterior.

    Raises:
        UsageError: an unknown name, or models named together with priors or posteriors.
    """
    run = config.run
    if run.models:
        if run.priors or run.posteriors:
            raise UsageError(
                "choose either models or priors and posteriors: found models "
                f"{', '.join(run.models)} beside priors {', '.join(run.priors) or 'none'} and "
                f"posteriors {', '.join(run.posteriors) or 'none'}"
            )
        named = config.models if "all" in run.models else run.models
        chosen = list(dict.fromkeys(_named_pair(name, config.models) for name in named))
    else:
        priors = _chosen(run.priors, "prior", registry)
        posteriors = _chosen(run.posteriors, "posterior", registry)
        chosen = [(prior, posterior) for prior in priors for posterior in posteriors]
    return [
        pair_up(
            as_loaded(registry.get("prior", prior)),
            as_loaded(registry.get("posterior", posterior)),
            config.models,
        )
        for prior, posterior in chosen
    ]


def _named_pair(name: str, models: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    by_folded = {known.casefold(): pair for known, pair in models.items()}
    if name.casefold() not in by_folded:
        raise unknown("model", name, models)
    prior, posterior = by_folded[name.casefold()]
    return prior, posterior


def _chosen(names: Sequence[str], kind: str, registry: Registry) -> list[str]:
    if not names or "all" in names:
        return registry.names(kind, load=True)
    return [registry.get(kind, name).name for name in dict.fromkeys(names)]


def select_datasets(config: Config, registry: Registry) -> list[str]:
    """The chosen datasets, in the order in which they were named."""
    return _chosen(config.run.datasets, "dataset", registry)


def make_plan(
    config: Config,
    registry: Registry,
    fingerprints: Mapping[str, str],
    device: str,
    components_fixed: bool = True,
    training_data: Mapping[str, str] | None = None,
) -> Plan:
    """Cross pairs, datasets, components and seeds.

    Args:
        config: the settings; each dataset's own overrides are applied here.
        registry: the plugins.
        fingerprints: of each chosen dataset's evaluation data.
        device: kind of device; numbers may differ between kinds.
        components_fixed: whether the user chose K, so that tuning may not.
        training_data: hash of each dataset's training arrays, which no fingerprint shows.
    """
    cells: list[Cell] = []
    skipped: list[Cell] = []
    pairs = select_pairs(config, registry)
    for dataset, fingerprint in fingerprints.items():
        local = config.for_dataset(dataset)
        for pair in pairs:
            fixed = components_fixed or dataset in local.run.components_by_dataset
            settings = cell_settings(local, pair, dataset, registry, fingerprint, device, fixed)
            settings["training_data"] = (training_data or {}).get(dataset, "")
            sizes: list[int | None] = [None]
            if pair.varies_with_components:
                sizes = list(local.components_for(dataset))
            names = dataset, pair.prior, pair.posterior
            best = {} if settings["tuning"] else config.best
            whole = best_values(best, names, None, fixed)
            if "components" in settings["tuning"].get("space", whole):
                sizes = sizes[:1]  # the search chooses K, or has chosen it
            for size in sizes if not pair.reason else sizes[:1]:
                found = best_values(best, names, size, fixed)
                own = {**settings, "best": dict(found)} if found else settings
                for seed in local.run.seeds if not pair.reason else local.run.seeds[:1]:
                    cell = Cell(
                        dataset,
                        pair.prior,
                        pair.posterior,
                        pair.model,
                        size,
                        seed,
                        own,
                        pair.reason,
                    )
                    (skipped if pair.reason else cells).append(cell)
    return Plan(tuple(cells), tuple(skipped))


def cell_settings(
    config: Config,
    pair: Pair,
    dataset: str,
    registry: Registry,
    fingerprint: str,
    device: str,
    components_fixed: bool,
) -> dict[str, Any]:
    """All that can change a cell's numbers beside its names, K and seed."""
    prior, posterior = registry.get("prior", pair.prior), registry.get("posterior", pair.posterior)
    data = registry.get("dataset", dataset)  # the fingerprint is of its evaluation arrays alone
    training = config.training.model_dump()
    del training["checkpoint_seconds"]  # when the state is saved changes no number
    return {
        "training": training,
        "model": config.model.model_dump(),
        "evaluation": config.evaluation.model_dump(),
        "prior": config.options("prior", pair.prior),
        "posterior": config.options("posterior", pair.posterior),
        "dataset": config.options("dataset", dataset),
        "fingerprint": fingerprint,
        "device": device,
        "sources": {info.kind: source_hash(info) for info in (prior, posterior, data)},
        "tuning": tuning_settings(config, pair, components_fixed),
    }


def tuning_settings(config: Config, pair: Pair, components_fixed: bool) -> dict[str, Any]:
    """The search of one cell as JSON values; empty where nothing is searched."""
    if not config.tuning.trials:
        return {}
    space = {}
    for key, table in config.tuning.space.items():
        kind, _, rest = key.partition(".")
        if kind in ("priors", "posteriors"):
            name = rest.partition(".")[0]
            if name not in (pair.prior if kind == "priors" else pair.posterior,):
                continue
        if key == "components" and (components_fixed or not pair.varies_with_components):
            continue
        if key.startswith("training.temperature") and not pair.categorical:
            continue  # nothing is relaxed: the trials would differ in nothing
        space[key] = dict(table)
    pruning = {}
    if config.tuning.pruning:
        pruning = {"reduction": config.tuning.reduction, "rungs": rungs_of(config)}
    return {
        "trials": config.tuning.trials,
        "finals": config.tuning.finals,
        "batch": config.tuning.batch,
        "seed": config.tuning.seed,
        "format": FORMAT,
        "pruning": pruning,
        "space": space,
    }


def source_hash(info: PluginInfo) -> str:
    """A plugin whose code changed makes new cells."""
    if info.path is None or not info.path.is_file():
        return ""
    return hashlib.sha256(info.path.read_bytes()).hexdigest()[:12]

"""Everything that is checked and decided before anything trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bench.config import Config, default_preset, load_config
from bench.config_check import check_names
from bench.errors import DataError, PluginError, UsageError
from bench.execution import Job, resolve_device, share_cores
from bench.grid import Cell, Plan, make_plan, select_datasets
from bench.grouping import Group, make_groups
from bench.registry import Registry
from bench.store import Store
from bench.tuning.storage import Storage
from bench.workshop import Workshop

if TYPE_CHECKING:  # Ray is an extra
    from bench.ray_cluster import Cluster


@dataclass(frozen=True)
class Request:
    """What the user typed.

    Attributes:
        preset: a preset's name, or None for the one that bench.toml chooses.
        config_file: the user's settings, or None for ./bench.toml.
        plugins: files given with ``--plugin``.
        sets: ``KEY=VALUE`` settings.
        flags: other flags by dotted key; None where not given.
        workers: processes; 0 decides from the machine.
        fresh: train finished cells again.
        ray: the address of a Ray cluster to run on; None for this machine.
    """

    preset: str | None
    config_file: Path | None
    plugins: tuple[Path, ...]
    sets: tuple[str, ...]
    flags: Mapping[str, Any]
    workers: int = 0
    fresh: bool = False
    ray: str | None = None

    def config(self) -> Config:
        """The settings that this request means."""
        named = self.flags.get("run.datasets") is not None
        named = named or any(text.startswith("run.datasets") for text in self.sets)
        preset = self.preset or default_preset(named, self.config_file, self.sets) or None
        return load_config(preset, self.config_file, self.sets, self.flags)

    @property
    def components_fixed(self) -> bool:
        """Whether the user chose K, so that tuning leaves it alone."""
        chosen = self.flags.get("run.components") is not None
        return chosen or any(text.startswith("run.components") for text in self.sets)


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to start.

    Attributes:
        config: the settings.
        plan: all cells and skipped pairs.
        todo: the cells that are not finished yet.
        groups: the same, those together that train as one program.
        job: what a worker needs.
        workshop: the main process's own, with the data loaded.
        workers: processes.
        cluster: where they are, if not on this machine.
    """

    config: Config
    plan: Plan
    todo: tuple[Cell, ...]
    groups: tuple[Group, ...]
    job: Job
    workshop: Workshop
    workers: int
    cluster: Cluster | None = None


def prepare(request: Request, notice: Callable[[str], None]) -> Prepared:
    """Check every name, setting, file and plugin, and make the plan.

    Args:
        request: what the user typed.
        notice: hears what is worth knowing but stops nothing.

    Raises:
        UsageError: something is wrong; nothing has trained or been written.
    """
    registry = Registry(request.plugins)
    config = request.config()
    _check_plugins(registry, config, notice)
    check_names(config, registry)
    cluster = _join_cluster(request, config)
    wanted = config.engine.device
    device = cluster.device(wanted) if cluster else _check_device(wanted)
    roots = tuple(Path(folder) for folder in config.run.data_dirs)
    here = "cpu" if cluster else device
    workshop = Workshop(config, registry, roots, torch.device(here))

    if config.tuning.trials:  # looked at only: it may be a dry run
        Storage.at(config.tuning.storage, Path(config.run.out)).check()
    names = select_datasets(config, registry)
    check_data(registry, config, names, roots)
    plan = make_plan(
        config,
        registry,
        {name: workshop.data(name).fingerprint for name in names},
        device.partition(":")[0],
        request.components_fixed,
        {name: workshop.data(name).training_fingerprint for name in names},
    )
    if not plan.cells:
        reasons = "; ".join(dict.fromkeys(cell.reason for cell in plan.skipped))
        raise UsageError(f"nothing to run: every chosen pair is skipped ({reasons})")
    _check_options(plan, workshop)
    out = Path(config.run.out)
    store = Store(out, create=False)
    todo = tuple(c for c in plan.cells if request.fresh or not store.finished(c))
    hidden = max(config.for_dataset(name).model.hidden for name in names)
    slots, cores = cluster.slots(device) if cluster else (request.workers, None)
    # A search is work for as many processes as a round has trials.
    each = config.tuning.batch if config.tuning.trials and not cluster else 1
    workers, _ = share_cores(slots, config.engine.threads, len(todo) * each, device, hidden, cores)
    if config.engine.mode == "graph" and not device.startswith("cuda"):
        notice("engine.mode = graph needs a CUDA device: steps run eagerly")
    sizes = {
        name: workshop.replicas(name, config.for_dataset(name), len(todo), workers, device)
        for name in names
    }
    groups = make_groups(todo, sizes, None if request.fresh else store)
    workers, threads = share_cores(
        min(workers, len(groups) * each),
        config.engine.threads,
        len(groups) * each,
        device,
        hidden,
        cores,
    )
    if cluster:
        threads = cluster.most_threads(threads) if not config.engine.threads else threads
        resources = cluster.resources(threads, device)
        if not cluster.fits(resources):
            notice(f"no node of the Ray cluster offers {resources} now: waiting for one that does")
    workshop.threads, workshop.fresh = threads, request.fresh
    job = Job(
        config,
        registry.plugins,
        roots,
        device,
        out,
        threads,
        request.fresh,
        run=workshop.run,
    )
    return Prepared(config, plan, todo, groups, job, workshop, workers, cluster)


def _join_cluster(request: Request, config: Config) -> Cluster | None:
    if request.ray is None:
        return None
    if request.workers:
        raise UsageError(
            f"--workers {request.workers} does not go with --ray: how many groups run at once "
            "follows from the cluster's cores and GPUs. Leave it out; see engine.threads and "
            "engine.ray_gpus."
        )
    try:
        from bench.ray_cluster import connect
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UsageError(
            "--ray needs Ray, which is not installed here and must be on every node: "
            "python -m pip install 'vae-prior-bench[ray]'"
        ) from error
    return connect(request.ray, config.engine.ray_gpus)


def _check_plugins(registry: Registry, config: Config, notice: Callable[[str], None]) -> None:
    """A broken plugin ends the run only where the user asked for it."""
    run = config.run
    named = {
        *(("prior", name) for name in run.priors),
        *(("posterior", name) for name in run.posteriors),
        *(("dataset", name) for name in run.datasets),
    }
    chosen = {model.casefold() for model in run.models}
    for model, (prior, posterior) in config.models.items():
        if model.casefold() in chosen:
            named |= {("prior", prior), ("posterior", posterior)}
    for info in registry.broken(load=True):
        asked = (info.kind, info.name) in named or info.path in registry.plugins
        if asked:
            raise PluginError(str(info.error))
        notice(f"left out: {info.error}")


def _check_device(wanted: str) -> str:
    device = resolve_device(wanted)
    if device.startswith("cuda"):
        index = int(device.partition(":")[2] or 0)
        if not torch.cuda.is_available() or index >= torch.cuda.device_count():
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
            raise UsageError(
                f"device {wanted!r} was asked for, but torch sees {count} CUDA devices. "
                "Use --device cpu, or see `bench doctor`."
            )
    return device


def check_data(
    registry: Registry, config: Config, names: Sequence[str], roots: Sequence[Path]
) -> None:
    """Report every missing dataset at once, with what would fix it.

    Raises:
        UsageError: some are missing, or do not take their options.
    """
    problems = []
    for name in names:
        plugin, options = registry.load("dataset", name), config.options("dataset", name)
        try:
            dataset = plugin(**options)
        except Exception as error:  # a plugin may raise anything
            raise _bad_options(f"dataset {name}", options, error) from error
        message = dataset.missing_message(roots)
        if message:
            problems.append(message)
    if problems:
        raise DataError("\n".join(problems))


def _check_options(plan: Plan, workshop: Workshop) -> None:
    """Build one model of every pair that has options: a value that it refuses is bad usage."""
    seen = set()
    for cell in plan.cells:
        options = {**cell.settings["prior"], **cell.settings["posterior"]}
        key = cell.dataset, cell.prior, cell.posterior
        if not options or key in seen:
            continue
        seen.add(key)
        config = workshop.config.for_dataset(cell.dataset)
        try:
            workshop.model(cell, config, cell.components, cell.seed)
        except Exception as error:  # a plugin may raise anything
            raise _bad_options(f"{cell.prior} x {cell.posterior}", options, error) from error


def _bad_options(what: str, options: Mapping[str, Any], error: Exception) -> UsageError:
    given = ", ".join(f"{key}={value!r}" for key, value in options.items()) or "no options"
    return UsageError(f"{what} cannot be made with {given}: {type(error).__name__}: {error}")

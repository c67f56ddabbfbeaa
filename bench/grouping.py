"""Which seeds of a cell train as one program, now and when a killed run goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, get_args

from bench.engine.steps import Mode
from bench.files import read_json
from bench.grid import Cell
from bench.products import Kernels
from bench.store import Store

Group = tuple[Cell, ...]

CHECKPOINT = "checkpoint.pt"


def make_groups(
    cells: Sequence[Cell], sizes: Mapping[str, int], store: Store | None
) -> tuple[Group, ...]:
    """Cells that differ in their seed alone, together.

    Those that an earlier run began together, and did not finish, stay together.

    Args:
        cells: the cells to run, in the order of the plan.
        sizes: of each dataset, how many may be in a group.
        store: where earlier runs have left their checkpoints; None where all begins anew.
    """
    families: dict[str, list[Cell]] = {}
    for cell in cells:
        families.setdefault(cell.family, []).append(cell)
    groups: list[Group] = []
    for family in families.values():
        begun: dict[tuple[int, ...], list[Cell]] = {}
        for cell in family:
            begun.setdefault(recorded(cell, store) if store else (), []).append(cell)
        fresh = begun.pop((), [])
        groups += [tuple(members) for members in begun.values()]
        count = -(-len(fresh) // sizes[family[0].dataset])
        for index in range(count):  # of equal size, or nearly so
            first, last = (len(fresh) * k // count for k in (index, index + 1))
            groups.append(tuple(fresh[first:last]))
    order = {cell.id: number for number, cell in enumerate(cells)}
    return tuple(sorted(groups, key=lambda group: order[group[0].id]))


def recorded(cell: Cell, store: Store) -> tuple[int, ...]:
    """The seeds with which the cell was begun, if their training can go on; else none."""
    seeds = settings_of(cell, store).get("group") or []
    if not seeds:
        return ()
    leader = replace(cell, seed=seeds[0])  # whose own group may have changed since
    begun = settings_of(leader, store).get("group") == seeds
    if not begun or not (store.folder(leader.id) / CHECKPOINT).exists():
        return ()
    return tuple(int(seed) for seed in seeds)


def settings_of(cell: Cell, store: Store) -> dict[str, Any]:
    """What ``config.json`` in the cell's folder says; empty where there is no sound one."""
    found = read_json(store.folder(cell.id) / "config.json")
    return found if isinstance(found, dict) and all(_sound(found)) else {}


def _sound(found: Mapping[str, Any]) -> Iterator[bool]:
    """Whether each setting that a training goes on with is one that it could have begun with."""
    group, threads = found.get("group", []), found.get("threads", 1)
    yield isinstance(group, list) and all(type(seed) is int for seed in group)
    yield type(threads) is int and threads > 0
    yield found.get("mode", "eager") in get_args(Mode)
    yield found.get("products", "blas") in get_args(Kernels)


def whole_groups(cells: Sequence[Cell], store: Store) -> list[Group]:
    """The groups in which ``cells`` train: what was begun together goes on together.

    A seed that this run was not asked for is trained along, so that the others' numbers stay those
    of a run that nothing disturbed; its trained model is kept for whoever asks.
    """
    groups: list[Group] = []
    new: list[Cell] = []
    for cell in cells:
        seeds = recorded(cell, store)
        if not seeds:
            new.append(cell)
        elif not any(cell.seed == other.seed for group in groups for other in group):
            groups.append(tuple(replace(cell, seed=seed) for seed in seeds))
    return [*groups, *([tuple(new)] if new else [])]


@contextmanager
def hold_all(cells: Sequence[Cell], store: Store, stop: Any) -> Iterator[None]:
    """Keep the cells, and all that were begun with them, to this process.

    Locks are taken in one order, so that two runs never wait for each other.

    Raises:
        Interrupted: ``stop`` answered True while waiting.
    """
    while True:
        wanted = {cell.id: cell for group in whole_groups(cells, store) for cell in group}
        with ExitStack() as locks:
            for key in sorted(wanted):
                locks.enter_context(store.hold(wanted[key], stop))
            again = {cell.id for group in whole_groups(cells, store) for cell in group}
            if again <= wanted.keys():
                yield
                return

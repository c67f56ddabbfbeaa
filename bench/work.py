"""What a worker does, wherever it runs: a group of cells, or a share in another worker's search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from bench.cells import Events, run_group
from bench.errors import CannotWrite, Interrupted
from bench.files import refusals
from bench.grid import Cell
from bench.grouping import Group
from bench.searching import tune
from bench.store import Store
from bench.workshop import Workshop

Tell = Callable[[str], Callable[..., None]]
"""For a kind of news, the function that passes a cell and the rest on."""


@dataclass(frozen=True)
class Help:
    """A share in the search of a cell that another worker has taken."""

    cell: Cell


def work_on(
    group: Group, workshop: Workshop, store: Store, tell: Tell, stopping: Callable[[], bool]
) -> bool:
    """Run one group and tell of all that happens.

    Args:
        group: cells that differ in their seed alone.
        workshop, store: this process's own.
        tell: see ``Tell``.
        stopping: whether the run was asked to stop.

    Returns:
        False where the run was asked to stop before every cell had ended.

    Raises:
        CannotWrite: the store takes no more.
    """
    events = Events(
        tell("epoch"), tell("trying"), tell("trial"), tell("phase"), tell("notice"), stopping
    )
    for cell in group:
        tell("started")(cell)
    left = len(group)
    try:
        for cell, row in run_group(group, workshop, store, events):
            tell("ended")(cell, row)
            left -= 1
            if left and stopping():
                return False
    except CannotWrite:
        raise
    except Interrupted:
        return False
    return True


def help_search(
    cell: Cell, workshop: Workshop, store: Store, tell: Tell, stopping: Callable[[], bool]
) -> bool:
    """Train trials of a cell's search until it has ended.

    Returns:
        False where the run was asked to stop.

    Raises:
        CannotWrite: the store takes no more.
    """

    def unheard(*_: object) -> None:
        """The cell's own worker tells of the cell."""

    events = Events(tell("epoch"), tell("trying"), tell("trial"), unheard, unheard, stopping)
    torch.set_num_threads(workshop.threads)
    try:
        with refusals(store.out):
            tune(cell, workshop, store, events)
    except CannotWrite:
        raise
    except Interrupted:
        return False
    except Exception:  # the cell's own worker meets it too, and records it
        return True
    return True

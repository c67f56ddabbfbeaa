"""How a cell ends whose process died under it (killed, out of memory)."""

from __future__ import annotations

from collections.abc import Iterable

from bench.cells import ELSEWHERE
from bench.grid import Cell
from bench.store import Row, Store

IF_MEMORY = (
    "if it was killed for want of memory, run with fewer --workers, a smaller evaluation.chunk or "
    "a smaller engine.replicas"
)


class Burials:
    """Knows the rows that lay there before a run began, so that none of them is taken for its own.

    Args:
        cells: all that the run will begin; it has begun none of them yet.
        store: where their rows lie.
        fresh: whether rows of earlier runs are forgotten.
        search_only: whether cells are only searched for, which gives them no rows.
    """

    def __init__(
        self, cells: Iterable[Cell], store: Store, *, fresh: bool, search_only: bool
    ) -> None:
        self._store, self._fresh, self._search_only = store, fresh, search_only
        self._earlier = {cell.id: store.stamp(cell.id) for cell in cells}

    def bury(self, cell: Cell, reason: str) -> Row:
        """Record that the cell has failed, for this reason; returns its row.

        A row that the run itself has written stays: the process died between writing it and
        telling of it. So does a finished one of another run, where those count. The disk does not
        say which of the two it is, so that a finished one is told with ``ELSEWHERE``: whoever has
        heard this run at work on the cell knows better.
        """
        failed: Row = {"status": "failed", "reason": reason}
        if self._search_only:
            return failed
        row = self._store.row(cell.id)
        if row is not None:
            written = self._store.stamp(cell.id) != self._earlier[cell.id]
            if written or (row["status"] == "ok" and not self._fresh):
                return {**row, ELSEWHERE: True} if row["status"] == "ok" else row
        traceback = self._store.folder(cell.id) / "traceback.txt"
        traceback.unlink(missing_ok=True)  # of an earlier failure
        self._store.finish(cell, failed)
        return failed

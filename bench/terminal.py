"""What a person sees while a run goes on: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from bench.grid import Cell
from bench.store import Row
from bench.time_left import TimeLeft

if TYPE_CHECKING:  # the smaller commands start without torch
    from bench.training import Epoch
    from bench.tuning import TrialRecord

QUIET_SECONDS = 10.0
FILE_WIDTH = 175


def open_console() -> Console:
    """The console of a command: a file or a pipe is as wide as the widest table needs."""
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = FILE_WIDTH
    return console


@dataclass
class Running:
    """A cell in training, as the display knows it."""

    epochs: int
    epoch: Epoch | None = None
    trial: int | None = None
    phase: str = "train"
    started: float = field(default_factory=time.monotonic)

    def text(self) -> str:
        """Phase, epoch, current bound and the time an epoch takes."""
        if self.epoch is None or self.phase.startswith("evaluate"):
            return self.phase
        trial = "" if self.trial is None else f"trial {self.trial} "
        bound = -self.epoch.validation_bound
        return f"{trial}epoch {self.epoch.epoch}/{self.epochs} nelbo {bound:.2f}"


class Display:
    """Progress over cells and epochs, with the time that is left.

    Args:
        console: where to print.
        cells: all that the run will train.
        epochs: the most epochs a cell of each dataset may take.
    """

    def __init__(self, console: Console, cells: Sequence[Cell], epochs: dict[str, int]) -> None:
        self.console, self.epochs = console, epochs
        self.total, self.ended_count = len(cells), 0
        self.running: dict[str, tuple[Cell, Running]] = {}
        self.time = TimeLeft(cells, epochs)
        self.spoke = time.monotonic()
        self.live: Live | None = None
        self.bar: Progress | None = None
        self.task = TaskID(0)

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self.bar = Progress(
                TextColumn("cells"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[left]}"),
            )
            self.task = self.bar.add_task("cells", total=self.total, left="")
            self.live = Live(console=self.console, refresh_per_second=4, transient=True)
            self.live.__enter__()
            self.live.update(self._render())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live is not None:
            self.live.__exit__(kind, error, trace)

    def started(self, cell: Cell) -> None:
        """A cell has begun."""
        self.running[cell.id] = (cell, Running(self.epochs[cell.dataset]))
        self._show()

    def phase(self, cell: Cell, name: str) -> None:
        """A cell goes on to tuning, training or evaluation."""
        self.running[cell.id][1].phase = name
        if name != "tune":
            self.time.searched(cell)
        self._show()

    def epoch(self, cell: Cell, epoch: Epoch, trial: int | None) -> None:
        """A cell has finished an epoch."""
        state = self.running[cell.id][1]
        state.epoch, state.trial = epoch, trial
        if trial is None:
            self.time.epoch(cell, epoch.epoch)
        now = time.monotonic()
        if self.live is None and now - self.spoke > QUIET_SECONDS:
            self.spoke = now
            self._say(f"{cell.label}: {state.text()}, {self._left()}")
        self._show()

    def trial(self, cell: Cell, record: TrialRecord) -> None:
        """A trial of a cell's search has ended."""
        self.time.trial(cell, record)
        value = "failed" if record.value is None else f"nelbo {-record.value:.2f}"
        if record.state == "pruned":
            value += f", pruned after epoch {record.epochs}"
        again = "" if record.repeats is None else f" (trial {record.repeats} again)"
        self._say(f"  trial {record.number} of {cell.label}{again}: {value} {record.params}")

    def notice(self, cell: Cell, text: str) -> None:
        """Something about a cell was not done as it was asked."""
        self._say(f"{cell.label}: {text}", "yellow")

    def ended(self, cell: Cell, row: Row) -> None:
        """A cell is finished or has failed."""
        self.running.pop(cell.id, None)
        self.time.ended(cell)
        self.ended_count += 1
        if row["status"] == "ok" and "nelbo" not in row:
            text = f"searched: nelbo {-row['validation_bound']:.2f} on the validation data"
        elif row["status"] == "ok":
            mark = " collapsed" if row.get("collapsed") else ""
            text = f"nelbo {row['nelbo']:.2f} ± {row['nelbo_se']:.2f}{mark}"
        else:
            text = f"failed: {row['reason']}"
        count = f"[{self.ended_count}/{self.total}]"
        style = None if row["status"] == "ok" else "red"
        self._say(f"{count:>9} {cell.label}: {text}, {self._left()}", style)
        self._show()

    def _say(self, text: str, style: str | None = None) -> None:
        """A line as it is: names and messages may hold what rich takes for markup."""
        self.console.print(text, style=style, markup=False, highlight=False)

    def _left(self) -> str:
        seconds = self.time.seconds()
        return "time left unknown" if seconds is None else f"{duration(seconds)} left"

    def _show(self) -> None:
        if self.live is not None:
            self.live.update(self._render())

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        if self.bar is not None:
            self.bar.update(self.task, completed=self.ended_count, left=self._left())
            table.add_row(self.bar)
        for cell, state in self.running.values():
            table.add_row(Text(f"{cell.label}: {state.text()}"))
        return table


def duration(seconds: float) -> str:
    """A time for people: 45 s, 12 min, 3.5 h, 2.1 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"

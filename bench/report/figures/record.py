"""A figure of the report, as the page and the Python API see it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Figure"]


@dataclass(frozen=True)
class Figure:
    """A picture on disk and what it shows.

    Attributes:
        key: its name, and that of its files.
        title: the kind of figure; the page groups by it.
        caption: one or more sentences: what is drawn, and from what.
        png: the picture for a screen.
        svg: the same as a vector file.
        dataset: what it is about; None where it is about several.
        models: the systems in it.
        components: K, where it is about one.
        cell: the id, where it shows one trained model.
        asked: whether parts of ``svg`` say what they are, under the pointer or the keyboard.
    """

    key: str
    title: str
    caption: str
    png: Path
    svg: Path | None
    dataset: str | None
    models: tuple[str, ...]
    components: int | None
    cell: str | None
    asked: bool = False

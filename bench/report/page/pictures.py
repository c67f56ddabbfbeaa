"""Pictures inside the page, as many as there is room for."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Embedded", "Embedder"]

FAIR = 8_000
"""Bytes below which no picture is pressed: what is smaller can no longer be read."""

FEW_COLOURS_GAIN = 3.0
"""Few pictures become so many times smaller by 64 colours, which is slow: larger ones skip it."""

KINDS = {".png": "image/png", ".svg": "image/svg+xml", ".webp": "image/webp"}


@dataclass(frozen=True)
class Embedded:
    """A picture for the page.

    Attributes:
        source: a ``data:`` address; empty where there was no room.
        width, height: in pixels, before it was pressed; None of a vector picture.
    """

    source: str
    width: int | None = None
    height: int | None = None


class Embedder:
    """Makes ``data:`` addresses while its room lasts.

    A picture that is larger than its fair share is stored again with 64 colours, which leaves
    plots sharp, then as WebP, then at half its size.

    Args:
        room: bytes in all, before base64, which adds a third.
        sizes: of the files that are expected. What small ones leave of an equal share goes to the
            large ones; a share is at least ``FAIR``.
    """

    def __init__(self, room: int, sizes: Sequence[int]) -> None:
        self._left = room
        self._share = max(FAIR, _share(room, sizes))
        self.left_out = 0

    def embed(self, *paths: Path) -> Embedded | None:
        """The first of ``paths`` that can be read and fits, else None where none can be read.

        Args:
            paths: the same picture in several formats, the preferred one first.
        """
        readable = [path for path in paths if path.is_file()]
        smallest: tuple[bytes, str, Path] | None = None
        for path in readable:
            for content, kind in _candidates(path, self._share):
                if smallest is None or len(content) < len(smallest[0]):
                    smallest = content, kind, path
                if len(content) <= self._share:
                    return self._taken(content, kind, path)
        return None if smallest is None else self._taken(*smallest)

    def _taken(self, content: bytes, kind: str, path: Path) -> Embedded:
        width, height = (None, None) if kind == KINDS[".svg"] else _size(path)
        if len(content) > self._left:
            self.left_out += 1
            return Embedded("", width, height)
        self._left -= len(content)
        return Embedded(f"data:{kind};base64,{base64.b64encode(content).decode()}", width, height)


def _share(room: int, sizes: Sequence[int]) -> int:
    """The largest size to which all can be pressed and fit."""
    left = room
    for index, size in enumerate(sorted(sizes)):
        many = len(sizes) - index
        if size * many >= left:
            return left // many
        left -= size
    return room


def _candidates(path: Path, share: int) -> Iterator[tuple[bytes, str]]:
    """The file as it is, then ever smaller; nothing where it is no picture."""
    from PIL import Image

    try:
        content = path.read_bytes()
        if path.suffix != ".svg":
            _size(path)
    except OSError:
        return
    yield content, KINDS.get(path.suffix, KINDS[".png"])
    if path.suffix == ".svg":
        return
    try:
        with Image.open(io.BytesIO(content)) as image:
            picture = image.convert("RGBA" if "A" in image.getbands() else "RGB")
    except OSError:  # cut off behind its header
        return
    if len(content) <= FEW_COLOURS_GAIN * share:
        yield _few_colours(picture), KINDS[".png"]
    for quality, scale in ((75, 1.0), (60, 0.5)):
        yield _webp(picture, quality, scale), KINDS[".webp"]


def _few_colours(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.convert("RGB").quantize(64).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _webp(picture: Image.Image, quality: int, scale: float) -> bytes:
    buffer = io.BytesIO()
    if scale != 1.0:
        size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
        picture = picture.resize(size)
    picture.save(buffer, "WEBP", quality=quality, method=2)  # the slower ones gain little
    return buffer.getvalue()


def _size(path: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(path) as image:
        return image.width, image.height

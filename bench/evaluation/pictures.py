"""Pictures of what a model generates, as PNG files (the paper's Figures 6-8 and 13)."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.evaluation.classifier import image_shape

__all__ = ["blocks_png", "grid_png"]

Pictures = NDArray[np.float32]

GAP = 1  # white pixels between pictures
BLOCK_GAP = 6  # between blocks
SMALLEST_SIDE = 28  # smaller pictures are enlarged by a whole factor
WHITE = 255


def grid_png(pictures: Pictures, event_shape: tuple[int, ...]) -> bytes | None:
    """Pictures (rows, columns, P) in a grid; None where data are no pictures in grey."""
    return blocks_png([[pictures]], event_shape)


def blocks_png(blocks: Sequence[Sequence[Pictures]], event_shape: tuple[int, ...]) -> bytes | None:
    """Rows of blocks, each a grid of pictures (rows, columns, P), all of one shape.

    Values from 0, black, to 1, white; where some lie outside, from the least to the largest. A
    row may have fewer blocks than another. None where data are no pictures in grey.
    """
    shape = image_shape(event_shape)
    if shape is None:
        return None
    values = [block for row in blocks for block in row]
    low = min(0.0, *(float(block.min()) for block in values))
    high = max(1.0, *(float(block.max()) for block in values))
    tiles = [[_tile((block - low) / (high - low), shape) for block in row] for row in blocks]
    whole = _paste(tiles, BLOCK_GAP)
    stream = io.BytesIO()
    whole.save(stream, "PNG")
    return stream.getvalue()


def _tile(block: Pictures, shape: tuple[int, int]) -> Image.Image:
    """A block of values between 0 and 1 as one picture."""
    height, width = shape
    times = max(1, SMALLEST_SIDE // min(shape))
    levels = (block * WHITE).round().astype(np.uint8).reshape(*block.shape[:2], height, width)
    pictures = [
        [
            Image.fromarray(one).resize((times * width, times * height), Image.Resampling.NEAREST)
            for one in row
        ]
        for row in levels
    ]
    return _paste(pictures, GAP)


def _paste(rows: Sequence[Sequence[Image.Image]], gap: int) -> Image.Image:
    """Rows of equally large pictures on white."""
    width, height = rows[0][0].width + gap, rows[0][0].height + gap
    size = width * max(len(row) for row in rows) + gap, height * len(rows) + gap
    whole = Image.new("L", size, WHITE)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            whole.paste(picture, (gap + j * width, gap + i * height))
    return whole

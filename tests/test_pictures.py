"""Grids of pictures as PNG files."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image

from bench.evaluation.pictures import blocks_png, grid_png


def test_a_grid_holds_its_pictures_in_order() -> None:
    values = np.linspace(0, 1, 6, dtype=np.float32).repeat(30 * 28).reshape(2, 3, 30 * 28)
    with Image.open(io.BytesIO(grid_png(values, (30, 28)))) as picture:
        pixels = np.asarray(picture)
    centres = pixels[6 + 1 + 15 :: 31, 6 + 1 + 14 :: 29][:2, :3]
    np.testing.assert_array_equal(centres, np.round(255 * np.linspace(0, 1, 6)).reshape(2, 3))


def test_values_beyond_zero_and_one_are_brought_between_them() -> None:
    block = np.array([-3.0, 5.0, 1.0], dtype=np.float32).repeat(28 * 28).reshape(1, 3, -1)
    with Image.open(io.BytesIO(blocks_png([[block], [block[:, :1]]], (28, 28)))) as picture:
        pixels = np.asarray(picture)
    assert pixels[20, [20, 50, 80]].tolist() == [0, 255, 128]


def test_small_pictures_are_enlarged() -> None:
    content = grid_png(np.zeros((1, 2, 64), dtype=np.float32), (8, 8))
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.size == (2 * (3 * 8 + 1) + 13, 3 * 8 + 1 + 13)


@pytest.mark.parametrize("event_shape", [(6,), (3, 2, 1, 1), (3, 2, 2)])
def test_data_that_are_no_pictures_have_none(event_shape: tuple[int, ...]) -> None:
    values = np.zeros((1, 1, math.prod(event_shape)), dtype=np.float32)
    assert grid_png(values, event_shape) is None

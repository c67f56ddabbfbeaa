"""What the arrays of a dataset must be, and the fingerprint that identifies them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.api import Dataset, Split, Splits
from bench.data.checks import check_splits
from bench.data.loading import fingerprint, load_dataset
from bench.errors import PluginError


def test_the_fingerprint_sees_type_shape_and_bytes() -> None:
    x = np.arange(6, dtype=np.uint8)
    variants = [x, x.astype(np.float32), x.reshape(2, 3), x[::-1], x[:5]]
    assert len({fingerprint(v) for v in variants}) == len(variants)
    assert fingerprint(x.astype(">f4")) == fingerprint(x.astype("<f4"))


X = np.zeros((5, 2, 2), np.uint8)
Y = np.zeros(5, np.int64)


class Given(Dataset):
    """Returns what a test gives it."""

    def __init__(self, splits: Any) -> None:
        self.splits = splits

    def load(self, roots: Any) -> Splits:
        return self.splits  # type: ignore[no-any-return]


def given(test: Split, **options: Any) -> Given:
    options = {"label_names": ("only",), **options}
    return Given(Splits(Split(X, Y), Split(X.copy(), Y), test, **options))


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Given(None), r"load\(\) must return Splits, got NoneType"),
        (given(Split(X.copy(), Y), levels=0), "levels must lie in 1..255, got 0"),
        (given(Split(X.copy() + 200, Y), levels=100), r"lie in \[0, 100\].*got \[200, 200\]"),
        (given(Split(X[:0], Y)), r"test.x must be an array .* got shape \(0, 2, 2\)"),
        (given(Split([[1]], Y)), "test.x must be an array .* got list"),  # type: ignore[arg-type]
        (given(Split(X.astype(float), Y)), "uint8 or float32, got float64"),
        (given(Split(np.full((5, 2, 2), np.nan, np.float32), Y)), "must be finite"),
        (given(Split(np.ones((5, 2, 3), np.uint8), Y)), r"\(2, 2\) and uint8, got \(2, 3\)"),
        (given(Split(X.copy(), Y[:4])), r"test.y must be .* \(5,\), got shape \(4,\)"),
        (given(Split(X.copy(), Y.astype(np.int32))), "test.y must be int64, got int32"),  # type: ignore[arg-type]
        (given(Split(X.copy(), Y + 1)), "range of label_names, got 1..1"),
        (given(Split(X.copy(), Y - 1)), "got -1..-1"),
        (given(Split(X.copy(), Y, {"more": Y})), r"labels of train.extra, \[\], got \['more'\]"),
        (given(Split(X, Y)), "train.x and test.x are views of the same rows"),
    ],
)
def test_a_plugin_author_is_told_what_is_wrong(dataset: Given, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        load_dataset(dataset, [])


def test_good_splits_pass() -> None:
    dataset = given(Split(X.copy(), Y))
    check_splits(dataset, dataset.splits)
    data = load_dataset(dataset, [])
    assert data.train_x.shape == (5, 4)
    assert data.train_x.flags.writeable

"""The dataset checks are red on a planted fault and green on data that only look like one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bench.api import Dataset, Split, Splits
from bench.registry import Registry
from bench.testing import check_dataset
from bench.testing.finding import Breach
from bench.testing.leaks import check_labels, check_overlap

Array = npt.NDArray[np.float64]


def made(rows: npt.NDArray[np.generic], y: npt.NDArray[np.int64], *cuts: int) -> dict[str, Split]:
    """Three splits, from rows in order."""
    names = ("train", "validation", "test")
    parts = zip(np.split(rows, cuts), np.split(y, cuts), strict=True)
    return {name: Split(x, y) for name, (x, y) in zip(names, parts, strict=True)}


def images(
    count: int = 900, size: int = 20, labels: int = 5
) -> tuple[Array, npt.NDArray[np.int64]]:
    random = np.random.default_rng(0)
    y = random.integers(labels, size=count)
    return random.integers(256, size=(count, size)) * (1.0 + y[:, None]), y


def continuous() -> dict[str, Split]:
    x, y = images()
    return made(x, y, 500, 700)


def coarse() -> dict[str, Split]:
    """Eight binary pixels: nearly every row of any split is in the others."""
    random = np.random.default_rng(1)
    return made(random.integers(2, size=(3000, 8)), random.integers(3, size=3000), 2000, 2500)


def clustered() -> dict[str, Split]:
    """One row in ten is blank."""
    x, y = images()
    x[np.random.default_rng(2).permutation(900)[:90]] = 0.0
    return made(x, y, 500, 700)


def one_repeat() -> dict[str, Split]:
    """A row of the test split that by chance is one of training, as in omniglot_resized."""
    x, y = images()
    x[800] = x[123]
    return made(x, y, 500, 700)


@pytest.mark.parametrize("parts", [continuous, coarse, clustered, one_repeat])
def test_genuine_repeats_are_no_overlap(parts: Callable[[], dict[str, Split]]) -> None:
    note = check_overlap(parts())
    assert (note is None) == (parts is continuous)


def shifted(share: int) -> dict[str, Split]:
    """Cuts that leave the last ``share`` training rows in validation too."""
    x, y = images()
    parts = made(x, y, 500, 700)
    return {**parts, "validation": Split(x[500 - share : 700], y[500 - share : 700])}


def resampled() -> dict[str, Split]:
    """A test split that is a random third of the training rows, in another order."""
    x, y = images()
    chosen = np.random.default_rng(3).permutation(500)[:160]
    return {**made(x, y, 500, 700), "test": Split(x[chosen], y[chosen])}


def coarse_and_shared() -> dict[str, Split]:
    random = np.random.default_rng(1)
    x, y = random.integers(2, size=(3000, 20)), random.integers(3, size=3000)
    return {**made(x, y, 2000, 2500), "test": Split(x[:500][::-1], y[:500][::-1])}


OVERLAPS = {
    "one row": (lambda: shifted(1), "the last row of train is the first of validation"),
    "two rows": (lambda: shifted(2), "rows 498 and 499 of train are rows 0 and 1 of validation"),
    "many rows": (lambda: shifted(60), "60 equal pairs"),
    "resampled": (resampled, "160 equal pairs"),
    "coarse": (coarse_and_shared, "equal pairs, as train row"),
}


@pytest.mark.parametrize("name", OVERLAPS)
def test_overlapping_splits_are_found(name: str) -> None:
    parts, words = OVERLAPS[name]
    with pytest.raises(Breach, match=words):
        check_overlap(parts())


def with_columns(columns: Callable[[npt.NDArray[np.int64]], Array]) -> dict[str, Split]:
    x, y = images()
    return made(np.concatenate([x, columns(y)], axis=1), y, 500, 700)


CODES: dict[str, Callable[[npt.NDArray[np.int64]], Array]] = {
    "itself": lambda y: y[:, None].astype(float),
    "scaled": lambda y: 0.2 * y[:, None],
    "one-hot": lambda y: np.eye(5)[y],
    "bits": lambda y: (y[:, None] >> np.arange(3)) % 2.0,
    "with something else": lambda y: (y[:, None] * 10 + np.arange(len(y))[:, None] % 3).astype(
        float
    ),
}


@pytest.mark.parametrize("name", CODES)
def test_labels_in_x_are_found(name: str) -> None:
    with pytest.raises(Breach, match=r"coordinate 2[0-9] of train\.x"):
        check_labels(with_columns(CODES[name]))


def test_further_labels_in_x_are_found() -> None:
    x, y = images()
    parts = made(np.concatenate([x, y[:, None]], axis=1), np.zeros_like(y), 500, 700)
    parts = {n: Split(p.x, p.y, {"kind": p.x[:, -1].astype(np.int64)}) for n, p in parts.items()}
    with pytest.raises(Breach, match="x without the label kind"):
        check_labels(parts)


SOUND_COLUMNS: dict[str, Callable[[npt.NDArray[np.int64]], Array]] = {
    "constant": lambda y: np.ones((len(y), 1)),
    "separated clusters": lambda y: (
        10.0 * y[:, None] + np.random.default_rng(4).random((len(y), 1))
    ),
    "nearly the label": lambda y: np.where(np.arange(len(y)) % 100 == 0, 0, y)[:, None].astype(
        float
    ),
    "of one label only": lambda y: ((y == 2) & (np.arange(len(y)) % 2 == 0))[:, None].astype(float),
    "a row number": lambda y: np.arange(len(y))[:, None].astype(float),
}


@pytest.mark.parametrize("name", SOUND_COLUMNS)
def test_measurements_are_no_labels(name: str) -> None:
    check_labels(with_columns(SOUND_COLUMNS[name]))


PLUGIN = """
import numpy as np
from bench.api import DataError, Dataset, Split, Splits

class Mine(Dataset):
    embedded = {embedded}

    def load(self, roots):
        random = np.random.RandomState(0)
        x = random.random_sample((300, 4)).astype(np.float32)
        y = random.randint(3, size=300)
        {body}
        parts = [Split(x[part], y[part]) for part in np.split(np.arange(300), (200, 250))]
        return Splits(*parts, label_names=("a", "b", "c"))
"""
# What is planted, the check that finds it, and what it says.
FAULTS = {
    "sound": ("pass", "", ""),
    "unseeded": (
        "x[0] = np.random.RandomState().random_sample(4)",
        "fingerprint",
        "another process",
    ),
    "set order": (
        "x[0] = [hash(word) % 97 / 97 for word in ('a', 'b', 'c', 'd')]",
        "fingerprint",
        "another process",
    ),
    "overlap": ("x[249] = x[250]", "disjoint", "the last row of validation is the first of test"),
    "label": ("x[:, 3] = y / 2", "labels", "coordinate 3 of train.x, which has one value for each"),
    "global": ("np.random.random_sample()", "random_state", "global generator of numpy"),
    "range": ("y = y + 1", "loads", "must hold labels from 0..2"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_found(tmp_path: Path, name: str) -> None:
    body, slug, words = FAULTS[name]
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN.format(embedded=True, body=body))
    dataset = Registry([path]).load("dataset", "mine")()
    # Another process, which takes seconds to start, where it has something to find.
    plugins = [path] if slug in ("", "fingerprint") else []
    failed = {f.slug: f for f in check_dataset(dataset, [], plugins) if f.failed}
    assert list(failed) == ([slug] if slug else [])
    assert not slug or words in failed[slug].detail


def test_missing_data_are_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN.format(embedded=False, body="open(roots[0] / 'x.npy')"))
    dataset = Registry([path]).load("dataset", "mine")()
    findings = {f.slug: f for f in check_dataset(dataset, [tmp_path], [path])}
    assert "FileNotFoundError" in findings["missing"].detail
    assert "Raise DataError" in findings["missing"].remedy
    assert findings["loads"].failed
    assert {f.slug for f in findings.values() if not f.ran} == {
        "disjoint", "labels", "random_state", "fingerprint",
    }  # fmt: skip


def test_a_dataset_that_is_not_registered_is_loaded_twice() -> None:
    class Mine(Dataset):
        embedded = True
        loads = 0

        def load(self, roots: object) -> Splits:
            type(self).loads += 1
            x, y = images(labels=3)
            x = x.astype(np.float32) / x.max().astype(np.float32) + np.float32(self.loads)
            return Splits(
                *made(x - np.float32(1.0), y, 500, 700).values(), label_names=("a", "b", "c")
            )

    Mine.likelihood = "gaussian"
    failed = [f for f in check_dataset(Mine(), []) if f.failed]
    assert [f.slug for f in failed] == ["fingerprint"]
    assert "in the same process" in failed[0].detail

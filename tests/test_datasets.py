"""The shipped datasets, and what the harness makes of any dataset."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from bench.api import DataError, Dataset, cached_array
from bench.data.idx import read_idx
from bench.data.loading import LoadedData, load_dataset
from bench.data.store import import_dataset, list_datasets
from bench.datasets.digits import Digits
from bench.datasets.fashion_mnist import FashionMNIST
from bench.datasets.gaussians import Gaussians
from bench.datasets.mnist import MNIST
from bench.datasets.omniglot import Omniglot
from bench.datasets.omniglot_resized import OmniglotResized, _average

FILES = {
    "mnist": MNIST,
    "fashion_mnist": FashionMNIST,
    "omniglot": Omniglot,
    "omniglot_resized": OmniglotResized,
}
EMBEDDED = {"digits": Digits, "gaussians": Gaussians}

# Pinned: a change here makes every stored result incomparable with new ones.
PINNED = {
    "digits": "d0c1385cb828d6bd",
    "gaussians": "8a229cdd15e146cd",
    "mnist": "6f5a20ada4e02f28",
    "fashion_mnist": "d2bf42da0a80e5bb",
    "omniglot_resized": "unverified-a3878347ebe02aed",
}


@pytest.fixture
def roots(shared_data: Path, tmp_path: Path) -> list[Path]:
    """Real data behind an empty root, which takes all the writing."""
    return [tmp_path, shared_data]


def tree(root: Path) -> dict[Path, tuple[int, int]]:
    return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in [root, *root.rglob("*")]}


def sizes(data: LoadedData) -> tuple[int, int, int]:
    return len(data.train_x), len(data.validation_x), len(data.test_x)


@pytest.mark.parametrize("name", [*EMBEDDED, *FILES])
def test_the_name_is_the_file_name(name: str) -> None:
    dataset = {**EMBEDDED, **FILES}[name]
    assert dataset.name == name
    assert dataset.embedded == (name in EMBEDDED)
    assert dataset.importable == (name in FILES)


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_data_need_no_root(name: str) -> None:
    dataset = EMBEDDED[name]()
    assert dataset.missing([]) is None
    assert load_dataset(dataset, []).fingerprint == PINNED[name]


def test_digits_are_cut_from_one_permutation() -> None:
    from sklearn.datasets import load_digits

    data = load_dataset(Digits(), [])
    assert sizes(data) == (1197, 200, 400)
    assert (data.event_shape, data.levels, data.likelihood) == ((8, 8), 16, "bernoulli")
    splits = Digits().load([])
    rows = np.concatenate([s.x for s in (splits.train, splits.validation, splits.test)])
    whole = load_digits().data.astype(np.uint8)
    assert sorted(map(bytes, rows.reshape(-1, 64))) == sorted(map(bytes, whole))


def test_gaussians_follow_their_density() -> None:
    data = load_dataset(Gaussians(), [])
    assert sizes(data) == (50_000, 10_000, 10_000)
    assert (data.event_shape, data.likelihood) == ((1,), "gaussian")
    assert data.test_x.dtype == np.float32
    x = data.test_x[:, 0].astype(np.float64)
    bumps = [np.exp(-0.5 * ((x - m) / 0.05) ** 2) / (0.05 * np.sqrt(2 * np.pi)) for m in (0.3, 0.7)]
    # MATHS.md section 8: the ceiling, within three standard errors of 10,000 points
    assert np.log(np.mean(bumps, axis=0)).mean() == pytest.approx(0.88374009, abs=3 * 0.0071)
    np.testing.assert_array_equal(data.labels.test, (x > 0.5).astype(np.int64))
    assert not np.isin(data.test_x, data.validation_x[:100]).all()


@pytest.mark.parametrize("dataset", [MNIST, FashionMNIST])
def test_mnist_and_its_relative(dataset: type[Dataset], roots: list[Path]) -> None:
    before = tree(roots[1])
    data = load_dataset(dataset(), roots)
    assert sizes(data) == (50_000, 10_000, 10_000)
    assert (data.event_shape, data.verified) == ((28, 28), True)
    assert data.fingerprint == PINNED[dataset.name]
    folder = roots[1] / dataset.downloads[0].path
    train = np.fromfile(folder.with_suffix(""), np.uint8)[16:].reshape(-1, 784)
    np.testing.assert_array_equal(data.train_x, train[:50_000])
    drawn = np.random.RandomState(777).binomial(1, train[50_000:] / 255.0)
    np.testing.assert_array_equal(data.validation_x, drawn)
    assert tree(roots[1]) == before
    assert tree(roots[0]).keys() == {roots[0]}


@pytest.mark.parametrize("folder", ["FashionMNIST/raw", "usr/share/datasets/fashion-mnist"])
def test_gzipped_files_where_torchvision_or_debian_puts_them(
    folder: str, shared_data: Path, tmp_path: Path
) -> None:
    (tmp_path / folder).mkdir(parents=True)
    for file in sorted((shared_data / "FashionMNIST/raw").iterdir()):
        packed = gzip.compress(file.read_bytes(), compresslevel=0)
        (tmp_path / folder / f"{file.name}.gz").write_bytes(packed)
    before = tree(tmp_path)
    assert load_dataset(FashionMNIST(), [tmp_path]).fingerprint == PINNED["fashion_mnist"]
    assert tree(tmp_path) == before


@pytest.fixture(scope="module")
def resized(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LoadedData, list[Path]]:
    """Decoded once, into a root whose cache the other tests use."""
    roots = [tmp_path_factory.mktemp("resized"), shared_data]
    before = tree(shared_data)
    data = load_dataset(OmniglotResized(), roots)
    assert tree(shared_data) == before
    return data, roots


def test_omniglot_resized(resized: tuple[LoadedData, list[Path]]) -> None:
    data, roots = resized
    assert sizes(data) == (23_000, 1_345, 8_070)
    assert (data.event_shape, data.levels) == ((28, 28), 225)
    assert data.fingerprint == PINNED["omniglot_resized"]
    assert len(data.label_names) == 50
    character = data.extra_labels["character"]
    every = np.concatenate([character.train, character.validation, character.test])
    assert set(every) == set(range(1623))
    assert np.bincount(every).max() <= 20  # twenty drawings of each: no drawing is used twice
    again = load_dataset(OmniglotResized(), roots)  # from the cache in the first root
    assert again.fingerprint == data.fingerprint
    np.testing.assert_array_equal(again.train_x, data.train_x)


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    for _ in range(2):
        made = cached_array([tmp_path], "key", lambda: np.arange(9))
        np.testing.assert_array_equal(made, np.arange(9))
        (tmp_path / ".cache/key.npy").write_bytes(b"\x93NUMPY cut")


def test_a_read_only_root_takes_no_cache(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        cached_array([tmp_path], "key", lambda: np.arange(9))
        cached_array([tmp_path / "absent"], "key", lambda: np.arange(9))
    finally:
        tmp_path.chmod(0o755)
    assert tree(tmp_path).keys() == {tmp_path}


def test_omniglot_stand_in(resized: tuple[LoadedData, list[Path]], tmp_path: Path) -> None:
    file = resized[1][1] / "omniglot/chardata_standin.mat"
    if not file.is_file():
        pytest.skip(f"{file} is absent")
    with pytest.raises(DataError, match=r"expected git-blob:016a.*found git-blob:.*--unverified"):
        import_dataset(Omniglot(), file, tmp_path)
    assert tree(tmp_path).keys() == {tmp_path}

    placed = import_dataset(Omniglot(), file, tmp_path, unverified=True)
    assert (placed.files, placed.verified) == ((tmp_path / "omniglot/chardata.mat",), False)
    data = load_dataset(Omniglot(), [tmp_path])
    assert sizes(data) == (23_000, 1_345, 8_070)
    assert re.fullmatch("unverified-[0-9a-f]{16}", data.fingerprint)
    assert (data.train_x.dtype, data.levels) == (np.uint8, 255)
    # a character belongs to one alphabet
    character = data.extra_labels["character"].train
    pairs = np.unique(np.stack([data.labels.train, character]), axis=1)
    assert len(np.unique(pairs[1])) == pairs.shape[1]

    # The drawings in the zip files are upright, and these are most of the same drawings.
    upright = resized[0].train_x / np.float32(225)
    some = data.train_x[:40] / np.float32(255)
    turned = some.reshape(-1, 28, 28).transpose(0, 2, 1).reshape(-1, 784)
    assert np.median(nearest(some, upright)) < 1 < 5 < np.median(nearest(turned, upright))


def nearest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distance from each row of ``a`` to the nearest row of ``b``."""
    return ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T).min(1)


def test_the_average_keeps_the_ink() -> None:
    strokes = np.random.RandomState(0).random_sample((3, 105, 105)) < 0.3
    grey = _average(strokes) / 225
    np.testing.assert_allclose(grey.mean((1, 2)), strokes.mean((1, 2)), rtol=1e-12)
    # the first output pixel covers 3.75 pixels each way
    weights = np.array([1, 1, 1, 0.75]) / 3.75
    assert grey[0, 0, 0] == pytest.approx(weights @ strokes[0, :4, :4] @ weights)


def idx(shape: tuple[int, ...], body: int, magic: bytes | None = None) -> bytes:
    header = bytes((0, 0, 8, len(shape))) if magic is None else magic
    return header + np.array(shape, ">u4").tobytes() + bytes(body)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found an empty file"),
        (b"<html>not found</html>", "begin with 00000802, found 3c68746d"),
        (idx((2, 3), 6, magic=bytes((0, 0, 13, 2))), "found 00000d02"),
        (idx((2, 3), 6)[:7], "truncated: expected 12 bytes of header, found 7"),
        (idx((3, 3), 9), r"expected shape \(2, 3\), found \(3, 3\)"),
        (idx((2, 3), 5), "truncated: expected 18 bytes, found 17"),
        (idx((2, 3), 7), "left over: expected 18 bytes, found 19"),
        (gzip.compress(idx((2, 3), 6), mtime=0)[:-9], "damaged"),
    ],
)
def test_a_corrupt_idx_file_is_one_clear_error(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path, (2, 3))
    assert str(path) in str(caught.value)


def test_a_corrupt_dataset_says_what_to_run(tmp_path: Path) -> None:
    for download in MNIST.downloads:
        path = tmp_path / download.path.removesuffix(".gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(idx((60_000, 28, 28), 100))
    with pytest.raises(DataError, match=r"(?s)truncated.*bench data fetch mnist --data-dir"):
        load_dataset(MNIST(), [tmp_path])


@pytest.mark.parametrize(
    ("dataset", "content", "message"),
    [
        (Omniglot, b"MATLAB 5.0 MAT-file" + bytes(200), "damaged|expected"),
        (OmniglotResized, b"PK\x03\x04 cut", "expected a whole zip file"),
    ],
)
def test_other_corrupt_files(
    dataset: type[Dataset], content: bytes, message: str, tmp_path: Path
) -> None:
    for download in dataset.downloads:
        path = tmp_path / download.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_dataset(dataset(), [tmp_path])


def test_the_list_says_what_is_where(roots: list[Path]) -> None:
    rows = {row.name: row for row in list_datasets([Digits(), MNIST(), OmniglotResized()], roots)}
    assert rows["digits"].state == "embedded"
    assert (rows["mnist"].state, rows["mnist"].verified) == ("found", True)
    assert rows["mnist"].where == roots[1] / "MNIST/raw"
    assert rows["mnist"].bytes == 54_950_048
    assert rows["omniglot_resized"].verified is False

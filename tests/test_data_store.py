"""Listing, fetching and importing datasets."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.api import DataError, Dataset, Download, Split, Splits
from bench.data.checksums import checksum_of_bytes, checksum_of_file, validate_checksum
from bench.data.files import marker_of, read_bytes
from bench.data.loading import load_dataset
from bench.data.store import fetch_dataset, import_dataset, list_datasets
from bench.datasets.digits import Digits
from bench.datasets.fashion_mnist import FashionMNIST
from bench.datasets.mnist import MNIST
from bench.datasets.omniglot import Omniglot
from bench.datasets.omniglot_resized import OmniglotResized

SHIPPED = {d.name: d for d in (MNIST, FashionMNIST, Omniglot, OmniglotResized)}
PUBLISHED = {"one": b"1" * 40, "two": b"2" * 40}


class Pair(Dataset):
    """Two gzipped files of forty bytes, the pixels of ten images each."""

    name = "pair"
    downloads = tuple(
        Download(
            urls=(),
            path=f"folder/{name}.gz",
            checksum=checksum_of_bytes(gzip.compress(content, mtime=0), "md5"),
            content=checksum_of_bytes(content, "sha256"),
            elsewhere=(f"usr/share/{name}.gz",),
        )
        for name, content in PUBLISHED.items()
    )

    def load(self, roots: Any) -> Splits:
        paths = self.locate(roots)
        images = [np.frombuffer(read_bytes(path), np.uint8) for path in paths]
        for path, x in zip(paths, images, strict=True):
            if x.size != 40:
                raise DataError(f"{path}: expected 40 bytes, found {x.size}.")
        x = np.concatenate(images).reshape(20, 2, 2)
        parts = [Split(x[a:b], np.zeros(b - a, np.int64)) for a, b in ((0, 10), (10, 15), (15, 20))]
        return Splits(*parts, label_names=("only",), verified=self.verify(paths, roots))


class Lenient(Pair):
    """The same files, read whatever their checksums."""

    name = "lenient"
    downloads = tuple(
        Download((), f"folder/{name}", checksum_of_bytes(content, "md5"), lenient=True)
        for name, content in PUBLISHED.items()
    )


def put(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def names_below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


PACKED = {f"{name}.gz": gzip.compress(content) for name, content in PUBLISHED.items()}
OTHER = {**PUBLISHED, "two": b"3" * 40}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("bench.data.files.SYSTEM_ROOT", tmp_path / "system")
    return tmp_path / "root"


@pytest.mark.parametrize("below", ["", "folder", "usr/share"])
@pytest.mark.parametrize("contents", [PUBLISHED, PACKED])
def test_published_files_are_imported_under_their_names(
    below: str, contents: dict[str, bytes], source: Path, root: Path
) -> None:
    put(source / below, contents)
    result = import_dataset(Pair(), source, root)
    assert (result.verified, result.missing) == (True, ())
    assert names_below(root) == {f"folder/{name}" for name in contents}
    assert load_dataset(Pair(), [root]).verified
    assert names_below(source) == {str(Path(below, name)) for name in contents}


def test_one_file_stands_for_those_beside_it(source: Path, root: Path) -> None:
    put(source, PUBLISHED)
    assert len(import_dataset(Pair(), source / "two", root).files) == 2


def test_a_published_file_may_come_alone(source: Path, root: Path) -> None:
    put(source, {"two": PUBLISHED["two"]})
    assert import_dataset(Pair(), source, root).missing == ("folder/one.gz",)


def test_another_file_needs_the_flag(source: Path, root: Path) -> None:
    put(source, OTHER)
    with pytest.raises(DataError, match=r"two .*expected sha256.*found sha256.*--unverified"):
        import_dataset(Pair(), source, root)
    assert names_below(root) == set()


def test_another_file_is_marked_wherever_it_is_read(source: Path, root: Path) -> None:
    put(source, OTHER)
    assert not import_dataset(Pair(), source, root, unverified=True).verified
    note = json.loads(marker_of(root / "folder/two").read_text())
    assert note["sha256"] == checksum_of_file(root / "folder/two", "sha256")
    assert not marker_of(root / "folder/one").exists()
    data = load_dataset(Pair(), [root])
    assert not data.verified
    assert data.fingerprint.startswith("unverified-")
    (row,) = list_datasets([Pair()], [root])
    assert (row.state, row.verified, row.bytes) == ("found", False, 80)


def test_nobody_vouches_for_a_file_that_changed_later(source: Path, root: Path) -> None:
    import_dataset(Pair(), put(source, OTHER), root, unverified=True)
    (root / "folder/two").write_bytes(b"4" * 40)
    with pytest.raises(DataError, match=r"(?s)not the published file.*--unverified"):
        load_dataset(Pair(), [root])
    assert list_datasets([Pair()], [root])[0].state == "damaged"


def test_a_new_import_replaces_the_old_one(source: Path, root: Path) -> None:
    import_dataset(Pair(), put(source, OTHER), root, unverified=True)
    import_dataset(Pair(), put(source.with_name("packed"), PACKED), root)
    assert names_below(root) == {"folder/one.gz", "folder/two.gz"}
    assert load_dataset(Pair(), [root]).verified


def test_what_does_not_load_is_not_imported(source: Path, root: Path) -> None:
    put(source, {**PUBLISHED, "two": b"3" * 39})
    with pytest.raises(
        DataError, match=re.escape(f"{source / 'two'}: expected 40 bytes, found 39")
    ):
        import_dataset(Pair(), source, root, unverified=True)
    assert names_below(root) == set()


def test_another_file_may_not_come_alone(source: Path, root: Path) -> None:
    put(source, {"two": b"3" * 40})
    with pytest.raises(DataError, match=r"lacks folder/one.gz"):
        import_dataset(Pair(), source, root, unverified=True)


def test_a_lenient_file_needs_no_flag_and_is_marked(source: Path, root: Path) -> None:
    put(source / "folder", OTHER)
    assert not load_dataset(Lenient(), [source]).verified
    assert not import_dataset(Lenient(), source, root).verified
    assert not load_dataset(Lenient(), [root]).verified


@pytest.mark.parametrize("path", ["absent", "source", "source/else"])
def test_nothing_to_import_is_an_error(path: str, tmp_path: Path, root: Path) -> None:
    put(tmp_path / "source", {"else": b""})
    with pytest.raises(DataError, match=r"cannot import .*(no such file|one\.gz, two\.gz)"):
        import_dataset(Pair(), tmp_path / path, root)


def test_one_root_must_hold_all_the_files(tmp_path: Path, root: Path) -> None:
    put(tmp_path / "a/folder", {"one": PUBLISHED["one"]})
    put(tmp_path / "b/folder", {"two": PUBLISHED["two"]})
    roots = [tmp_path / "a", tmp_path / "b"]
    assert "together" in (Pair().missing(roots) or "")
    put(tmp_path / "system/usr/share", PACKED)
    assert load_dataset(Pair(), roots).verified


@pytest.mark.parametrize("dataset", [Digits(), Pair()])
def test_nothing_to_fetch_is_an_error(dataset: Dataset, root: Path) -> None:
    with pytest.raises(DataError, match=r"nothing to fetch|no address is known"):
        fetch_dataset(dataset, root)


def test_a_fetch_replaces_what_is_not_published(
    source: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_dataset(Pair(), put(source, OTHER), root, unverified=True)

    def fetch(download: Download, root: Path, **options: Any) -> Path:
        path = root / download.path
        path.write_bytes(PACKED[path.name])
        return path

    monkeypatch.setattr("bench.data.store.fetch", fetch)
    assert fetch_dataset(Pair(), root) == (root / "folder/one", root / "folder/two.gz")
    assert names_below(root) == {"folder/one", "folder/two.gz"}
    assert load_dataset(Pair(), [root]).verified


def test_a_root_that_is_no_folder_is_an_error(source: Path, tmp_path: Path) -> None:
    put(source, PUBLISHED)
    with pytest.raises(DataError, match=r"cannot write .*--data-dir"):
        import_dataset(Pair(), source, source / "one")


@pytest.mark.parametrize("name", SHIPPED)
def test_missing_data_are_reported_with_two_commands(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.data.files.SYSTEM_ROOT", tmp_path / "system")
    dataset = SHIPPED[name]()
    assert str(tmp_path) in (dataset.missing([tmp_path]) or "")
    fetch, imported = f"bench data fetch {name}", f"bench data import {name} PATH"
    message = dataset.missing_message([tmp_path])
    assert fetch + f" --data-dir {tmp_path}" in message
    assert message.endswith(imported + f" --data-dir {tmp_path}")
    with pytest.raises(DataError, match=re.escape(message)):
        load_dataset(dataset, [tmp_path])
    assert dataset.missing_message([Path("data")]).endswith(imported)
    (row,) = list_datasets([dataset], [tmp_path])
    assert (row.state, row.where, row.verified, row.bytes) == ("missing", None, None, 0)


def test_no_torch_is_imported() -> None:
    code = "import sys, bench.data.store, bench.data.idx; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("like", "expected"),
    [
        ("md5", "md5:6f5902ac237024bdd0c176cb93063dc4"),
        (
            "sha256",
            "sha256:a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447",
        ),
        ("git-blob", "git-blob:3b18e512dba79e4c8300dd08aeb37f8e728b8dad"),
    ],
)
def test_checksums_are_the_published_ones(tmp_path: Path, like: str, expected: str) -> None:
    (tmp_path / "hello").write_bytes(b"hello world\n")
    assert checksum_of_file(tmp_path / "hello", like) == expected
    assert checksum_of_bytes(b"hello world\n", expected) == expected


@pytest.mark.parametrize("bad", ["", "md5", "md5:", "crc:00", "md5:XY", "sha256:" + "0" * 32])
def test_a_malformed_checksum_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="checksum"):
        validate_checksum(bad)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../up", "a/../../b"])
def test_a_download_stays_inside_its_root(path: str) -> None:
    with pytest.raises(ValueError, match="inside the data root"):
        Download((), path, "md5:" + "0" * 32)

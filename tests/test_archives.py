"""Archives are read and never unpacked: no name inside one decides where anything is written."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pytest

from bench.data.store import import_dataset
from bench.datasets.omniglot_resized import OmniglotResized
from bench.errors import DataError

ROOT = Path(__file__).parents[1]
MEMBERS = (
    "../outside.png",
    "images_background/../../outside.png",
    "images_background/../character01/0001_01.png",
    "images_background/Latin/character01/../0001_01.png",
)


def hostile(path: Path, absolute: Path) -> Path:
    """A zip file of members that would leave the folder, and of a link out of it."""
    from PIL import Image

    picture = io.BytesIO()
    Image.new("1", (105, 105), 1).save(picture, "PNG")
    with zipfile.ZipFile(path, "w") as archive:
        for name in (*MEMBERS, str(absolute)):
            archive.writestr(name, picture.getvalue())
        link = zipfile.ZipInfo("images_background/Latin/character01/0002_01.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16  # a symbolic link on Unix
        archive.writestr(link, "../../../../outside.png")
    return path


def test_an_archive_writes_nothing_outside_its_folder(tmp_path: Path) -> None:
    home = tmp_path / "mine"
    home.mkdir()
    outside = tmp_path / "elsewhere" / "outside.png"
    for download in OmniglotResized.downloads:
        hostile(home / Path(download.path).name, outside)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError):
        import_dataset(OmniglotResized(), home, tmp_path / "data", unverified=True)
    after = [path for path in sorted(tmp_path.rglob("*")) if path not in before]
    assert all(path.is_relative_to(tmp_path / "data") for path in after)
    assert not [path for path in after if path.suffix == ".png" or path.is_symlink()]
    assert not outside.exists()


@pytest.mark.parametrize("folder", ["bench", "datasets"])
def test_nothing_is_ever_unpacked_to_disk(folder: str) -> None:
    unpacking = re.compile(r"\b(extractall|unpack_archive|tarfile|\.extract\()")
    found = [path for path in (ROOT / folder).rglob("*.py") if unpacking.search(path.read_text())]
    assert found == []

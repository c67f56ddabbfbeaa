"""Files in the store that somebody else wrote, or changed: refused, and no code in them is run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.tensors import Refused, read_tensors, seal_of, write_tensors
from killing import differences
from runs import Ended, bench, results, run_tiny

WORDS = ("--models", "VAE", "--datasets", "digits")
OFTEN = ("--set", "training.checkpoint_seconds=0")


class Planted:
    """A pickle that makes a folder when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def plant(path: Path) -> None:
    torch.save({"weight": torch.ones(3), "more": Planted(path.parent / "planted")}, path)


def plant_bare(path: Path) -> None:
    path.write_bytes(pickle.dumps(Planted(path.parent / "planted")))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def garbage(path: Path) -> None:
    path.write_bytes(b"\xff\xfe garbage" * 50)


def flip(path: Path) -> None:
    """One bit of a parameter: torch reads this without a word."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size)
    content[largest.header_offset + 200] ^= 1
    path.write_bytes(content)


def of_another(path: Path) -> None:
    """Well made, of the same shape, but of another cell."""
    torch_state = torch.load(path, weights_only=True)
    write_tensors(path, torch_state, "another")


def other_shape(path: Path) -> None:
    write_tensors(path, {"weight": torch.ones(3)}, "another")


def empty(path: Path) -> None:
    path.write_bytes(b"")


HARM = [plant, plant_bare, truncate, garbage, flip, of_another, other_shape, empty]
each_harm = pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)


def run(out: Path, *more: object, epochs: int = 3) -> Ended:
    return run_tiny(out, *WORDS, *OFTEN, *more, epochs=epochs)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "runs"
    assert run(out).status == 0
    return out


@pytest.fixture
def unfinished(tmp_path: Path, undisturbed: Path) -> Path:
    """Trained, and killed before it was evaluated."""
    out = tmp_path / "runs"
    shutil.copytree(undisturbed, out)
    (row,) = out.glob("cells/*/row.json")
    row.unlink()
    return out


def said(ended: Ended) -> str:
    """What the user is told, without the line breaks of the terminal."""
    return " ".join((ended.out + ended.err).split())


@each_harm
def test_tensors_are_read_only_if_they_are_the_expected_ones(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    path = tmp_path / "model.pt"
    value = {"weight": torch.randn(50), "numbers": [1, 2.5, "three"]}
    seal = write_tensors(path, value, "mine")
    assert seal_of(path, "mine") == seal
    found = read_tensors(path, "mine")
    assert torch.equal(found["weight"], value["weight"])
    # Anybody can read it with torch alone, and with any tool for zip archives.
    assert torch.load(path, weights_only=True)["numbers"] == [1, 2.5, "three"]
    with zipfile.ZipFile(path) as archive:
        assert archive.comment == b"bench sha256 " + seal.encode()
        assert archive.testzip() is None
    harm(path)
    with pytest.raises(Refused, match=r"model\.pt is refused: expected a file that bench wrote"):
        read_tensors(path, "mine")
    assert not (tmp_path / "planted").exists()


def test_code_is_not_run_even_under_a_right_checksum(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    write_tensors(path, {"more": Planted(tmp_path / "planted")}, "mine")
    with pytest.raises(Refused, match="torch cannot read"):
        read_tensors(path, "mine")
    assert not (tmp_path / "planted").exists()


@each_harm
def test_a_refused_model_is_trained_anew(
    unfinished: Path, undisturbed: Path, harm: Callable[[Path], None]
) -> None:
    (model,) = unfinished.glob("cells/*/model.pt")
    harm(model)
    ended = run(unfinished)
    assert ended.status == 0, said(ended)
    assert "trains anew: " in said(ended)
    assert "model.pt is refused" in said(ended)
    assert not [*unfinished.rglob("planted")]
    assert differences(unfinished, undisturbed) == []


def test_a_sound_model_is_not(unfinished: Path, undisturbed: Path) -> None:
    (model,) = unfinished.glob("cells/*/model.pt")
    before = model.stat().st_mtime_ns
    assert run(unfinished).status == 0
    assert model.stat().st_mtime_ns == before
    assert differences(unfinished, undisturbed) == []


@pytest.mark.parametrize("name", ["training.json", "config.json"])
@pytest.mark.parametrize("text", [b"\xff\xfe", b"", b"[1]", b'{"threads": "many"}', b"[" * 10**5])
def test_damaged_facts_are_made_anew(unfinished: Path, name: str, text: bytes) -> None:
    (path,) = unfinished.glob(f"cells/*/{name}")
    path.write_bytes(text)
    ended = run(unfinished)
    assert ended.status == 0, said(ended)
    if name == "training.json":
        assert "training.json is refused" in said(ended)
    assert json.loads(path.read_text())["threads"] == 1


def test_facts_of_another_training_are_refused(tmp_path: Path, unfinished: Path) -> None:
    """Both are whole, but they do not belong together."""
    assert run(unfinished, "--seeds", 2).status == 0
    first, second = sorted(unfinished.glob("cells/*/training.json"))
    second.write_bytes(first.read_bytes())
    (second.parent / "row.json").unlink()
    ended = run(unfinished, "--seeds", 2)
    assert ended.status == 0
    assert "the facts of the model beside it, found those of another" in said(ended)
    assert second.read_bytes() != first.read_bytes()


@each_harm
def test_a_refused_checkpoint_is_put_aside(
    tmp_path: Path,
    undisturbed: Path,
    harm: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "runs"
    with monkeypatch.context() as patch:
        patch.setattr("bench.group_training._keep", interrupt)
        run(out)
    (checkpoint,) = out.glob("cells/*/checkpoint.pt")
    harm(checkpoint)
    content = checkpoint.read_bytes()
    ended = run(out)
    assert ended.status == 0, said(ended)
    assert "trains from its first epoch: " in said(ended)
    assert "it is kept as checkpoint.refused" in said(ended)
    aside = checkpoint.with_suffix(".refused")
    assert aside.read_bytes() == content
    aside.unlink()
    assert not [*out.rglob("planted")]
    assert differences(out, undisturbed) == []


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("text", [b"\xff\xfe", b"[]", b'{"cell": "another", "status": "ok"}'])
def test_a_row_of_something_else_is_no_row(
    unfinished: Path, undisturbed: Path, text: bytes
) -> None:
    (model,) = unfinished.glob("cells/*/model.pt")
    (model.parent / "row.json").write_bytes(text)
    ended = run(unfinished)
    assert ended.status == 0, said(ended)
    assert "finished before" not in ended.out
    assert differences(unfinished, undisturbed) == []


def test_a_damaged_list_of_skipped_pairs_is_made_anew(tmp_path: Path) -> None:
    words = ("--priors", "standard,conditional", "--posteriors", "continuous")
    assert run_tiny(tmp_path, *words, "--datasets", "digits").status == 0
    before = results(tmp_path)
    assert [row["status"] for row in before] == ["skipped", "ok"]
    for text in (b"\xff", b'{"a": 1}', b"[]"):
        (tmp_path / "skipped.json").write_bytes(text)
        assert run_tiny(tmp_path, *words, "--datasets", "digits").status == 0
        assert results(tmp_path) == before


def test_a_pointer_out_of_the_store_is_not_followed(unfinished: Path, undisturbed: Path) -> None:
    (pointer,) = unfinished.glob("trained/*")
    pointer.write_text("../../undisturbed\n")
    assert run(unfinished).status == 0
    assert differences(unfinished, undisturbed) == []


def test_reports_read_no_pickles(undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    shutil.copytree(undisturbed, out)
    (examples,) = out.glob("cells/*/examples.npz")
    plant_bare(examples)
    bench("report", "--out", out)
    assert not [*out.rglob("planted")]

"""The judge of generated images: trained once on labelled training data, and on nothing else."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data.loading import Labels, LoadedData, load_dataset
from bench.evaluation import classifier as module
from bench.evaluation.classifier import Classifier, image_shape, trained_classifier
from bench.registry import Registry

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Nothing here draws from torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


def two_kinds(side: int, count: int = 300, *, likelihood: str = "bernoulli") -> LoadedData:
    """Noisy pictures whose label is which half of them is bright."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, count)
    bright = np.arange(side)[None] < side // 2
    x = np.where(bright == y[:, None], 0.7, 0.3)[:, :, None] + random.normal(
        0, 0.1, (count, side, side)
    )
    flat = x.reshape(count, -1)
    if likelihood == "bernoulli":
        train = (255 * flat.clip(0, 1)).astype(np.uint8)
        test = (random.random(flat.shape) < flat).astype(np.uint8)
    else:
        train = test = (20.0 * flat + 300.0).astype(np.float32)
    labels = Labels(y, y, y)
    names = ("upper", "lower")
    return LoadedData(
        "made",
        train,
        test,
        test,
        labels,
        {},
        names,
        (side, side),
        likelihood,
        255,
        True,
        "print",  # type: ignore[arg-type]
    )


DATA = two_kinds(4)


def accuracy(made: Classifier, data: LoadedData) -> float:
    judged = made.judge(torch.from_numpy(data.test_x))
    return float((judged.labels == data.labels.test).mean())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("classifiers")


@pytest.mark.parametrize(
    ("event_shape", "expected"),
    [
        ((28, 20), (28, 20)),
        ((1, 28, 20), (28, 20)),
        ((28, 20, 1), (28, 20)),
        ((3, 28, 20), None),
        ((28,), None),
        ((1, 28, 20, 1), None),
    ],
)
def test_pictures_in_grey_are_told_by_their_shape(
    event_shape: tuple[int, ...], expected: tuple[int, int] | None
) -> None:
    assert image_shape(event_shape) == expected


def test_digits_are_read_in_grey_and_binarized(cache: Path) -> None:
    dataset = Registry().load("dataset", "digits")()
    data = load_dataset(dataset, [])
    made = trained_classifier(data, cache, CPU)
    assert accuracy(made, data) > 0.87
    grey = dataset.load([]).test
    x = torch.from_numpy(grey.x.reshape(len(grey.x), -1)).float() / data.levels
    assert (made.judge(x).labels == grey.y).mean() > 0.95


@pytest.mark.parametrize("side", [4, 17])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_both_networks_learn_both_kinds_of_data(side: int, likelihood: str, cache: Path) -> None:
    """Also real values whose scale and offset are far from those of pixels."""
    data = two_kinds(side, likelihood=likelihood)
    made = trained_classifier(data, cache, CPU)
    assert accuracy(made, data) > 0.95
    convolutional = any(isinstance(part, torch.nn.Conv2d) for part in made.modules())
    assert convolutional == (side >= 16)


def test_judging_in_parts_changes_nothing(cache: Path) -> None:
    made, x = trained_classifier(DATA, cache, CPU), torch.from_numpy(DATA.test_x)
    whole, parts = made.judge(x), made.judge(x, chunk=7)
    assert whole.features.shape == (len(x), 128)
    np.testing.assert_array_equal(whole.labels, parts.labels)
    torch.testing.assert_close(whole.features, parts.features)


def count_training(monkeypatch: pytest.MonkeyPatch, pause: float = 0.0) -> list[int]:
    calls: list[int] = []
    ready = trained_state(DATA)

    def train(data: LoadedData, device: torch.device) -> Classifier:
        calls.append(len(data.train_x))
        time.sleep(pause)
        return ready

    monkeypatch.setattr(module, "_train", train)
    return calls


def trained_state(data: LoadedData) -> Classifier:
    with torch.random.fork_rng():
        return Classifier(data.event_shape, len(data.label_names)).eval()


def test_the_second_call_trains_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = count_training(monkeypatch)
    first, second = (trained_classifier(DATA, tmp_path / "new", CPU) for _ in range(2))
    assert len(calls) == 1
    assert not second.training
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    x = torch.from_numpy(DATA.test_x)
    assert torch.equal(first.judge(x).features, second.judge(x).features)


class Harmful:
    """What a file may not do when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, ("harm",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no file of weights",
        b"cut",
        pickle.dumps(Harmful(), protocol=2),
        "other weights",
        "no weights",
    ],
    ids=["empty", "text", "cut", "harmful", "other weights", "no weights"],
)
def test_a_damaged_file_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | str
) -> None:
    calls = count_training(monkeypatch)
    made = trained_classifier(DATA, tmp_path, CPU)
    (path,) = tmp_path.glob("*.pt")
    whole = path.read_bytes()
    if content == "other weights":
        torch.save(trained_state(two_kinds(5)).state_dict(), path)
    elif content == "no weights":
        torch.save([1, 2], path)
    elif isinstance(content, bytes):
        path.write_bytes(whole[: len(whole) // 2] if content == b"cut" else content)
    again = trained_classifier(DATA, tmp_path, CPU)
    assert len(calls) == 2
    assert not Path("harm").exists()
    assert torch.equal(again.out[1].weight, made.out[1].weight)
    trained_classifier(DATA, tmp_path, CPU)
    assert len(calls) == 2


def test_those_who_need_it_at_once_wait_for_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = count_training(monkeypatch, pause=0.2)
    found: list[Classifier] = []
    users = [
        threading.Thread(target=lambda: found.append(trained_classifier(DATA, tmp_path, CPU)))
        for _ in range(4)
    ]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert len(calls) == 1
    assert len(found) == 4


def test_a_cache_that_cannot_be_written_costs_time_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = count_training(monkeypatch)
    (tmp_path / "file").write_text("in the way")
    for _ in range(2):
        trained_classifier(DATA, tmp_path / "file" / "cache", CPU)
    assert len(calls) == 2


def test_the_same_weights_from_the_same_data(tmp_path: Path, cache: Path) -> None:
    first, second = (trained_classifier(DATA, folder, CPU) for folder in (tmp_path, cache))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])


def test_test_data_and_their_labels_play_no_part(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained_classifier(DATA, tmp_path, CPU)
    y = DATA.labels
    hidden = replace(
        DATA,
        test_x=np.zeros_like(DATA.test_x),
        validation_x=np.zeros_like(DATA.test_x),
        labels=Labels(y.train, 1 - y.validation, 1 - y.test),
    )
    calls = count_training(monkeypatch)
    trained_classifier(hidden, tmp_path, CPU)
    assert not calls
    trained_classifier(replace(DATA, labels=Labels(1 - y.train, y.train, y.test)), tmp_path, CPU)
    trained_classifier(replace(DATA, label_names=("a", "b", "c")), tmp_path, CPU)
    trained_classifier(replace(DATA, levels=254), tmp_path, CPU)
    assert len(calls) == 3

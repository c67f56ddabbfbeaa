"""The published numbers: what the paper prints, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.report.papertables.published import (
    COLUMNS,
    SYSTEMS,
    TABLE_3,
    TOP_LISTS,
    counts,
    published,
)


@pytest.fixture(scope="module")
def paper(shared_data: Path) -> list[list[str]]:
    """The lines of the paper as words; its tables are parted by tabs."""
    path = shared_data.parent / "PAPER.md"
    if not path.is_file():
        pytest.skip(f"shared data: {path} is absent")
    return [line.split() for line in path.read_text().splitlines()]


def test_table_3_is_the_papers(paper: list[list[str]]) -> None:
    start = paper.index(["MNIST", "FashionMNIST", "Omniglot"])
    sizes = [word for word in paper[start + 1] if word.strip("$").isdigit() or word[0].isdigit()]
    assert [int(size.strip("$")) for size in sizes] == [size for _, size in COLUMNS]
    printed = {
        words[0]: [w.replace("—", "") for w in words[1:]] for words in paper[start + 2 :][:9]
    }
    assert printed == {model: list(numbers) for model, numbers in TABLE_3.items()}
    assert tuple(printed) == SYSTEMS


@pytest.mark.parametrize(
    ("title", "dataset"), [("**Table 2.** FashionMNIST:", "fashion_mnist"),
                           ("**Table A1.** MNIST:", "mnist")],
)  # fmt: skip
def test_the_top_lists_are_the_papers(paper: list[list[str]], title: str, dataset: str) -> None:
    start = next(i for i, words in enumerate(paper) if " ".join(words).startswith(title))
    rows = [words for words in paper[start:] if words[:1] == ["label"]][:10]
    assert [int(words[1]) for words in rows] == list(range(10))
    numbers = [[int(word) for word in words[2:]] for words in rows]
    ours = TOP_LISTS[dataset, 150]
    assert [tuple(row[:5]) for row in numbers] == list(ours["CP"])
    assert [tuple(row[5:]) for row in numbers] == list(ours["INDq"])


@pytest.mark.parametrize(
    ("dataset", "model", "found"),
    [("fashion_mnist", "CP", (46, 8)), ("fashion_mnist", "INDq", (19, 43)),
     ("mnist", "CP", (49, 2)), ("mnist", "INDq", (39, 19))],
)  # fmt: skip
def test_counts_of_the_published_lists(dataset: str, model: str, found: tuple[int, int]) -> None:
    """As MATHS 6 counts them."""
    assert counts(TOP_LISTS[dataset, 150][model]) == found


def test_a_number_is_found_by_dataset_model_and_size() -> None:
    assert sum(bool(text) for numbers in TABLE_3.values() for text in numbers) == 62
    assert published("omniglot", "HVP", 500) == 110.16
    assert published("fashion_mnist", "HVAE", None) == 230.10
    for nothing in (("digits", "CP", 10), ("mnist", "CP", 50), ("mnist", "mog x joint", 10),
                    ("mnist", "CP", None), ("mnist", "VAE", 10)):  # fmt: skip
        assert published(*nothing) is None

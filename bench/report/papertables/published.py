"""The numbers that were published, copied as they are printed.

Source: F. Lavda, M. Gregorova, A. Kalousis, *Data-Dependent Conditional Priors for Unsupervised
Learning of Multimodal Data*, Entropy 22(8):888, 2020, Tables 2, 3 and A1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

__all__ = ["COLUMNS", "SYSTEMS", "TABLE_3", "TOP_LISTS", "UNSIZED", "counts", "published"]

COLUMNS = (
    ("mnist", 10), ("mnist", 150), ("mnist", 500),
    ("fashion_mnist", 10), ("fashion_mnist", 150), ("fashion_mnist", 500),
    ("omniglot", 50), ("omniglot", 500),
)  # fmt: skip
"""Dataset and K of the columns of Table 3."""

TABLE_3 = {
    "CP": ("87.15", "88.53", "89.91", "232.52", "233.79", "234.89", "117.51", "120.64"),
    "INDq": ("89.67", "92.15", "93.38", "232.71", "234.41", "234.93", "125.28", "124.48"),
    "INDp": ("88.20", "88.77", "88.53", "229.83", "230.41", "231.34", "120.92", "121.83"),
    "INDqp": ("87.93", "88.21", "88.98", "228.65", "230.98", "231.18", "119.99", "120.82"),
    "VAE": ("88.75", "", "", "231.49", "", "", "115.06", ""),
    "MG": ("89.43", "88.96", "88.85", "267.07", "272.60", "274.55", "116.31", "116.12"),
    "VP": ("87.94", "86.55", "86.07", "230.87", "229.82", "270.83", "114.01", "113.74"),
    "HVAE": ("86.7", "", "", "230.10", "", "", "110.81", ""),
    "HVP": ("85.90", "85.09", "85.01", "229.67", "229.36", "229.62", "110.50", "110.16"),
}
"""Negative variational lower bounds on the test sets, nats; blank where the paper has a dash."""

SYSTEMS = tuple(TABLE_3)
"""The nine systems, in the paper's order."""

UNSIZED = ("VAE", "HVAE")
"""The systems without K: they have one number a dataset, in the column of its smallest K."""

TOP_LISTS = {
    ("fashion_mnist", 150): {
        "CP": (
            (9, 80, 127, 24, 62), (143, 1, 144, 64, 135), (146, 25, 145, 41, 29),
            (135, 91, 17, 138, 64), (83, 138, 109, 37, 147), (34, 88, 77, 3, 85),
            (79, 122, 81, 26, 127), (53, 16, 43, 46, 19), (47, 95, 137, 97, 63),
            (94, 130, 101, 119, 132),
        ),
        "INDq": (
            (135, 133, 149, 42, 64), (135, 149, 71, 64, 3), (135, 149, 71, 42, 3),
            (135, 149, 133, 3, 148), (135, 71, 149, 42, 114), (63, 13, 34, 39, 31),
            (149, 135, 42, 133, 71), (63, 34, 13, 31, 126), (7, 63, 105, 123, 145),
            (13, 63, 34, 31, 145),
        ),
    },
    ("mnist", 150): {
        "CP": (
            (22, 102, 17, 59, 134), (32, 48, 21, 9, 20), (29, 55, 45, 95, 88),
            (129, 5, 13, 146, 125), (53, 40, 47, 122, 74), (66, 60, 117, 63, 10),
            (41, 35, 127, 130, 149), (52, 0, 148, 108, 106), (132, 103, 27, 100, 85),
            (75, 42, 81, 144, 0),
        ),
        "INDq": (
            (67, 145, 56, 18, 32), (94, 97, 85, 124, 67), (31, 5, 48, 140, 65),
            (122, 135, 125, 149, 99), (107, 87, 120, 132, 80), (43, 141, 56, 102, 149),
            (109, 103, 111, 141, 98), (135, 67, 125, 2, 99), (1, 23, 15, 63, 40),
            (67, 99, 18, 34, 79),
        ),
    },
}  # fmt: skip
"""The five largest categories of labels 0 to 9: Table 2 (FashionMNIST) and Table A1 (MNIST)."""


def published(dataset: str, model: str, components: int | None) -> float | None:
    """A number of Table 3; None where it has none.

    Args:
        dataset: a name of the registry.
        model: a system's name.
        components: K; None for a system without.

    Example:
        >>> published("mnist", "CP", 10), published("mnist", "VAE", None)
        (87.15, 88.75)
    """
    for (name, size), text in zip(COLUMNS, TABLE_3.get(model, ()), strict=False):
        wanted = components is None if model in UNSIZED else components == size
        if name == dataset and wanted and text:
            return float(text)
    return None


def counts(lists: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Different categories among the lists, and places whose category is in several of them."""
    times = Counter(k for ks in lists for k in ks)
    return len(times), sum(count for count in times.values() if count > 1)

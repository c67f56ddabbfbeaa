"""What one question of the evaluation answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Section:
    """The answer to one question about a cell.

    Attributes:
        metrics: plain numbers for the cell's row, by column of results.csv; a metric that does
            not apply is None or absent, never zero.
        details: JSON values for the section's own file in the cell's folder: plain Python
            numbers, strings, lists and dicts, None for what is not finite.
        files: further files of the cell's folder, by name (pictures as PNG).
    """

    metrics: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

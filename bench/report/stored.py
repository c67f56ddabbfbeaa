"""What figures and the scorecard read of a cell's JSON files, and which structure that must have.

What is made of many cells must not be lost for one file that is JSON and yet no such file. So each
file is checked as it is read, apart from all others, and what is read has the types that it says.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from bench.errors import first_line

__all__ = [
    "Categories",
    "Density",
    "Described",
    "Generation",
    "LabelCategories",
    "Likelihood",
    "Stored",
    "read_stored",
]

Share = Annotated[float, Field(ge=0.0)]
Shares = Annotated[list[Share], Field(min_length=1)]
Index = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """A part of a file: what else is there, is not read."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class Stored(Part):
    """A file. Everything in it may be absent, so that one without arguments stands for no file."""

    file: ClassVar[str]


Kind = TypeVar("Kind", bound=Stored)


class LabelCategories(Part):
    """q(c | label): a row of shares for each label."""

    labels: list[str]
    shares: list[Shares]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        lengths = {len(row) for row in self.shares}
        if len(self.shares) != len(self.labels) or len(lengths) > 1:
            raise ValueError(
                f"a row of equal length for each of {len(self.labels)} labels, found "
                f"{len(self.shares)} rows of {', '.join(map(str, sorted(lengths)))}"
            )
        return self


class Categories(Stored):
    """How categories are used."""

    file = "categories.json"
    train_category_probabilities: Shares | None = None
    label_categories: LabelCategories | None = None


class Truth(Part):
    """The grid of a known density: its ends, and how many points."""

    grid: Annotated[list[float], Field(min_length=3, max_length=3)]


class Curves(Part):
    """Densities on the grid."""

    true: Annotated[list[Share], Field(min_length=2)]


class Weighting(Part):
    """How near a way to choose the category comes to the density; js_mc_se in nats."""

    js_mc_se: Share | None = None


class Density(Stored):
    """A known density."""

    file = "density.json"
    truth: Truth | None = None
    curves: Curves | None = None
    weightings: dict[str, Weighting] = {}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.truth is None:
            return self
        if self.curves is None:
            raise ValueError("curves beside truth, found none")
        (low, high, count), heights = self.truth.grid, self.curves.true
        if not low < high or count != len(heights) or max(heights) <= 0.0:
            raise ValueError(
                f"a density above 0 on the {count:g} points from {low:g} up to {high:g}, found "
                f"{len(heights)} values of at most {max(heights):g}"
            )
        return self


class AtSamples(Part):
    """The importance-weighted bound at S samples."""

    samples: PositiveInt
    bound: float


class Estimator(Part):
    """An importance-weighted bound at several S."""

    by_samples: list[AtSamples] = []


class Likelihood(Stored):
    """The importance-weighted bound."""

    file = "likelihood.json"
    sampled: Estimator | None = None


class Pictures(Part):
    """What the rows of the evaluation's pictures are: here of each label the categories."""

    labels: Annotated[dict[str, list[Index]], Field(alias="labels.png")] = {}


class Marginal(Part):
    """How many samples were drawn from the marginal, and which share of them has each label."""

    samples: PositiveInt
    label_probabilities: Shares


class Generation(Stored):
    """What categories generate."""

    file = "generation.json"
    pictures: Pictures | None = None
    marginal: Marginal | None = None


class Recipe(Part):
    """How a model is built."""

    event_shape: list[PositiveInt]


class Sizes(Part):
    """The sizes of a model."""

    latent_dim: PositiveInt = 1


class Described(Stored):
    """How a cell was trained."""

    file = "config.json"
    recipe: Recipe | None = None
    model: Sizes = Sizes()


def read_stored(kind: type[Kind], content: bytes) -> Kind:
    """A file of a cell, from its content.

    Args:
        kind: which file, and what it must be like.
        content: the file's bytes.

    Raises:
        ValueError: it is no JSON, or of another structure; says what was expected and found.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON ({first_line(error)})") from None
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, found {type(found).__name__}")
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        raise ValueError(_said(error.errors()[0])) from None


def _said(error: Any) -> str:
    """What was expected, where, and what is there."""
    place = ".".join(map(str, error["loc"]))
    where = f"at {place}: " if place else ""
    if error["type"] == "value_error":
        return f"{where}expected {error['ctx']['error']}"
    if error["type"] == "missing":
        return f"{where}expected a value, found none"
    given = error["input"]
    plain = isinstance(given, int | float) and not isinstance(given, bool)
    found = f"{given:g}" if plain else type(given).__name__
    wanted = error["msg"].replace("Input should be", "expected")
    return f"{where}{wanted.replace('List should have', 'expected a list with')}, found {found}"

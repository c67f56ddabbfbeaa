"""The sections of the configuration: which keys there are and what each takes.

Nothing has a default here: bench.toml is the only place that holds them, so that what it documents
is what runs.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from bench.config_values import (
    device,
    integers,
    names,
    not_empty,
    pair,
    seeds,
    some_unique,
    to_range,
)
from bench.spaces import Range

Pair = Annotated[list[str], AfterValidator(pair)]
Names = Annotated[list[str], BeforeValidator(names)]
Components = Annotated[list[PositiveInt], BeforeValidator(integers), AfterValidator(some_unique)]
TRIALS_A_FINALIST = 10  # one trial in so many may be trained again
TRIAL_SEEDS = 2**31
"""Trials of a search train on seeds from here on, and cells on smaller ones: the seeds that are
reported are fresh to the setting that a search has chosen. Both fit into 32 bits."""

Seed = Annotated[int, Field(ge=0, lt=TRIAL_SEEDS)]
Seeds = Annotated[list[Seed], BeforeValidator(seeds), AfterValidator(some_unique)]


class Section(BaseModel):
    """A table that refuses unknown keys and values of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class RunConfig(Section):
    """What to run and where results go."""

    preset_with_datasets: str
    preset_bare: str
    datasets: Names
    models: Names
    priors: Names
    posteriors: Names
    components: Components
    components_by_dataset: dict[str, Components]
    seeds: Seeds
    data_dirs: Annotated[Names, AfterValidator(not_empty)]
    out: Annotated[str, AfterValidator(not_empty)]


class TrainingConfig(Section):
    """How a cell is trained."""

    batch_size: PositiveInt
    learning_rate: PositiveFloat
    epochs: PositiveInt
    warmup_epochs: NonNegativeInt
    patience: PositiveInt
    initialisation: Literal["glorot", "he"]
    normalise_gradients: bool
    precision: Literal["float32", "tf32", "bfloat16"]
    temperature_start: PositiveFloat
    temperature_floor: PositiveFloat
    temperature_decay: NonNegativeFloat
    checkpoint_seconds: NonNegativeFloat

    @model_validator(mode="after")
    def _floor_below_start(self) -> TrainingConfig:
        if self.temperature_floor > self.temperature_start:
            raise ValueError(
                f"expected temperature_floor to be at most temperature_start, found "
                f"{self.temperature_floor} above {self.temperature_start}"
            )
        return self


class ModelConfig(Section):
    """Sizes shared by every cell."""

    latent_dim: PositiveInt
    hidden: PositiveInt


class EvaluationConfig(Section):
    """How a finished cell is measured."""

    importance_samples: PositiveInt
    elbo_samples: PositiveInt
    prune: Annotated[float, Field(ge=0, lt=1)]
    responsibility_samples: PositiveInt
    decomposition_points: PositiveInt
    decomposition_samples: PositiveInt
    generation_samples: NonNegativeInt
    density_samples: PositiveInt
    chunk: PositiveInt
    seed: NonNegativeInt


class TrackingConfig(Section):
    """Where MLflow writes."""

    enabled: bool
    uri: str
    experiment: Annotated[str, AfterValidator(not_empty)]
    register_models_as: str


class TuningConfig(Section):
    """The search over settings: how many trials, and in which ranges."""

    trials: NonNegativeInt
    batch: PositiveInt
    seed: NonNegativeInt
    storage: str
    pruning: bool
    reduction: Annotated[int, Field(ge=2)]
    first_rung: NonNegativeInt
    finalists: NonNegativeInt
    repeats: PositiveInt
    space: dict[str, dict[str, Any]]

    @field_validator("finalists")
    @classmethod
    def _finalists_are_several(cls, finalists: int) -> int:
        if finalists == 1:
            raise ValueError("expected 0 (the best trial is chosen) or at least 2, found 1")
        return finalists

    @field_validator("space")
    @classmethod
    def _ranges_are_ranges(cls, space: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for key, table in space.items():
            to_range(key, table)
        return space

    @property
    def finals(self) -> dict[str, int]:
        """How many settings are trained again, and how often; empty where none are."""
        settings = min(self.finalists, self.trials // TRIALS_A_FINALIST)
        return {"settings": settings, "repeats": self.repeats} if settings > 1 else {}

    @property
    def ranges(self) -> dict[str, Range]:
        """The search space as typed ranges, by dotted key."""
        return {key: to_range(key, table) for key, table in self.space.items()}


class EngineConfig(Section):
    """What computes."""

    threads: NonNegativeInt
    device: Annotated[str, AfterValidator(device)]
    mode: Literal["auto", "eager", "compile", "graph"]
    break_even: NonNegativeInt
    products: Literal["auto", "blas", "onednn"]
    replicas: NonNegativeInt
    ray_gpus: PositiveFloat

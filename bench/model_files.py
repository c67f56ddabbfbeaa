"""A trained model on disk: its parameters, and beside them the facts of its training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.files import read_json, write_json
from bench.tensors import Refused, read_tensors, seal_of, write_tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MODEL, FACTS = "model.pt", "training.json"
KINDS: Mapping[str, tuple[type, ...]] = {
    "tuned": (dict,),
    "components": (int, type(None)),
    "threads": (int,),
    "products": (str,),
    "engine_mode": (str,),
    "replicas": (int,),
    "epochs": (int,),
    "best_epoch": (int,),
    "validation_bound": (int, float),
    "seconds": (int, float),
}
"""What the facts hold at least, with the types of their values."""


def keep_model(
    folder: Path, training_id: str, weights: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> None:
    """Write a trained model, and then its facts, which name the very file they are about."""
    kept = {name: value.cpu() for name, value in weights.items()}
    seal = write_tensors(folder / MODEL, kept, training_id)
    write_json(folder / FACTS, {**facts, "seal": seal})


def facts_of(folder: Path, training_id: str) -> dict[str, Any]:
    """The facts of the model in ``folder``, after a look at both files.

    Args:
        folder: a cell's folder.
        training_id: of the training that the model must be of.

    Raises:
        Refused: a file is damaged, was changed, or is of another training.
    """
    seal, facts = seal_of(folder / MODEL, training_id), read_json(folder / FACTS)
    whole = isinstance(facts, dict) and all(
        name in facts and isinstance(facts[name], kinds) for name, kinds in KINDS.items()
    )
    if not whole or facts.pop("seal", None) != seal:
        raise Refused(
            f"{folder / FACTS} is refused: expected the facts of the model beside it, found "
            + ("those of another" if whole else "something else")
        )
    return dict(facts)


def read_model(
    folder: Path, training_id: str, device: torch.device
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The parameters of the model in ``folder``, and its facts.

    Raises:
        Refused: a file is damaged, was changed, or is of another training.
    """
    facts = facts_of(folder, training_id)
    weights = read_tensors(folder / MODEL, training_id, device)
    return weights, facts

"""A cell's model in MLflow's model format, without pickled code.

The folder holds the cell's config.json, its weights and the user's own plugin files, and MLflow is
told to load it with this module. So ``mlflow.pyfunc.load_model("runs:/ID/model")`` needs an
environment with this package, and in it builds the model anew and reads tensors alone.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.trained import TrainedModel

FOLDER = "model"
PARTS = ("config.json", "model.pt", "plugins")


def is_whole(folder: Path) -> bool:
    """Whether a cell's folder holds all that its model is loaded from."""
    try:
        described = "recipe" in json.loads((folder / "config.json").read_text())
    except (OSError, ValueError, TypeError):
        return False
    return described and (folder / "model.pt").is_file()


def write(folder: Path, to: Path) -> None:
    """The model of a cell's ``folder`` as an MLflow model in the new folder ``to``."""
    from importlib.metadata import version

    from mlflow import pyfunc

    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch, "cell")
        data.mkdir()
        for name in PARTS:
            part = folder / name
            if part.is_dir():
                shutil.copytree(part, data / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif part.is_file():
                shutil.copyfile(part, data / name)
        # Named, as MLflow would load the model in a process of its own to infer them.
        needed = [f"{name}=={version(name)}" for name in ("vae-prior-bench", "torch")]
        pyfunc.save_model(
            str(to), loader_module=__name__, data_path=str(data), pip_requirements=needed
        )


def _load_pyfunc(path: str) -> TrainedModel:
    """What MLflow calls."""
    from bench.trained import TrainedModel

    return TrainedModel.load(Path(path))

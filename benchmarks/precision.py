"""``python -m benchmarks.precision``: what training in lower precision costs in bound.

Every model is trained in every precision that the device has, from the same seeds: the same weights
at the start, batches and noise. Differences are therefore taken seed by seed. It is ``bench run``
into one folder, so that what was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from bench.execution import resolve_device
from bench.files import write_text
from bench.precision import Precision
from benchmarks.ours import precisions
from benchmarks.settings import Settings, cores
from benchmarks.tables import table

Bounds = Mapping[str, Mapping[int, float]]
"""The negative ELBO by precision and seed, nats a datum."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    chosen = _parser().parse_args(arguments)
    wanted = precisions(Settings(resolve_device(chosen.device), cores()))
    for precision in wanted:
        command = [sys.executable, "-m", "bench", "run", "--preset", "quick"]
        command += ["--datasets", "mnist", "--models", chosen.models, "--seeds", chosen.seeds]
        command += ["--device", chosen.device, "--out", str(chosen.out), "--set"]
        command += [f"training.precision={precision}", "--set", "evaluation.generation_samples=0"]
        if chosen.epochs:
            command += ["--epochs", str(chosen.epochs)]
        for folder in chosen.data_dir or []:
            command += ["--data-dir", str(folder)]
        status = subprocess.run(command, check=False).returncode
        if status:
            return status
    text = report(chosen.out)
    write_text(chosen.out / "precision.md", text)
    sys.stdout.write(text)
    return 0


def report(store: Path) -> str:
    """The table, in Markdown, from a results folder alone."""
    headings = ["model", "K", "epochs", "precision", "seeds", "NELBO", "more than float32, by seed"]
    found = bounds(store)
    return table([*headings, "± of the difference"], list(_rows(found))) + "\n"


Key = tuple[str, str, str, str]


def bounds(store: Path) -> dict[Key, dict[str, dict[int, float]]]:
    """Every finished cell's bound, by what was trained, then precision and seed.

    What was trained is the model, its K, the epochs that it might take, and all other settings of
    training and model with the data's fingerprint: a look with fewer epochs is never mixed in.
    """
    found: dict[Key, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    rows = pd.read_csv(store / "results.csv")
    for row in rows[rows["status"] == "ok"].to_dict("records"):
        config = json.loads((store / "cells" / row["cell"] / "config.json").read_text())
        size = row["components"]
        training = dict(config["training"])
        precision, epochs = training.pop("precision"), str(training["epochs"])
        rest = json.dumps([training, config["model"], row["dataset_fingerprint"]], sort_keys=True)
        key = row["model"], "" if pd.isna(size) else str(int(size)), epochs, rest
        found[key][precision][int(row["seed"])] = float(row["nelbo"])
    return found


def difference(found: Bounds, precision: str) -> tuple[float, float]:
    """How much more than in float32, mean over the seeds that both have, and its standard error.

    With one seed there is no error: NaN.
    """
    seeds = sorted(found["float32"].keys() & found[precision].keys())
    each = np.array([found[precision][seed] - found["float32"][seed] for seed in seeds])
    error = each.std(ddof=1) / math.sqrt(len(each)) if len(each) > 1 else math.nan
    return float(each.mean()), float(error)


def _rows(found: Mapping[Key, Bounds]) -> Iterator[list[str]]:
    for (model, size, epochs, _), by_precision in sorted(found.items()):
        for precision in (kind for kind in get_args(Precision) if kind in by_precision):
            by_seed = by_precision[precision]
            mean = float(np.mean(list(by_seed.values())))
            row = [model, size, epochs, precision, str(len(by_seed)), f"{mean:.3f}"]
            if precision != "float32" and "float32" in by_precision:
                more, error = difference(by_precision, precision)
                row += [f"{more:+.3f}", "" if math.isnan(error) else f"{error:.3f}"]
            else:
                row += ["", ""]
            yield row


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.precision", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/precision"), help="where it goes")
    parser.add_argument("--data-dir", type=Path, action="append", help="a folder with MNIST")
    parser.add_argument("--models", default="VAE,VP,CP", help="of [models] in bench.toml")
    parser.add_argument("--seeds", default="3", help="as in bench run")
    parser.add_argument("--epochs", type=int, help="instead of the preset's")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""``python -m benchmarks``: measure, and write results.json, table.md and plot.png."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import torch

from bench.engine.steps import Mode
from bench.errors import BenchError
from bench.execution import resolve_device
from bench.files import atomic_write, write_json, write_text
from bench.memory import keep_freed_memory
from benchmarks.data import Images, load_images
from benchmarks.environment import busy, describe
from benchmarks.plot import picture
from benchmarks.sections import engine, evaluation, peers, replicas, roofline, systems, workers
from benchmarks.settings import FULL_EPOCH, SECTIONS, Settings, cores
from benchmarks.tables import report

SCHEMA = 1
ON_CUDA = {"images": FULL_EPOCH, "modes": ("eager", "graph", "compile")}
QUICK = {"rounds": 3, "images": 1000}

MEASURES: dict[str, Callable[[Settings, Images], dict[str, Any]]] = {
    "peers": peers.measure,
    "roofline": roofline.measure,
    "replicas": replicas.measure,
    "systems": systems.measure,
    "evaluation": evaluation.measure,
    "engine": engine.measure,
    "workers": workers.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        if chosen.source is not None:
            every = iter([read(chosen.source)])
        else:
            settings = _settings(chosen)
            every = measure(settings, chosen.sections, _images(chosen, settings))
    except (BenchError, OSError, ValueError) as error:
        parser.error(str(error))
    try:
        for results in every:
            write(results, chosen.out)
    except BenchError as error:
        say(f"error: {error}")
        return 1
    sys.stdout.write(report(results))
    say(f"written to {chosen.out}: results.json, table.md, plot.png")
    return 0


def measure(
    settings: Settings, sections: Sequence[str], images: Images
) -> Iterator[dict[str, Any]]:
    """The content of results.json, again after each section: an hour's work is not to be lost."""
    torch.set_num_threads(settings.threads)
    keep_freed_memory()  # as `bench` does; it serves every side that is measured
    results: dict[str, Any] = {
        "schema": SCHEMA,
        "environment": describe(settings),
        "settings": asdict(settings),
        "images": images.name,
        "sections": {},
    }
    for name in sections:
        started = time.monotonic()
        results["sections"][name] = MEASURES[name](settings, images)
        results["busy_cores_after"] = busy()
        say(f"{name}: measured in {time.monotonic() - started:.0f} s")
        yield results


def write(results: dict[str, Any], out: Path) -> None:
    """results.json, and from it table.md and plot.png."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "results.json", results)
    write_text(out / "table.md", report(results))
    with atomic_write(out / "plot.png") as stream:
        stream.write(picture(results))


def read(path: Path) -> dict[str, Any]:
    """The results of an earlier run.

    Raises:
        ValueError: the file is not one that this version wrote.
    """
    results: dict[str, Any] = json.loads(path.read_text())
    if not isinstance(results, dict) or results.get("schema") != SCHEMA:
        raise ValueError(f"expected {path} to be a results.json of schema {SCHEMA}")
    return results


def say(what: str) -> None:
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"), help="where it goes")
    parser.add_argument(
        "--data-dir", type=Path, action="append", help="a folder with MNIST; may be repeated"
    )
    parser.add_argument(
        "--from", type=Path, dest="source", metavar="JSON", help="draw an old results.json again"
    )
    parser.add_argument(
        "--sections", type=_names, default=SECTIONS, help=f"some of {','.join(SECTIONS)}"
    )
    parser.add_argument("--quick", action="store_true", help="few rounds of short epochs")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=_positive, default=cores(), help="of this process")
    parser.add_argument("--rounds", type=_positive, help="how often the contenders take turns")
    parser.add_argument("--modes", type=_modes, help=f"some of {','.join(get_args(Mode))}")
    parser.add_argument("--images", type=_positive, help="training images in a timed epoch")
    sizes = parser.add_argument_group("sizes of the networks and of what is compared")
    sizes.add_argument("--batch-size", type=_positive)
    sizes.add_argument("--hidden", type=_positive)
    sizes.add_argument("--latent-dim", type=_positive)
    sizes.add_argument("--components", type=_numbers, help="every K, such as 10,150,500")
    sizes.add_argument("--replicas", type=_numbers, help="such as 1,2,4; starts with 1")
    return parser


def _settings(chosen: argparse.Namespace) -> Settings:
    names = (
        "modes",
        "rounds",
        "images",
        "batch_size",
        "hidden",
        "latent_dim",
        "components",
        "replicas",
    )
    given = {name: value for name in names if (value := getattr(chosen, name)) is not None}
    device = resolve_device(chosen.device)
    cuda = device.startswith("cuda")
    quick = {**QUICK, "modes": ("graph",) if cuda else ("eager",)}
    values: dict[str, Any] = {
        **(ON_CUDA if cuda else {}),
        **(quick if chosen.quick else {}),
        **given,
    }
    settings = Settings(device, chosen.threads, **values)
    if "graph" in settings.modes and not settings.cuda:
        raise ValueError("expected --modes without graph: it needs a CUDA device")
    if settings.images % settings.batch_size:
        raise ValueError(
            f"expected --images to be a multiple of --batch-size, so that all sides make the same "
            f"steps; found {settings.images} and {settings.batch_size}"
        )
    if settings.replicas[0] != 1:
        raise ValueError(f"expected --replicas to start with 1, found {settings.replicas[0]}")
    return settings


def _images(chosen: argparse.Namespace, settings: Settings) -> Images:
    images = load_images(chosen.data_dir or [Path("data")])
    if len(images.train) < settings.images:
        raise ValueError(f"expected --images to be at most {len(images.train)}")
    return images


def _names(text: str, known: Sequence[str] = SECTIONS) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in known:
            expected = ", ".join(known)
            raise argparse.ArgumentTypeError(f"expected some of {expected}; found {name!r}")
    return names


def _modes(text: str) -> tuple[str, ...]:
    return _names(text, get_args(Mode))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(sorted({_positive(part) for part in text.split(",")}))


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, found {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

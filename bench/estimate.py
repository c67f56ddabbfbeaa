"""What a plan will cost, from a few timed steps of every distinct model in it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import torch
from rich.console import Console
from rich.table import Table

from bench.bounds import elbo_enumerated, importance_log_likelihood
from bench.engine.batches import Pixels, blocks, epoch_generator, steps_an_epoch
from bench.engine.replica import Replica
from bench.grid import Cell
from bench.preparation import Prepared
from bench.searching import study_name
from bench.terminal import duration
from bench.training import ReplicaTrainer, validation_bound
from bench.tuning.finals import trainings
from bench.workshop import Workshop

TIMED_STEPS = 3
TIMED_ROWS = 64


def estimate(prepared: Prepared, console: Console) -> None:
    """Print the time of each model in the plan and of the whole run.

    It is the time of all epochs; early stopping usually ends sooner.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(prepared.job.threads)
    try:
        counts = Counter(_key(cell) for cell in prepared.todo)
        examples = {_key(cell): cell for cell in prepared.todo}
        searched = [cell for cell in prepared.todo if cell.settings["tuning"]]
        studies = Counter(key for key, _ in {(_key(cell), study_name(cell)) for cell in searched})
        table = Table(title="time, if no cell stops early", title_justify="left")
        headings = ["dataset", "model", "K", "cells", "epoch", "training", "evaluation"]
        for heading in headings + (["searches", "a search"] if studies else []):
            table.add_column(
                heading, justify="left" if heading in ("dataset", "model") else "right"
            )
        total = 0.0
        for key, cell in examples.items():
            epoch, evaluation = time_cell(cell, prepared.workshop)
            config = prepared.config.for_dataset(cell.dataset)
            training = epoch * config.training.epochs
            search = training * trainings(cell.settings["tuning"])
            total += (training + evaluation) * counts[key] + search * studies[key]
            table.add_row(
                cell.dataset,
                cell.model or f"{cell.prior} x {cell.posterior}",
                "" if cell.components is None else str(cell.components),
                str(counts[key]),
                f"{epoch:.2f} s",
                duration(training),
                duration(evaluation),
                *([str(studies[key]), duration(search)] if studies else []),
            )
    finally:
        torch.set_num_threads(before)
    console.print(table)
    console.print(
        f"at most about {duration(total / prepared.workers)} with {prepared.workers} worker(s); "
        "nothing was trained or written",
        highlight=False,
    )


def _key(cell: Cell) -> tuple[str, str, str, int | None]:
    return cell.dataset, cell.prior, cell.posterior, cell.components


def time_cell(cell: Cell, workshop: Workshop) -> tuple[float, float]:
    """Seconds of an epoch and of the evaluation, scaled up from a few steps and rows."""
    config = workshop.config.for_dataset(cell.dataset)
    model = workshop.model(cell, config, cell.components, cell.seed)
    pixels = workshop.pixels(cell.dataset)
    steps, size = steps_an_epoch(pixels, config.training.batch_size)
    train = pixels.train[: size * (TIMED_STEPS + 1)]  # the whole would be prepared for each model
    some = Pixels(train, pixels.validation[:TIMED_ROWS], pixels.scale, pixels.binary)
    trainer = ReplicaTrainer([Replica(model, config.training, cell.seed)], some)
    generator = epoch_generator(cell.seed, 0, workshop.device)
    block = next(blocks(model, some, size, [generator]))
    one = torch.ones(1, device=workshop.device)
    times = []
    for index in range(min(TIMED_STEPS + 1, len(block))):
        part = block.part(index, index + 1)
        times.append(_seconds(partial(trainer.steps.run, part, one, one)))
    step = min(times)  # the first also pays for warming up

    rows = some.validation
    noise = {name: value[: len(rows)] for name, value in trainer.validation_noise.items()}
    check = _seconds(lambda: validation_bound(trainer.population, rows, noise))
    epoch = step * steps + check * len(pixels.validation) / len(rows)

    test = len(workshop.data(cell.dataset).test_x)
    prior = model.joint_prior()
    x = rows.float()
    chunk = config.evaluation.chunk
    bound = _seconds(lambda: elbo_enumerated(model, x, generator, prior=prior, chunk=chunk))
    samples = min(config.evaluation.importance_samples, 4)
    weights = _seconds(
        lambda: importance_log_likelihood(model, x, samples, generator, prior=prior, chunk=chunk)
    )
    weights *= config.evaluation.importance_samples / samples
    if model.spec.categories is not None:
        weights *= 2  # drawn, and with the category summed out: as many decodes again
    per_row = (bound * config.evaluation.elbo_samples + weights) / len(rows)
    return epoch, per_row * test


def _seconds(work: Callable[[], object]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started

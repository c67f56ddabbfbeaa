"""Worker processes against threads: cells a minute on all cores, shared out in several ways."""

from __future__ import annotations

import multiprocessing
import queue
from dataclasses import replace
from typing import Any

import torch

from bench.memory import keep_freed_memory
from benchmarks.data import Images
from benchmarks.ours import System, Training
from benchmarks.settings import FULL_EPOCH, Settings
from benchmarks.timing import ratio, spread, take_turns

MOST_WORKERS = 16


def measure(settings: Settings, images: Images) -> dict[str, Any]:
    """Epochs a minute, of all workers together, for each way to share the cores out."""
    some = images.first(settings.few_images)
    few = replace(some, train=some.train.clone(), validation=some.validation[:1].clone())
    crews = {way: _Crew(way, few, settings) for way in splits(settings)}
    try:
        for crew in crews.values():
            crew.start()
        work = {_label(way): crew.epoch for way, crew in crews.items()}
        taken = take_turns(work, settings.rounds, settings.device)
    finally:
        for crew in crews.values():
            crew.stop()
    share = settings.few_images / FULL_EPOCH
    rates = {way: [60.0 * way[0] * share / s for s in taken[_label(way)]] for way in crews}
    first = next(iter(rates.values()))
    return {
        "system": "VAE",
        "images": settings.few_images,
        "ways": [
            {
                "workers": way[0],
                "threads": way[1],
                "epochs_a_minute": spread(rate),
                "to_first": ratio(rate, first),
            }
            for way, rate in rates.items()
        ],
    }


def _label(way: tuple[int, int]) -> str:
    return f"{way[0]} x {way[1]}"


def splits(settings: Settings) -> list[tuple[int, int]]:
    """Workers and threads of each: from one worker with all threads to one for every thread.

    On a GPU the workers share the device and need a thread each.
    """
    total = settings.threads
    shares = [n for n in range(1, min(total, MOST_WORKERS) + 1) if total % n == 0]
    return [(workers, 1 if settings.cuda else total // workers) for workers in shares]


class _Crew:
    """Workers that train an epoch each when they are told to, and else wait."""

    def __init__(self, way: tuple[int, int], images: Images, settings: Settings) -> None:
        workers, threads = way
        context = multiprocessing.get_context("spawn")
        own = replace(settings, threads=threads)
        self._done = context.Queue()
        self._orders = [context.Queue() for _ in range(workers)]
        self._processes: list[Any] = [
            context.Process(target=_work, args=(images, own, orders, self._done), daemon=True)
            for orders in self._orders
        ]

    def start(self) -> None:
        for process in self._processes:
            process.start()

    def stop(self) -> None:
        for process in self._processes:
            if process.pid is not None:
                process.terminate()
                process.join()

    def epoch(self) -> None:
        """An epoch by every worker, the first to warm up included."""
        for orders in self._orders:
            orders.put("epoch")
        for _ in self._orders:
            self._wait()

    def _wait(self) -> None:
        """Until the next worker is done.

        Raises:
            RuntimeError: a worker has died.
        """
        while True:
            try:
                self._done.get(timeout=1.0)
                return
            except queue.Empty:
                ended = [p.exitcode for p in self._processes if not p.is_alive()]
                if ended:
                    raise RuntimeError(f"a worker ended with exit status {ended[0]}") from None


def _work(images: Images, settings: Settings, orders: Any, done: Any) -> None:
    """The life of a worker: an epoch for every order."""
    torch.set_num_threads(settings.threads)
    keep_freed_memory()
    training = Training(System("VAE"), images, settings)
    while orders.get():
        training.epoch()
        if settings.cuda:
            torch.cuda.synchronize()
        done.put("done")

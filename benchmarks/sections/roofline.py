"""(c): a step against the matrix products that it cannot do without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.data import Images
from benchmarks.ours import Step, System, Training, compete
from benchmarks.products import KINDS, Count, count, repeated
from benchmarks.settings import Settings
from benchmarks.timing import Work, ratio, scaled, spread


def measure(settings: Settings, images: Images) -> dict[str, Any]:
    """For three systems: the products of a step, their time, and their share of the step's."""
    largest = max(settings.components)
    systems = (System("VAE"), System("VP", largest), System("CP", largest))
    return {"systems": {system.label: _system(system, settings, images) for system in systems}}


def _system(system: System, settings: Settings, images: Images) -> dict[str, Any]:
    counted = count(Step(system, settings, images.train.shape[1]).loss)
    some = images.first(settings.images)
    trainings: dict[str, Training] = {
        mode: Training(system, some, settings, mode=mode) for mode in settings.modes
    }
    work: dict[str, Work] = {}
    times: dict[str, int] = dict.fromkeys(settings.modes, settings.steps)
    for number, product in enumerate(counted.products):
        for kernels in product.kernels(settings.device):
            name = f"{number} {kernels}"
            work[name], times[name] = repeated(product, settings.device, kernels)
    taken = compete(trainings, work, settings).taken
    alone = {name: scaled(values, 1.0 / times[name]) for name, values in taken.items()}

    by_kernels = [
        {kernels: alone[f"{number} {kernels}"] for kernels in product.kernels(settings.device)}
        for number, product in enumerate(counted.products)
    ]
    fastest = [
        [min(one_round) for one_round in zip(*each.values(), strict=True)] for each in by_kernels
    ]
    counts = list(counted.products.values())
    together = _sum([scaled(each, n) for each, n in zip(fastest, counts, strict=True)])
    by_blas = _sum([scaled(each["blas"], n) for each, n in zip(by_kernels, counts, strict=True)])
    return {
        "flops": counted.flops,
        "flops_by_kind": {kind: counted.flops_of(kind) for kind in KINDS},
        "products_seconds": spread(together),
        "products_gflops": _rate(counted, together),
        "blas_seconds": spread(by_blas),
        "blas_gflops": _rate(counted, by_blas),
        "modes": {
            mode: {
                "step_seconds": spread(alone[mode]),
                "step_gflops": _rate(counted, alone[mode]),
                "share_of_roofline": ratio(together, alone[mode]),
                "share_of_blas": ratio(by_blas, alone[mode]),
            }
            for mode in settings.modes
        },
        "by_product": _by_product(counted, fastest),
    }


def _rate(counted: Count, seconds: Sequence[float]) -> dict[str, Any]:
    """GFLOP/s."""
    return spread([counted.flops / value / 1e9 for value in seconds])


def _by_product(counted: Count, fastest: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    rows = []
    for (product, times), each in zip(counted.products.items(), fastest, strict=True):
        m, k, n = product.sizes
        seconds = spread(each)
        rows.append(
            {
                "kind": product.kind,
                "batch": product.batch,
                "m": m,
                "k": k,
                "n": n,
                "times": times,
                "flops": product.flops,
                "seconds": seconds,
                "gflops": product.flops / seconds["median"] / 1e9,
            }
        )
    return rows


def _sum(columns: Sequence[Sequence[float]]) -> list[float]:
    return [sum(values) for values in zip(*columns, strict=True)]

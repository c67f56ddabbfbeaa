"""results.json as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bench.report.columns import markdown_cell
from benchmarks.targets import Spread, judged, targets

WORDS = {True: "met", False: "**not met**", None: "not measured"}


def report(results: dict[str, Any]) -> str:
    """Everything that was measured, with the targets first."""
    parts = ["# Benchmark", *_environment(results), "## Targets", _targets(results)]
    sections = results["sections"]
    for name, (title, tables) in RENDERED.items():
        if name in sections:
            parts += [f"## {title}", *tables(sections[name])]
    return "\n\n".join(parts) + "\n"


def _environment(results: dict[str, Any]) -> Iterator[str]:
    found, settings = results["environment"], results["settings"]
    device = found["gpu"] or f"{found['processor']} ({found['instructions']})"
    versions = ", ".join(
        f"{name} {found[name] or 'absent'}" for name in ("python", "torch", "numpy", "pythae")
    )
    yield (
        f"{device}, {found['cores']} cores, threads: {found['threads']}; {versions}; bench "
        f"{found['bench']}, commit {found['commit'] or 'unknown'}."
    )
    yield (
        f"Images: {results['images']}. Batches of {settings['batch_size']}, "
        f"{settings['hidden']} units, {settings['latent_dim']} latents. Median (quartiles) of "
        f"{settings['rounds']} rounds in which the contenders took turns; a ratio is taken within "
        f"a round. Cores busy before and after, all processes: {found['busy_cores']} and "
        f"{results['busy_cores_after']}."
    )


def _targets(results: dict[str, Any]) -> str:
    found = targets(results)
    if not found:
        return "They are for the paper's sizes, which these networks have not."
    mode, reason = judged(results["sections"])
    rows = [
        [t.what, f"{'≥' if t.at_least else '≤'} {t.wanted:g}", shown(t.found), WORDS[t.met]]
        for t in found
    ]
    text = table(["", "wanted", "measured", ""], rows)
    return f"{text}\n\nbench against others and against the machine: mode {mode}, {reason}."


def _peers(section: dict[str, Any]) -> Iterator[str]:
    yield f"Timed: {section['timed']}."
    if section["left_out"]:
        yield f"Left out: {section['left_out']}."
    yield from section["notes"]
    rows = []
    for system, contenders in section["seconds"].items():
        against = section["times_as_fast"][system]
        for name, seconds in contenders.items():
            ratios = [shown(others.get(name)) for others in against.values()]
            rows.append([system, name, shown(seconds), *ratios])
    ours = next(iter(section["times_as_fast"].values()))
    headings = [f"times the time of {name}" for name in ours]
    yield table(["system", "", "seconds an epoch", *headings], rows)


def _roofline(section: dict[str, Any]) -> Iterator[str]:
    yield (
        "The matrix products that a step makes, each timed alone, always in the same memory and by "
        "the faster of the BLAS and oneDNN: no step with these products takes less time than they "
        "do together. Share: their time over the step's; in the last column, of the time that "
        "they take by the BLAS alone, which a step by oneDNN may pass."
    )
    rows = []
    for system, found in section["systems"].items():
        alone = shown(found["products_seconds"], 1e3), shown(found["products_gflops"])
        flops = f"{found['flops'] / 1e6:.0f}"
        rows.append([system, "products alone", flops, *alone, "1", ""])
        blas = shown(found["blas_seconds"], 1e3), shown(found["blas_gflops"])
        rows.append([system, "products alone, by the BLAS", flops, *blas, "", "1"])
        for mode, one in found["modes"].items():
            step = shown(one["step_seconds"], 1e3), shown(one["step_gflops"])
            shares = shown(one["share_of_roofline"]), shown(one["share_of_blas"])
            rows.append([system, f"step, {mode}", flops, *step, *shares])
    yield table(["system", "", "MFLOP", "ms", "GFLOP/s", "share", "share of the BLAS"], rows)
    rows = [
        [
            system,
            kind,
            f"{part[0] / 1e6:.0f}",
            number(part[1] * 1e3),
            number(part[0] / part[1] / 1e9),
        ]
        for system, found in section["systems"].items()
        for kind, part in by_kind(found).items()
    ]
    yield table(["system", "products", "MFLOP", "ms", "GFLOP/s"], rows)


def by_kind(found: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Operations and median seconds of a step's products, by kind."""
    parts: dict[str, tuple[float, float]] = {}
    for row in found["by_product"]:
        flops, seconds = parts.get(row["kind"], (0.0, 0.0))
        seconds += row["times"] * row["seconds"]["median"]
        parts[row["kind"]] = flops + row["times"] * row["flops"], seconds
    return parts


def _replicas(section: dict[str, Any]) -> Iterator[str]:
    yield f"Mode {section['mode']}."
    for name, cell in section["cells"].items():
        rows = [
            [str(row["replicas"]), shown(row["epoch_seconds"]), shown(row["aggregate_rate"])]
            for row in cell
        ]
        heading = "epochs a second, all together, relative to one"
        yield table([f"{name}: replicas", "seconds an epoch of all", heading], rows)


def _systems(section: dict[str, Any]) -> Iterator[str]:
    yield f"Mode {section['mode']}."
    yield table(
        ["system", "K", "step, ms", "times the VAE's"],
        [
            [
                row["system"],
                str(row["components"] or ""),
                shown(row["step_seconds"], 1e3),
                shown(row["to_vae"]),
            ]
            for row in section["rows"]
        ],
    )
    ratios = [[f"K = {k}", shown(ratio)] for k, ratio in section["cp_to_indq"].items()]
    yield table(["CP's step", "times INDq's"], ratios)
    each = section["table3"]
    parts = ", ".join(f"{name} {number(value)}" for name, value in each.items())
    whole = number(sum(each.values()))
    yield f"One epoch of every cell of Table 3, one after the other: {whole} s ({parts})."


def _evaluation(section: dict[str, Any]) -> Iterator[str]:
    yield (
        f"Timed on {section['rows']} rows; a full pass is 10,000 rows with every draw, S = "
        f"{section['importance_samples']} where importance is sampled."
    )
    rows = []
    for system, found in section["systems"].items():
        for name, one in found.items():
            if name == "epoch_seconds":
                rows.append([system, "an epoch of training", "", shown(one), "1"])
                continue
            decode, whole = one["microseconds_a_decode"], one["full_pass_seconds"]
            epochs = shown(one["full_pass_in_epochs"])
            rows.append([system, name, shown(decode), shown(whole), epochs])
    yield table(["system", "", "µs a decode", "full pass, s", "in epochs"], rows)


def _engine(section: dict[str, Any]) -> Iterator[str]:
    rows, notes = [], []
    for system, found in section["modes"].items():
        for mode, one in found.items():
            gain, even = one["times_as_fast_as_eager"], one["break_even_epochs"]
            times = [shown(one["epoch_seconds"]), shown(gain), number(one["start_seconds"])]
            rows.append([system, mode, *times, "" if even is None else number(even)])
            notes += [f"{system}, {mode}: {note}" for note in one["notes"]]
    headings = ["seconds an epoch", "times as fast as eager", "start, s", "break-even, epochs"]
    yield table(["system", "mode", *headings], rows)
    yield from notes
    yield table(
        [
            "system",
            f"precision (mode {section['mode_of_precisions']})",
            "seconds an epoch",
            "times as fast as float32",
        ],
        [
            [system, name, shown(one["epoch_seconds"]), shown(one["times_as_fast_as_float32"])]
            for system, found in section["precisions"].items()
            for name, one in found.items()
        ],
    )


def _workers(section: dict[str, Any]) -> Iterator[str]:
    rows = [
        [
            f"{way['workers']} x {way['threads']}",
            shown(way["epochs_a_minute"]),
            shown(way["to_first"]),
        ]
        for way in section["ways"]
    ]
    headings = ["epochs a minute, all together", "relative to the first"]
    yield table([f"{section['system']}: workers x threads", *headings], rows)


RENDERED = {
    "peers": ("(a), (b) Against pythae and a textbook loop", _peers),
    "roofline": ("(c) Against the machine", _roofline),
    "replicas": ("(d) Replicas", _replicas),
    "systems": ("(e) The systems of Table 3", _systems),
    "evaluation": ("(f) Evaluation", _evaluation),
    "engine": ("Modes and precisions of the engine", _engine),
    "workers": ("Workers and threads", _workers),
}


def shown(found: Spread | None, factor: float = 1.0) -> str:
    """``median (low–high)``, or nothing where it was not measured."""
    if found is None:
        return ""
    median, low, high = (number(found[name] * factor) for name in ("median", "low", "high"))
    return f"{median} ({low}–{high})"


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---" for _ in headings], *rows]
    return "\n".join("| " + " | ".join(map(markdown_cell, line)) + " |" for line in lines)

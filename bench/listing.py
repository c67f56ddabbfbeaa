"""``bench list``: what there is, read from source text; nothing is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.config_files import model_names, preset_names
from bench.errors import unknown
from bench.registry import KINDS, PLURALS, Registry

TOPICS = ("priors", "posteriors", "datasets", "models", "presets")


def show(what: str | None, plugins: Sequence[Path], config_file: Path | None) -> None:
    """Print one topic, or all of them.

    Raises:
        UsageError: no such topic.
    """
    if what is not None and what not in TOPICS:
        raise unknown("list", what, TOPICS)
    console = Console()
    registry = Registry(plugins)
    for topic in TOPICS if what is None else (what,):
        if topic == "models":
            _show_models(registry, config_file, console)
        elif topic == "presets":
            table = Table("preset", "what it is", title="presets", title_justify="left")
            for name, about in preset_names(config_file).items():
                table.add_row(name, escape(about))
            console.print(table)
        else:
            _show_plugins(topic, registry, console)


def _show_plugins(topic: str, registry: Registry, console: Console) -> None:
    kind = next(kind for kind in KINDS if PLURALS[kind] == topic)
    table = Table("name", "what it is", title=topic, title_justify="left")
    for info in registry.infos(kind):
        text = (
            escape(info.doc) if info.error is None else f"[red]broken[/red]: {escape(info.error)}"
        )
        extra = ", embedded" if info.embedded else ""
        table.add_row(info.name, text + extra)
    for info in registry.broken():
        if not info.kind:
            table.add_row(info.name, f"[red]broken[/red]: {escape(str(info.error))}")
    console.print(table)


def _show_models(registry: Registry, config_file: Path | None, console: Console) -> None:
    """Every prior x posterior: Table 3's name, a dot for the others, or why it is skipped."""
    from bench.pairs import pair_up

    models = model_names(config_file)
    posteriors = [info for info in registry.infos("posterior") if info.error is None]
    table = Table(
        "prior", *(info.name for info in posteriors), title="models", title_justify="left"
    )
    reasons = {}
    for prior in registry.infos("prior"):
        if prior.error is not None:
            continue
        texts = []
        for posterior in posteriors:
            pair = pair_up(prior, posterior, models)
            texts.append("skipped" if pair.reason else pair.model or "·")
            if pair.reason:
                reasons[f"{prior.name} x {posterior.name}"] = pair.reason
        table.add_row(prior.name, *texts)
    console.print(table)
    for name, reason in reasons.items():
        console.print(f"skipped: {name}: {reason}", markup=False, highlight=False)
    console.print("Select by name: bench run --models CP,INDq,VAE", style="dim", highlight=False)

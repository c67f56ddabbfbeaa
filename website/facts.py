"""Tables of the documentation that the code itself knows, as Markdown.

A page asks for one with a comment, ``<!-- bench: options prior conditional -->``, so that no table
of options, commands or names can say anything else than the code does.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import typer
from griffe import Docstring, DocstringSectionParameters

import bench
import bench.api
from bench.cli import app
from bench.config_files import model_names, preset_names, shipped_toml_path
from bench.pairs import pair_up
from bench.registry import FOLDERS, PLURALS, PluginInfo, Registry
from bench.spaces import Choice, Float, Int, Range

NOTHING = "—"


def fact(words: Sequence[str]) -> str:
    """The Markdown that a comment's words ask for.

    Raises:
        ValueError: nothing of that name.
    """
    name, *arguments = words
    if name not in FACTS:
        raise ValueError(f"expected one of {', '.join(FACTS)}, found {name!r}")
    return FACTS[name](*arguments)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars in its cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def options(kind: str, name: str) -> str:
    """The options of a plugin's constructor: type, default, range, which presets change it."""
    plugin = Registry().load(kind, name)
    described = _argument_texts(plugin)
    space: dict[str, Range] = dict(getattr(plugin, "search_space", {}))
    rows = []
    for option, parameter in inspect.signature(plugin).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        presets = [f"`{p}`: `{_toml(v)}`" for p, v in _preset_values(kind, name, option)]
        rows.append(
            [
                f"`{option}`",
                _type(parameter.annotation),
                f"`{_toml(parameter.default)}`",
                describe_range(space[option]) if option in space else NOTHING,
                ", ".join(presets) or NOTHING,
                described.get(option, ""),
            ]
        )
    if not rows:
        return "It has no options."
    return table(["option", "type", "default", "tuned over", "presets", "meaning"], rows)


def describe_range(space: Range) -> str:
    """A range of the tuner in words."""
    if isinstance(space, Choice):
        return ", ".join(f"`{_toml(value)}`" for value in space.options)
    assert isinstance(space, Float | Int)
    return f"{space.low} to {space.high}" + (", logarithmic" if space.log else "")


def models() -> str:
    """Every pair of a prior and a posterior, by its name where it has one."""
    named = model_names()
    posteriors = own("posterior")
    rows = []
    for prior in own("prior"):
        pairs = [pair_up(prior, posterior, named) for posterior in posteriors]
        cells = ["skipped" if pair.reason else pair.model or "·" for pair in pairs]
        rows.append([f"`{prior.name}`", *cells])
    return table(["prior", *(f"`{info.name}`" for info in posteriors)], rows)


def own(kind: str) -> list[PluginInfo]:
    """The plugins of this repository, whatever else is installed."""
    infos = Registry().infos(kind)
    return [info for info in infos if info.module == f"{FOLDERS[kind]}.{info.name}"]


def plugins(kind: str) -> str:
    """The names of one kind of plugin and the first sentence of each."""
    rows = [[f"[`{i.name}`](#{i.name})", i.doc] for i in own(kind)]
    return table([kind, "what it is"], rows)


def presets() -> str:
    """The presets, as each describes itself."""
    return table(["preset", "what it is"], [[f"`{n}`", text] for n, text in preset_names().items()])


def commands() -> str:
    """Every command with its arguments and options, a section each."""
    return "\n\n".join(_commands("bench", typer.main.get_command(app)))


def settings() -> str:
    """bench.toml, as it is shipped."""
    return f"```toml\n{shipped_toml_path().read_text()}```"


def api() -> str:
    """All that ``bench.api`` exports, a section each, for mkdocstrings to fill."""
    return "\n\n".join(f"::: bench.api.{name}" for name in bench.api.__all__)


def python() -> str:
    """All that ``bench`` itself exports, a section each, for mkdocstrings to fill."""
    names = [name for name in bench.__all__ if name != "__version__"]
    return "\n\n".join(f"::: {getattr(bench, name).__module__}.{name}" for name in names)


FACTS: dict[str, Callable[..., str]] = {
    "api": api,
    "commands": commands,
    "models": models,
    "options": options,
    "plugins": plugins,
    "presets": presets,
    "python": python,
    "settings": settings,
}


def _argument_texts(plugin: type[Any]) -> dict[str, str]:
    sections = Docstring(inspect.getdoc(plugin) or "").parse("google", warn_missing_types=False)
    return {
        argument.name: " ".join(argument.description.replace("``", "`").split())
        for section in sections
        if isinstance(section, DocstringSectionParameters)
        for argument in section.value
    }


def _preset_values(kind: str, name: str, option: str) -> list[tuple[str, Any]]:
    shipped = tomllib.loads(shipped_toml_path().read_text())["presets"]
    tables = {preset: shipped[preset].get(PLURALS[kind], {}).get(name, {}) for preset in shipped}
    return [(preset, found[option]) for preset, found in tables.items() if option in found]


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    listed = text.removeprefix("typing.").removeprefix("Literal[")
    return (
        text if listed == text else listed.removesuffix("]").replace("'", "").replace(", ", " or ")
    )


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _commands(path: str, command: Any) -> list[str]:
    """The sections of a command, or of a group's commands in their order."""
    if hasattr(command, "commands"):
        return [
            text
            for name, inner in command.commands.items()
            for text in _commands(f"{path} {name}", inner)
        ]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = [p.name.upper() if p.required else f"[{p.name.upper()}]" for p in arguments]
    rows = [
        [f"`{p.name.upper() if p in arguments else p.opts[0]}`", _value(p), p.help or ""]
        for p in command.params
    ]
    texts = [f"## {path}", command.help, f"`{' '.join([path, *usage])}`"]
    return [*texts, table(["argument or option", "default", "meaning"], rows)] if rows else texts


def _value(parameter: Any) -> str:
    default = parameter.default
    return NOTHING if default is None or default is False else f"`{default}`"

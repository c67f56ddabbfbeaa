"""``bench new``: write a small package that holds a plugin and passes ``bench check`` at once."""

from __future__ import annotations

import keyword
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from bench.errors import UsageError, unknown
from bench.plugin_loading import find_spec
from bench.registry import KINDS, PLURALS, Registry

__all__ = ["Package", "write_package"]

# What is typed after `bench run --plugin FILE` to see the plugin beside what it has to beat.
SELECTIONS: Mapping[str, str] = {
    "prior": "--priors {name},standard --datasets digits",
    "posterior": "--posteriors {name},independent --datasets digits",
    "dataset": "--datasets {name} --models VAE,CP --preset demo --seeds 1",
}
QUANTITIES: Mapping[str, str] = {
    "prior": "density",
    "posterior": "density",
    "dataset": "arrays",
}


@dataclass(frozen=True)
class Package:
    """A package that was written.

    Attributes:
        kind: ``prior``, ``posterior`` or ``dataset``.
        name: the plugin's name.
        folder: where the package is.
        files: its files, relative to the folder, each with what it is.
    """

    kind: str
    name: str
    folder: Path
    files: Mapping[str, str]

    @property
    def source(self) -> Path:
        """The file of the plugin."""
        return self.folder / "src" / f"{self.name}.py"

    @property
    def commands(self) -> tuple[str, str, str]:
        """What to type next: check it, run it, install it."""
        plugin = f"--plugin {shlex.quote(str(self.source))}"
        return (
            f"bench check {self.kind} {self.name} {plugin}",
            f"bench run {plugin} {SELECTIONS[self.kind].format(name=self.name)}",
            f"pip install -e {shlex.quote(_as_path(self.folder))}",
        )

    def summary(self) -> str:
        """What was written and what to do with it."""
        width = max(map(len, self.files))
        return "\n".join(
            [
                f"wrote the {self.kind} {self.name} to {self.folder}:",
                *(f"  {path:{width}}  {what}" for path, what in self.files.items()),
                "next:",
                *(f"  {command}" for command in self.commands),
                f"Once it is installed, `bench list {PLURALS[self.kind]}` shows it and --plugin "
                "is not needed.",
            ]
        )


def write_package(kind: str, name: str, folder: Path | None, registry: Registry) -> Package:
    """Write the package of a new plugin.

    Args:
        kind: ``prior``, ``posterior`` or ``dataset``.
        name: the plugin's name, which becomes its module's.
        folder: where to write; None for a folder called ``name`` here.
        registry: the plugins that exist.

    Raises:
        UsageError: no such kind; the name cannot be a module's or is taken; the folder is not
            empty or cannot be written.
    """
    if kind not in KINDS:
        raise unknown("kind of plugin", kind, KINDS)
    _check_name(kind, name, registry)
    folder = Path(name) if folder is None else folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} exists already: expected a folder that does not exist or is empty, so that "
            "nothing is overwritten. Name another with --to."
        )
    written = {
        f"src/{name}.py": (f"{kind}.py", f"the {kind}: the file to change"),
        f"tests/test_{name}.py": ("test.py", "what `bench check` checks, under pytest"),
        "pyproject.toml": ("pyproject.toml", f"its entry point in the group bench.{PLURALS[kind]}"),
        "README.md": ("README.md", "how to check, run and install it"),
    }
    values = {
        "kind": kind,
        "plural": PLURALS[kind],
        "name": name,
        "class_name": _class_name(kind, name),
        "distribution": f"bench-{name.replace('_', '-')}",
        "selection": SELECTIONS[kind].format(name=name),
        "quantity": QUANTITIES[kind],
    }
    templates = resources.files("bench.templates")
    try:
        for path, (template, _) in written.items():
            text = templates.joinpath(f"{template}.tmpl").read_text(encoding="utf-8")
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(Template(text).substitute(values), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error}. Name another with --to.") from error
    return Package(kind, name, folder, {path: what for path, (_, what) in written.items()})


def _check_name(kind: str, name: str, registry: Registry) -> None:
    if not _is_name(name):
        near = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        hint = next((f" Try {t!r}." for t in (near, f"my_{near}") if _is_name(t)), "")
        raise UsageError(
            f"{name!r} cannot name a {kind}: expected lowercase letters, digits and single "
            f"underscores, beginning with a letter and no word of Python's, because the name is "
            f"that of a module.{hint}"
        )
    known = {info.name: info for info in registry.infos(kind)}
    if name in known:
        raise UsageError(
            f"there is a {kind} {name!r} already: {known[name].origin}. "
            f"Choose another name, such as {_free(name, kind, registry)!r}."
        )
    found = find_spec(name)
    if found is not None and found.origin is not None:
        raise UsageError(
            f"there is a Python module {name!r} already ({found.origin}): a {kind} of that name, "
            f"once installed, would hide it. Choose another name, such as "
            f"{_free(name, kind, registry)!r}."
        )


def _is_name(name: str) -> bool:
    return bool(re.fullmatch(r"[a-z](_?[a-z0-9])*", name)) and not keyword.iskeyword(name)


def _free(name: str, kind: str, registry: Registry) -> str:
    known = {info.name for info in registry.infos(kind)}
    tries = (f"my_{name}", *(f"my_{name}_{number}" for number in range(2, 1000)))
    return next(choice for choice in tries if choice not in known and find_spec(choice) is None)


def _class_name(kind: str, name: str) -> str:
    """The name in CapWords and the kind, which keeps it apart from all that a plugin imports."""
    words = "".join(word.capitalize() for word in name.split("_"))
    suffix = kind.capitalize()
    return words if words.endswith(suffix) and words != suffix else words + suffix


def _as_path(folder: Path) -> str:
    """A folder as pip takes it: a bare word would be the name of a distribution."""
    return str(folder) if folder.is_absolute() else f"./{folder}"

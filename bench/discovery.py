"""Find plugins in our folders, in entry points and in files, reading source text only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from bench import plugin_loading
from bench.errors import PluginError, UsageError
from bench.plugin_source import BASES, Declared, declared

_DEFAULTS: dict[str, Any] = {
    "latents": ("z",),
    "categorical": False,
    "mixture": False,
    "embedded": False,
    "importable": False,
    "likelihood": "bernoulli",
    "without_categories": "",
}


@dataclass(frozen=True)
class PluginInfo:
    """One plugin as its source declares it, before any import.

    Attributes:
        kind: ``prior``, ``posterior`` or ``dataset``; empty where a broken file does not tell.
        name: the key, as typed on the command line.
        origin: where it was registered, for messages: a file or an entry point.
        path: the source file, or None where it could not be found without importing.
        module: the dotted module to import, or None where ``path`` is loaded as a file.
        class_name: the class an entry point selects, or empty for the module's one subclass.
        doc: the first sentence of the class docstring.
        attributes: literal class attributes.
        options: keyword options of the constructor, or None where the source does not tell.
        error: why the plugin cannot be loaded, or None as far as its source tells.
    """

    kind: str
    name: str
    origin: str
    path: Path | None
    module: str | None = None
    class_name: str = ""
    doc: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] | None = None
    error: str | None = None

    @property
    def latents(self) -> tuple[str, ...]:
        """The continuous latents, in the order in which they are drawn."""
        return tuple(self._attribute("latents"))

    @property
    def categorical(self) -> bool:
        """Whether the plugin itself has the categorical latent c."""
        return bool(self._attribute("categorical"))

    @property
    def mixture(self) -> bool:
        """Whether the prior has components, so that K matters to it."""
        return bool(self._attribute("mixture"))

    @property
    def embedded(self) -> bool:
        """Whether the dataset needs neither files nor downloads."""
        return bool(self._attribute("embedded"))

    @property
    def importable(self) -> bool:
        """Whether ``bench data import`` takes the dataset."""
        return bool(self._attribute("importable"))

    @property
    def likelihood(self) -> str:
        """The dataset's likelihood: ``bernoulli`` or ``gaussian``."""
        return str(self._attribute("likelihood"))

    @property
    def without_categories(self) -> str:
        """Why the prior is skipped where the posterior has no c; empty if it is not."""
        return str(self._attribute("without_categories"))

    def _attribute(self, name: str) -> Any:
        return self.attributes.get(name, _DEFAULTS[name])

    def load(self) -> type[Any]:
        """Import the plugin and return its class.

        Raises:
            PluginError: it does not import, or does not define exactly one class of its kind.
        """
        if self.error is not None:
            raise PluginError(self.error)
        return plugin_loading.load_class(
            self.kind, self.name, self.origin, self.path, self.module, self.class_name
        )


def as_loaded(info: PluginInfo) -> PluginInfo:
    """The plugin with the attributes that its class really has, inherited and computed ones too.

    Raises:
        PluginError: it does not import.
    """
    plugin = info.load()
    found = {name: getattr(plugin, name) for name in _DEFAULTS if hasattr(plugin, name)}
    return replace(info, attributes=found)


def same_source(a: PluginInfo, b: PluginInfo) -> bool:
    """Whether two registrations of one name lead to the same class, so that they do not clash."""
    if a.path is not None and b.path is not None:
        return a.path.resolve() == b.path.resolve() and a.class_name == b.class_name
    return (a.module, a.class_name) == (b.module, b.class_name) and a.module is not None


def from_folder(kind: str, package: str) -> list[PluginInfo]:
    """The plugins among the modules of one of our packages."""
    spec = plugin_loading.find_spec(package)
    found = []
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).glob("*.py")):
            if not path.stem.startswith("_"):
                blank = PluginInfo(kind, path.stem, str(path), path, f"{package}.{path.stem}")
                found.append(_read(blank))
    return found


def from_entry_points(kind: str, group: str) -> list[PluginInfo]:
    """The plugins that installed distributions register in an entry point group."""
    # importlib.metadata costs tens of milliseconds, paid only by who builds a Registry.
    from importlib.metadata import entry_points

    found = []
    for point in entry_points(group=group):
        owner = f" of {point.dist.name}" if point.dist is not None else ""
        origin = f"entry point {point.name} = {point.value}{owner}"
        spec = plugin_loading.find_spec(point.module)
        blank = PluginInfo(
            kind, point.name, origin, _source(spec), point.module, class_name=point.attr
        )
        if spec is None:
            what = f"{kind} {point.name!r} ({origin}): there is no module {point.module!r}"
            found.append(replace(blank, error=what))
        elif blank.path is None:
            found.append(blank)
        else:
            found.append(_read(blank))
    return found


def from_file(path: Path) -> list[PluginInfo]:
    """The plugins of a file given with ``--plugin``, at most one of each kind.

    Raises:
        UsageError: there is no such file, or its name cannot be a plugin's name.
    """
    if not path.is_file():
        raise UsageError(f"--plugin {path}: there is no such file")
    if path.suffix != ".py" or not re.fullmatch(r"[A-Za-z]\w*", path.stem):
        raise UsageError(
            f"--plugin {path}: expected a Python file whose name is letters, digits and "
            f"underscores (it becomes the plugin's name), got {path.name!r}"
        )
    blank = PluginInfo("", path.stem, str(path), path)
    classes = _parse(blank)
    if isinstance(classes, str):
        return [replace(blank, error=classes)]
    kinds = list(dict.fromkeys(found.kind for found in classes))
    if not kinds:
        what = f"plugin {path.stem!r} ({path}) defines no subclass of {', '.join(BASES)}"
        return [replace(blank, error=what)]
    return [_describe(replace(blank, kind=kind), classes) for kind in kinds]


def _source(spec: ModuleSpec | None) -> Path | None:
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _read(blank: PluginInfo) -> PluginInfo:
    classes = _parse(blank)
    if isinstance(classes, str):
        return replace(blank, error=classes)
    return _describe(blank, classes)


def _parse(blank: PluginInfo) -> list[Declared] | str:
    """The classes that the file declares, or why it cannot be read."""
    assert blank.path is not None
    try:
        return declared(blank.path)
    except SyntaxError as error:
        where = f"{blank.path}, line {error.lineno}"
        return f"{_label(blank)} does not import: SyntaxError: {error.msg} ({where})"
    except (OSError, ValueError) as error:
        return f"{_label(blank)} cannot be read: {error}"


def _describe(blank: PluginInfo, classes: Sequence[Declared]) -> PluginInfo:
    mine = [found for found in classes if found.kind == blank.kind]
    if blank.class_name:
        mine = [found for found in mine if found.name == blank.class_name]
    if not mine:
        # An entry point may name a module that re-exports its class: only importing tells.
        wanted = plugin_loading.count_message(blank.kind, [])
        error = None if blank.origin.startswith("entry point") else f"{_label(blank)} {wanted}"
        return replace(blank, error=error)
    if len(mine) > 1:
        message = plugin_loading.count_message(blank.kind, [found.name for found in mine])
        return replace(blank, error=f"{_label(blank)} {message}")
    one = mine[0]
    return replace(blank, doc=one.doc, attributes=dict(one.attributes), options=one.options)


def _label(info: PluginInfo) -> str:
    return f"{info.kind or 'plugin'} {info.name!r} ({info.origin})"

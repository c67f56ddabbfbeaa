"""Import a plugin and find its class."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.errors import PluginError


def find_spec(dotted: str) -> ModuleSpec | None:
    """Find a module without importing it or the packages that hold it.

    ``importlib.util.find_spec`` imports every parent package, which may be a third party's and
    may import torch.
    """
    search: Sequence[str] | None = None
    spec: ModuleSpec | None = None
    parts = dotted.split(".")
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        spec = _first_spec(name, search)
        if spec is None:
            return None
        search = spec.submodule_search_locations
        if search is None and depth < len(parts):
            return None
    return spec


def _first_spec(name: str, search: Sequence[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(name, search, None)
        except Exception:  # a third party's finder must not stop the listing
            spec = None
        if spec is not None:
            return spec
    return None


def load_class(
    kind: str, name: str, origin: str, path: Path | None, module: str | None, class_name: str
) -> type[Any]:
    """Import a plugin's module and return its one subclass of the kind's base.

    Args:
        kind: ``prior``, ``posterior`` or ``dataset``.
        name: the plugin's key, for messages.
        origin: where it was registered, for messages.
        path: its source file, if known.
        module: the dotted module to import, or None to load ``path`` as a file.
        class_name: the class to select, or empty for the module's one subclass.

    Raises:
        PluginError: the import fails, or the module does not define exactly one such class.
    """
    label = f"{kind} {name!r} ({origin})"
    try:
        if module is not None:
            loaded = importlib.import_module(module)
        else:
            assert path is not None
            loaded = _import_file(path)
    # A plugin that calls sys.exit() must not end the run.
    except (Exception, SystemExit) as error:
        raise PluginError(f"{label} does not import: {_explain(error, path)}") from error
    base = _base(kind)
    classes = [_selected(label, loaded, class_name, base)] if class_name else []
    classes = classes or _subclasses(loaded, base)
    if len(classes) != 1:
        raise PluginError(f"{label} {count_message(kind, [c.__name__ for c in classes])}")
    if kind == "dataset" and classes[0].name == loaded.__name__.rpartition(".")[2]:
        classes[0].name = name  # not its module's name, which of a --plugin file is made up
    return classes[0]


def count_message(kind: str, names: Sequence[str]) -> str:
    """What is wrong with a file that does not define exactly one class of its kind."""
    base = kind.capitalize()
    if not names:
        return f"defines no subclass of {base}: expected one"
    return f"defines {len(names)} subclasses of {base}, expected one: {', '.join(names)}"


def _base(kind: str) -> type[Any]:
    # Imported here: the first two need torch, which listing must not load.
    if kind == "dataset":
        from bench.data.base import Dataset

        return Dataset
    from bench.plugin import Posterior, Prior

    return {"prior": Prior, "posterior": Posterior}[kind]


def _import_file(path: Path) -> ModuleType:
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    name = f"bench_plugin_{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that its classes can be pickled
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _subclasses(module: ModuleType, base: type[Any]) -> list[type[Any]]:
    found = {
        value
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, base)
        and value is not base
        and not name.startswith("_")
    }
    own = [cls for cls in found if cls.__module__ == module.__name__]
    return sorted(own or found, key=lambda cls: cls.__name__)


def _selected(label: str, module: ModuleType, name: str, base: type[Any]) -> type[Any]:
    value = getattr(module, name, None)
    if not inspect.isclass(value) or not issubclass(value, base):
        raise PluginError(f"{label}: expected {name} to be a subclass of {base.__name__}")
    return value


def _explain(error: BaseException, path: Path | None) -> str:
    """The error's type, text and the last line of the plugin's own file that it passed."""
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    mine = [f for f in frames if path is not None and f.filename == str(path)]
    return f"{what} ({mine[-1].filename}, line {mine[-1].lineno})" if mine else what

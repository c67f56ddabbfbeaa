"""Which plugins exist: our three folders, entry points and ``--plugin FILE``.

A file is the registration: its name is the key and its one subclass of Prior, Posterior or
Dataset is the plugin. Discovery reads source text and imports nothing, so that listing is quick
and one broken plugin cannot stop the others.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.discovery import PluginInfo, from_entry_points, from_file, from_folder, same_source
from bench.errors import PluginError, unknown

__all__ = ["FOLDERS", "KINDS", "PLURALS", "PluginInfo", "Registry"]

PLURALS = {"prior": "priors", "posterior": "posteriors", "dataset": "datasets"}
KINDS = tuple(PLURALS)
FOLDERS = {kind: f"bench.{plural}" for kind, plural in PLURALS.items()}
"""The package of each kind; entry points use the same names as their groups."""


class Registry:
    """The plugins that this run can use, by kind and name.

    Args:
        plugins: files given with ``--plugin``; each may define one plugin of every kind.

    Raises:
        UsageError: a ``--plugin`` file does not exist or its name cannot be a key.
        PluginError: two different sources register one name; both are named.
    """

    def __init__(self, plugins: Sequence[Path] = ()) -> None:
        self._infos: dict[tuple[str, str], PluginInfo] = {}
        self.plugins = tuple(Path(path).resolve() for path in plugins)
        for kind, package in FOLDERS.items():
            for info in from_folder(kind, package):
                self._add(info)
        for kind, package in FOLDERS.items():
            for info in from_entry_points(kind, package):
                self._add(info)
        for path in self.plugins:
            for info in from_file(path):
                self._add(info)

    def _add(self, info: PluginInfo) -> None:
        known = self._infos.get((info.kind, info.name))
        if known is None:
            self._infos[info.kind, info.name] = info
        elif not same_source(known, info):
            raise PluginError(
                f"two {PLURALS.get(info.kind, 'plugins')} are named {info.name!r}: "
                f"{known.origin} and {info.origin}. Rename or remove one of them."
            )

    def infos(self, kind: str) -> list[PluginInfo]:
        """Every plugin of a kind, sorted by name, broken ones included (their ``error`` is set)."""
        _check_kind(kind)
        return [info for (k, _), info in sorted(self._infos.items()) if k == kind]

    def names(self, kind: str, *, load: bool = False) -> list[str]:
        """The names of a kind's plugins, sorted, without those that are broken.

        Args:
            kind: ``prior``, ``posterior`` or ``dataset``.
            load: import them, which also finds what the source does not show.
        """
        bad = {info.name for info in self.broken(load=load) if info.kind == kind}
        return [info.name for info in self.infos(kind) if info.name not in bad]

    def get(self, kind: str, name: str) -> PluginInfo:
        """The plugin of that name, without importing it.

        Raises:
            UsageError: there is none; the nearest name is suggested.
            PluginError: a ``--plugin`` file of that name is broken and does not tell its kind.
        """
        _check_kind(kind)
        info = self._infos.get((kind, name))
        if info is None and ("", name) in self._infos:
            raise PluginError(str(self._infos["", name].error))
        if info is None:
            raise unknown(kind, name, [info.name for info in self.infos(kind)])
        return info

    def load(self, kind: str, name: str) -> type[Any]:
        """Import the plugin of that name and return its class.

        Raises:
            UsageError: there is none of that name.
            PluginError: it is broken.
        """
        return self.get(kind, name).load()

    def defaults(self, kind: str, name: str) -> dict[str, Any]:
        """The options of a plugin's constructor with their defaults, those that TOML can state.

        Raises:
            UsageError: there is none of that name.
            PluginError: it is broken.
        """
        return {
            option: parameter.default
            for option, parameter in inspect.signature(self.load(kind, name)).parameters.items()
            if isinstance(parameter.default, str | int | float | bool)
            and parameter.kind is not inspect.Parameter.VAR_KEYWORD
        }

    def broken(self, *, load: bool = False) -> list[PluginInfo]:
        """The plugins that cannot be used, each with its ``error``.

        Args:
            load: import every plugin, which also finds what its source does not show.
        """
        found = []
        for _, info in sorted(self._infos.items()):
            if load and info.error is None:
                try:
                    info.load()
                except PluginError as error:
                    info = replace(info, error=str(error))
            if info.error is not None:
                found.append(info)
        return found


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")

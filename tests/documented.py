"""The documentation for the tests: its modules, its pages, the commands that they show."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def load(name: str) -> ModuleType:
    """A module of website/, whose folder is not on sys.path: `datasets` would be too."""
    if "website" not in sys.modules:
        package = ROOT / "website"
        spec = importlib.util.spec_from_file_location(
            "website", package / "__init__.py", submodule_search_locations=[str(package)]
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules["website"] = made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
    return importlib.import_module(f"website.{name}")


PLACEHOLDERS = {
    "...",
    "A",
    "ADDRESS",
    "B",
    "CELL",
    "DIR",
    "FILE",
    "KEY=VALUE",
    "N",
    "NAME",
    "NAMES",
    "PATH",
}


@dataclass(frozen=True)
class Command:
    """A command line that a page shows, without `bench` and without its comment."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: bench {' '.join(self.words)}"

    @property
    def whole(self) -> bool:
        """Whether it can be typed as it stands: a synopsis has brackets, bars or placeholders."""
        return not any(set(word) & set("[]|…") or word in PLACEHOLDERS for word in self.words)

    def values(self, option: str) -> list[str]:
        """The comma-separated values that an option has here."""
        pairs = zip(self.words, self.words[1:], strict=False)
        return [part for word, value in pairs if word == option for part in value.split(",")]


def commands(path: Path) -> list[Command]:
    """Every `bench ...` of a page's code, in blocks and in lines."""
    text = re.sub(r"\\\n\s*", "", path.read_text())
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    prose = re.sub(r"^ {4}.*$", "", prose, flags=re.MULTILINE)
    inline = re.findall(r"`bench ([^`]+)`", prose)
    blocks = re.findall(r"^ {4}(?:\$ |.*&& )?bench (.+)$", text, re.MULTILINE)
    words = (tuple(shlex.split(" ".join(line.split()), comments=True)) for line in inline + blocks)
    return [Command(path.name, line) for line in words if line[0] != "COMMAND"]

"""Links from the documentation into the repository, which the site carries as pages.

A page may link to ``../priors/vamp.py`` or ``../examples``: that works where the repository is
read, and here the file becomes a page under ``source/``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = "docs"
SOURCE = "source"

# Files of the root that are pages as they are, and those that a page of docs/ stands for.
COPIED = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
PAGES = COPIED | {"README.md": "index.md", "bench.toml": "settings.md"}
_KINDS = {".py": "python", ".toml": "toml", ".md": "markdown", ".sh": "bash"}
_LINK = re.compile(r"(?<=\]\()(?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?(?=\))")
_UNSEEN = "---\nsearch:\n  exclude: true\n---\n\n"


def page_of(path: str) -> str | None:
    """The page that shows a file or folder of the repository; None where there is no such file.

    Args:
        path: from the root of the repository, with slashes.
    """
    path = posixpath.normpath(path)
    if path in PAGES:
        return PAGES[path]
    if path.startswith(f"{DOCS}/"):
        return path.removeprefix(f"{DOCS}/")
    if path.startswith("..") or not (ROOT / path).exists():
        return None
    return f"{SOURCE}/{path}/index.md" if (ROOT / path).is_dir() else f"{SOURCE}/{path}.md"


def rewrite(markdown: str, page: str, base: str) -> str:
    """The page with its links into the repository turned to the pages that show their targets.

    Args:
        markdown: the text.
        page: where it is in the site.
        base: the folder of the repository from which its links count.
    """

    def turn(match: re.Match[str]) -> str:
        target = page_of(posixpath.join(base, match["path"]))
        if target is None:
            return match[0]  # left as it is, for the build to complain
        return posixpath.relpath(target, posixpath.dirname(page)) + (match["anchor"] or "")

    return _LINK.sub(turn, markdown)


def linked(markdown: str, base: str) -> Iterator[str]:
    """The files and folders of the repository, outside docs/, that a text links to."""
    for match in _LINK.finditer(markdown):
        path = posixpath.normpath(posixpath.join(base, match["path"]))
        page = page_of(path)
        if page is not None and page.startswith(f"{SOURCE}/"):
            yield path


def source_pages(texts: Mapping[str, str]) -> dict[str, str]:
    """The pages under ``source/`` that some texts need, and those that these need in turn.

    Args:
        texts: Markdown by the folder from which its links count.

    Returns:
        Markdown by page, links rewritten.
    """
    waiting = [path for base, text in texts.items() for path in linked(text, base)]
    made: dict[str, str] = {}
    while waiting:
        path = waiting.pop()
        page = page_of(path)
        assert page is not None
        if page in made:
            continue
        if (ROOT / path).is_dir():
            text = _folder(path)
            waiting += linked(text, path)
            made[page] = _UNSEEN + rewrite(text, page, path)
        else:
            made[page] = _UNSEEN + _file(path)
    return made


def _file(path: str) -> str:
    place = ROOT / path
    # Four backquotes: the file may hold three.
    return f"# {path}\n\n````{_KINDS.get(place.suffix, 'text')}\n{place.read_text()}\n````\n"


def _folder(path: str) -> str:
    """What the folder's own README says, and the files in it."""
    readme = ROOT / path / "README.md"
    title = readme.read_text() if readme.exists() else f"# {path}"
    files = "\n".join(f"- [{name}]({name})" for name in _files(ROOT / path))
    return f"{title}\n\n{files}\n"


def _files(folder: Path) -> list[str]:
    """The texts of a folder, from it, without what builds and Python leave there."""
    found = sorted(path for path in folder.rglob("*") if path.suffix in _KINDS)
    names = [path.relative_to(folder).as_posix() for path in found]
    return [name for name in names if not re.search(r"(^|/)(build|\..*|README\.md)(/|$)", name)]

"""What MkDocs calls while it builds the site: generated tables and pages, links, the nav."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from website import facts, links

_FACT = re.compile(r"^<!-- bench: (.+) -->$", re.MULTILINE)
_COLLECTS = "Guides"  # the section of the nav that takes the pages which the nav does not name


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add to the nav the pages that it does not name, so that a new page is never lost."""
    nav: list[Any] = config.nav or []
    named = set(_paths(nav))
    (guides,) = (item[_COLLECTS] for item in nav if isinstance(item, dict) and _COLLECTS in item)
    guides += (path.name for path in _texts(config) if path.name not in named)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of files outside docs/."""
    own = {page: (links.ROOT / name).read_text() for name, page in links.COPIED.items()}
    pages = "\n".join(path.read_text() for path in _texts(config))
    for page, text in own.items():
        files.append(File.generated(config, page, content=links.rewrite(text, page, ".")))
    based = {links.DOCS: pages, ".": "\n".join(own.values())}
    for page, text in links.source_pages(based).items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in the tables that the page asks for, and turn its links into the repository."""

    def fill(match: re.Match[str]) -> str:
        try:
            return facts.fact(match[1].split())
        except Exception as error:
            raise PluginError(f"{page.file.src_uri}: {match[0]}: {error}") from error

    markdown = _FACT.sub(fill, markdown)
    if page.file.generated_by is not None:  # its links were turned when it was made
        return markdown
    return links.rewrite(markdown, page.file.src_uri, links.DOCS)


def _texts(config: MkDocsConfig) -> list[Path]:
    return sorted(Path(config.docs_dir).glob("*.md"))


def _paths(item: Any) -> Iterator[str]:
    """The paths in a nav."""
    if isinstance(item, str):
        yield item
    else:
        for inner in item.values() if isinstance(item, dict) else item:
            yield from _paths(inner)

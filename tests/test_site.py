"""The documentation builds without a warning, its links resolve, and it needs no network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import bench.api
from bench.registry import KINDS, PLURALS
from documented import ROOT, load

pytestmark = pytest.mark.slow  # the build takes some ten seconds
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Html(HTMLParser):
    """What a page links to, what it loads, its anchors and its formulas."""

    file: Path
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self.text = self.file.read_text()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(values["href"])
        elif "src" in values:
            self.loads.append(values["src"])

    @property
    def formulas(self) -> list[str]:
        """The marked mathematics, still escaped."""
        return re.findall(r'<(?:span|div) class="arithmatex">.*?</(?:span|div)>', self.text, re.S)


def build(target: Path) -> subprocess.CompletedProcess[str]:
    """What `make docs` runs."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Html]:
    """The pages of the built site, by file."""
    target = tmp_path_factory.mktemp("site")
    done = build(target)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return {file: Html(file) for file in sorted(target.rglob("*.html"))}


def named(site: dict[Path, Html], name: str) -> Html:
    return next(page for file, page in site.items() if file.name == name)


def browse(address: str, tmp_path: Path, *options: str) -> str:
    """A page as a browser has it after its scripts have run."""
    browser = next((name for name in BROWSERS if shutil.which(name)), None)
    assert browser, "expected chromium to be installed: see CONTRIBUTING.md"
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    done = subprocess.run(
        [*command, profile, *options, "--dump-dom", address],
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
    )
    return done.stdout


def test_every_page_is_there(site: dict[Path, Html]) -> None:
    built = {file.stem for file in site}
    assert built >= {path.stem for path in (ROOT / "docs").glob("*.md")} | {"changelog"}
    home = named(site, "index.html")
    # Every page of docs/ is in the nav, which every page carries.
    for path in (ROOT / "docs").glob("*.md"):
        assert path.stem == "index" or f"{path.stem}.html" in home.links, path.name


def test_links_and_anchors_resolve(site: dict[Path, Html]) -> None:
    broken = []
    for file, page in site.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            # The page for what is not found stands at the root of a server.
            target = file.parent if file.name == "404.html" else file
            if parts.path:
                target = (file.parent / unquote(parts.path).lstrip("/")).resolve()
            if target.is_dir():
                target /= "index.html"
            if not target.exists() or (
                parts.fragment and parts.fragment not in site[target].anchors
            ):
                broken.append(f"{file.name}: {link}")
    assert broken == []


def test_nothing_is_loaded_from_the_network(site: dict[Path, Html]) -> None:
    loaded = {urlsplit(load).path: file for file, page in site.items() for load in page.loads}
    foreign = [load for page in site.values() for load in page.loads if "//" in load]
    assert foreign == []
    missing = [
        load
        for load, file in loaded.items()
        if file.name != "404.html" and not (file.parent / load).exists()
    ]
    assert missing == []
    root = min(site, key=lambda file: len(file.parts)).parent
    for sheet in root.rglob("*.css"):
        for url in re.findall(r"url\(([^)]+)\)", sheet.read_text()):
            address = url.strip("\"'")
            assert address.startswith(("data:", "#")) or (sheet.parent / address).exists(), address


def test_every_plugin_and_every_name_of_the_api_has_an_anchor(site: dict[Path, Html]) -> None:
    for kind in KINDS:
        page = named(site, f"{PLURALS[kind]}.html")
        assert {info.name for info in load("facts").own(kind)} <= page.anchors
    api = named(site, "api.html").anchors
    missing = [name for name in bench.api.__all__ if not any(a.endswith(f".{name}") for a in api)]
    assert missing == []


def test_no_comment_of_ours_is_left(site: dict[Path, Html]) -> None:
    """A table that is asked for in the middle of a line would not be filled in."""
    pages = [file for file in site if "source" not in file.parts]
    assert [file.name for file in pages if "<!-- bench:" in site[file].text] == []


def test_every_formula_is_typeset(site: dict[Path, Html], tmp_path: Path) -> None:
    """By the scripts of the site, in a browser, all pages' formulas on one."""
    formulas = [formula for page in site.values() for formula in page.formulas]
    assert len(formulas) > 150
    assets = next(iter(site)).parent / "assets"
    scripts = [assets / "katex" / "katex.min.js", assets / "mathematics.js"]
    tags = "".join(f'<script src="{script.as_uri()}"></script>' for script in scripts)
    page = tmp_path / "formulas.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><body>{''.join(formulas)}{tags}")
    shown = browse(page.as_uri(), tmp_path)
    assert re.findall(r'class="katex-error" title="([^"]*)"', shown) == []
    assert len(re.findall(r'class="katex"', shown)) == len(formulas)


def test_search_works_in_pages_opened_as_files(site: dict[Path, Html], tmp_path: Path) -> None:
    home = named(site, "index.html").file
    shown = browse(f"{home.as_uri()}?q=purity", tmp_path, "--virtual-time-budget=30000")
    assert "md-search-result__item" in shown


def test_a_broken_link_fails_the_build_and_a_new_page_is_in_the_nav(tmp_path: Path) -> None:
    for name in ("docs", "website", "mkdocs.yml", "CHANGELOG.md", "CONTRIBUTING.md", "examples"):
        place = ROOT / name
        if place.is_dir():  # bytecode comes and goes while other tests run
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(place, tmp_path / name, ignore=ignored)
        else:
            shutil.copy(place, tmp_path / name)
    with (tmp_path / "docs" / "start.md").open("a") as page:
        page.write("\n[no such anchor](concepts.md#nowhere) [no such file](../nothing.py)\n")
    (tmp_path / "docs" / "new.md").write_text("# New\n")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "concepts.md#nowhere" in done.stderr
    assert "../nothing.py" in done.stderr
    home = Html(tmp_path / "out" / "index.html")
    assert home.links.index("performance.html") < home.links.index("new.html")

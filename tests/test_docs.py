"""What the documentation names exists: commands, options, settings, plugins, models, presets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

import bench
from bench.cli import app
from bench.config import load_config
from bench.config_check import check_names
from bench.config_files import model_names, preset_names
from bench.registry import KINDS, PLURALS, Registry
from bench.report.papertables.collection import KINDS as PAPER_TABLES
from bench.report.sections import LABELS, SECTIONS
from documented import PAGES, ROOT, Command, commands, load

COMMANDS = [command for page in PAGES for command in commands(page)]
WHOLE = [command for command in COMMANDS if command.whole]
RUNS = [command for command in WHOLE if command.words[0] == "run"]
REGISTRY = Registry()
# `--preset NAME` in prose and commands, and "the preset `NAME`".
PRESETS = r"--preset ([a-z]\w*)|[Pp]reset `(\w+)`"


def parts(command: Command) -> tuple[object, list[str]]:
    """The command of the application, and the words that are left for it."""
    found, words = typer.main.get_command(app), list(command.words)
    while words and hasattr(found, "commands"):
        assert words[0] in found.commands, f"{command}: there is no such command"
        found = found.commands[words.pop(0)]
    return found, words


def own_plugins(page: str) -> set[str]:
    """The plugins that a page shows how to write, by their files."""
    text = next(path for path in PAGES if path.name == page).read_text()
    return {Path(file).stem for file in re.findall(r"[\w/]+\.py\b", text)}


def test_pages_show_commands() -> None:
    assert len(WHOLE) > 50
    assert {command.page for command in WHOLE} >= {"README.md", "start.md", "troubleshooting.md"}
    assert {command.words[0] for command in WHOLE} >= {"run", "report", "compare", "check", "data"}


@pytest.mark.parametrize("command", WHOLE, ids=str)
def test_a_command_parses(command: Command) -> None:
    found, words = parts(command)
    # A mention in a line may leave the arguments out: `bench data fetch` gets them.
    required = [p for p in found.params if p.required]  # type: ignore[attr-defined]
    if words or not required:
        found.make_context("bench", words)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.whole], ids=str)
def test_a_synopsis_names_options_that_exist(command: Command) -> None:
    found, words = parts(command)
    known = {name for p in found.params for name in p.opts}  # type: ignore[attr-defined]
    named = {option for word in words for option in re.findall(r"--[\w-]+", word)}
    assert named <= known


@pytest.mark.parametrize("command", WHOLE, ids=str)
def test_the_names_in_a_command_exist(command: Command) -> None:
    own = own_plugins(command.page)
    for kind in KINDS:
        known = {*REGISTRY.names(kind), *own, "all"}
        assert set(command.values(f"--{PLURALS[kind]}")) <= known
    assert set(command.values("--models")) <= {*model_names(), "all"}
    sections = {*(section.key for section in SECTIONS), LABELS, *PAPER_TABLES}
    assert set(command.values("--section")) <= sections
    if command.words[:2] in (("data", "fetch"), ("data", "import")):
        assert set(command.words[2:3]) <= set(REGISTRY.names("dataset"))
    if command.words[0] == "compare":
        names = [re.sub(r" K=\d+$", "", word) for word in command.words[1:3]]
        pairs = [name.split(" x ") for name in names]
        models, priors = set(model_names()), {*REGISTRY.names("prior"), *own}
        assert all(pair[0] in (models if len(pair) == 1 else priors) for pair in pairs)


@pytest.mark.parametrize("command", RUNS, ids=str)
def test_the_settings_in_a_command_are_taken(command: Command) -> None:
    sets = [v for w, v in zip(command.words, command.words[1:], strict=False) if w == "--set"]
    preset = next(iter(command.values("--preset")), None)
    check_names(load_config(preset, None, sets), REGISTRY)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_presets_in_a_page_exist(page: Path) -> None:
    named = {name for pair in re.findall(PRESETS, page.read_text()) for name in pair if name}
    assert named <= set(preset_names())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_settings_in_a_page_exist(page: Path) -> None:
    """Dotted keys of bench.toml's sections in code, as `evaluation.prune`."""
    settings = load_config()
    sections = "training|model|evaluation|tracking|engine|tuning|run"
    text = re.sub("`(tuning.journal|model.pt)`", "", page.read_text())  # files, not settings
    for section, key in re.findall(rf"`(?:--set )?({sections})\.(\w+)[`= ]", text):
        assert hasattr(getattr(settings, section), key), f"{page.name}: {section}.{key}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_options_in_a_page_exist(page: Path) -> None:
    """Options of plugins in code, as `priors.conditional.radius`."""
    kinds = {plural: kind for kind, plural in PLURALS.items()}
    found = re.findall(rf"`(?:--set )?({'|'.join(kinds)})\.(\w+)\.(\w+)\b", page.read_text())
    for plural, name, option in found:
        if name in own_plugins(page.name) or name == "NAME":
            continue
        assert option in (REGISTRY.get(kinds[plural], name).options or ()), f"{name}.{option}"


@pytest.mark.parametrize("kind", KINDS)
def test_every_plugin_has_its_section_and_its_options(kind: str) -> None:
    own = load("facts").own(kind)
    text = (ROOT / "docs" / f"{PLURALS[kind]}.md").read_text()
    assert sorted(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == [i.name for i in own]
    for info in own:
        assert f"](../{PLURALS[kind]}/{info.name}.py)" in text
        assert not info.options or f"<!-- bench: options {kind} {info.name} -->" in text


@pytest.mark.parametrize("kind", ["prior", "posterior"])
def test_the_table_of_options_is_that_of_the_constructor(kind: str) -> None:
    facts = load("facts")
    for info in facts.own(kind):
        rows = re.findall(r"^\| `(\w+)`", facts.options(kind, info.name), re.MULTILINE)
        assert tuple(rows) == info.options


def test_the_table_of_options_says_what_the_tuner_and_the_presets_do() -> None:
    facts = load("facts")
    table = facts.options("prior", "conditional")
    assert "| `radius` | float | `2.0` | 0.5 to 4.0, logarithmic | — | distance of" in table
    assert "| `learn` | bool | `true` | — | `released`: `false` | whether" in table
    assert "linear or elu | `linear` | — | `released`: `elu`" in facts.options("posterior", "joint")


def test_the_python_api_is_documented_whole() -> None:
    text = load("facts").python()
    assert "::: bench.interface.load" in text
    assert "::: bench.interface_report.scorecard" in text
    assert len(text.split("\n\n")) == len(bench.__all__) - 1
    assert "<!-- bench: python -->" in (ROOT / "docs" / "api.md").read_text()
    shown = (ROOT / "docs" / "python.md").read_text()
    names = [name for name in bench.__all__ if not name[0].isupper() and name[0] != "_"]
    assert [name for name in names if f"bench.{name}(" not in shown] == []


def test_the_nav_names_every_page() -> None:
    """A page that it does not name would be added to the end of a section, out of its order."""
    named = set(re.findall(r"(\w+\.md)", (ROOT / "mkdocs.yml").read_text()))
    written = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert named - {"changelog.md", "contributing.md"} == written


def test_a_page_cannot_ask_for_what_there_is_not() -> None:
    with pytest.raises(ValueError, match=r"expected one of api, commands, .*, found 'nothing'"):
        load("facts").fact(["nothing"])


def test_the_table_of_commands_has_all_of_them() -> None:
    text = load("facts").commands()
    assert "## bench data fetch" in text
    assert "| `--dry-run` | — | Print the plan" in text
    assert "| `NAMES` | — | Names of datasets. |" in text
    assert "`bench list [WHAT]`" in text


def test_docstrings_become_markdown() -> None:
    block, rest = (
        ".. math:: a \\\\\n          b",
        "Then :math:`c` and ``d``.\n\nExample:\n    >>> e",
    )
    made = load("docstrings").to_markdown(f"One.\n\n{block}\n\n{rest}")
    assert "\n$$\na \\\\\nb\n$$\n" in made
    assert made.endswith("Then $c$ and `d`.\n\nExamples:\n    >>> e")


def test_links_into_the_repository_lead_to_pages() -> None:
    links = load("links")
    text = (
        "[a](../priors/vamp.py#L1) [b](measures.md#x) [c](../bench.toml) [d](https://e.org) [e](f)"
    )
    turned = links.rewrite(text, "priors.md", "docs")
    assert turned.startswith("[a](source/priors/vamp.py.md#L1) [b](measures.md#x) [c](settings.md)")
    assert turned.endswith("[d](https://e.org) [e](f)")
    pages = links.source_pages({"docs": "[x](../examples/flow_prior)"})
    assert "source/examples/flow_prior/src/flow_prior.py.md" in pages
    assert not [page for page in pages if "egg-info" in page or "__pycache__" in page]

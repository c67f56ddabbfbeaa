"""Discovery of plugins: folders, entry points, files; broken plugins, clashes, typos."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import PluginError, UsageError
from bench.registry import KINDS, Registry

PRIOR = '''
from bench.api import DiagNormal, Joint, Posterior, Prior, Spec


class {name}(Prior):
    """Shifted normal. A second sentence."""

    mixture = True
    latents = ("z2", "z1")

    def __init__(self, spec: Spec, *, shift: float = 1.0) -> None:
        super().__init__(spec)

    def forward(self, posterior: Posterior) -> Joint:
        raise NotImplementedError
'''

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return _write


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write) -> Callable:
    """An installed distribution with one module and one entry point."""

    def _install(dist: str, module: str, text: str, group: str, entry: str) -> Path:
        root = tmp_path / dist
        path = write(f"{dist}/{module}.py", text)
        write(f"{dist}/{dist}-1.0.dist-info/METADATA", f"Name: {dist}\nVersion: 1.0\n")
        write(f"{dist}/{dist}-1.0.dist-info/entry_points.txt", f"[{group}]\n{entry}\n")
        monkeypatch.syspath_prepend(str(root))
        monkeypatch.delitem(sys.modules, module, raising=False)
        return path

    return _install


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            "prior",
            {"standard", "mog", "vamp", "hierarchical", "hierarchical_vamp", "conditional"},
        ),
        ("posterior", {"continuous", "independent", "joint", "joint_pi"}),
        ("dataset", {"digits", "gaussians", "mnist", "fashion_mnist", "omniglot"}),
    ],
)
def test_our_folders_are_found(kind: str, names: set[str]) -> None:
    assert names <= set(Registry().names(kind))


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in KINDS for name in Registry().names(kind)]
)
def test_every_plugin_loads_and_has_a_description(kind: str, name: str) -> None:
    registry = Registry()
    info = registry.get(kind, name)
    cls = registry.load(kind, name)
    assert info.doc
    for attribute in ("latents", "categorical", "mixture", "embedded", "likelihood"):
        if hasattr(cls, attribute):
            assert getattr(info, attribute) == getattr(cls, attribute)


def test_listing_imports_no_plugin_and_no_torch() -> None:
    code = """
        import sys
        from bench.registry import Registry, KINDS
        registry = Registry()
        assert [info.doc for kind in KINDS for info in registry.infos(kind)]
        assert not registry.broken()
        heavy = {"torch", "numpy", "pydantic", "mlflow", "sklearn", "bench.priors", "bench.api"}
        found = heavy & set(sys.modules)
        assert not found, found
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_plugin_file_is_read_without_import_and_then_loaded(write: Write) -> None:
    path = write("shifted.py", PRIOR.format(name="Shifted"))
    registry = Registry([path])
    info = registry.get("prior", "shifted")
    assert (info.doc, info.mixture, info.latents) == ("Shifted normal.", True, ("z2", "z1"))
    assert info.options == ("shift",)
    assert info.categorical is False
    assert info.path == path.resolve()
    assert registry.load("prior", "shifted").__name__ == "Shifted"
    assert registry.load("prior", "shifted") is registry.load("prior", "shifted")


def test_one_file_may_define_one_plugin_of_each_kind(write: Write) -> None:
    text = """
        from bench.api import Posterior as Q, Prior

        class _Base(Prior):
            '''Base doc.'''
            mixture = True

        class Mine(_Base):
            pass

        class Theirs(Q):
            '''Theirs.'''
            categorical = True
    """
    registry = Registry([write("both.py", text)])
    assert registry.get("prior", "both").mixture
    assert registry.get("posterior", "both").categorical
    assert registry.load("prior", "both").__name__ == "Mine"
    assert registry.load("posterior", "both").__name__ == "Theirs"
    assert "both" not in registry.names("dataset")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("class Broken(Prior:\n", r"broken.*SyntaxError.*line 1"),
        ("x = 1\n", "no subclass of Prior, Posterior, Dataset"),
        (
            PRIOR.format(name="One") + PRIOR.format(name="Two"),
            "defines 2 subclasses of Prior, expected one: One, Two",
        ),
        ("import no_such_module_here\n" + PRIOR.format(name="One"), r"no_such_module.*line 1\)"),
        (PRIOR.format(name="One") + "1 / 0\n", r"ZeroDivisionError: division by zero \(.*line 16"),
        ("raise SystemExit(3)\n" + PRIOR.format(name="One"), "SystemExit"),
    ],
    ids=["syntax", "nothing", "two", "import", "raises", "exits"],
)
def test_a_broken_plugin_tells_why_and_stops_no_other(write: Write, text: str, match: str) -> None:
    registry = Registry([write("broken.py", text), write("good.py", PRIOR.format(name="Good"))])
    with pytest.raises(PluginError, match=match) as caught:
        registry.load("prior", "broken")
    assert "broken.py" in str(caught.value)
    assert registry.load("prior", "good").__name__ == "Good"
    (info,) = registry.broken(load=True)
    assert info.name == "broken"
    assert info.error == str(caught.value)


def test_an_import_error_keeps_its_cause(write: Write) -> None:
    path = write("broken.py", "import no_such_module_here\n" + PRIOR.format(name="One"))
    with pytest.raises(PluginError) as caught:
        Registry([path]).load("prior", "broken")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_missing_plugin_file_is_bad_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        Registry([tmp_path / "absent.py"])


@pytest.mark.parametrize("name", ["two.words.py", "plain.txt", "1st.py"])
def test_a_plugin_file_needs_a_name_that_can_be_a_key(write: Write, name: str) -> None:
    with pytest.raises(UsageError, match="expected a Python file whose name"):
        Registry([write(name, PRIOR.format(name="X"))])


def test_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(UsageError, match=r"unknown prior 'vmap'\. Did you mean 'vamp'\? Known: .*"):
        Registry().get("prior", "vmap")


def test_a_clash_names_both_sources(write: Write) -> None:
    path = write("vamp.py", PRIOR.format(name="Mine"))
    with pytest.raises(PluginError, match="two priors are named 'vamp'") as caught:
        Registry([path])
    assert str(path) in str(caught.value)
    assert str(Registry().get("prior", "vamp").path) in str(caught.value)


def test_the_same_file_twice_is_no_clash(write: Write) -> None:
    path = write("mine.py", PRIOR.format(name="Mine"))
    ours = Registry().get("prior", "vamp").path
    assert ours is not None
    assert "mine" in Registry([path, path, ours]).names("prior")


@pytest.mark.parametrize("value", ["their_priors", "their_priors:Mine"])
def test_entry_points_are_found_and_loaded(distribution: Callable, value: str) -> None:
    distribution(
        "their", "their_priors", PRIOR.format(name="Mine"), "bench.priors", f"tempered = {value}"
    )
    registry = Registry()
    info = registry.get("prior", "tempered")
    assert info.mixture
    assert "their_priors" not in sys.modules
    assert info.load().__name__ == "Mine"


def test_entry_point_may_select_one_of_several(distribution: Callable) -> None:
    text = PRIOR.format(name="One") + PRIOR.format(name="Two").replace("= True", "= False")
    distribution("their", "their_two", text, "bench.priors", "two = their_two:Two")
    info = Registry().get("prior", "two")
    assert not info.mixture
    assert info.load().__name__ == "Two"


def test_entry_point_to_a_module_that_re_exports(distribution: Callable, write: Write) -> None:
    distribution(
        "their", "their_facade", "from their_impl import Mine", "bench.priors", "f = their_facade"
    )
    write("their/their_impl.py", PRIOR.format(name="Mine"))
    info = Registry().get("prior", "f")
    assert info.error is None
    assert info.load().__name__ == "Mine"


def test_broken_entry_point_is_listed(distribution: Callable) -> None:
    distribution("their", "their_mod", "x = 1", "bench.priors", "gone = their_gone")
    registry = Registry()
    (info,) = registry.broken()
    assert info.name == "gone"
    with pytest.raises(PluginError, match=r"gone = their_gone of their.*no module 'their_gone'"):
        registry.load("prior", "gone")


def test_entry_points_of_two_distributions_clash(distribution: Callable) -> None:
    distribution("one", "mod_one", PRIOR.format(name="A"), "bench.priors", "same = mod_one")
    distribution("two", "mod_two", PRIOR.format(name="B"), "bench.priors", "same = mod_two")
    with pytest.raises(PluginError, match=r"two priors are named 'same'") as caught:
        Registry()
    assert "of one" in str(caught.value)
    assert "of two" in str(caught.value)

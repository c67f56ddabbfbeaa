"""LaTeX that compiles, whatever the names and texts are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import latexed
from bench.report.latex import escape, to_latex
from bench.report.papertables import Formula, Table
from bench.report.sections import BOUNDS, LIKELIHOOD
from bench.report.summary import AVERAGED, summarise
from bench.report.tables import as_tables
from fabricated import empty, put, row
from runs import bench

NASTY = (
    r"""\ { } & % $ # _ ~ ^ < > | " ' ` [x] ± − – — ‖ ● ≈ † ° ≤ ≥ × · √ … é ß ł π 漢"""
    "\n\t\x07"
)


def test_every_character_compiles(tmp_path: Path) -> None:
    formula = Formula("KL(q ‖ p)", r"\mathrm{KL}(q \,\|\, p)")
    table = Table(
        "k_ä", NASTY, NASTY, [NASTY, "[b]", formula], [["[" + NASTY, NASTY, "1"], ["[0]", "", ""]],
        strong=frozenset({(0, 0), (1, 1), (0, 1)}), prose=frozenset({1}),
    )  # fmt: skip
    latexed.check(to_latex([table, table]), tmp_path)


@pytest.mark.parametrize("text", [r"\section{x} \% \\ a_b", "50% of $x"])
def test_a_text_is_set_as_it_is(text: str) -> None:
    assert escape(text) != text
    latexed.read(escape(text))


WORDY = "a sentence that has to be broken into several lines, as those of claims are"


@pytest.mark.parametrize(
    "table",
    [
        Table("long", "t", "c", ["n", "v"], [[str(row), "1"] for row in range(150)]),
        Table("wide", "t", "c " * 200, ["model", *(f"K={k} {part}" for k in (1, 2, 3, 4, 5)
                                           for part in ("ours", "published", "difference"))],
              [[f"m{row}", *(f"{row}.{c} ± 0.71" for c in range(15))] for row in range(9)]),
        Table("prose", "t", "c " * 300, ["claim", "source", "verdict", "here"],
              [[f"{row} {WORDY}", WORDY, "cannot be told", "holds"] for row in range(40)],
              words=frozenset(range(4)), prose=frozenset({0, 1})),
    ],
    ids=lambda table: table.key,
)  # fmt: skip
def test_what_is_too_long_or_too_wide_goes_on(tmp_path: Path, table: Table) -> None:
    text = to_latex([table])
    latexed.check(text, tmp_path)
    bodies = re.findall(r"\\midrule\n(.*?)\n\\bottomrule", text, re.DOTALL)
    cells = [[c.strip() for c in line.removesuffix(r" \\").split("&")]
             for body in bodies for line in body.splitlines()]  # fmt: skip
    found: dict[str, list[str]] = {}
    for first, *rest in cells:
        found.setdefault(first, []).extend(rest)
    expected = {escape(row[0]): [escape(cell) for cell in row[1:]] for row in table.rows}
    assert found == expected
    assert text.count("begin{tabular}") > 1
    assert text.count("begin{table}") == text.count(r"\label{") == len(set(
        re.findall(r"\\label\{(.*?)\}", text)))  # fmt: skip
    if table.key == "wide":  # what belongs together stands together
        assert [head.count("K=") % 3 for head in re.findall(r"toprule\n(.*)", text)] == [0, 0, 0]


def test_every_row_of_what_goes_on_is_named(tmp_path: Path) -> None:
    store, many = empty(tmp_path), dict.fromkeys(AVERAGED, 12345.678)
    put(store, row(0, "HVP", cell="a", **{**many, "components": 50}))
    for setting in ("aaaaaa", "bbbbbb"):
        put(store, row(0, "HVP", cell=setting, **{**many, "components": 10, "setting": setting}))
    for section in (BOUNDS, LIKELIHOOD):
        (table,) = as_tables(summarise(store.rows()), [section])
        text = to_latex([table])
        names = [["HVP", "50"], ["HVP settings aaaaaa", "10"], ["HVP settings bbbbbb", "10"]]
        blocks = re.findall(r"\\midrule\n(.*?)\n\\bottomrule", text, re.DOTALL)
        assert len(blocks) > 1
        for block in blocks:
            cells = [line.removesuffix(r" \\").split(" & ") for line in block.splitlines()]
            assert sorted([c[:2] for c in cells], reverse=True, key=lambda c: c[1]) == names
        heads = re.findall(r"toprule\n(.*) \\\\", text)
        assert [head.split(" & ")[:2] for head in heads] == [["model", "K"]] * len(blocks)
        shown = [name for head in heads for name in head.split(" & ")[2:]]
        assert shown == [escape(name) for name in table.header[2:]]


def test_nothing_to_show_is_nothing() -> None:
    assert to_latex([]) == ""


def test_the_checker_sees_what_does_not_compile() -> None:
    whole = to_latex([Table("k", "t", "c", ["a", "b"], [["1", "2"]])])
    latexed.read(whole)
    for wrong in (
        whole.replace(r"\end{table}", ""), whole.replace("1 & 2", "1 & 2 & 3"),
        whole.replace("1 & 2", "$1 & 2"), whole.replace("1 & 2", "±1 & 2"),
    ):  # fmt: skip
        with pytest.raises(AssertionError):
            latexed.read(wrong)


def test_a_whole_report_compiles(tmp_path: Path) -> None:
    store = empty(tmp_path)
    for model in ("CP", "VAE", ""):
        for seed in (0, 1):
            put(store, row(seed, model, dataset="mnist", entropy=2.0, ess=3.0, A=-80.0, B1=1.0))
    put(store, row(3, "VP", status="failed", reason="TypeError: {x} & 100% of $y_1"))
    for words in ([], ["--scorecard"]):
        ended = bench("report", "--out", store.out, "--format", "latex", *words)
        assert ended.status == 0, ended.err
        assert r"\toprule" in ended.out
        folder = tmp_path / ("scorecard" if words else "report")
        folder.mkdir()
        latexed.check(ended.out, folder)

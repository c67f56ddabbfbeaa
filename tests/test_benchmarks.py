"""The benchmark: what it counts, how it compares, and that all of it runs; never how fast."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from bench.networks import Decoder
from benchmarked import ROOT, load

command, data, ours, products = (load(n) for n in ("__main__", "data", "ours", "products"))
pythae_peer, settings_module, tables = (load(n) for n in ("pythae_peer", "settings", "tables"))
textbook, timing = load("textbook"), load("timing")
evaluation, systems, workers = (load(f"sections.{n}") for n in ("evaluation", "systems", "workers"))

B, P, H, D, K = 6, 20, 8, 3, 4
SMALL = settings_module.Settings(
    "cpu", 1, rounds=1, images=30, batch_size=B, hidden=H, latent_dim=D, components=(K,)
)
TINY = (
    *("--rounds", "1", "--images", "20", "--batch-size", "10", "--hidden", "8"),
    *("--latent-dim", "2", "--components", "3", "--replicas", "1,2", "--threads", "1"),
    *("--device", "cpu", "--modes", "eager", "--data-dir", "nowhere"),
)


@pytest.fixture(autouse=True)
def _global_state() -> Iterator[None]:
    """Others' code draws from torch's global generator; the tests around this file must not see."""
    with torch.random.fork_rng():
        yield


def dark_images() -> Any:
    """Black images: whoever trains at all gets better at them at once."""
    images = data.random_images(30, P, "made up")
    return data.Images(torch.zeros_like(images.train), images.validation, images.name)


def count(name: str, components: int | None = None) -> Any:
    return products.count(ours.Step(ours.System(name, components), SMALL, P).loss)


def test_operations_of_a_vae_are_those_counted_by_hand() -> None:
    maps = [(P, 2 * H), (H, 2 * H), (H, 2 * D), (D, 2 * H), (H, 2 * H), (H, P)]
    forward = sum(2 * B * inputs * outputs for inputs, outputs in maps)
    first = 2 * B * P * 2 * H  # nobody asks for the gradient of the data
    found = count("VAE")
    assert found.flops == 3 * forward - first
    assert found.flops_of(products.FORWARD) == forward
    assert found.flops_of(products.WEIGHT) == forward
    assert found.flops_of(products.INPUT) == forward - first


def test_pseudo_inputs_need_the_input_gradient_that_data_do_not() -> None:
    kinds = {(p.kind, p.sizes) for p in count("VP", K).products}
    assert (products.INPUT, (K, 2 * H, P)) in kinds
    assert (products.INPUT, (B, 2 * H, P)) not in kinds
    assert (products.FORWARD, (B, 2 * D, K)) in kinds


def test_a_product_that_was_overlooked_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {op: at for op, at in products.FACTORS.items() if op is not torch.ops.aten.addmm}
    monkeypatch.setattr(products, "FACTORS", known)
    with pytest.raises(RuntimeError, match="operations, the noted products make"):
        count("VAE")


def test_a_timed_product_is_the_one_of_the_step() -> None:
    for product in count("VP", K).products:
        left, right = product.left.make("cpu"), product.right.make("cpu")
        assert left.stride() == product.left.stride
        for kernels in product.kernels("cpu"):
            assert (left @ right).shape == product.work("cpu", kernels)().shape == product.result


def test_contenders_take_turns_and_every_other_round_goes_backwards() -> None:
    order: list[str] = []
    work: dict[str, Callable[[], None]] = {n: (lambda n=n: order.append(n)) for n in "AB"}
    taken = timing.take_turns(work, 3, "cpu")
    assert "".join(order) == "AB" + "AB" + "BA" + "AB"
    assert {name: len(values) for name, values in taken.items()} == {"A": 3, "B": 3}


def test_a_ratio_is_taken_within_a_round() -> None:
    found = timing.ratio([2.0, 9.0, 4.0], [1.0, 3.0, 1.0])
    assert found["rounds"] == [2.0, 3.0, 4.0]
    assert (found["low"], found["median"], found["high"]) == (2.5, 3.0, 3.5)


@pytest.mark.parametrize(("share", "expected"), [(True, 11.0), (False, 10.0)])
def test_the_start_is_shared_out_among_the_fewest_epochs(
    share: bool, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ours.fewest_epochs() == 150  # 100 of warm-up, 50 of patience
    monkeypatch.setattr(ours, "take_turns", lambda *_: {"mine": [10.0, 10.0]})
    training = SimpleNamespace(first_seconds=lambda: 160.0, images=50_000, epoch=None)
    turns = ours.compete({"mine": training}, {}, SMALL, share_start=share)
    assert turns.start == {"mine": 150.0}
    assert turns.taken == {"mine": [expected, expected]}


def test_table_3_is_62_cells() -> None:
    """At a millisecond a step they take 1 ms x steps x cells, at every K the paper's own."""
    rows = [
        {"system": s.name, "components": s.components, "step_seconds": {"median": 1e-3}}
        for k in (10, 150, 500)
        for s in ours.table3(k)
    ]
    found = systems.table3_epochs(rows, 100)
    assert found == pytest.approx(
        {"mnist": 0.5 * 23, "fashion_mnist": 0.5 * 23, "omniglot": 0.23 * 16}
    )
    for row in rows:  # a step that grows with K: K = 50 lies between the measured ones
        row["step_seconds"] = {"median": 1e-5 * (row["components"] or 0)}
    assert systems.table3_epochs(rows, 100)["omniglot"] == pytest.approx(230e-5 * 7 * (50 + 500))


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("components", [None, K])
def test_all_contenders_have_the_same_networks(components: int | None) -> None:
    mine = ours.System("VP" if components else "VAE", components).build(SMALL, P)
    theirs = textbook.Vae(P, SMALL, components)
    assert parameters(theirs) == parameters(mine)
    for fused in (True, False):
        pythae = pythae_peer.Pythae(dark_images(), SMALL, components, fused).trainer.model
        bias = P if components else 0  # its pseudo-inputs are a linear map of the unit vectors
        assert parameters(pythae) == parameters(mine) + bias


@pytest.mark.parametrize("components", [None, K])
def test_all_contenders_get_better(components: int | None) -> None:
    images = dark_images()
    system = ours.System("VP" if components else "VAE", components)
    contenders = [
        ours.Training(system, images, SMALL, replicas=2),
        textbook.Textbook(images, SMALL, components),
        pythae_peer.Pythae(images, SMALL, components),
    ]
    for contender in contenders:
        losses = torch.tensor([contender.epoch() for _ in range(6)])
        assert (losses[-1] < losses[0]).all(), type(contender)


@pytest.mark.parametrize("components", [None, K])
def test_divergence_of_the_textbook_loop(components: int | None) -> None:
    model = textbook.Vae(P, SMALL, components)
    mean, log_variance = model.encode(torch.rand(B, P))
    q = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    z = q.sample()
    if components is None:
        expected = kl_divergence(q, Independent(Normal(torch.zeros(D), torch.ones(D)), 1))
    else:
        m, s = model.encode(model.pseudo_inputs.clamp(0, 1))
        parts = Independent(Normal(m, (0.5 * s).exp()), 1)
        p = MixtureSameFamily(Categorical(torch.ones(K)), parts)
        expected = q.log_prob(z) - p.log_prob(z)
    torch.testing.assert_close(model.divergence(z, mean, log_variance), expected)


@pytest.mark.parametrize("system", ["VAE", "VP", "CP"])
def test_decodes_are_as_many_as_said(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 0
    forward = Decoder.forward

    def counting(self: Decoder, values: Any) -> torch.Tensor:
        nonlocal rows
        out = forward(self, values)
        rows += out.shape[:-1].numel()
        return out

    images = data.random_images(30, P, "made up")
    monkeypatch.setattr(evaluation, "SAMPLES", 2 * K)
    cell = ours.System(system, None if system == "VAE" else K)
    passes = evaluation._passes(cell, SMALL, images)
    monkeypatch.setattr(Decoder, "forward", counting)
    for name, one in passes.items():
        rows = 0
        one.work()
        assert rows == one.decodes, name
    assert len(passes) == (4 if system == "CP" else 3)


@pytest.mark.parametrize(
    ("threads", "ways"), [(1, [(1, 1)]), (6, [(1, 6), (2, 3), (3, 2), (6, 1)])]
)
def test_cores_are_shared_out(threads: int, ways: list[tuple[int, int]]) -> None:
    settings = settings_module.Settings("cpu", threads)
    assert workers.splits(settings) == ways


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything, at the smallest sizes, in a process of its own."""
    out = tmp_path_factory.mktemp("benchmarks")
    arguments = [sys.executable, "-m", "benchmarks", "--out", str(out), *TINY]
    run = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert (out / "table.md").read_text() == run.stdout
    return out


def test_every_section_is_written(written: Path) -> None:
    results = json.loads((written / "results.json").read_text())
    found = results["sections"]
    assert tuple(found) == settings_module.SECTIONS
    assert {row["system"] for row in found["systems"]["rows"]} == set(ours.shipped().run.models)
    assert len(found["systems"]["rows"]) == 7 + 2
    assert set(found["peers"]["seconds"]["VP, K = 3"]) >= {
        "bench, eager",
        "pythae",
        "pythae, two products a gate",
        "textbook loop",
    }
    assert [row["replicas"] for row in found["replicas"]["cells"]["VAE"]] == [1, 2]
    share = found["roofline"]["systems"]["VAE"]["modes"]["eager"]["share_of_roofline"]
    assert 0.0 < share["median"] < 1.0
    assert found["workers"]["ways"][0]["epochs_a_minute"]["median"] > 0.0
    assert "random images" in results["images"]


def test_every_section_is_told(written: Path) -> None:
    text = (written / "table.md").read_text()
    for title, _ in tables.RENDERED.values():
        assert f"## {title}\n" in text
    assert "They are for the paper's sizes" in text


def test_an_old_result_is_drawn_again(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--from", str(written / "results.json"), "--out", str(tmp_path)]
    assert command.main(arguments) == 0
    assert capsys.readouterr().out == (written / "table.md").read_text()
    for name in ("results.json", "table.md", "plot.png"):
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes(), name


def test_nothing_of_the_machine_but_what_it_is(written: Path) -> None:
    text = (written / "results.json").read_text()
    for told in (os.uname().nodename, str(ROOT), str(Path.home())):
        assert told not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sections", "peers,rooflin"], "found 'rooflin'"),
        (["--rounds", "0"], "whole number from 1 on"),
        (["--images", "30", "--batch-size", "20"], "multiple of --batch-size"),
        (["--replicas", "2,4"], "start with 1"),
        (["--modes", "graph", "--device", "cpu"], "needs a CUDA device"),
        (["--from", "nowhere.json"], "nowhere.json"),
        (["--images", "60000", "--data-dir", "nowhere"], "at most 50000"),
    ],
)
def test_bad_usage_is_one_message(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--device", "cpu", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_files_are_short() -> None:
    for path in (ROOT / "benchmarks").rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 300, path.name

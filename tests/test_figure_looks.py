"""How figures look: nothing by colour alone, points that say what they are."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from bench.config_files import model_names
from bench.pairs import pair_up
from bench.registry import Registry
from bench.report.figures import Figure, comparison, number_line
from bench.report.figures.colours import PATTERNS, SYSTEMS, TERMS, colour, dash, marker
from bench.report.figures.comparison import points
from bench.report.figures.latent_map import maps
from bench.report.figures.learning import curves
from bench.report.figures.number_line import ways_of
from bench.report.figures.source import Source
from bench.report.figures.style import panels, titled_blocks
from test_figures import system


def named() -> list[str]:
    """The name of every pair that bench ships."""
    models = model_names()
    pairs = (
        pair_up(prior, posterior, models)
        for prior in Registry().infos("prior") for posterior in Registry().infos("posterior")
    )  # fmt: skip
    return [pair.model or f"{pair.prior} x {pair.posterior}" for pair in pairs if not pair.reason]


def test_no_two_systems_look_alike_without_colours() -> None:
    table = [(marker(name), dash(name)) for name in SYSTEMS]
    assert len({point for point, _ in table}) == 9  # a point alone tells Table 3's systems apart
    looks = {name: (colour(name), marker(name), dash(name)) for name in named()}
    assert len(looks) > 20
    assert len(set(looks.values())) == len(looks)
    assert len({PATTERNS[term] for term in TERMS}) == len(TERMS)


def test_curves_bars_and_maps_tell_more_than_colours(source: Source) -> None:
    drawn = next(d for d in curves(source) if d.dataset == "digits").draw()
    lines = [line for axes in drawn.axes for line in axes.lines if line.get_label()[0] != "_"]
    assert len(lines) == 3
    assert len({line.get_marker() for line in lines} - {"None"}) == 3
    bars = next(d for d in comparison.decomposition(source) if d.dataset == "digits").draw()
    looks = {(p.get_facecolor(), p.get_hatch()) for axes in bars.axes for p in axes.patches}
    assert len({hatch for _, hatch in looks}) == len(looks) == 5  # B1, B2, C1, C2, T1
    mapped = next(d for d in maps(source) if d.dataset == "digits").draw()
    points = {c.get_paths()[0].vertices.tobytes() for c in mapped.axes[0].collections}
    assert len(points) == 10


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 3)), (6, (2, 3))])
def test_panels_hide_the_rest_of_their_grid(count: int, shape: tuple[int, int]) -> None:
    _, grid, places = panels(count, 3, height=1.0, sharex=True)
    assert grid.shape == shape
    assert [axes.get_visible() for axes in grid.flat] == [i < count for i in range(grid.size)]
    assert places == list(grid.flat)[:count]
    below = [axes.xaxis.get_tick_params()["labelbottom"] for axes in places[-shape[1] :]]
    assert all(below)


def test_a_title_is_above_its_own_block() -> None:
    """All blocks are one image on one pair of axes, which is what makes them quick to draw."""
    parts = {
        name: np.full((28, 28), shade)
        for name, shade in zip("abcd", (0.0, 0.2, 0.4, 0.6), strict=True)
    }
    figure = titled_blocks(parts, 3, width=1.35)
    (axes,) = figure.axes
    whole = axes.images[0].get_array()
    for text in axes.texts:
        across, down = (round(float(value)) for value in text.get_position())
        assert whole[down + 2, across] == parts[text.get_text()][0, 0]
        assert whole[down - 1, across] == 1.0  # white, for the letters
    assert [text.get_text() for text in axes.texts] == list("abcd")


def test_points_say_what_they_are(made: list[Figure], source: Source) -> None:
    (scatter,) = (f for f in made if f.title == "Bound against purity")
    assert scatter.asked
    assert scatter.svg is not None
    root = ElementTree.fromstring(scatter.svg.read_bytes())
    svg = "{http://www.w3.org/2000/svg}"
    said = [g.get("aria-label") for g in root.iter(f"{svg}g") if g.get("tabindex") == "0"]
    titles = [t.text for g in root.iter(f"{svg}g") for t in g.findall(f"{svg}title")]
    assert said == titles
    bound = next(b for s, b, _ in points(source.on("digits")) if s.name == "CP")
    assert any(f"CP K=4: NELBO {bound.mean:.2f} ± " in str(text) for text in said)
    assert len(said) == 2


def test_figure_5_of_data_of_one_number(source: Source) -> None:
    cp, vae = system(source, "CP", "gaussians"), system(source, "VAE", "gaussians")
    kept = source.examples(cp)
    assert kept is not None
    found = ways_of(source, cp, kept.x)
    assert [(name, len(values)) for name, values in found.items()] == [
        ("c ~ q(c)", 10_000), ("c ~ p(c)", 10_000), ("reconstructions", len(kept.x)),
    ]  # fmt: skip
    assert not np.array_equal(found["c ~ q(c)"], found["c ~ p(c)"])
    assert ways_of(source, vae, kept.x).keys() == {"samples", "reconstructions"}
    model, data = source.model(cp.cell), torch.from_numpy(kept.x[:7])
    with torch.no_grad():
        q = model.posterior(data)
        c = torch.eye(2)[q.factors["c"].probs.argmax(-1)]  # type: ignore[union-attr]
        expected = model.decode({"c": c, "z": q.given("z", {"c": c}).mean}).mean
    np.testing.assert_allclose(found["reconstructions"][:7], expected[:, 0].numpy(), atol=1e-5)
    assert {d.cell for d in number_line.two_ways(source)} == {cp.cell, vae.cell}


def test_colours_are_stable_and_differ() -> None:
    assert len({colour(name) for name in SYSTEMS}) == 9
    assert colour("mog x joint") == colour("mog x joint")
    assert len(colour("mog x joint")) == 7

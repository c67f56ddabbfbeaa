"""The plan: which cells there are, which are skipped, and when two cells are the same cell."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.config import load_config
from bench.errors import UsageError
from bench.grid import Cell, Plan, make_plan
from pairs import PAIRS, REGISTRY
from runs import plan_of, write_prior


def only(plan: Plan) -> Cell:
    (cell,) = plan.cells
    return cell


def test_every_pair_is_crossed_with_every_dataset_size_and_seed() -> None:
    plan = plan_of(names=("digits", "gaussians"), components="3,5", seeds=2)
    expected = set()
    for dataset in ("digits", "gaussians"):
        for prior, posterior in PAIRS:
            varies = REGISTRY.get("prior", prior).mixture
            varies |= REGISTRY.get("posterior", posterior).categorical
            for size in (3, 5) if varies else (None,):
                expected |= {(dataset, prior, posterior, size, seed) for seed in (0, 1)}
    found = [(c.dataset, c.prior, c.posterior, c.components, c.seed) for c in plan.cells]
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert len({cell.id for cell in plan.cells}) == len(plan.cells)
    assert len(PAIRS) == 23


def test_a_pair_without_meaning_is_skipped_once_a_dataset() -> None:
    plan = plan_of(names=("digits", "gaussians"), components="3,5", seeds=2)
    skipped = [(cell.dataset, cell.prior, cell.posterior) for cell in plan.skipped]
    assert skipped == [(name, "conditional", "continuous") for name in ("digits", "gaussians")]
    for cell in plan.skipped:
        assert cell.reason == (
            "conditional needs a posterior with a category; without one, summing out the category "
            "gives mog x continuous, so run that"
        )


def test_models_are_pairs_by_name_in_their_order() -> None:
    plan = plan_of(models="cp,VAE,CP,mg")
    found = [(cell.model, cell.prior, cell.posterior) for cell in plan.cells]
    assert found == [
        ("CP", "conditional", "joint"),
        ("VAE", "standard", "continuous"),
        ("MG", "mog", "continuous"),
    ]
    assert [cell.components for cell in plan.cells] == [10, None, 10]


def test_all_models_are_those_of_the_settings() -> None:
    assert len(plan_of(models="all").cells) == 11
    mine = plan_of('models.Mine=["vamp", "joint"]', models="mine")
    assert only(mine).model == "Mine"


def test_models_beside_priors_are_refused() -> None:
    with pytest.raises(UsageError, match="either models or priors and posteriors"):
        plan_of(models="CP", priors="vamp")


def test_the_paper_has_its_62_numbers_and_its_known_density() -> None:
    names = ("mnist", "fashion_mnist", "omniglot", "gaussians")
    plan = make_plan(load_config("paper"), REGISTRY, dict.fromkeys(names, "print"), "cpu")
    synthetic = [cell for cell in plan.cells if cell.dataset == "gaussians"]
    assert len(plan.cells) - len(synthetic) == 62
    assert {cell.components for cell in synthetic} == {None, 2, 150}
    assert len(synthetic) == 16
    assert {cell.settings["model"]["latent_dim"] for cell in plan.cells} == {40}
    assert not plan.skipped
    sizes = {cell.components for cell in plan.cells if cell.dataset == "omniglot"}
    assert sizes == {None, 50, 500}


SAME = [
    "training.checkpoint_seconds=1",
    "engine.threads=7",
    "tracking.enabled=false",
    "run.out=elsewhere",
    "priors.vamp.mean=0.3",
    "datasets.gaussians.training.epochs=3",
    "tuning.seed=4",
]
OTHER = [
    "training.learning_rate=0.1",
    "training.epochs=3",
    "training.initialisation=he",
    "training.normalise_gradients=true",
    "model.latent_dim=3",
    "evaluation.importance_samples=7",
    "evaluation.seed=7",
    "evaluation.prune=0",
    "priors.conditional.radius=3",
    "posteriors.joint.logits=elu",
    "datasets.digits.training.epochs=3",
    "tuning.trials=4",
]


@pytest.mark.parametrize("change", SAME)
def test_what_cannot_change_the_numbers_makes_no_other_cell(change: str) -> None:
    assert only(plan_of(change, models="CP")).id == only(plan_of(models="CP")).id


@pytest.mark.parametrize("change", OTHER)
def test_what_can_change_the_numbers_makes_another_cell(change: str) -> None:
    changed, plain = only(plan_of(change, models="CP")), only(plan_of(models="CP"))
    assert changed.id != plain.id
    assert changed.setting != plain.setting


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.integers(1, 99), st.sampled_from(["digits", "gaussians"]))
def test_cells_of_other_names_have_other_ids(seed: int, size: int, dataset: str) -> None:
    plain = plan_of(models="CP", components="100", seeds="100,101").cells[0]
    other = plan_of(models="CP", components=str(size), seeds=f"{seed},101", names=(dataset,))
    assert other.cells[0].id != plain.id
    assert (other.cells[0].setting == plain.setting) == (dataset == "digits")


def test_other_evaluation_data_or_device_make_another_cell() -> None:
    config = load_config(None, None, ["run.models=CP"])
    ids = {
        only(make_plan(config, REGISTRY, {"digits": mark}, device)).id
        for mark in ("one", "two")
        for device in ("cpu", "cuda")
    }
    assert len(ids) == 4


def test_other_training_data_make_another_cell() -> None:
    """The fingerprint is of evaluation data alone."""
    config = load_config(None, None, ["run.models=CP"])
    ids = {
        only(make_plan(config, REGISTRY, {"digits": "print"}, "cpu", True, {"digits": mark})).id
        for mark in ("one", "two")
    }
    assert len(ids) == 2


def test_the_plan_reads_attributes_that_only_the_class_knows(tmp_path: Path) -> None:
    """`bench list` reads literals; what decides about models is what the class really says."""
    path = write_prior(tmp_path / "computed.py")
    assert "mixture = True" not in path.read_text()
    text = path.read_text().replace("(Prior):", "(Prior):\n    mixture = not False\n", 1)
    path.write_text(text)
    plan = plan_of(priors="computed", posteriors="continuous", components="3,5", plugins=[path])
    assert [cell.components for cell in plan.cells] == [3, 5]


PLUGIN_DATA = '''
from bench.api import Dataset
class Mine(Dataset):
    """Mine."""
    embedded = True
    def load(self, roots): ...
'''


@pytest.mark.parametrize("kind", ["prior", "dataset"])
def test_a_plugin_whose_code_changed_makes_another_cell(tmp_path: Path, kind: str) -> None:
    """The fingerprint is of evaluation data only: training data change with the dataset's code."""
    path = tmp_path / "mine.py"
    write_prior(path) if kind == "prior" else path.write_text(PLUGIN_DATA)

    def now() -> str:
        names = ("mine",) if kind == "dataset" else ("digits",)
        prior = "mine" if kind == "prior" else "standard"
        plan = plan_of(plugins=[path], names=names, priors=prior, posteriors="continuous")
        return only(plan).id

    before = now()
    assert now() == before
    path.write_text(path.read_text() + "\n# changed\n")
    assert now() != before


@pytest.mark.parametrize(
    ("model", "fixed", "expected"),
    [
        ("CP", False, {"components", "training.temperature_start"}),
        ("CP", True, {"training.temperature_start"}),
        ("MG", False, {"components"}),
        ("VAE", False, set()),
    ],
)
def test_a_search_has_what_matters_to_its_cell(model: str, fixed: bool, expected: set[str]) -> None:
    sets = [f"run.models={model}", "tuning.trials=3"]
    sets += ['tuning.space."priors.vamp.mean"={type="float",low=0.0,high=1.0}']
    plan = make_plan(load_config(None, None, sets), REGISTRY, {"digits": "print"}, "cpu", fixed)
    space = set(only(plan).settings["tuning"]["space"])
    assert space == expected | {"training.learning_rate", "model.latent_dim"}

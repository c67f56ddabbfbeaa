"""Configuration: precedence, presets, overrides, and one clear line for every mistake."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

import pytest

from bench.config import Config, default_preset, load_config, preset_names, shipped_toml_path
from bench.config_check import check_names
from bench.config_files import model_names
from bench.errors import UsageError
from bench.registry import Registry
from bench.spaces import Choice, Float, Int
from bench.tuning.ranges import fitting


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def user(text: str, name: str = "bench.toml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def test_each_source_overrides_the_one_before() -> None:
    key = "learning_rate"
    assert load_config().training.learning_rate == 5e-4
    user(f"[training]\n{key} = 1e-2\n[presets.mine.training]\n{key} = 2e-2\n")
    assert load_config().training.learning_rate == 1e-2
    assert load_config("mine").training.learning_rate == 2e-2
    flags = {"training.learning_rate": 3e-2}
    assert load_config("mine", flags=flags).training.learning_rate == 3e-2
    sets = [f"training.{key}=4e-2"]
    assert load_config("mine", sets=sets, flags=flags).training.learning_rate == 4e-2
    assert load_config("mine", sets=sets).training.batch_size == 100


def test_config_file_replaces_the_one_in_the_folder() -> None:
    user("[model]\nhidden = 7\n")
    other = user("[model]\nlatent_dim = 3\n", "other.toml")
    config = load_config(config_file=other)
    assert (config.model.hidden, config.model.latent_dim) == (300, 3)


def test_the_shipped_file_in_the_folder_is_not_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shipped_toml_path().parent)
    assert load_config() == load_config(config_file=None)


def test_a_user_may_change_a_preset() -> None:
    user("[presets.quick.training]\nepochs = 3\n")
    config = load_config("quick")
    assert (config.training.epochs, config.training.warmup_epochs) == (3, 5)


@pytest.mark.parametrize("preset", preset_names())
def test_the_settings_of_a_preset_are_within_its_search(preset: str) -> None:
    """So that a search begins with them."""
    config = load_config(preset)
    for dataset in {*config.run.datasets, *config.datasets}:
        local = config.for_dataset(dataset)
        space = {key: found for key, found in local.tuning.ranges.items() if key != "components"}
        own = {key: attrgetter(key)(local) for key in space}
        assert fitting(space, own) == own, dataset


def test_flags_that_were_not_given_change_nothing() -> None:
    assert load_config(flags={"training.epochs": None}) == load_config()


@pytest.mark.parametrize("preset", sorted(preset_names()))
def test_shipped_presets_are_valid_and_say_what_they_are(preset: str) -> None:
    assert preset_names()[preset]
    check_names(load_config(preset), Registry())


def test_paper_preset_follows_the_protocol() -> None:
    config = load_config("paper")
    assert config.components_for("mnist") == [10, 150, 500]
    assert config.components_for("omniglot") == [50, 500]
    assert config.components_for("digits") == [10]
    assert len(config.run.models) == 9
    assert (config.training.epochs, config.training.warmup_epochs) == (2000, 100)


def test_released_preset_names_each_choice() -> None:
    config = load_config("released")
    assert config.training.initialisation == "he"
    assert config.training.normalise_gradients
    assert config.options("posterior", "joint") == {"logits": "elu"}
    assert config.options("prior", "conditional") == {"learn": False}


def test_default_preset_depends_on_whether_datasets_are_named() -> None:
    assert default_preset(with_datasets=True) == "quick"
    assert default_preset(with_datasets=False) == "demo"
    user('[run]\npreset_with_datasets = "paper"\n')
    assert default_preset(with_datasets=True) == "paper"
    assert default_preset(True, sets=["run.preset_with_datasets=mine"]) == "mine"


@pytest.mark.parametrize(
    ("withdrawing", "check"),
    [
        ("run.components=10,20", lambda c: c.components_for("mnist") == [10, 20]),
        ("run.priors=vamp", lambda c: c.run.models == [] and c.run.priors == ["vamp"]),
        ("run.posteriors=joint", lambda c: c.run.models == []),
    ],
)
def test_a_later_choice_withdraws_an_earlier_one(withdrawing: str, check: object) -> None:
    assert callable(check)
    assert check(load_config("paper", sets=[withdrawing]))


def test_dataset_overrides_apply_to_that_dataset_only() -> None:
    user("[datasets.gaussians]\nsize = 5\n[datasets.gaussians.model]\nlatent_dim = 2\n")
    config = load_config()
    assert config.model.latent_dim == 40
    assert config.for_dataset("gaussians").model.latent_dim == 2
    assert config.for_dataset("digits").model.latent_dim == 40
    assert config.options("dataset", "gaussians") == {"size": 5}


def test_a_general_flag_beats_an_earlier_dataset_override() -> None:
    user("[datasets.gaussians.training]\nepochs = 9\nbatch_size = 8\n")
    config = load_config(flags={"training.epochs": 3}).for_dataset("gaussians")
    assert (config.training.epochs, config.training.batch_size) == (3, 8)
    tuned = load_config().with_values({"training.epochs": 4}).for_dataset("gaussians")
    assert tuned.training.epochs == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("priors.x.a=1", 1),
        ("priors.x.a=1.5", 1.5),
        ("priors.x.a=.5", 0.5),
        ("priors.x.a=5e-4", 5e-4),
        ("priors.x.a=true", True),
        ("priors.x.a=False", False),
        ("priors.x.a=[1, 2]", [1, 2]),
        ('priors.x.a="quoted"', "quoted"),
        ("priors.x.a=http://host:5000/x=y", "http://host:5000/x=y"),
        ("priors.x.a=", ""),
        ("priors.x.a={b = 1}", {"b": 1}),
        ("priors.x.a=1\nb = 2", "1\nb = 2"),
    ],
)
def test_set_values_are_toml_or_text(text: str, expected: object) -> None:
    found = load_config(sets=[text]).priors["x"]["a"]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("3", [0, 1, 2]), (3, [0, 1, 2]), ("0,4", [0, 4]), ([3], [3]), ("4,", None)],
)
def test_seeds_are_counted_or_listed(value: object, expected: list[int] | None) -> None:
    if expected is None:
        with pytest.raises(UsageError, match=r"run\.seeds: expected integers separated by commas"):
            load_config(flags={"run.seeds": value})
    else:
        assert load_config(flags={"run.seeds": value}).run.seeds == expected


@pytest.mark.parametrize("value", ["10,150", [10, 150]])
def test_components_are_listed(value: object) -> None:
    assert load_config(flags={"run.components": value}).run.components == [10, 150]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("trainin.epochs=3", r"'trainin'\. Did you mean 'training'\?"),
        ("training.epoch=3", r"'training\.epoch'\. Did you mean 'training\.epochs'\?"),
        ("epochs=3", r"Did you mean 'training\.epochs'\?"),
        ("datasets.x.training.epoch=3", r"Did you mean 'datasets\.x\.training\.epochs'\?"),
        ("tuning.space.training.epoch={type='int', low=1, high=2}", r"space\.training\.epochs'\?"),
        ("presets.demo.training.epochs=3", "unknown key .*'presets'"),
        ("training=3", "training: expected a table, found 3"),
        ("priors.vamp=3", r"priors\.vamp: expected a table, found 3"),
        ("nonsense", "expects KEY=VALUE, got 'nonsense'"),
        ("a b=1", "expects a dotted key"),
        ("run.components=0", r"run\.components: expected greater than 0, found 0 \(from --set\)"),
        ("run.components=[]", r"expected one or more different values, found \[\]"),
        ("run.seeds=0", "expected at least one seed, found 0"),
        ("run.seeds=20261128", r"for that one seed: --set 'run\.seeds=\[20261128\]'"),
        ("run.seeds=1,1", r"different values, found \[1, 1\]"),
        ("run.out=", "expected at least one value"),
        ("training.epochs=-1", r"training\.epochs: expected greater than 0, found -1"),
        ("training.epochs=abc", "expected a valid integer, found 'abc'"),
        ("training.epochs=true", "expected a valid integer, found True"),
        ("training.learning_rate=-1.0", "expected greater than 0, found -1.0"),
        ("training.learning_rate=nan", "expected a finite number, found nan"),
        ("training.initialisation=xavier", "expected 'glorot' or 'he', found 'xavier'"),
        ("training.temperature_floor=3", "at most temperature_start, found 3.0 above 1.0"),
        ("evaluation.prune=1", "expected less than 1, found 1"),
        ("engine.device=tpu", "expected auto, cpu, cuda or cuda:N, found 'tpu'"),
        ("models.X=['vamp']", r"models\.X: expected \[PRIOR, POSTERIOR\], found \['vamp'\]"),
        ("datasets.x.training.epochs=-1", r"datasets\.x\.training\.epochs: expected greater"),
        ("tuning.space.components=3", "found 3"),
        ("tuning.space.components={type='int', low=3, high=2}", "needs low < high"),
        ("tuning.space.components={type='real', low=3, high=4}", "float, int or choice"),
        ("tuning.space.components={type='int', low=1.5, high=4}", "expected low of components"),
        ("tuning.space.components={type='choice', options=[]}", "at least one option"),
    ],
)
def test_mistakes_are_one_clear_line(text: str, match: str) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        load_config(sets=[text])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[training]\nepoch = 3\n", r"from bench\.toml\) 'training\.epoch'"),
        ("[presets.quick.training]\nepoch = 3\n", r"'presets\.quick\.training\.epoch'"),
        ("[presets]\nquick = 3\n", r"presets\.quick: expected a table"),
        ("presets = 3\n", "presets: expected a table"),
        ("datasets = 3\n", "datasets: expected a table"),
        ("tuning.space = 3\n", r"tuning\.space: expected a table"),
        ("[training]\nepochs = 0\n", r"found 0 \(from bench\.toml\)"),
        ("[training\n", r"bench\.toml is not TOML.*line 1"),
    ],
)
def test_mistakes_in_a_file_name_the_file(text: str, match: str) -> None:
    user(text)
    with pytest.raises(UsageError, match=match):
        load_config()


def test_a_preset_with_a_bad_value_is_named() -> None:
    user("[presets.mine.training]\nepochs = 0\n")
    with pytest.raises(UsageError, match=r"training\.epochs: .* \(from preset mine\)"):
        load_config("mine")


def test_unknown_preset_is_suggested() -> None:
    with pytest.raises(UsageError, match=r"unknown preset 'qick'\. Did you mean 'quick'\?"):
        load_config("qick")


def test_missing_config_file() -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_config(config_file=Path("absent.toml"))


def test_search_space_is_typed_and_may_be_changed() -> None:
    user(
        "[tuning.space]\ncomponents = false\n"
        "'model.latent_dim' = { type = 'choice', options = [2, 8] }\n"
        "[tuning.space.priors.vamp]\nmean = { type = 'float', low = 0, high = 1 }\n"
    )
    ranges = load_config().tuning.ranges
    assert "components" not in ranges
    assert ranges["model.latent_dim"] == Choice((2, 8))
    assert ranges["priors.vamp.mean"] == Float(0, 1)
    assert isinstance(ranges["training.learning_rate"], Float)


def test_shipped_search_space() -> None:
    ranges = load_config(sets=["tuning.trials=1"]).tuning.ranges
    assert isinstance(ranges["components"], Int)
    assert {"training.learning_rate", "model.latent_dim"} <= set(ranges)


def test_a_range_must_hold_values_that_its_key_takes() -> None:
    sets = ["tuning.trials=1", "tuning.space.training.learning_rate={type='float',low=-1,high=1}"]
    with pytest.raises(UsageError, match=r"tuning\.space\.training\.learning_rate reaches -1"):
        load_config(sets=sets)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("priors.vmap.mean=1", r"unknown prior 'vmap'\. Did you mean 'vamp'\?"),
        ("priors.mog.lern=false", r"unknown option of prior mog 'lern'\. Did you mean 'learn'\?"),
        ("datasets.digits.trainin.epochs=1", "unknown option of dataset digits 'trainin'"),
        ("run.datasets=minst", r"Did you mean 'mnist'\?"),
        ("run.models=CPP", "unknown model 'CPP'"),
        ("run.components_by_dataset.minst=[1]", "unknown dataset 'minst'"),
        ("tuning.space.priors.mog.x={type='int',low=1,high=2}", "unknown option of prior mog 'x'"),
    ],
)
def test_names_are_checked_against_the_plugins(text: str, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        check_names(load_config(sets=[text]), Registry())


def test_config_survives_serialisation() -> None:
    config = load_config("released")
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_named_models_are_the_systems_of_the_paper() -> None:
    models = model_names()
    assert models["CP"] == ("conditional", "joint")
    registry = Registry()
    for prior, posterior in models.values():
        assert prior in registry.names("prior")
        assert posterior in registry.names("posterior")

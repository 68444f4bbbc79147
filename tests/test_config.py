import ast
import dataclasses
import inspect
import json
from pathlib import Path

import pytest

from biranet import config
from biranet.config import (
    CalibrationConfig,
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    SplitConfig,
    TrainConfig,
    read_recipe,
    train_config_from,
)
from biranet.errors import InputError

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))


@pytest.fixture
def recipe(tmp_path):
    """Function that writes a recipe as given and says where it is."""

    def write(content):
        path = tmp_path / "recipe.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_defaults_are_the_published_recipe():
    published = TrainConfig()
    assert (published.epochs, published.seed, published.save_epoch, published.early_stop) == (10, 1, 5, 10)
    assert published.device == "auto"
    assert (published.data.image_size, published.data.batch_size) == (610, 30)
    assert (published.optimizer.optimizer, published.optimizer.lr, published.optimizer.weight_decay) == (
        "sgd",
        2e-4,
        1e-8,
    )
    assert (published.optimizer.loss, published.optimizer.weight_scale) == ("grading", "paper")
    assert (published.model.model, published.model.backbone, published.model.freeze) == (
        "biranet",
        "resnet50",
        "stage2",
    )
    # Made for EyePACS, so they stand in its recipe only.
    assert published.data.class_weights is None
    assert published.data.draws_per_epoch is None


def test_every_setting_has_a_help_text():
    for section in ast.parse(inspect.getsource(config)).body:
        if not isinstance(section, ast.ClassDef):
            continue
        for statement, following in zip(section.body, [*section.body[1:], None], strict=True):
            if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.annotation) not in (
                "ModelConfig",
                "DataConfig",
                "OptimizerConfig",
                "CalibrationConfig",
            ):
                name = f"{section.name}.{ast.unparse(statement.target)}"
                assert isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant), name
                assert str(following.value.value).endswith("."), name


@pytest.mark.parametrize(
    ("section", "setting"),
    [
        *((ModelConfig, name) for name in ("model", "freeze")),
        (DataConfig, "augmentation"),
        *((OptimizerConfig, name) for name in ("loss", "weight_scale", "optimizer", "schedule")),
        (CalibrationConfig, "decoder"),
        (TrainConfig, "precision"),
    ],
)
@pytest.mark.parametrize("value", ["x", "", None, 3, ["biranet"]])
def test_a_word_that_is_no_choice_is_refused_in_python_too(section, setting, value):
    with pytest.raises(InputError, match=rf"^{setting} must be one of \w+, .*, not "):
        section(**{setting: value})


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_loads_and_says_command_time_and_result(path):
    read_recipe(path)
    header = path.read_text().partition("\nepochs")[0]
    for word in ("# Command   biranet", "# Time ", "# Result "):
        assert word in header
    assert f"--recipe recipes/{path.name}" in header


def test_the_paper_recipe_adds_to_the_defaults_what_is_of_its_time_and_of_eyepacs():
    (paper,) = (path for path in RECIPES if path.name == "paper.toml")
    data = DataConfig(augmentation="flips", class_weights=(1, 10, 8, 20, 21), draws_per_epoch=32_000)
    assert read_recipe(paper) == TrainConfig(model=ModelConfig(backbone="resnet50.tv_in1k"), data=data)


def test_what_a_recipe_leaves_out_keeps_its_default(recipe):
    read = read_recipe(
        recipe('epochs = 3\n[model]\nbackbone = "resnet18"\n[data]\nclass_weights = [1, 0, 0.5, 1, 1]\n')
    )
    expected = TrainConfig(
        epochs=3, model=ModelConfig(backbone="resnet18"), data=DataConfig(class_weights=(1.0, 0.0, 0.5, 1.0, 1.0))
    )
    assert read == expected


def test_a_recipe_may_begin_with_a_byte_order_mark(recipe):
    assert read_recipe(recipe(b"\xef\xbb\xbfepochs = 3\n")).epochs == 3


def test_settings_written_as_json_come_back_equal():
    whole = TrainConfig(
        model=ModelConfig(backbone_weights=Path("weights.safetensors"), freeze="stem"),
        data=DataConfig(class_weights=(1, 2, 3, 4, 5), draws_per_epoch=7),
        optimizer=OptimizerConfig(clip_norm=1.0),
        fold=2,
    )
    text = json.dumps(dataclasses.asdict(whole), default=str)
    assert train_config_from(json.loads(text), "config.json") == whole


@pytest.mark.parametrize(
    ("content", "key", "known"),
    [
        ("epoch = 3\n", "epoch", TrainConfig),
        ("lr = 1e-3\n", "lr", TrainConfig),
        ('[backbone]\nname = "x"\n', "backbone", TrainConfig),
        ('[model]\ntrnk = "resnet18"\n', "model.trnk", ModelConfig),
        ("[data]\nsize = 224\n", "data.size", DataConfig),
        ("[optimizer]\nmomentum = 0.9\n", "optimizer.momentum", OptimizerConfig),
    ],
)
def test_an_unknown_key_names_the_known_ones(recipe, content, key, known):
    path = recipe(content)
    with pytest.raises(InputError) as caught:
        read_recipe(path)
    names = ", ".join(field.name for field in dataclasses.fields(known))
    assert str(caught.value) == f"{path}: there is no setting {key!r}; known here are: {names}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("epochs = \n", "not valid TOML"),
        (b"# caf\xe9\nepochs = 3\n", "not valid TOML"),
        ('epochs = "three"\n', "epochs: .*integer"),
        ("epochs = 0\n", "epochs must be at least 1, not 0"),
        ("epochs = 2.5\n", "epochs: .*integer"),
        ("model = 3\n", "model: "),
        ('[model]\nfreeze = "layer2"\n', "model.freeze: .*'stage2'"),
        ("[data]\nclass_weights = [1, 2]\n", "data.class_weights"),
        ("[data]\nimage_size = 32\n", "data: image_size must be at least 64, not 32"),
        ("[optimizer]\nlr = nan\n", "optimizer: lr must be above 0, not nan"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_one_sentence_with_its_path(recipe, content, words):
    path = recipe(content)
    with pytest.raises(InputError, match=words) as caught:
        read_recipe(path)
    assert str(path) in str(caught.value)
    assert "Value error" not in str(caught.value)


@pytest.mark.parametrize("place", ["missing.toml", "."])
def test_a_recipe_that_cannot_be_read_is_one_sentence(tmp_path, place):
    with pytest.raises(InputError, match="cannot read the recipe"):
        read_recipe(tmp_path / place)


@pytest.mark.parametrize(
    ("section", "values", "words"),
    [
        (DataConfig, {"image_size": 63}, "image_size must be at least 64, not 63"),
        (DataConfig, {"batch_size": 0}, "batch_size must be at least 1"),
        (DataConfig, {"workers": -1}, "workers must be at least 0"),
        (DataConfig, {"draws_per_epoch": 0}, "draws_per_epoch must be at least 1"),
        (DataConfig, {"class_weights": (1, 1, 1, 1, 1), "balance": False}, "balance=False turns off"),
        (DataConfig, {"class_weights": (0, 0, 0, 0, 0)}, "one of them above 0"),
        (DataConfig, {"class_weights": (1, -1, 1, 1, 1)}, "at least 0"),
        (DataConfig, {"class_weights": (1, float("nan"), 1, 1, 1)}, "at least 0"),
        (DataConfig, {"class_weights": (1, float("inf"), 1, 1, 1)}, "at least 0"),
        (OptimizerConfig, {"lr": 0}, "lr must be above 0, not 0"),
        (OptimizerConfig, {"lr": float("inf")}, "lr must be above 0, not inf"),
        (OptimizerConfig, {"weight_decay": float("inf")}, "weight_decay must be at least 0, not inf"),
        (OptimizerConfig, {"clip_norm": float("inf")}, "clip_norm must be above 0, not inf"),
        (TrainConfig, {"seed": 2**64}, "seed must be at most 18446744073709551615, not 18446744073709551616"),
        (OptimizerConfig, {"weight_decay": -1e-3}, "weight_decay must be at least 0"),
        (OptimizerConfig, {"weight_decay": float("nan")}, "weight_decay must be at least 0"),
        (OptimizerConfig, {"clip_norm": 0.0}, "clip_norm must be above 0"),
        (TrainConfig, {"epochs": 0}, "epochs must be at least 1"),
        (TrainConfig, {"seed": -1}, "seed must be at least 0"),
        (TrainConfig, {"early_stop": -1}, "early_stop must be at least 0"),
        (TrainConfig, {"save_epoch": 0}, "save_epoch must be at least 1"),
        (TrainConfig, {"save_minutes": 0.0}, "save_minutes must be above 0"),
        (TrainConfig, {"model": ModelConfig(pretrained=False)}, "pretrained=False together with freeze='stage2'"),
        (SplitConfig, {"validation": -0.1}, "must be at least 0 and leave something"),
        (SplitConfig, {"test": 0.7}, "test must be at least 0"),
        (SplitConfig, {"test": float("nan")}, "test must be at least 0"),
        (SplitConfig, {"folds": 1}, "folds must be at least 2, not 1"),
        (SplitConfig, {"seed": -1}, "seed must be at least 0, not -1"),
    ],
)
def test_settings_that_contradict_each_other_or_cannot_be_name_the_flag(section, values, words):
    with pytest.raises(InputError, match=words):
        section(**values)


@pytest.mark.parametrize(
    "model", [ModelConfig(pretrained=False, freeze="none"), ModelConfig(pretrained=False, backbone_weights=Path("w"))]
)
def test_random_weights_are_allowed_where_nothing_random_is_frozen(model):
    assert TrainConfig(model=model).model is model


@pytest.mark.parametrize("section", [ModelConfig, DataConfig, OptimizerConfig, TrainConfig, SplitConfig])
def test_settings_do_not_change_under_way(section):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(section(), dataclasses.fields(section)[0].name, None)

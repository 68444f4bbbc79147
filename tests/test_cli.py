"""The command line: its help, its flags and recipes, and one clear sentence for everything it is wrongly given."""

import ast
import dataclasses
import inspect
import itertools
import re
import shlex
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from biranet import commands, config
from biranet.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig

ROOT = Path(__file__).parents[1]


def words(text):
    """Text without line breaks and frames."""
    return " ".join(re.sub("[─-╿]", " ", text).split())


# Start-up and help


def test_help_and_mistakes_import_nothing_heavy():
    """They answer at once because of what they leave out; time itself is not measured here."""
    script = """
import sys
from biranet.cli import main
from biranet.commands import COMMANDS
HEAVY = {"torch", "torchvision", "timm", "accelerate", "pandas", "sklearn", "scipy", "matplotlib", "cv2", "PIL",
         "onnx", "onnxruntime"}
helps = [[name, "--help"] for name in COMMANDS]
for words in [[], ["--help"], ["--version"], *helps, ["nonsense"], ["train", "--nonsense"], ["train", "--epochs", "0"]]:
    try:
        main(words)
    except SystemExit:
        pass
    assert not HEAVY & sys.modules.keys(), (words, HEAVY & sys.modules.keys())
print("checked all")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("checked all\n")


def test_overview_names_every_command_and_its_first_line(biranet):
    answer = biranet("--help")
    assert (answer.status, answer.err) == (0, "")
    names = {"demo", "prepare", "audit", "split", "train", "calibrate", "evaluate", "compare"}
    names |= {"crossval", "models", "grade", "lesions", "train-lesions", "serve", "export"}
    assert names == set(commands.COMMANDS)
    for name, command in commands.COMMANDS.items():
        assert f"  {name:15}{inspect.getdoc(command).splitlines()[0]}\n" in answer.out
    assert "not a medical device" in answer.out
    assert biranet() == (2, answer.out, "")


def test_version(biranet):
    from importlib.metadata import version

    assert biranet("--version") == (0, f"biranet {version('biranet')}\n", "")


def documented_settings(command):
    """Settings of a command, and of the configurations in it, read from the source: (name, docstring)."""
    found = []
    for item in dataclasses.fields(command):
        if dataclasses.is_dataclass(item.default_factory):
            found += documented_settings(item.default_factory)
    for kind in filter(dataclasses.is_dataclass, command.__mro__):
        for setting, text in itertools.pairwise(ast.parse(inspect.getsource(kind)).body[0].body):
            if isinstance(setting, ast.AnnAssign) and isinstance(text, ast.Expr):
                found.append((setting.target.id, inspect.cleandoc(text.value.value)))
    return found


def test_every_layout_can_be_named():
    from biranet.commands.photos import DatasetName
    from biranet.photos.datasets import DATASETS

    assert set(typing.get_args(DatasetName)) == {"auto", *DATASETS}


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_help_of_a_command_says_all_of_every_setting(biranet, name):
    answer = biranet(name, "--help")
    assert (answer.status, answer.err) == (0, "")
    assert words(inspect.getdoc(commands.COMMANDS[name]).splitlines()[0]) in words(answer.out)
    settings = documented_settings(commands.COMMANDS[name])
    assert settings
    further = {
        "prepare": {"out"},
        "train-lesions": {"folder"},
        "export": {"out"},
        "compare": {"predictions"},
        "models": {"name"},
    }
    positional = {"photos", "prepared", "checkpoint"} | further.get(name, set())
    for setting, text in settings:
        assert words(text) in words(answer.out), setting
        if setting not in positional:
            flag = {"start": "from"}.get(setting, setting.replace("_", "-"))
            assert re.search(rf"--(no-)?{flag}\b", answer.out), setting


@pytest.fixture(scope="module")
def root_help():
    done = subprocess.run([sys.executable, "train.py", "-h"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return words(done.stdout)


@pytest.mark.parametrize(
    ("flag", "default"),
    [
        ("--batch-size INT", "30"),
        ("--epochs INT", "10"),
        ("--lr FLOAT", "0.0002"),
        ("--no-cuda", "False"),
        ("--seed INT", "1"),
        ("--save-epoch INT", "5"),
        ("--weight-decay FLOAT", "1e-08"),
        ("--image-size INT", "610"),
    ],
)
def test_train_at_the_root_shows_the_eight_flags_with_their_defaults(root_help, flag, default):
    found = re.search(rf" {flag} [^(].*?\(default: (.*?)\)", root_help)
    assert found and found[1] == default


def test_no_cuda_has_no_opposite(root_help, biranet):
    assert "--no-no-cuda" not in root_help and "--cuda" not in root_help
    assert biranet("train", "--no-no-cuda").status == 2


@pytest.mark.sample
def test_bare_train_in_an_empty_folder_says_what_is_missing(tmp_path, monkeypatch, warm):
    monkeypatch.chdir(tmp_path)
    done = warm.start(program=ROOT / "train.py")
    out, err = done.communicate()
    assert (done.returncode, out) == (2, "")
    assert err == (
        "biranet: prepared holds no manifest.csv; make it from your photographs with: biranet prepare PHOTOS prepared\n"
    )
    assert list(tmp_path.iterdir()) == []


# Settings: defaults, then the recipe, then the flags


@pytest.fixture
def asked(monkeypatch, biranet):
    """Function that gives what `biranet train …` would train: (prepared, run, settings, resume)."""
    from biranet.learning import train as module
    from biranet.learning.state import Progress

    calls = []

    def note(plan):
        calls.append((plan.prepared, plan.run, plan.config, plan.resume))
        return Progress()

    monkeypatch.setattr(module, "run_training", note)
    monkeypatch.setattr("biranet.learning.probe_beside.train_probe_beside", lambda *run: "")

    def ask(*arguments):
        answer = biranet("train", *arguments)
        assert (answer.status, answer.err) == (0, "")
        return calls.pop()

    return ask


def test_bare_train_is_the_published_recipe(asked):
    prepared, run, settings, resume = asked()
    assert (prepared, resume, settings) == (Path("prepared"), False, TrainConfig())
    assert re.fullmatch(r"runs/\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", str(run))


def test_every_flag_reaches_its_setting(asked):
    _, run, settings, _ = asked(
        *shlex.split(
            """
            here --out there --batch-size 7 --epochs 3 --lr 0.5 --no-cuda --seed 9 --save-epoch 2 --weight-decay 0.25
            --image-size 128 --model ranet --backbone resnet18 --backbone-weights w.pth --freeze stem
            --augmentation flips
            --class-weights 1 10 8 20 21 --draws-per-epoch 100 --workers 5 --loss ce --weight-scale unit
            --label-smoothing 0.1 --test-time-flip
            --optimizer adamw --schedule cosine --clip-norm 2 --fold 3 --early-stop 4 --save-minutes 1.5
            --precision bf16
            """
        ),
    )
    assert run == Path("there")
    assert settings == TrainConfig(
        model=ModelConfig("ranet", "resnet18", True, Path("w.pth"), "stem", True),
        data=DataConfig(128, 7, "flips", True, (1, 10, 8, 20, 21), 100, 5),
        optimizer=OptimizerConfig("ce", "unit", 0.1, "adamw", 0.5, 0.25, "cosine", 2),
        epochs=3, seed=9, fold=3, early_stop=4, save_epoch=2, save_minutes=1.5, device="cpu", precision="bf16",
    )  # fmt: skip


def test_recipe_sets_defaults_and_flags_override_it(asked, tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text('epochs = 3\nseed = 4\n[model]\nbackbone = "resnet18"\n[optimizer]\nlr = 0.01\n')
    _, _, settings, _ = asked("here", "--recipe", recipe)
    from_recipe = TrainConfig(
        model=ModelConfig(backbone="resnet18"), optimizer=OptimizerConfig(lr=0.01), epochs=3, seed=4
    )
    assert settings == from_recipe
    _, _, settings, _ = asked("here", "--lr", "0.5", f"--recipe={recipe}", "--seed", "1")
    assert settings == dataclasses.replace(from_recipe, optimizer=OptimizerConfig(lr=0.5), seed=1)


def test_flags_that_a_recipe_turned_around_have_both_forms(asked, tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text('device = "cpu"\n[model]\npretrained = false\nfreeze = "none"\n[data]\nbalance = false\n')
    repeated = asked("--recipe", recipe, "--no-cuda", "--no-pretrained", "--no-balance")[2]
    assert (repeated.device, repeated.model.pretrained, repeated.data.balance) == ("cpu", False, False)
    turned = asked("--recipe", recipe, "--pretrained", "--balance")[2]
    assert (turned.device, turned.model.pretrained, turned.data.balance) == ("cpu", True, True)


def test_no_cuda_and_device_mean_one_device(asked, biranet):
    assert asked("--device", "cpu")[2] == asked("--no-cuda", "--device", "cpu")[2] == TrainConfig(device="cpu")
    for command in (("train",), ("evaluate", "model.safetensors"), ("grade", "photo.jpg")):
        answer = biranet(*command, "--no-cuda", "--device", "cuda")
        assert (answer.status, answer.out) == (2, "")
        assert answer.err == "biranet: --no-cuda contradicts --device cuda; leave one of them out\n"


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_that_come_along_are_whole(asked, path):
    assert asked("--recipe", path)[2] == config.read_recipe(path)


def test_resume_takes_the_settings_it_had(asked, split_folder, run_folder):
    prepared, run, settings, resume = asked("--resume", "--out", run_folder, "--epochs", 1, "--no-pretrained")
    assert (prepared, run, resume) == (split_folder, run_folder, True)
    assert settings.model.backbone == "test_resnet" and settings.epochs == 1

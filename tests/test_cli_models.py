"""The models that ship, by the command line: what is said of them, and that photos are graded without a checkpoint."""

import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import replace
from importlib.metadata import PathDistribution, distribution
from pathlib import Path

import pandas as pd
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import biranet as package
from biranet.errors import InputError
from biranet.evaluation.measures import MEANINGS
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from biranet.learning.checkpoint_file import read_info
from biranet.learning.shipped_models import DEFAULT, read_model_card, shipped

ROOT = Path(__file__).parents[1]


def test_list_names_size_and_main_figures(shipped_folder, biranet):
    answer = biranet("models")
    assert (answer.status, answer.err) == (0, "")
    size = (shipped_folder / f"{DEFAULT}.safetensors").stat().st_size / 1e6
    lines = answer.out.splitlines()
    assert lines[0] == f"{DEFAULT} (default), {size:.1f} MB"
    assert lines[1] == "  A stand-in that tells drawn photographs apart."
    assert lines[2] == "  cross-validation, out of fold, 40 photographs:"
    assert lines[3].split("  ")[2:] and lines[3].startswith("    Quadratic weighted kappa ")
    assert lines[3].endswith(" 0.700  [0.600, 0.750]")
    assert lines[4].startswith("    Referable AUC ") and lines[4].endswith(" 0.900  [0.850, 1.000]")
    assert lines[5] == "  external, 12 photographs of another clinic, read once:"
    assert "0.123" not in answer.out  # a figure that the card has further down
    assert "biranet models NAME" in answer.out
    assert answer.out.endswith(f"diagnosis or a treatment on it.\nNext: biranet models {DEFAULT}\n")
    assert max(map(len, lines)) <= 100


def test_several_are_listed_the_default_one_first(shipped_folder, biranet):
    for suffix in (".toml", ".safetensors"):
        shutil.copy(shipped_folder / f"{DEFAULT}{suffix}", shipped_folder / f"another{suffix}")
    assert shipped() == (DEFAULT, "another")
    heads = [line for line in biranet("models").out.splitlines() if line.endswith(" MB")]
    assert [head.split(",")[0] for head in heads] == [f"{DEFAULT} (default)", "another"]


def test_card_says_all(shipped_folder, biranet):
    answer = biranet("models", DEFAULT)
    assert (answer.status, answer.err) == (0, "")
    weights = shipped_folder / f"{DEFAULT}.safetensors"
    card, its = read_model_card(DEFAULT), read_info(weights)
    assert max(len(line) for line in answer.out.splitlines() if str(weights) not in line) <= 100
    said = " ".join(answer.out.split())
    data = card.data
    for text in (card.title, card.summary, card.recipe, card.start, card.intended_use, card.license, *card.limits):
        assert " ".join(text.split()) in said, text
    for text in (data.name, data.license, data.attribution, "40 photographs, of grades 0 to 4: 8, 8, 8, 8, 8"):
        assert text in said, text
    for measured in card.metrics:
        assert measured.how in said
        for key, figure in measured.figures.items():
            row = f"{figure.value:.3f} [{figure.ci[0]:.3f}, {figure.ci[1]:.3f}]"
            assert f"{MEANINGS[key].name} {row}" in said if key in MEANINGS else row in said
    assert "Sensitivity, at sensitivity of at least 0.90 0.930 [0.880, 0.970]" in said
    assert f"\n  {weights}\n" in answer.out  # on one line, to be copied
    for text in (
        *("2026-11-26", "biranet, backbone test_resnet, images of 64 px", "biranet prepare --size 64"),
        *("decoder argmax, temperature 1.500", "fitted on 40 drawn photographs", "not a medical device"),
        *("0.300 for sensitivity of at least 0.90", "0.600 for specificity of at least 0.90"),
    ):
        assert text in said, text
    assert its.rules.temperature == 1.5 and its.network in said and "mirror image" not in said


def test_card_says_that_a_model_answers_for_the_mirror_image_too(shipped_folder, write_card, biranet):
    path = shipped_folder / f"{DEFAULT}.safetensors"
    model, info = load_checkpoint(path)
    save_checkpoint(path, model, replace(info, model=replace(info.model, test_time_flip=True)))
    write_card(shipped_folder)
    said = " ".join(biranet("models", DEFAULT).out.split())
    assert "images of 64 px; each answer is the mean of the probabilities for a photo and its mirror image" in said


def test_a_word_that_names_nothing_gets_a_sentence(
    shipped_folder, biranet, drawn_photos, split_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    known = f"those that do are: {DEFAULT}"
    answer = biranet("models", "nonsense")
    assert answer == (2, "", f"biranet: no model 'nonsense' ships with this biranet; {known}\n")
    sentence = f"biranet: 'idird' is neither a file nor a model that ships with this biranet; {known}\n"
    assert biranet("grade", drawn_photos, "--checkpoint", "idird") == (2, "", sentence)
    assert biranet("evaluate", "idird", split_folder) == (2, "", sentence)
    with pytest.raises(InputError, match="'idird' is neither a file"):
        package.load("idird")
    # A path is a path, and a folder is no checkpoint.
    assert "runs/idird is no file; give a checkpoint" in biranet("evaluate", "runs/idird", split_folder).err
    assert "idird.safetensors is no file" in biranet("evaluate", "idird.safetensors", split_folder).err
    (tmp_path / "idird").mkdir()
    assert "idird is no file; give a checkpoint" in biranet("evaluate", "idird", split_folder).err
    # What ships is not written to.
    assert f"{DEFAULT} is no file; give a checkpoint" in biranet("calibrate", DEFAULT, split_folder).err
    assert not (tmp_path / "biranet_grades.csv").exists() and not (tmp_path / "report").exists()


def test_a_model_that_ships_is_the_one_its_card_is_about(
    shipped_folder, biranet, checkpoint, drawn_photos, split_folder
):
    weights = shipped_folder / f"{DEFAULT}.safetensors"
    shutil.copy(checkpoint, weights)  # whole, and of another model
    sentence = (
        f"biranet: {weights} is not the file that its card {DEFAULT}.toml is about: it is damaged, or was replaced"
    )
    for command in (["grade", drawn_photos], ["evaluate", DEFAULT, split_folder], ["models", DEFAULT], ["models"]):
        answer = biranet(*command)
        assert answer.status == 2 and answer.err.count("\n") == 1 and answer.err.startswith(sentence)
    with pytest.raises(InputError, match="is not the file that its card"):
        package.load()


def test_without_a_model_commands_say_so(no_models, biranet, drawn_photos, split_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sentence = (
        f"the model {DEFAULT} does not ship with this biranet, as in a checkout without the weights; "
        "give a checkpoint of your own, such as RUN/best.safetensors"
    )
    assert biranet("grade", drawn_photos) == (2, "", f"biranet: {sentence}\n")
    assert biranet("models") == (0, "No model ships with this biranet, as in a checkout without the weights.\n", "")
    assert biranet("models", DEFAULT).err == f"biranet: no model '{DEFAULT}' ships with this biranet; none does\n"
    assert "neither a file nor a model that ships with this biranet; none does" in (
        biranet("evaluate", DEFAULT, split_folder).err
    )
    with pytest.raises(InputError, match="does not ship with this biranet"):
        package.load()
    assert not list(tmp_path.iterdir())


def test_grading_takes_the_default_model(shipped_folder, biranet, drawn_photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = drawn_photos / "drawn_0001_left.jpg"
    tables = []
    for flags in ([], ["--checkpoint", DEFAULT], ["--checkpoint", shipped_folder / f"{DEFAULT}.safetensors"]):
        answer = biranet("grade", photo, "--workers", 0, *flags)
        assert (answer.status, answer.err) == (0, "")
        assert f"Model: {DEFAULT}, which ships with biranet; its data, figures and limits: biranet models" in answer.out
        tables.append((tmp_path / "biranet_grades.csv").read_text())
    assert len(set(tables)) == 1 and ",ok,," in tables[0]
    # The same in Python, by name, by file and by nothing.
    given = [package.load(), package.load(DEFAULT), package.load(shipped_folder / f"{DEFAULT}.safetensors")]
    rows = [grader.grade(photo).row() for grader in given]
    assert (
        rows[0]
        == rows[1]
        == rows[2]
        == pd.read_csv("biranet_grades.csv", dtype=str, keep_default_na=False).loc[0].to_dict()
    )


def test_a_file_is_named_as_it_was_given(checkpoint, biranet, drawn_photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = biranet("grade", drawn_photos / "drawn_0001_left.jpg", "--workers", 0, "--checkpoint", checkpoint)
    assert f"\nModel: {checkpoint}\n" in answer.out and "ships" not in answer.out


def link_base_packages(metadata, site_packages):
    """Link the packages that a plain installation brings, and no others, into an environment; give their names."""
    asked, linked = list(metadata.get_all("Requires-Dist")), set()
    while asked:
        requirement = Requirement(asked.pop())
        name = canonicalize_name(requirement.name)
        if name in linked or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        linked.add(name)
        found = distribution(name)
        asked += found.requires or []
        for top in {file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            if not (site_packages / top).exists():
                (site_packages / top).symlink_to(found.locate_file(top))
    return linked


@pytest.mark.slow
@pytest.mark.sample
def test_an_installed_wheel_grades_a_photo_without_torch(drawn_photos, checkpoint, tmp_path):
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns("*.egg-info", "__pycache__")
    shutil.copytree(ROOT / "src", source / "src", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for kind in ("sdist", "wheel"):
        build = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
        subprocess.run([sys.executable, "-c", build, tmp_path], cwd=source, check=True, capture_output=True)
    files = {f"biranet/shipped/{DEFAULT}.{suffix}" for suffix in ("onnx", "safetensors", "toml")}
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        assert {f"src/{name}" for name in files} <= {name.split("/", 1)[-1] for name in archive.getnames()}

    # An environment of its own, with the packages that a plain installation brings in it.
    venv.create(tmp_path / "venv")
    (site_packages,) = tmp_path.glob("venv/lib/python*/site-packages")
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        assert files <= set(archive.namelist())
        archive.extractall(site_packages)
    (dist_info,) = site_packages.glob("biranet-*.dist-info")
    linked = link_base_packages(PathDistribution(dist_info).metadata, site_packages)
    assert {"numpy", "onnxruntime", "scipy"} <= linked and not {"torch", "timm", "onnx"} & linked
    (tmp_path / "work").mkdir()

    def run(*command):
        return subprocess.run(
            [tmp_path / "venv" / "bin" / "python", "-m", "biranet", *command],
            cwd=tmp_path / "work",
            env={"PATH": "", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    photo = drawn_photos / "drawn_0001_left.jpg"
    for command in (["grade", photo], ["models", DEFAULT]):
        done = run(*command)
        assert (done.returncode, done.stderr) == (0, "")
    assert f"{site_packages}/biranet/shipped/{DEFAULT}.safetensors" in done.stdout
    assert pd.read_csv(tmp_path / "work" / "biranet_grades.csv")["status"].tolist() == ["ok"]
    done = run("grade", photo, "--checkpoint", checkpoint)
    sentence = f'biranet: computing {checkpoint} needs torch; install it with: pip install "biranet[train]"\n'
    assert (done.returncode, done.stderr) == (2, sentence)

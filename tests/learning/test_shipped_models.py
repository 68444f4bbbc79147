"""The models that ship: what must hold of every one, how they are named, and what they have learned from."""

import dataclasses
import importlib.resources
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open

import biranet as package
from biranet.errors import InputError
from biranet.files import sha256_of
from biranet.learning import shipped_models as models
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from biranet.learning.checkpoint_file import read_info
from biranet.learning.onnx_predictor import load_onnx
from biranet.learning.shipped_models import DEFAULT, MissedAtMost, find_checkpoint, read_model_card, shipped
from biranet.manifest import read_manifest, write_manifest

ROOT = Path(__file__).parents[2]
MAX_BYTES = 16_000_000


def check_models(folder):
    """What every folder of models that ship must hold, which is asked of the package's own and of a stand-in."""
    names = {path.stem for path in folder.iterdir()} if folder.exists() else set()
    files = {path.name for path in folder.iterdir() if path.suffix != ".onnx"} if folder.exists() else set()
    assert files == {f"{name}{suffix}" for name in names for suffix in (".safetensors", ".toml")}
    assert set(shipped()) == names and (DEFAULT in names or not names)
    for name in names:
        read_model_card(name)  # refuses intervals that do not hold their value, and keys that metrics.json has not
        weights = find_checkpoint(name)
        assert weights.stat().st_size <= MAX_BYTES
        with safe_open(weights, framework="np") as file:
            kinds = {file.get_slice(key).get_dtype() for key in file.keys() if len(file.get_slice(key).get_shape()) > 1}  # noqa: SIM118
        assert kinds == {"F16"}
        info = load_checkpoint(weights)[1]
        assert info.training_set_fingerprints, "by them evaluate knows what the model has learned from"
        assert info.training_set_digest and info.trained_on


def test_models_of_the_package_are_whole():
    assert Path(str(importlib.resources.files("biranet") / "shipped")) == models.SHIPPED
    check_models(models.SHIPPED)


@pytest.mark.parametrize("name", shipped())
def test_the_files_of_a_model_of_the_package_belong_together(name):
    """Its ONNX file was exported from its checkpoint, says the same of itself, and is as small."""
    exported, weights = models.SHIPPED / f"{name}.onnx", find_checkpoint(name)
    predictor = load_onnx(exported)
    assert predictor.checkpoint_sha256 == read_model_card(name).weights_sha256 == sha256_of(weights)
    assert predictor.info == read_info(weights)
    assert exported.stat().st_size < 1.1 * weights.stat().st_size


def test_the_stand_in_is_whole(shipped_folder):
    assert shipped() == (DEFAULT,)
    check_models(shipped_folder)


@pytest.mark.parametrize("wrong", ["no card", "card alone", "wide weights", "too large", "stranger"])
def test_a_folder_that_is_not_whole_is_noticed(shipped_folder, write_card, checkpoint, wrong):
    card, weights = shipped_folder / f"{DEFAULT}.toml", shipped_folder / f"{DEFAULT}.safetensors"
    if wrong == "no card":
        card.unlink()
    elif wrong == "card alone":
        weights.unlink()
    elif wrong == "wide weights":
        model, its = load_checkpoint(weights)
        save_checkpoint(weights, model, its)
        write_card(shipped_folder)
    elif wrong == "too large":
        with weights.open("ab") as file:
            file.truncate(MAX_BYTES + 1)
        write_card(shipped_folder)
    else:
        shutil.copy(checkpoint, shipped_folder / "notes.txt")
    with pytest.raises((AssertionError, InputError)):
        check_models(shipped_folder)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("ci = [0.6, 0.75]", "ci = [0.71, 0.75]", "the interval 0.71 to 0.75 does not hold the value 0.7"),
        ("ci = [0.6, 0.75]", "ci = [nan, 0.75]", "does not hold the value 0.7"),
        ("ci = [0.6, 0.75]", "ci = [0.6]", "Field required"),
        (", ci = [0.6, 0.75]", "", "metrics.0.figures.quadratic_weighted_kappa.ci: Field required"),
        ("quadratic_weighted_kappa", "weighted_kappa", "metrics.json has no number 'weighted_kappa'"),
        ("grades = [8,", "grades = [9,", "the 5 grades are 41 photographs, not 40"),
        ('limits = ["', 'limits = [] # ["', "a model needs metrics and limits"),
        (
            "title =",
            "titel = ''\ntitle =",
            "there is no setting 'titel'; known here are: title, summary",
        ),
        ("title =", "title", "is not valid TOML: "),
        ("date = 2026", "date = 1 # 2026", "date: "),
    ],
)
def test_a_card_that_is_wrong_is_refused_by_a_sentence(shipped_folder, biranet, old, new, sentence):
    card = shipped_folder / f"{DEFAULT}.toml"
    text = card.read_text()
    assert old in text
    card.write_text(text.replace(old, new, 1))
    answer = biranet("models")
    assert answer.status == 2 and answer.err.count("\n") == 1
    assert sentence in answer.err and str(card) in answer.err
    assert biranet("models", DEFAULT) == answer._replace(out="")


@pytest.mark.parametrize(
    "wrong",
    [{"out_of_fold": 7.0}, {"out_of_stretch": 0.4}, {"next_stretch": 1.1}, {"level": 1.0}, {"stretches": 1}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_promise_that_cannot_be_is_refused(wrong):
    right = {"out_of_fold": 0.1, "out_of_stretch": 0.2, "next_stretch": 0.3, "level": 0.95, "stretches": 10}
    assert "at most 0.30 not to be referred, with a probability of 95 %" in str(MissedAtMost(**right))
    with pytest.raises(InputError, match="missed photos"):
        MissedAtMost(**right | wrong)


def test_a_missing_card_is_named(shipped_folder, biranet):
    (shipped_folder / f"{DEFAULT}.toml").unlink()
    answer = biranet("models")
    assert (answer.status, answer.err.count("\n")) == (
        2,
        1,
    ) and f"cannot read the model card {shipped_folder}" in answer.err


def test_reading_cards_needs_no_torch():
    script = f"""
import sys
from biranet.learning.shipped_models import {", ".join(("find_checkpoint", "read_model_card", "shipped"))}
for name in shipped():
    read_model_card(name), find_checkpoint(name)
assert not {{"torch", "safetensors", "pandas"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_header_is_read_without_the_weights(checkpoint, tmp_path):
    assert read_info(checkpoint) == load_checkpoint(checkpoint)[1]
    text = tmp_path / "text.safetensors"
    text.write_text("hello")
    with pytest.raises(InputError, match="is not a checkpoint"):
        read_info(text)


def test_a_name_means_the_model_whatever_lies_in_the_working_folder(shipped_folder, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(checkpoint, DEFAULT)
    shutil.copy(checkpoint, "mine")
    weights = shipped_folder / f"{DEFAULT}.safetensors"
    assert find_checkpoint(DEFAULT) == find_checkpoint(Path(DEFAULT)) == find_checkpoint() == weights
    assert find_checkpoint(tmp_path / DEFAULT) == tmp_path / DEFAULT
    assert find_checkpoint("mine") == Path("mine")


def test_half_precision_answers_nearly_as_full(shipped_folder, checkpoint, drawn_photos):
    photos = sorted(drawn_photos.glob("*.jpg"))
    half, full = (list(package.load(path).grade_many(photos, workers=0)) for path in (None, checkpoint))
    ours, theirs = (np.log([each.probabilities for each in answers]) for answers in (half, full))
    # The stand-in has a temperature of 1.5, by which the logarithms are divided.
    theirs = theirs / 1.5 - np.log(np.exp(theirs / 1.5).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(ours, theirs, atol=0.02)
    assert len({each.grade for each in half}) > 2


# What they have learned from


def said_of(biranet, prepared, out, *flags):
    answer = biranet("evaluate", DEFAULT, prepared, "--workers", 0, "--out", out, *flags)
    assert (answer.status, answer.err) == (0, "")
    return " ".join(json.loads((out / "metrics.json").read_text())["notes"]), answer.out


LEARNED = "The model has learned from {} of these photos"


@pytest.mark.sample
def test_measuring_on_photos_it_learned_from_says_so(shipped_folder, biranet, split_folder, tmp_path):
    of_part = read_manifest(split_folder)["split"].value_counts()
    learned, choosing = of_part["train"], of_part["validation"]
    # In the folder it was trained on, by the split.
    assert LEARNED.format(learned) in said_of(biranet, split_folder, tmp_path / "a", "--split", "all")[0]
    assert "learned from" not in said_of(biranet, split_folder, tmp_path / "a", "--split", "test")[0]
    # In a folder that knows no split, by what the photos show.
    other = tmp_path / "prepared"
    shutil.copytree(split_folder, other)
    table = read_manifest(other).assign(split="")
    write_manifest(other, table)
    notes, out = said_of(biranet, other, tmp_path / "b", "--split", "all")
    assert LEARNED.format(learned + choosing) in notes and LEARNED.format(learned + choosing) in out
    assert "Nobody knows" not in notes


def test_other_versions_of_its_photos_are_known(shipped_folder, biranet, drawn_photos, split_folder, tmp_path):
    """Whoever measures it on the published files has other bytes than those it was trained on."""
    from PIL import Image

    (tmp_path / "photos").mkdir()
    labels = pd.read_csv(drawn_photos / "labels.csv")
    for name in labels["file"]:
        with Image.open(drawn_photos / name) as picture:
            picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "photos" / name, quality=90)
    labels.to_csv(tmp_path / "photos" / "labels.csv", index=False)
    prepared = tmp_path / "prepared"
    assert (
        biranet(
            "prepare",
            tmp_path / "photos",
            prepared,
            "--size",
            64,
            "--workers",
            1,
            "--labels",
            tmp_path / "photos" / "labels.csv",
        ).status
        == 0
    )
    table = read_manifest(split_folder)
    assert not set(read_manifest(prepared)["sha256"]) & set(table["sha256"])
    learned = table["split"].isin(["train", "validation"]).sum()
    assert LEARNED.format(learned) in said_of(biranet, prepared, tmp_path / "report", "--split", "all")[0]


@pytest.mark.real
def test_published_files_are_known_by_the_small_ones_it_learned_from(
    shipped_folder, write_card, biranet, real_data, tmp_path
):
    originals = pd.read_csv(real_data / "originals" / "index.csv", dtype=str).groupby("source").head(6)
    small = pd.read_csv(real_data / "labels.csv", dtype=str)
    small = small[small["image_id"].isin(originals.loc[originals["source"] == "idrid", "image_id"])]
    assert (len(small), len(originals)) == (6, 12)
    prepared = {}
    for folder, table in ((real_data, small), (real_data / "originals", originals)):
        labels, prepared[folder] = tmp_path / f"{len(table)}.csv", tmp_path / f"prepared_{len(table)}"
        table[["file", "grade", "group"]].to_csv(labels, index=False)
        answer = biranet("prepare", folder, prepared[folder], "--labels", labels, "--size", 64, "--workers", 0)
        assert answer.status == 0
    weights = shipped_folder / f"{DEFAULT}.safetensors"
    model, info = load_checkpoint(weights)
    learned = tuple(read_manifest(prepared[real_data])["fingerprint"])
    save_checkpoint(weights, model, dataclasses.replace(info, training_set_fingerprints=learned))
    write_card(shipped_folder)
    notes, _ = said_of(biranet, prepared[real_data / "originals"], tmp_path / "report", "--split", "all")
    assert LEARNED.format(6) in notes


def test_photos_it_has_not_learned_from_are_not_claimed(shipped_folder, biranet, tmp_path):
    from biranet.photos.drawn.synthetic import balanced_grades, draw_folder

    labels = draw_folder(tmp_path / "new", balanced_grades(12), seed=99, width_px=160, height_px=128)
    assert biranet("prepare", tmp_path / "new", tmp_path / "prepared", "--labels", labels, "--size", 64).status == 0
    notes, _ = said_of(biranet, tmp_path / "prepared", tmp_path / "report", "--split", "all")
    assert "learned from" not in notes and "Nobody knows" not in notes

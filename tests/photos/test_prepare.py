import hashlib
import io
import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from biranet.errors import InputError, PhotoError
from biranet.manifest import COLUMNS
from biranet.photos.field import cut_field, find_field
from biranet.photos.prepare import (
    GEOMETRY_COLUMNS,
    JPEG_QUALITY,
    Preparation,
    decode_prepared,
    prepare_folder,
    prepare_photo,
    read_preparation,
)
from biranet.photos.read import read_photo


def test_a_prepared_photo_is_the_field_in_a_jpeg_without_metadata(photo_bytes):
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe"
    data = photo_bytes(3, "JPEG", exif=exif.tobytes(), comment=b"ID 12345", quality=98)
    prepared = prepare_photo(data, Preparation(size_px=100))
    square = cut_field(read_photo(data), find_field(read_photo(data)), 100)
    decoded = decode_prepared(prepared.jpeg)
    assert np.abs(decoded.astype(float) - square).mean() < 1.5
    assert b"Doe" not in prepared.jpeg
    assert b"12345" not in prepared.jpeg
    with Image.open(io.BytesIO(prepared.jpeg)) as picture:
        assert picture.size == (100, 100)
        assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        # 4:4:4: no component is subsampled. Quality 95 has these quantisation tables.
        assert [layer[1:3] for layer in picture.layer] == [(1, 1)] * 3
        reference = io.BytesIO()
        Image.new("RGB", (8, 8)).save(reference, "JPEG", quality=JPEG_QUALITY)
        assert picture.quantization == Image.open(reference).quantization
    assert (prepared.width_px, prepared.height_px) == (120, 90)
    assert prepared.sha256 == hashlib.sha256(data).hexdigest()


def test_a_file_and_its_bytes_prepare_to_the_same(photos):
    path = photos / "a b.png"
    assert prepare_photo(path, Preparation()) == prepare_photo(path.read_bytes(), Preparation())


def test_a_damaged_prepared_image_is_refused(photo_bytes):
    jpeg = prepare_photo(photo_bytes(1), Preparation(size_px=64)).jpeg
    with pytest.raises(PhotoError):
        decode_prepared(jpeg[: len(jpeg) // 2])


def test_preparation_survives_json():
    preparation = Preparation(size_px=99)
    assert Preparation.from_dict(json.loads(json.dumps(preparation.as_dict())), "here") == preparation
    for values in ({"size": 9}, [], {"version": 99}, {"size_px": "wide"}, {"size_px": 8}):
        with pytest.raises(InputError):
            Preparation.from_dict(values, "here")


def test_the_folder(photos, tmp_path, run):
    out = tmp_path / "out"
    table = run(photos, out)
    assert list(table.columns) == [*COLUMNS, *GEOMETRY_COLUMNS]
    assert sorted(table["file"]) == list(table["file"])
    assert set(table["file"]) == {path.relative_to(photos).as_posix() for path in photos.rglob("*.*")}
    reasons = {row["file"]: (row["status"], row["reason"]) for _, row in table.iterrows() if row["status"] != "ok"}
    assert reasons["empty.jpg"] == ("unreadable", "the file is empty")
    assert reasons["text.jpg"][0] == "unreadable"
    assert "not a picture" in reasons["text.jpg"][1]
    assert reasons["black.png"] == ("no_field", "the photo is black")
    assert len(reasons) == 3
    ok = table[table["status"] == "ok"].set_index("file")
    for file, row in ok.iterrows():
        data = (photos / file).read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        assert row["prepared"] == f"images/{sha256[:2]}/{sha256}.jpg"
        expected = prepare_photo(data, Preparation(size_px=64))
        assert (out / row["prepared"]).read_bytes() == expected.jpeg
        assert int(row["field_side_px"]) == expected.field.side_px
    assert ok.loc["copy.png", "prepared"] == ok.loc["a b.png", "prepared"]
    assert ok.loc["9_left.png", "group"] == ok.loc["9_right.png", "group"] == "9"
    assert set(table["source"]) == {"clinic"}
    assert read_preparation(out) == Preparation(size_px=64)
    assert {path.name for path in out.iterdir()} == {"images", "manifest.csv", "preparation.json"}


def test_labels_come_through(photos, tmp_path, run):
    labels = tmp_path / "labels.csv"
    labels.write_text("file,grade,group,dme,status,fold_0,width_px\na b,2,p1,1,done,x,77\ngone.png,1,p2,0,done,x,77\n")
    table = run(photos, tmp_path / "out", labels=labels)
    assert list(table.columns)[-4:] == ["dme", "label_status", "label_fold_0", "label_width_px"]
    first, second = (row for _, row in table.iterrows())
    assert (first["grade"], first["group"], first["label_status"], first["width_px"]) == (2, "p1", "done", "120")
    assert (second["status"], second["reason"], second["sha256"]) == ("unreadable", "no such file", "")
    assert (second["file"], second["grade"]) == ("gone.png", 1)


def test_the_number_of_workers_changes_nothing(photos, tmp_path, run, tree):
    run(photos, tmp_path / "one")
    run(photos, tmp_path / "three", workers=3)
    assert tree(tmp_path / "one") == tree(tmp_path / "three")


def test_wrong_use_makes_nothing(photos, tmp_path, run):
    out = tmp_path / "out"
    labels = tmp_path / "labels.csv"
    labels.write_text("file,grade\na b,7\n")
    for options in ({"labels": labels}, {"labels": tmp_path / "gone.csv"}, {"workers": 0}, {"dataset": "x"}):
        with pytest.raises(InputError):
            run(photos, out, **options)
    with pytest.raises(InputError, match="at least 32"):
        prepare_folder(photos, out, size_px=9)
    with pytest.raises(InputError, match="there is no folder"):
        run(tmp_path / "gone", out)
    assert not out.exists()


def test_folders_that_cannot_be_prepared_into(photos, tmp_path, run, tree):
    with pytest.raises(InputError, match="holds the photographs"):
        run(photos, photos)
    with pytest.raises(InputError, match="is a file"):
        run(photos, photos / "text.jpg")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "manifest.csv").write_text("mine\n1\n")
    with pytest.raises(InputError, match="not ours"):
        run(photos, foreign)
    assert tree(foreign) == {"manifest.csv": b"mine\n1\n"}


def test_another_size_is_refused(photos, tmp_path, run, tree):
    out = tmp_path / "out"
    run(photos, out)
    before = tree(out)
    with pytest.raises(InputError, match=r"prepared at 64 px .* --size 64"):
        prepare_folder(photos, out, size_px=80)
    assert tree(out) == before


def test_a_prepared_folder_inside_the_photos_is_not_scanned(photos, run):
    first = run(photos, photos / "prepared")
    assert len(run(photos, photos / "prepared")) == len(first)


def test_nothing_is_printed_where_there_is_no_terminal(photos, tmp_path, capfd):
    prepare_folder(photos, tmp_path / "out", size_px=64)
    assert capfd.readouterr() == ("", "")


@pytest.mark.real
def test_all_originals(real_data, tmp_path):
    photos = real_data / "originals"
    table = prepare_folder(photos, tmp_path, labels=photos / "index.csv", size_px=128, workers=2, progress=False)
    assert len(table) == 44
    assert set(table["status"]) == {"ok"}
    assert table["grade"].notna().all()
    for _, row in table.iterrows():
        with Image.open(photos / row["file"]) as picture:
            picture.draft("RGB", (picture.width // 4, picture.height // 4))
            lit = cv2.GaussianBlur(np.asarray(picture)[:, :, 0], (0, 0), 2) > 45
        columns, rows = (4 * np.nonzero(lit.mean(axis=axis) > 0.02)[0] for axis in (0, 1))
        left, top, side = (int(row[f"field_{name}_px"]) for name in ("left", "top", "side"))
        assert left <= columns[0] < columns[-1] < left + side
        assert top <= rows[0] < rows[-1] < top + side
        # 3 % of the side is as close as a thumbnail of 256 px and a faint halo allow.
        assert side <= 1.06 * (columns[-1] - columns[0])
        assert decode_prepared((tmp_path / row["prepared"]).read_bytes()).shape == (128, 128, 3)


@pytest.mark.real
def test_every_odd_format_has_a_row(real_data, tmp_path):
    copy = tmp_path / "odd"
    shutil.copytree(real_data / "odd_formats", copy)
    table = prepare_folder(copy, tmp_path / "out", size_px=128, progress=False).set_index("file")
    assert len(table) == len(list(copy.iterdir()))
    assert table.loc["issue_3.dcm", "status"] == "unreadable"
    assert "DICOM" in table.loc["issue_3.dcm", "reason"]
    assert (table.drop(index="issue_3.dcm")["status"] == "ok").all()

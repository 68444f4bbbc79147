import hashlib
import shutil

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image, ImageFilter

from biranet.errors import InputError
from biranet.manifest import GROUP_FROM, MANIFEST_COLUMNS, ROW_SHA256
from biranet.photos import store
from biranet.photos.datasets import LabeledPhoto, LabelSource
from biranet.photos.drawn.synthetic import balanced_grades, draw_folder
from biranet.photos.folder import _extra_column_names, prepare_folder
from biranet.photos.prepare import Preparation, decode_prepared, prepare_photo, read_preparation
from biranet.photos.quality import QUALITY_COLUMNS
from biranet.photos.store import MEASURED_COLUMNS


def test_the_folder(photos, tmp_path, run):
    out = tmp_path / "out"
    table = run(photos, out)
    assert list(table.columns) == [*MANIFEST_COLUMNS, GROUP_FROM, *MEASURED_COLUMNS, ROW_SHA256]
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
    assert {path.name for path in out.iterdir()} == {
        *("images", "manifest.csv", "preparation.json", "contact_sheet.jpg")
    }


def test_labels_come_through(photos, tmp_path, run):
    labels = tmp_path / "labels.csv"
    labels.write_text("file,grade,group,dme,status,fold_0,width_px\na b,2,p1,1,done,x,77\ngone.png,1,p2,0,done,x,77\n")
    table = run(photos, tmp_path / "out", labels=LabelSource(labels))
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
    sources = (LabelSource(labels), LabelSource(tmp_path / "gone.csv"), LabelSource(dataset="x"))
    for options in (*({"labels": source} for source in sources), {"workers": -1}):
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
    with pytest.raises(InputError, match="not around them"):
        run(photos, photos.parent)
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
    with pytest.raises(InputError, match=r"holds photos of 64 px .* --size 64"):
        prepare_folder(photos, out, size_px=80)
    assert tree(out) == before


def test_a_prepared_folder_inside_the_photos_is_not_scanned(photos, run):
    first = run(photos, photos / "prepared")
    assert len(run(photos, photos / "prepared")) == len(first)


def test_nothing_is_printed_where_there_is_no_terminal(photos, tmp_path, capfd):
    prepare_folder(photos, tmp_path / "out", size_px=64)
    assert capfd.readouterr() == ("", "")


@pytest.mark.real
def test_all_originals(real_data, tmp_path, run):
    photos = real_data / "originals"
    table = run(photos, tmp_path, labels=LabelSource(photos / "index.csv"), size_px=128, workers=2)
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
def test_every_odd_format_is_prepared(real_data, tmp_path, run):
    copy = tmp_path / "odd"
    shutil.copytree(real_data / "odd_formats", copy)
    table = run(copy, tmp_path / "out", size_px=128).set_index("file")
    assert len(table) == len(list(copy.iterdir()))
    assert dict(table["reason"]) == dict.fromkeys(table.index, "")
    assert (table["status"] == "ok").all()
    dicom = table.loc["issue_3.dcm"]
    assert (dicom["eye"], dicom["width_px"], dicom["height_px"]) == ("right", "3216", "2136")
    assert (dicom["header_group"], dicom["group"]) == ("", "issue_3.dcm")  # this one is anonymous


@pytest.mark.real
def test_patient_and_eye_of_a_dicom_file_become_group_and_eye(real_data, tmp_path, run, tree):
    (tmp_path / "photos").mkdir()
    for name, patient, side in (("a.dcm", "19870312345", "L"), ("b.dcm", "19870312345", "R"), ("c.dcm", "77", "R")):
        dataset = pydicom.dcmread(real_data / "odd_formats" / "issue_3.dcm")
        dataset.PatientID, dataset.ImageLaterality, dataset.Laterality = patient, side, side
        dataset.save_as(tmp_path / "photos" / name)
    labels = tmp_path / "labels.csv"
    labels.write_text("file,grade,group,eye\na.dcm,1,,\nb.dcm,2,,\nc.dcm,2,mine,left\n")
    table = run(tmp_path / "photos", tmp_path / "out", labels=LabelSource(labels)).set_index("file")
    assert (table["status"] == "ok").all()
    assert table["eye"].tolist() == ["left", "right", "left"]
    assert table.loc["a.dcm", "group"] == table.loc["b.dcm", "group"] == table.loc["b.dcm", "header_group"] != ""
    assert table.loc["c.dcm", "group"] == "mine"
    assert table.loc["c.dcm", "header_group"] not in ("", table.loc["a.dcm", "group"])
    assert not any(b"19870312345" in data for data in tree(tmp_path / "out").values())


@pytest.fixture
def hostile(tmp_path, photo_bytes):
    """A folder with links that lead out of it, and labels that name what lies outside."""
    folder, elsewhere = tmp_path / "clinic", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "in.png").write_bytes(photo_bytes(1))
    (elsewhere / "private.png").write_bytes(photo_bytes(2))
    return folder, elsewhere


def test_what_lies_outside_the_folder_is_a_row_and_is_not_read(hostile, tmp_path, run):
    folder, elsewhere = hostile
    (folder / "link.png").symlink_to(elsewhere / "private.png")
    (folder / "relative.png").symlink_to("../elsewhere/private.png")
    (folder / "album").symlink_to(elsewhere)
    (folder / "inside.png").symlink_to("in.png")
    table = run(folder, tmp_path / "out").set_index("file")
    assert set(table.index) == {"in.png", "link.png", "relative.png", "album", "inside.png"}
    for name in ("link.png", "relative.png", "album"):
        assert table.loc[name, "status"] == "unreadable"
        assert "lies outside the folder of photos" in table.loc[name, "reason"]
        assert table.loc[name, "sha256"] == ""
    assert table.loc["inside.png", "status"] == "ok"


def test_labels_that_name_what_lies_outside(hostile, tmp_path, run):
    folder, elsewhere = hostile
    labels = tmp_path / "labels.csv"
    labels.write_text(f"file,grade\nin.png,0\n../elsewhere/private.png,1\n{elsewhere}/private.png,2\n")
    table = run(folder, tmp_path / "out", labels=LabelSource(labels))
    assert table["status"].tolist() == ["ok", "unreadable", "unreadable"]
    assert table["reason"].str.contains("outside").tolist() == [False, True, True]
    assert len(list((tmp_path / "out" / "images").rglob("*.jpg"))) == 1


def test_a_photo_that_vanishes_midway_is_a_row(photos, tmp_path, run, monkeypatch):
    original = store.read_source

    def vanishing(source):
        if source.name == "a b.png":
            source.unlink(missing_ok=True)
        return original(source)

    monkeypatch.setattr(store, "read_source", vanishing)
    row = run(photos, tmp_path / "out").set_index("file").loc["a b.png"]
    assert (row["status"], row["reason"]) == ("unreadable", "no such file")


def test_a_photo_that_the_labels_call_ungradable(photos, tmp_path, run):
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable\na b.png,2,0,1\n9_left.png,,,0\n"
    )
    table = run(photos, tmp_path / "out", labels=LabelSource(labels)).set_index("file")
    assert (table.loc["a b.png", "status"], table.loc["a b.png", "grade"]) == ("ok", 2)
    row = table.loc["9_left.png"]
    assert row["status"] == "ungradable"
    assert row["reason"]
    kept = (
        run(photos, tmp_path / "out", labels=LabelSource(labels), keep_ungradable=True)
        .set_index("file")
        .loc["9_left.png"]
    )
    assert (kept["status"], kept["reason"]) == ("ok", row["reason"])


def test_a_blurred_photo_is_ungradable_and_keeping_it_prepares_nothing_anew(tmp_path, run, monkeypatch):
    draw_folder(tmp_path / "photos", balanced_grades(4), seed=2, width_px=900, height_px=700)
    blurred = sorted((tmp_path / "photos").glob("*.jpg"))[0]
    with Image.open(blurred) as picture:
        picture.filter(ImageFilter.GaussianBlur(25)).save(blurred)
    table = run(tmp_path / "photos", tmp_path / "out").set_index("file")
    assert table["status"].value_counts().to_dict() == {"ok": 3, "ungradable": 1}
    assert table.loc[blurred.name, "status"] == "ungradable"
    assert "focus" in table.loc[blurred.name, "reason"]
    assert (tmp_path / "out" / table.loc[blurred.name, "prepared"]).is_file()
    assert all(table[name].astype(float).notna().all() for name in QUALITY_COLUMNS)
    monkeypatch.setattr(store, "prepare_file", None)
    kept = run(tmp_path / "photos", tmp_path / "out", keep_ungradable=True)
    assert set(kept["status"]) == {"ok"}
    assert set(run(tmp_path / "photos", tmp_path / "out")["status"]) == {"ok", "ungradable"}


def test_a_data_set_of_square_cut_outs_is_taken_whole(tmp_path, run):
    pixels = np.random.default_rng(3).integers(0, 255, (6, 28, 28, 3), dtype=np.uint8)
    grades = np.array([[0], [1], [2], [3], [4], [0]])
    (tmp_path / "photos").mkdir()
    arrays = {
        "train_images": pixels[:4],
        "train_labels": grades[:4],
        "val_images": pixels[4:],
        "val_labels": grades[4:],
    }
    np.savez(tmp_path / "photos" / "retinamnist.npz", **arrays)
    table = run(tmp_path / "photos", tmp_path / "out")
    assert table["grade"].tolist() == grades[:, 0].tolist()
    assert table["split"].tolist() == ["train"] * 4 + ["validation"] * 2
    assert set(table["status"]) == {"ok"}
    assert set(table["field_side_px"]) == {"28"}
    assert read_preparation(tmp_path / "out") == Preparation(size_px=64, already_cropped=True)
    for (_, row), item in zip(table.iterrows(), pixels, strict=True):
        decoded = decode_prepared((tmp_path / "out" / row["prepared"]).read_bytes()).astype(float)
        expected = cv2.resize(item, (64, 64), interpolation=cv2.INTER_CUBIC)
        assert np.abs(decoded - expected).mean() < 5


def test_the_summary_counts(photos, tmp_path):
    summary = prepare_folder(photos, tmp_path / "out", size_px=64)
    assert summary.photos == 12
    assert summary.tally.statuses == {"ok": 9, "unreadable": 2, "no_field": 1}
    assert {file for file, _, _ in summary.tally.failures} == {"empty.jpg", "text.jpg", "black.png"}
    assert (sum(summary.grades), summary.labels.dataset, summary.split_dropped) == (0, "folder", False)
    assert (summary.tally.groups_from["photo"], summary.labels.unlisted) == (10, 0)
    assert summary.labels.why
    labels = tmp_path / "labels.csv"
    labels.write_text("file,grade,group\na b,1,p\ntext,2,q\ngone,3,r\n")
    summary = prepare_folder(photos, tmp_path / "out", labels=LabelSource(labels), size_px=64)
    assert summary.tally.statuses == {"ok": 1, "unreadable": 2}
    assert (summary.grades, summary.tally.groups_from, summary.labels.unlisted) == ((0, 1, 0, 0, 0), {"labels": 3}, 10)
    assert summary.remarks == (
        "No photo has a grade above 1: are 0 and 1 grades, or yes and no (referable, diseased)?",
    )


def test_nothing_of_a_header_is_carried_over(tmp_path, run, photo_bytes, tree):
    exif = Image.Exif()
    exif[0x013B] = "Jane Roe"
    exif[0x0132] = "2019:03:12 10:11:12"
    (tmp_path / "photos").mkdir()
    comment = b"19870312345"
    (tmp_path / "photos" / "a.jpg").write_bytes(photo_bytes(1, "JPEG", exif=exif.tobytes(), comment=comment))
    table = run(tmp_path / "photos", tmp_path / "out")
    assert table["identifiers"].iloc[0] != ""
    for data in tree(tmp_path / "out").values():
        for word in (b"Jane", b"Roe", b"2019:03", comment):
            assert word not in data


def test_labels_with_clashing_names_of_columns(photos, tmp_path, run):
    labels = tmp_path / "labels.csv"
    labels.write_text("file,grade,status,label_status,focus\na b,1,x,y,z\n")
    row = run(photos, tmp_path / "out", labels=LabelSource(labels)).iloc[0]
    assert row["label_status"] == "x"
    assert row["label_label_status"] == "y"


def test_columns_of_a_wide_table_are_not_compared_with_each_other():
    compared = []

    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other):
            compared.append(other)
            return str.__eq__(self, other)

    names = [Name(number) for number in range(300)]
    photo = LabeledPhoto("a.jpg", 1, "", "", "", "", extra_columns=dict.fromkeys([*names, Name("grade")], ""))
    assert _extra_column_names([photo]) == {name: name for name in names} | {"grade": "label_grade"}
    assert len(compared) < 2_000  # each with each would be 45,000

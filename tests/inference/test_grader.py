"""Grading: any way in gives the same answer, every photo gets an answer, and no part of the field is lost."""

import dataclasses
import io
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from biranet.decisions.rules import OperatingPoint, Rules
from biranet.errors import InputError, PhotoError
from biranet.inference.grader import load
from biranet.inference.prediction import TABLE_COLUMNS, Prediction
from biranet.learning.data import PreparedPhotos
from biranet.manifest import read_manifest
from biranet.photos.drawn.synthetic import draw_photo
from biranet.photos.read import read_photo


@pytest.fixture(scope="module")
def grader(checkpoint):
    return load(checkpoint)


@pytest.fixture(scope="module")
def files(drawn_photos):
    return sorted(drawn_photos.glob("*.jpg"))


@pytest.fixture(scope="module")
def answers(grader, files):
    return list(grader.grade_many(files, workers=0))


def same(one, other):
    """Whether two predictions are the same to the bit."""
    return (
        one.grade == other.grade
        and np.array_equal(one.probabilities, other.probabilities)
        and np.array_equal(one.attention, other.attention)
        and np.array_equal(one.photo, other.photo)
    )


def test_photos_get_different_answers(answers):
    """Or the comparisons below would say nothing."""
    assert {answer.grade for answer in answers} == {0, 1, 2, 3, 4}


def test_prediction_holds_what_it_promises(answers):
    for answer in answers:
        assert (answer.status, answer.reason) == ("ok", "")
        assert answer.probabilities.shape == (5,) and answer.probabilities.dtype == np.float64
        assert answer.probabilities.sum() == pytest.approx(1, abs=1e-6) and answer.probabilities.min() >= 0
        assert answer.grade == answer.probabilities.argmax()
        assert answer.attention.shape == (2, 2, 2) and answer.attention.dtype == np.float32
        assert answer.attention.min() >= 0 and answer.attention.max() <= 1
        assert answer.photo.shape == (64, 64, 3) and answer.photo.dtype == np.uint8


def test_grading_sees_the_pixels_of_the_prepared_folder(grader, prepared, answers):
    table = read_manifest(prepared)
    stored = PreparedPhotos(prepared, table, 64)
    names = [f"{answer.file.rsplit('/', 1)[1]}" for answer in answers]
    assert sorted(table["file"]) == names
    for row, file in enumerate(table["file"]):
        np.testing.assert_array_equal(stored.photo(row), answers[names.index(file)].photo)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # a machine may have one processor only
@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (7, 0), (64, 0), (16, 2)])
def test_answers_do_not_depend_on_batches_and_workers(grader, files, answers, batch_size, workers):
    again = list(grader.grade_many(files, batch_size=batch_size, workers=workers))
    assert [answer.file for answer in again] == [str(file) for file in files]
    for one, other in zip(answers, again, strict=True):
        np.testing.assert_array_equal(one.photo, other.photo)
        # Sums run in another order in another batch, and this head is some hundred times as steep as a trained one.
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
        np.testing.assert_allclose(one.attention, other.attention, atol=1e-6)


def test_file_picture_and_pixels_give_the_same(grader, files, tmp_path):
    pixels = read_photo(files[0])
    file = tmp_path / "photo.png"
    Image.fromarray(pixels).save(file)
    of_file = grader.grade(file)
    assert of_file.file == str(file)
    with Image.open(file) as picture:
        assert same(of_file, grader.grade(picture))
    assert same(of_file, grader.grade(str(file)))
    assert same(of_file, grader.grade(pixels))
    assert same(of_file, grader.grade(np.asfortranarray(pixels)))
    assert not np.array_equal(of_file.photo, grader.grade(files[1]).photo)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("CMYK", "jpg"), ("L", "png"), ("P", "png"), ("RGBA", "png"), ("LA", "png"), ("I;16", "png"), ("F", "tif")],
)
def test_picture_in_any_mode_is_graded_like_its_file(grader, files, tmp_path, mode, suffix):
    with Image.open(files[0]) as picture:
        if mode == "I;16":
            picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
        else:
            picture = picture.convert(mode)
        file = tmp_path / f"photo.{suffix}"
        picture.save(file)
    with Image.open(file) as picture:
        assert picture.mode == mode
        # Without colours it is none to be graded, but its pixels are to be the same all the same.
        assert same(grader.grade(file, keep_ungradable=True), grader.grade(picture, keep_ungradable=True))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_picture_is_graded_upright_like_its_file(grader, files, tmp_path, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    file = tmp_path / "photo.jpg"
    with Image.open(files[0]) as picture:
        picture.save(file, exif=exif, quality=95)
    with Image.open(file) as picture:
        assert same(grader.grade(file), grader.grade(picture))


def test_identifiers_in_a_picture_do_not_matter(grader, files):
    encoded = io.BytesIO()
    with Image.open(files[0]) as picture:
        exif = Image.Exif()
        exif[0x10E] = "Jane Doe, born 1950"
        picture.save(encoded, "PNG", exif=exif)
        assert same(grader.grade(picture), grader.grade(Image.open(encoded)))


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((40, 40), np.uint8),
        np.zeros((40, 40, 4), np.uint8),
        np.zeros((1, 40, 40, 3), np.uint8),
        np.zeros((40, 40, 3), np.float32),
        np.zeros((0, 40, 3), np.uint8),
    ],
    ids=lambda pixels: f"{pixels.shape}-{pixels.dtype}",
)
def test_what_is_no_photo_is_refused(grader, pixels):
    with pytest.raises(InputError, match=r"pixels must be RGB, \(H, W, 3\), uint8, not "):
        grader.grade(pixels)


def test_grade_raises_where_a_photo_cannot_be_used(grader, tmp_path):
    with pytest.raises(PhotoError, match="no such file") as missing:
        grader.grade(tmp_path / "missing.jpg")
    assert missing.value.status == "unreadable"
    with pytest.raises(PhotoError, match="black") as black:
        grader.grade(np.zeros((60, 80, 3), np.uint8))
    assert black.value.status == "no_field"


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (2, 2), (16, 0)])
def test_photos_that_fail_get_their_row_and_change_no_other(grader, files, answers, tmp_path, batch_size, workers):
    (tmp_path / "text.jpg").write_text("hello")
    Image.new("RGB", (60, 80)).save(tmp_path / "black.png")
    bad = [tmp_path / "text.jpg", tmp_path / "black.png", tmp_path / "missing.jpg"]
    mixed = [bad[0], bad[1], files[0], bad[2], files[1]]
    rows = list(grader.grade_many(mixed, batch_size=batch_size, workers=workers))
    assert [row.file for row in rows] == [str(file) for file in mixed]
    assert [row.status for row in rows] == ["unreadable", "no_field", "ok", "unreadable", "ok"]
    for row, right in ((rows[2], answers[0]), (rows[4], answers[1])):
        np.testing.assert_allclose(row.probabilities, right.probabilities, atol=1e-5)
        np.testing.assert_array_equal(row.photo, right.photo)
    for row in (rows[0], rows[1], rows[3]):
        assert row.reason and row.grade is row.probabilities is row.attention is row.photo is row.original is None
        assert row.picture() is row.attention_on_original() is None
        *cells, action = list(row.row().values())[:-4]
        assert row.decision == "" and cells == [row.file, row.status, row.reason, *[""] * 11]
        assert action == (f"retake: {row.reason}" if row.status == "no_field" else "give another copy of the file")


def test_only_failing_photos_are_no_reason_to_stop(grader, tmp_path):
    missing = [tmp_path / f"{number}.jpg" for number in range(3)]
    assert [row.status for row in grader.grade_many(missing, workers=0)] == ["unreadable"] * 3
    assert list(grader.grade_many([], workers=0)) == []


def test_answers_come_as_they_are_made(grader, files, tmp_path):
    """Ten million photos must not be held in memory: one that comes to be meanwhile is read all the same."""
    later = tmp_path / "later.jpg"
    answers = grader.grade_many([*files[:2], later], batch_size=2, workers=0)
    next(answers)
    shutil.copy(files[2], later)
    assert [answer.status for answer in answers] == ["ok", "ok"]


@pytest.mark.parametrize(("place_x", "columns"), [(24, slice(0, 6)), (296, slice(58, 64))], ids=["left", "right"])
def test_wide_photo_keeps_its_sides(grader, place_x, columns):
    """The released code cut the centre square out of a wide photo: lesions at the sides were lost."""
    photo = np.zeros((200, 320, 3), np.uint8)
    cv2.circle(photo, (160, 100), 150, (170, 90, 40), -1)
    with_lesion = photo.copy()
    cv2.circle(with_lesion, (place_x, 100), 8, (60, 10, 10), -1)
    center = slice((320 - 200) // 2, (320 + 200) // 2)
    assert np.array_equal(photo[:, center], with_lesion[:, center])

    # Drawn as a plain disc, it has none of the structure that a gradable photo shows.
    with pytest.raises(PhotoError, match="shows no structure"):
        grader.grade(photo)
    healthy, ill = (grader.grade(each, keep_ungradable=True) for each in (photo, with_lesion))
    change = np.abs(healthy.photo.astype(int) - ill.photo).max(axis=2)
    assert change[:, columns].max() > 50
    assert healthy.probabilities.tolist() != ill.probabilities.tolist()


@pytest.mark.parametrize(("width_px", "height_px"), [(64, 64), (321, 123), (123, 321), (1000, 700), (33, 47)])
def test_photos_of_any_size_and_shape_are_graded(grader, width_px, height_px):
    answer = grader.grade(draw_photo(2, 5, width_px, height_px))
    assert answer.photo.shape == (64, 64, 3) and answer.grade in range(5)


def test_decision_of_a_model_without_rules_follows_the_grade(answers):
    assert {answer.grade for answer in answers} > {1, 2}
    for answer in answers:
        assert answer.decision == ("refer" if answer.grade >= 2 else "do not refer") and answer.grade_range is None
    assert Prediction("a", "unreadable", "why").decision == ""


def test_rules_of_the_checkpoint_decide(checkpoint, files, answers):
    """The written-out rule: sure and of the same mind as the grade, or a human is asked."""
    grader = load(checkpoint)
    low, high = 0.45, 0.7
    points = (OperatingPoint("sensitivity_90", low), OperatingPoint("specificity_90", high))
    rules = Rules(operating_points=points, set_threshold=0.3, fitted_on="nothing real")
    grader.predictor.info = dataclasses.replace(grader.info, rules=rules)
    decided = list(grader.grade_many(files, workers=0))
    for answer, plain in zip(decided, answers, strict=True):
        assert answer.grade == plain.grade
        score = answer.probabilities[2:].sum()
        if score >= high and answer.grade >= 2:
            assert answer.decision == "refer"
        elif score < low and answer.grade < 2:
            assert answer.decision == "do not refer"
        else:
            assert answer.decision == "ask a human"
        lowest, highest = answer.grade_range
        assert lowest <= answer.grade <= highest
        cells = [answer.row()[name] for name in ("decision", "lowest_grade", "highest_grade")]
        assert cells == [answer.decision, str(lowest), str(highest)]
    assert {"ask a human"} < {answer.decision for answer in decided}
    assert len({answer.grade_range for answer in decided}) > 2


def test_row_has_the_columns_of_the_table_and_full_digits(answers):
    answer = answers[0]
    row = answer.row()
    assert tuple(row) == TABLE_COLUMNS
    assert (
        ",".join(TABLE_COLUMNS)
        == "file,status,reason,predicted_grade,p0,p1,p2,p3,p4,decision,lowest_grade,highest_grade,expected_grade,"
        "temperature,action,group,group_from,eye,eye_from"
    )
    assert float(row["expected_grade"]) == pytest.approx(answer.probabilities @ np.arange(5))
    assert row["temperature"] == "1"
    assert (row["file"], row["status"], row["reason"]) == (answer.file, "ok", "")
    assert (row["predicted_grade"], row["decision"]) == (str(answer.grade), answer.decision)
    read = np.array([float(row[f"p{grade}"]) for grade in range(5)])
    np.testing.assert_allclose(read, answer.probabilities, rtol=1e-8)


def test_grader_holds_a_plain_module_ready_to_use(grader):
    assert isinstance(grader.model, torch.nn.Module) and not grader.model.training
    with torch.inference_mode():
        output = grader.model(torch.zeros(1, 3, 64, 64))
    assert output.logits.shape == (1, 5)


def test_dropout_is_off(grader, files):
    assert same(grader.grade(files[0]), grader.grade(files[0]))


def test_a_model_in_training_answers_as_it_does_otherwise(checkpoint, files, answers):
    grader = load(checkpoint)
    grader.model.train()
    grader.model.stream_a.net_a.eval()
    modes = [part.training for part in grader.model.modules()]
    before = {name: tensor.clone() for name, tensor in grader.model.state_dict().items()}
    assert same(grader.grade(files[0]), load(checkpoint).grade(files[0]))
    assert [answer.grade for answer in grader.grade_many(files, workers=0)] == [answer.grade for answer in answers]
    assert [part.training for part in grader.model.modules()] == modes and {True, False} == set(modes)
    assert all(torch.equal(tensor, before[name]) for name, tensor in grader.model.state_dict().items())


def test_load_takes_text_and_refuses_what_is_missing(checkpoint, tmp_path):
    assert load(str(checkpoint)).info.image_size == 64
    with pytest.raises(InputError, match="is no file"):
        load(tmp_path / "none.safetensors")


def test_rows_make_a_table_that_pandas_reads(answers):
    table = pd.DataFrame([answer.row() for answer in answers], columns=TABLE_COLUMNS)
    assert table["p0"].astype(float).between(0, 1).all()


def test_many_files_are_named_by_paths_and_strings_of_any_iterable(grader, files, answers):
    named = list(grader.grade_many((str(file) for file in files[:2]), workers=0))
    assert [each.file for each in named] == [each.file for each in answers[:2]]
    for one, other in zip(named, answers, strict=False):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)


@pytest.mark.parametrize(
    ("files", "settings", "sentence"),
    [
        ("a.jpg", {}, "grade_many takes a list of files, not 'a.jpg'; grade takes one photo"),
        (None, {}, "grade_many takes a list of files, not None"),
        ([b"a.jpg"], {}, "grade_many takes names of files, each a str or a Path, not bytes"),
        (["a.jpg"], {"batch_size": 0}, "batch_size must be a whole number from 1, not 0"),
        (["a.jpg"], {"batch_size": None}, "batch_size must be a whole number from 1, not None"),
        (["a.jpg"], {"workers": -1}, "workers must be a whole number from 0, not -1"),
    ],
)
def test_wrong_calls_of_grade_many_are_refused_at_once(grader, files, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        grader.grade_many(files, **settings)


@pytest.mark.parametrize(("photo", "kind"), [(None, "NoneType"), (b"\xff\xd8", "bytes"), ([[0]], "list")])
def test_what_is_of_no_kind_of_photo_is_refused(grader, photo, kind):
    with pytest.raises(InputError, match=f"a photo is a file's name, a PIL picture or RGB pixels, not {kind}"):
        grader.grade(photo)


@pytest.mark.parametrize("name", ["", "x" * 300, "a\0.jpg"])
def test_names_that_no_file_can_have_get_a_row(grader, name):
    assert next(grader.grade_many([name], workers=0)).status == "unreadable"

"""The picture of a photo that was graded, and what Python gets of it."""

import dataclasses
import hashlib

import numpy as np
import pytest
from PIL import Image

from biranet.errors import InputError
from biranet.inference.captions import caption_of
from biranet.inference.grader import Grader, load
from biranet.inference.pictures import picture_name, save_picture
from biranet.inference.prediction import Prediction
from biranet.learning.shipped_models import SHIPPED
from biranet.photos import PICTURE_MARK
from biranet.photos.drawn.synthetic import draw_photo
from biranet.photos.overlay import NamedMap
from biranet.photos.read import read_photo


@pytest.fixture(scope="module")
def grader(checkpoint):
    return load(checkpoint)


@pytest.fixture
def photo(tmp_path):
    """A file whose photo is wider than what the network sees of it, and not a multiple of it."""
    path = tmp_path / "eye.1.png"
    Image.fromarray(draw_photo(2, 5, 701, 420)).save(path)
    return path


def panel(picture, photo):
    """The photo as it stands in the picture: above its caption, in its own pixels."""
    left = photo.shape[1] // 80
    top = next(row for row in range(99) if np.array_equal(picture.pixels[row, left : left + photo.shape[1]], photo[0]))
    return picture.pixels[top : top + photo.shape[0], left : left + photo.shape[1]]


def test_the_photo_is_drawn_as_it_was_taken(grader, photo):
    answer = grader.grade(photo)
    pixels = read_photo(photo)
    picture = answer.picture()
    np.testing.assert_array_equal(panel(picture, pixels), pixels)
    # The same of a picture in memory, which has no file.
    np.testing.assert_array_equal(grader.grade(pixels).picture().pixels[:400], picture.pixels[:400])
    assert (
        picture.alt_text.startswith(f"Grade {answer.grade} (")
        and f"), {answer.decision}. The photo" in picture.alt_text
    )
    score = answer.probabilities[2:].sum()
    assert f"Probability of referable retinopathy (grade 2 or more): {score:.2f}. Prob" in picture.alt_text
    assert "prediction set" not in picture.alt_text and "Attention is what the network weighed" in picture.alt_text
    assert "A grey line is around what the network saw" in picture.alt_text and not answer.original.cut.shows_all
    assert repr(picture).startswith(f"Picture({picture.pixels.shape[1]} x {picture.pixels.shape[0]} px, 'Grade ")
    assert repr(answer.original) == "Original(701 x 420 px)"


def test_attention_comes_in_the_pixels_of_the_photo(grader, photo):
    answer = grader.grade(photo)
    laid = answer.attention_on_original()
    assert laid.shape == (2, 420, 701) and laid.dtype == np.float32
    field = answer.original.cut.field
    seen = np.zeros((420, 701), bool)
    seen[max(0, field.top_px) : field.top_px + field.side_px, field.left_px : field.left_px + field.side_px] = True
    np.testing.assert_array_equal(np.isfinite(laid), np.broadcast_to(seen, laid.shape))
    for each, mask in zip(laid, answer.attention, strict=True):
        assert np.nanmin(each) >= mask.min() and np.nanmax(each) <= mask.max()
        np.testing.assert_array_equal(each, answer.original.cut.warp(mask))


def test_evidence_is_drawn_below_the_attention(grader, photo):
    answer = grader.grade(photo)
    assert answer.evidence.shape == tuple(2 * side for side in answer.attention.shape[1:])
    picture, without = answer.picture(), dataclasses.replace(answer, evidence=None).picture()
    assert "Evidence (red: refer, blue: do not): " in picture.alt_text
    assert "Evidence is what a cell adds to the log-odds of referral, to first order, not wh" in picture.alt_text
    assert "vidence" not in without.alt_text and picture.pixels.shape[0] > without.pixels.shape[0]


def test_any_map_of_what_the_network_saw_is_drawn(grader, photo):
    answer = grader.grade(photo)
    lesions = NamedMap("lesions", np.eye(20), high=2)
    picture = answer.picture([lesions], opacity=0.9)
    assert "Lesions: 0.00 to 1.00, highest at" in picture.alt_text and "ttention" not in picture.alt_text
    assert not np.array_equal(picture.pixels, answer.picture([lesions], opacity=0.1).pixels)
    assert answer.picture([]).pixels.shape[1] < 800
    with pytest.raises(InputError, match="opacity must be a number from 0 to 1, not 2"):
        answer.picture(opacity=2)


def test_where_memory_is_short_what_the_network_saw_is_drawn(grader, photo, monkeypatch):
    answer = grader.grade(photo)

    def too_much(self, seen):
        raise MemoryError

    monkeypatch.setattr("biranet.inference.original.Original.read", too_much)
    assert "is not shown: that takes more memory than there is." in answer.picture().alt_text


@pytest.mark.parametrize("now", ["gone", "another", "text"])
def test_a_file_that_holds_another_photo_by_now_is_never_drawn_under_the_grade(grader, photo, now):
    answer = grader.grade(photo)
    if now == "gone":
        photo.unlink()
    elif now == "another":
        Image.fromarray(draw_photo(2, 6, 701, 420)).save(photo)
    else:
        photo.write_text("hello")
    picture = answer.picture()
    why = {"gone": "no such file", "another": "the file holds another photo now", "text": "is "}[now]
    assert f"The photo as it was taken is not shown: {why}" in picture.alt_text
    assert ". What the network saw and, beside it, maps" in picture.alt_text
    zoomed = answer.photo.repeat(8, axis=0).repeat(8, axis=1)
    left = 512 // 80
    rows = [row for row in range(99) if np.array_equal(picture.pixels[row, left : left + 512], zoomed[0])]
    np.testing.assert_array_equal(picture.pixels[rows[0] : rows[0] + 512, left : left + 512], zoomed)


def test_picture_is_saved_under_the_name_and_what_is_of_the_path_alone(grader, photo, tmp_path):
    answer = grader.grade(photo)
    for file in ("a/eye.1.png", "b/eye.1.png"):
        save_picture(tmp_path / "new" / "folder", dataclasses.replace(answer, file=file), 0.5)
    names = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    digests = [hashlib.sha256(f"{folder}/eye.1.png".encode()).hexdigest()[:12] for folder in "ab"]
    assert names == sorted(f"eye.1_{digest}.jpg" for digest in digests)
    picture = answer.picture(opacity=0.5)
    with Image.open(tmp_path / "new" / "folder" / names[0]) as saved:
        assert saved.info["comment"] == PICTURE_MARK and saved.getexif()[0x10E] == picture.alt_text
        assert np.abs(np.asarray(saved).astype(float) - picture.pixels).mean() < 3


def test_no_picture_without_a_grade(tmp_path):
    assert save_picture(tmp_path / "folder", Prediction("a.jpg", "unreadable", "why"), 0.5) is None
    assert not (tmp_path / "folder").exists()


def test_names_of_pictures_are_no_longer_than_files_may_have():
    assert len(picture_name("ü" * 200).encode()) <= 255 and picture_name(".eye.jpg").startswith("eye_")


def test_a_picture_names_photo_and_model(grader, photo):
    """As they stand in the table: two photos called alike, or one photo graded by two models, are told apart."""
    answer = grader.grade(photo)
    assert answer.model == grader.predictor.origin and Grader(_Shipped(grader)).grade(photo).model == "idrid_lite0"
    said = caption_of("a/left.jpg", answer.grade, answer.probabilities, answer.decision, None, answer.model)
    assert said.names == ("a/left.jpg", f"Model: {answer.model}")
    for other in ({"file": "b/left.jpg"}, {"model": "another"}):
        assert not np.array_equal(dataclasses.replace(answer, **other).picture().pixels, answer.picture().pixels)


class _Shipped:
    """A predictor that comes from a file of the package."""

    origin = str(SHIPPED / "idrid_lite0.onnx")

    def __init__(self, grader):
        self.info, self.predict = grader.info, grader.predictor.predict

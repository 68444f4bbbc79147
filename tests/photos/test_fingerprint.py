import io

import cv2
import numpy as np
import pytest
from PIL import Image

from biranet.photos.copies import MAX_DISTANCE, near_identical_pairs
from biranet.photos.drawn.synthetic import draw_photo
from biranet.photos.field import cut_field, find_field
from biranet.photos.fingerprint import QUANTIZATION_STEPS, fingerprint
from biranet.photos.read import read_photo

BYTES = 120


def print_of(photo):
    return fingerprint(cut_field(np.ascontiguousarray(photo), find_field(np.ascontiguousarray(photo)), 384))


def distance(one, other):
    one, other = (np.frombuffer(bytes.fromhex(text), np.uint8).astype(float) for text in (one, other))
    return np.linalg.norm(one - other) / QUANTIZATION_STEPS


def compressed(photo, quality):
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality)
    return read_photo(file.getvalue())


def turned(photo, degrees):
    """The photo turned about its middle, on a canvas that holds all of it."""
    height, width = photo.shape[:2]
    side = int(np.hypot(height, width)) + 2
    move = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    move[:, 2] += (side - width) / 2, (side - height) / 2
    return cv2.warpAffine(photo, move, (side, side), flags=cv2.INTER_LINEAR)


def exposed(photo, gamma):
    return cv2.LUT(photo, np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8))


def cut_3_percent(photo):
    field = find_field(photo)
    less = round(0.03 * field.side_px)
    left, top = max(0, field.left_px) + less, max(0, field.top_px) + less
    right = min(photo.shape[1], field.left_px + field.side_px) - less
    bottom = min(photo.shape[0], field.top_px + field.side_px) - less
    return photo[top:bottom, left:right]


COPIES = {
    "quality 30": lambda photo: compressed(photo, 30),
    "half the size": lambda photo: cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "twice the size": lambda photo: cv2.resize(photo, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
    "7 degrees": lambda photo: turned(photo, 7),
    "33 degrees": lambda photo: turned(photo, 33),
    "90 degrees": lambda photo: np.rot90(photo),
    "180 degrees": lambda photo: np.rot90(photo, 2),
    "mirrored": lambda photo: photo[:, ::-1],
    "gamma 0.8": lambda photo: exposed(photo, 0.8),
    "gamma 1.25": lambda photo: exposed(photo, 1.25),
    "3 % cut off": cut_3_percent,
    "wider border": lambda photo: cv2.copyMakeBorder(photo, 40, 10, 90, 20, cv2.BORDER_CONSTANT),
}


@pytest.fixture(scope="module")
def drawn():
    """Photos of 30 drawn eyes of 15 patients."""
    return [draw_photo(seed % 5, seed) for seed in range(30)]


@pytest.fixture(scope="module")
def prints(drawn):
    """Their fingerprints."""
    return [print_of(photo) for photo in drawn]


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_near_and_other_eyes_are_not(drawn, prints, name):
    copies = [print_of(COPIES[name](photo)) for photo in drawn[:12]]
    for position, copy in enumerate(copies):
        others = [distance(copy, other) for other in prints]
        assert np.argmin(others) == position
        assert others[position] <= MAX_DISTANCE < sorted(others)[1]


def test_a_turned_or_mirrored_square_hardly_differs(drawn):
    square = cut_field(drawn[0], find_field(drawn[0]), 384)
    for same in (np.rot90(square), np.rot90(square, 2), square[::-1], square[:, ::-1]):
        assert distance(fingerprint(square), fingerprint(same)) < 0.12


@pytest.mark.sample
@pytest.mark.parametrize("size", [(160, 128), (64, 64)])
def test_small_drawn_photos_are_not_linked(size):
    prints = [print_of(draw_photo(seed % 5, seed, *size)) for seed in range(150)]
    assert all(prints)
    assert len(near_identical_pairs(prints)) == 0


def test_a_plain_field_has_no_fingerprint_and_links_nothing():
    square = np.zeros((384, 384, 3), np.uint8)
    cv2.circle(square, (192, 192), 185, (150, 80, 40), -1)
    noise = np.random.default_rng(0).integers(0, 2, square.shape, dtype=np.uint8)
    assert fingerprint(square) == fingerprint(np.zeros_like(square)) == fingerprint(np.full_like(square, 200)) == ""
    assert len(near_identical_pairs([fingerprint(square), fingerprint(square + noise), ""])) == 0


def test_pictures_that_differ_by_turning_one_spot_are_one_photo():
    """A spot that moves along a circle about the middle of a plain field cannot be told from a turned photo."""

    def spot(radius, degrees):
        square = np.zeros((384, 384, 3), np.uint8)
        cv2.circle(square, (192, 192), 185, (150, 80, 40), -1)
        position = 192 + radius * np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
        cv2.circle(square, np.rint(position).astype(int).tolist(), 24, (250, 220, 120), -1)
        return fingerprint(square)

    assert distance(spot(80, 0), spot(80, 140)) < MAX_DISTANCE < distance(spot(80, 0), spot(140, 0))


@pytest.mark.real
def test_originals_are_near_their_small_copies_and_far_from_all_others(real_data):
    originals = sorted((real_data / "originals").rglob("*.jpg"))[::6]
    by_name = {path.name: path for path in (real_data / "images512").rglob("*.jpg")}
    small = [print_of(read_photo(by_name[path.name])) for path in originals]
    for position, path in enumerate(originals):
        large = print_of(read_photo(path))
        others = [distance(large, other) for other in small]
        assert np.argmin(others) == position
        assert others[position] < 0.2 < MAX_DISTANCE < sorted(others)[1]


@pytest.mark.real
@pytest.mark.parametrize("name", COPIES)
def test_real_copies_are_near(real_data, name):
    photos = [read_photo(path) for path in sorted((real_data / "images512").rglob("*.jpg"))[7::60]]
    prints = [print_of(photo) for photo in photos]
    assert len(near_identical_pairs(prints)) == 0
    for photo, own in zip(photos, prints, strict=True):
        assert distance(print_of(COPIES[name](photo)), own) <= MAX_DISTANCE

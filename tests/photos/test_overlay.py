import cv2
import numpy as np
import pytest

from biranet.photos.overlay import overlay_attention

PHOTO = np.random.default_rng(2).integers(0, 255, (60, 90, 3), dtype=np.uint8)


def lightness(colors):
    return cv2.cvtColor(colors, cv2.COLOR_RGB2LAB)[:, :, 0].astype(float)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (7, 7), (60, 90), (120, 100)])
def test_any_map_covers_the_whole_photo(shape):
    result = overlay_attention(PHOTO, np.random.default_rng(1).random(shape))
    assert result.shape == PHOTO.shape
    assert result.dtype == np.uint8


def test_attention_is_not_stretched():
    black = np.zeros((20, 20, 3), np.uint8)
    results = [overlay_attention(black, np.full((4, 4), value)) for value in (0.0, 0.25, 0.5, 0.75, 1.0)]
    means = [lightness(result).mean() for result in results]
    assert means == sorted(means)
    assert min(np.diff(means)) > 5
    flat = overlay_attention(black, np.array([[0.4, 0.41]]))
    assert np.ptp(lightness(flat)) < 4


def test_the_photo_stays_visible():
    result = overlay_attention(PHOTO, np.random.default_rng(1).random((5, 5)))
    assert np.corrcoef(result.ravel(), PHOTO.ravel())[0, 1] > 0.8


def test_the_map_lies_where_it_belongs_and_is_smooth():
    black = np.zeros((70, 70, 3), np.uint8)
    attention = np.zeros((7, 7))
    attention[1, 5] = 1
    light = lightness(overlay_attention(black, attention))
    row, column = np.unravel_index(light.argmax(), light.shape)
    assert abs(row - 15) <= 1
    assert abs(column - 55) <= 1
    assert np.abs(np.diff(light, axis=1)).max() < 20


def test_the_photo_given_is_not_changed():
    before = PHOTO.copy()
    overlay_attention(PHOTO, np.ones((3, 3)))
    assert (before == PHOTO).all()

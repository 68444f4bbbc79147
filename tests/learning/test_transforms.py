import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biranet.learning.transforms import AUGMENTATIONS, augment_fundus, flip, resize


def _field(side=96):
    """A round field with a bright spot and a dark one, on black."""
    photo = np.zeros((side, side, 3), np.uint8)
    cv2.circle(photo, (side // 2, side // 2), side // 2 - 4, (180, 90, 50), -1)
    cv2.circle(photo, (side // 4, side // 2), side // 12, (250, 220, 150), -1)
    cv2.circle(photo, (side // 2, side // 3), side // 16, (90, 20, 10), -1)
    return photo


def _random(seed):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("size", [32, 95, 96, 97, 200])
def test_resize_gives_the_size_and_keeps_the_brightness(size):
    resized = resize(_field(), size)
    assert (resized.shape, resized.dtype) == ((size, size, 3), np.uint8)
    np.testing.assert_allclose(resized.mean(axis=(0, 1)), _field().mean(axis=(0, 1)), rtol=0.03)


def test_resize_to_the_same_size_changes_nothing():
    assert resize(_field(), 96) is not None
    np.testing.assert_array_equal(resize(_field(), 96), _field())


def test_shrinking_averages_so_a_small_lesion_fades_instead_of_vanishing():
    for place in range(8):
        photo = np.full((64, 64, 3), 100, np.uint8)
        photo[8 + place, 8 + place] = 0
        small = resize(photo, 8)
        assert small.min() == pytest.approx(100 * 63 / 64, abs=1)
        assert (small < 100).any()


def test_flip_mirrors_half_of_the_time():
    photo = _field()
    outcomes = [flip(photo, _random(seed)) for seed in range(200)]
    same = sum(np.array_equal(outcome, photo) for outcome in outcomes)
    mirrored = sum(np.array_equal(outcome, photo[:, ::-1]) for outcome in outcomes)
    assert same + mirrored == 200
    assert 70 < same < 130


class _Fixed:
    """Stands in for a generator: no rotation, no scale, no light; the next values as told."""

    def __init__(self, mirror=False, **values):
        self.mirror, self.values = mirror, values
        self.calls = 0

    def uniform(self, _low, _high, size=None):
        self.calls += 1
        value = self.values.get(f"call_{self.calls}", 0.0)
        return value if size is None else np.full(size, value)

    def random(self):
        return 0.0 if self.mirror else 1.0


def test_augmentation_without_any_change_is_the_photo():
    np.testing.assert_array_equal(augment_fundus(_field(), _Fixed()), _field())


def test_augmentation_can_mirror_exactly():
    for side in (96, 97):
        np.testing.assert_array_equal(augment_fundus(_field(side), _Fixed(mirror=True)), _field(side)[:, ::-1])


def test_augmentation_turns_about_the_centre():
    turned = augment_fundus(_field(), _Fixed(call_1=90.0))
    np.testing.assert_array_equal(turned, np.rot90(_field()))


def test_augmentation_brightens_by_a_gain():
    brighter = augment_fundus(_field(), _Fixed(call_3=0.1))
    expected = np.clip(_field() * np.exp(0.1), 0, 255).round()
    np.testing.assert_array_equal(brighter, expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_augmentation_keeps_shape_black_and_the_look_of_a_field(seed):
    photo = _field()
    before = photo.copy()
    changed = augment_fundus(photo, _random(seed))
    assert (changed.shape, changed.dtype) == (photo.shape, np.uint8)
    np.testing.assert_array_equal(photo, before)
    assert changed[:3, :3].max() == 0
    assert changed[-3:, -3:].max() == 0
    assert changed[48, 48].astype(int) == pytest.approx(np.array([180, 90, 50]), rel=0.5)
    assert 0.7 < (changed.max(axis=2) > 20).mean() / (photo.max(axis=2) > 20).mean() < 1.3


@pytest.mark.parametrize("name", ["flips", "fundus"])
def test_black_stays_black(name):
    black = np.zeros((40, 40, 3), np.uint8)
    assert all(AUGMENTATIONS[name](black, _random(seed)).max() == 0 for seed in range(20))


@pytest.mark.parametrize("name", ["flips", "fundus"])
def test_the_same_key_gives_the_same_picture(name):
    first, again = (AUGMENTATIONS[name](_field(), _random((1, 2, 3))) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_every_key_gives_another_picture():
    keys = [(seed, epoch, position) for seed in range(2) for epoch in range(3) for position in range(5)]
    pictures = {augment_fundus(_field(), _random(key)).tobytes() for key in keys}
    assert len(pictures) == len(keys)


def test_augmentation_leaves_the_global_generators_alone():
    np.random.seed(0)
    torch.manual_seed(0)
    expected = np.random.rand(), torch.rand(()).item()
    np.random.seed(0)
    torch.manual_seed(0)
    augment_fundus(_field(), _random(1))
    assert (np.random.rand(), torch.rand(()).item()) == expected


def test_no_augmentation_is_none():
    assert {"none": None, "flips": flip, "fundus": augment_fundus} == AUGMENTATIONS

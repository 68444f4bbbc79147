"""Patient and eye from names, by a stated pattern."""

import pytest

from biranet.errors import InputError
from biranet.photos.datasets.name_pattern import NamePattern


@pytest.mark.parametrize(
    ("pattern", "file", "read"),
    [
        ("{patient}_{eye}", "a/10_left.jpeg", ("10", "left")),
        ("{patient}_{eye}", "10_2_OD.JPG", ("10_2", "right")),
        ("{patient}_{eye}", "macula_left.jpg", ("macula", "left")),  # so the user said
        ("{patient}_{eye}", "10_macula.jpg", None),
        ("{patient}_{eye}", "_left.jpg", None),
        ("{patient}_{eye}", "10_left_2.jpg", None),
        ("{patient}_{eye}_*", "10_left_2.jpg", ("10", "left")),
        ("{patient}_{eye}.jpg", "10_left.jpg", ("10", "left")),
        ("{patient}_{eye}.jpg", "10_left.png", None),
        ("{patient}-{eye}", "1.2.840.5-re", ("1.2.840.5", "right")),
        ("{patient}/{eye}/*", "x/P 1/Left eye/IMG_1.jpg", ("P 1", "left")),
        ("{patient}_RETINA_{eye}_*", "007_Retina_OS_20260102_101112.dcm", ("007", "left")),
        ("*_{eye}", "IMG_1_R.jpg", ("", "right")),
        ("{patient}-*", "12-3.jpg", ("12", "")),
        ("{patient}_[{eye}]", "12_[L].jpg", ("12", "left")),
        ("{eye}{patient}", "L12.jpg", ("12", "left")),
    ],
)
def test_names_are_read_by_the_pattern(pattern, file, read):
    assert NamePattern(pattern).read(file) == read


def test_a_name_that_fits_in_two_ways_is_refused():
    with pytest.raises(InputError, match=r"in two ways, patient '1_left', eye 'right' or patient '1', eye 'left'"):
        NamePattern("{patient}_{eye}_*").read("1_left_right_2.jpg")
    with pytest.raises(InputError, match="in two ways"):
        NamePattern("{patient}-*").read("1-2-3.jpg")


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("", "holds 0 of them"),
        ("*.jpg", "holds 0 of them"),
        ("{patient}_{patient}", "holds 2 of them"),
        ("{patient}_{side}", "{side} is neither"),
        ("*{patient}*{eye}*", "more than 2"),
    ],
)
def test_a_pattern_that_says_nothing_is_refused(pattern, sentence):
    with pytest.raises(InputError, match=sentence):
        NamePattern(pattern)


def test_the_longest_names_are_read_at_once():
    assert NamePattern("*_*{patient}_{eye}").read(f"{'_' * 250}x") is None

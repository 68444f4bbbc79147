"""What a name in a table means: one rule for all layouts."""

import unicodedata

import pytest

from biranet.photos.datasets import LabelSource, read_labels
from biranet.photos.datasets.names import PhotoNames

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Müller_OD.jpg") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("files", "name", "meant"),
    [
        (["sub/Eye_1.JPG"], "sub\\Eye_1.JPG", ["sub/Eye_1.JPG"]),
        (["sub/Eye_1.JPG"], "EYE_1", ["sub/Eye_1.JPG"]),
        (["sub/Eye_1.JPG"], "sub\\eye_1.png", ["sub/Eye_1.JPG"]),
        (["0010.jpg"], "0010.jpeg", ["0010.jpg"]),
        ([" a.jpg"], "a.jpg", [" a.jpg"]),
        (["sub/a.jpg"], "sub / a.jpg", ["sub/a.jpg"]),
        ([COMPOSED], DECOMPOSED, [COMPOSED]),
        ([f"x/{DECOMPOSED}"], COMPOSED, [f"x/{DECOMPOSED}"]),
        ([f"x/{DECOMPOSED}"], f"X\\{COMPOSED.upper()}", [f"x/{DECOMPOSED}"]),
        # The closest counts: spelling before case, case before ending.
        ([f"x/{COMPOSED}", f"x/{DECOMPOSED}"], COMPOSED, [f"x/{COMPOSED}"]),
        (["x/A.jpg", "x/a.jpg"], "A.jpg", ["x/A.jpg"]),
        (["x/A.png", "x/a.jpg"], "A.jpg", ["x/a.jpg"]),
        (["x/a.tif", "x/A.png"], "a.jpg", ["x/a.tif"]),
        # Equally close: not for a program to choose.
        (["x/a.jpg", "y/a.jpg"], "a.jpg", ["x/a.jpg", "y/a.jpg"]),
        (["a.png", "a.tif"], "a.jpg", ["a.png", "a.tif"]),
        # An ending that is none of a picture belongs to the name.
        (["f.jpg", "f.jpg_original"], "f", ["f.jpg"]),
        (["1.2.840.7", "1.2.840.8"], "1.2.840", []),
        (["IM0001"], "IM0001.dcm", ["IM0001"]),
        (["visit.2.jpg"], "visit.2", ["visit.2.jpg"]),
        (["0010.jpg"], "10", []),
        (["a.jpg"], "b/a.jpg", []),
        (["ba.jpg"], "a.jpg", []),
    ],
)
def test_names_mean_the_photos_that_are_closest(files, name, meant):
    assert PhotoNames(files).candidates(name) == meant


@pytest.mark.parametrize(
    ("name", "near", "why"),
    [
        ("10", "0010.jpg", "zeros"),
        ("10.0", "", ""),
        ("10.jpeg", "0010.jpg", "zeros"),
        ("7_left", "b/007_left.png", "zeros"),
        ("a/0010.jpg", "0010.jpg", "path"),
        ("..\\L\\0010.jpeg", "0010.jpg", "path"),
        ("C:\\data\\0010.JPG", "0010.jpg", "path"),
        ("100", "", ""),
        ("gone.jpg", "", ""),
    ],
)
def test_what_is_near_is_a_hint_and_no_guess(name, near, why):
    names = PhotoNames(["0010.jpg", "b/007_left.png"])
    assert names.candidates(name) == []
    zeros, path = (f"but {near!r} is there; {advice}" for advice in _ADVICE)
    assert names.hint(name) == {"zeros": zeros, "path": path, "": ""}[why]


_ADVICE = ("did a spreadsheet strip the zeros?", "write its path from the folder of photos")


def test_the_hint_stands_in_the_labels_and_in_the_refusal(photos, lay, refusal):
    lay(photos, "0010.jpg", "0002.jpg", "A7.jpg")
    lay(photos.parent, texts={"zeros.csv": "file,grade\n10,3\n2,2\nA7,1\n", "all.csv": "file,grade\n10,3\n2,2\n"})
    found = read_labels(photos, LabelSource(photos.parent / "zeros.csv"))
    assert [(photo.file, photo.grade) for photo in found.photos] == [("10", 3), ("2", 2), ("A7.jpg", 1)]
    assert found.hints == {name: PhotoNames(["0010.jpg", "0002.jpg", "A7.jpg"]).hint(name) for name in ("10", "2")}
    assert "'0010.jpg'" in found.hints["10"] and "'0002.jpg'" in found.hints["2"]
    assert refusal(photos, photos.parent / "all.csv").endswith(f"for example '10', {found.hints['10']}")


def test_another_ending_is_found_in_every_layout(photos, lay):
    lay(photos, "0010.jpg", "0002.jpg")
    lay(photos.parent, texts={"endings.csv": "file,grade\n0010.jpeg,3\n0002.png,2\n"})
    found = read_labels(photos, LabelSource(photos.parent / "endings.csv")).photos
    assert [(photo.file, photo.grade) for photo in found] == [("0010.jpg", 3), ("0002.jpg", 2)]

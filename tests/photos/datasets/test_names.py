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
    ("name", "hint"),
    [
        ("10", "but '0010.jpg' is there; did a spreadsheet strip the zeros?"),
        ("10.0", ""),
        ("10.jpeg", "but '0010.jpg' is there; did a spreadsheet strip the zeros?"),
        ("7_left", "but 'b/007_left.png' is there; did a spreadsheet strip the zeros?"),
        ("a/0010.jpg", "but '0010.jpg' is there; write its path from the folder of photos"),
        ("..\\L\\0010.jpeg", "but '0010.jpg' is there; write its path from the folder of photos"),
        ("C:\\data\\0010.JPG", "but '0010.jpg' is there; write its path from the folder of photos"),
        ("100", ""),
        ("gone.jpg", ""),
    ],
)
def test_what_is_near_is_a_hint_and_no_guess(name, hint):
    names = PhotoNames(["0010.jpg", "b/007_left.png"])
    assert (names.candidates(name), names.hint(name)) == ([], hint)


def test_the_hint_stands_in_the_labels_and_in_the_refusal(photos, lay, refusal):
    lay(photos, "0010.jpg", "0002.jpg", "A7.jpg")
    lay(photos.parent, texts={"zeros.csv": "file,grade\n10,3\n2,2\nA7,1\n", "all.csv": "file,grade\n10,3\n2,2\n"})
    found = read_labels(photos, LabelSource(photos.parent / "zeros.csv"))
    assert [(photo.file, photo.grade) for photo in found.photos] == [("10", 3), ("2", 2), ("A7.jpg", 1)]
    assert found.hints == {
        "10": "but '0010.jpg' is there; did a spreadsheet strip the zeros?",
        "2": "but '0002.jpg' is there; did a spreadsheet strip the zeros?",
    }
    assert refusal(photos, photos.parent / "all.csv").endswith(
        "for example '10', but '0010.jpg' is there; did a spreadsheet strip the zeros?"
    )


def test_another_ending_is_found_in_every_layout(photos, lay):
    lay(photos, "0010.jpg", "0002.jpg")
    lay(photos.parent, texts={"endings.csv": "file,grade\n0010.jpeg,3\n0002.png,2\n"})
    found = read_labels(photos, LabelSource(photos.parent / "endings.csv")).photos
    assert [(photo.file, photo.grade) for photo in found] == [("0010.jpg", 3), ("0002.jpg", 2)]

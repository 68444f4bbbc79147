import pytest

from biranet.photos.datasets import LabelSource, read_labels


def test_class_folders(photos, lay):
    lay(photos, "0/10_left.jpeg", "0/10_right.jpeg", "4/11_left.jpeg", "lone.jpg")
    found = read_labels(photos)
    assert (found.dataset, found.why) == ("classes", "a folder is named 0")
    assert [(photo.grade, photo.group, photo.eye) for photo in found.photos] == [
        (0, "10", "left"),
        (0, "10", "right"),
        (4, "11", "left"),
        (None, "", ""),
    ]


def test_class_folders_within_parts(photos, lay):
    lay(photos, "train/0/a.jpg", "valid/3/b.jpg", "Test/4/deeper/c.jpg")
    found = [(photo.file, photo.grade, photo.split) for photo in read_labels(photos).photos]
    assert found == [
        ("Test/4/deeper/c.jpg", 4, "test"),
        ("train/0/a.jpg", 0, "train"),
        ("valid/3/b.jpg", 3, "validation"),
    ]


def test_a_class_folder_that_is_no_grade(photos, lay, refusal):
    lay(photos, "0/a.jpg", "7/b.jpg")
    message = refusal(photos)
    assert "'7' is not a grade" in message
    assert "b.jpg" in message
    assert "--dataset folder" in message
    assert len(read_labels(photos, LabelSource(dataset="folder")).photos) == 2


def test_a_part_without_class_folders_is_named(photos, lay, refusal, tmp_path):
    lay(photos, "test/unsorted/a.jpg", "train/0/b.jpg", "train/1/c.jpg")
    assert "test/unsorted/a.jpg: the folder name 'unsorted' is not a grade" in refusal(photos)
    other = lay(tmp_path / "other", "north/test/unsorted/a.jpg", "north/train/No_DR/b.jpg", "north/train/Mild/c.jpg")
    assert read_labels(lay(other, "south/d.jpg")).why.endswith(
        f"Mild, No_DR in {other / 'north' / 'train'} look like class folders: if they are, give the folder around "
        "them, or say --dataset classes"
    )


WORDS = {"No_DR": 0, "Mild": 1, "Moderate": 2, "Severe": 3, "Proliferate_DR": 4}
RETFOUND = {"anodr": 0, "bmilddr": 1, "cmoderatedr": 2, "dseveredr": 3, "eproliferativedr": 4, "eprodr": 4}
NPDR = {"nodr": 0, "mild_npdr": 1, "moderate_npdr": 2, "severe_npdr": 3, "pdr": 4}
NUMBERED = {"0 - No DR": 0, "1 - Mild": 1, "grade_2": 2, "DR3": 3, "04": 4}


@pytest.mark.parametrize("names", [WORDS, RETFOUND, NPDR, NUMBERED], ids=["words", "letters", "npdr", "numbered"])
@pytest.mark.parametrize("around", ["", "train/", "download/data/", "data/val/"])
def test_class_folders_named_by_the_usual_words(photos, lay, names, around):
    lay(photos, *(f"{around}{name}/x{place}.jpg" for place, name in enumerate(names)))
    found = read_labels(photos)
    assert found.dataset == "classes"
    part = {"train/": "train", "data/val/": "validation"}.get(around, "")
    assert {(photo.file.split("/")[-2], photo.grade, photo.split) for photo in found.photos} == {
        (name, grade, part) for name, grade in names.items()
    }


def test_numbered_class_folders_some_levels_down(photos, lay):
    lay(photos, "data/train/0/a.jpg", "data/train/3/b.jpg", "data/test/1/c.jpg", "data/cover.jpg")
    found = read_labels(photos)
    assert (found.dataset, found.why) == ("classes", "a folder is named data/test/1")
    assert {(photo.file, photo.grade, photo.split) for photo in found.photos} == {
        ("data/train/0/a.jpg", 0, "train"),
        ("data/train/3/b.jpg", 3, "train"),
        ("data/test/1/c.jpg", 1, "test"),
        ("data/cover.jpg", None, ""),
    }


@pytest.mark.parametrize(
    "names",
    [
        ["P01/1/a.jpg", "P01/2/b.jpg"],
        ["P01/1/a.jpg", "P02/2/b.jpg"],
        ["P01/0/a.jpg", "P01/1/b.jpg", "P02/0/a.jpg"],
        ["set/0/a.jpg", "set/notes/b.jpg"],
    ],
    ids=["visits", "visits of two", "from nought", "beside others"],
)
def test_numbers_deeper_down_are_not_taken_for_grades(photos, lay, names):
    lay(photos, *names)
    found = read_labels(photos)
    assert (found.dataset, {photo.grade for photo in found.photos}) == ("folder", {None})


def test_folders_that_look_like_grades_are_pointed_at(photos, lay):
    lay(photos, "north/No_DR/a.jpg", "north/Mild/b.jpg", "south/No_DR/c.jpg")
    assert f"No_DR in {photos / 'north'} look like class folders" in read_labels(photos).why.replace("Mild, ", "")
    found = read_labels(photos, LabelSource(dataset="classes")).photos
    assert {(photo.file, photo.grade) for photo in found} == {
        ("north/No_DR/a.jpg", 0), ("north/Mild/b.jpg", 1), ("south/No_DR/c.jpg", 0),
    }  # fmt: skip


def test_yes_and_no_as_words_are_no_grades(photos, lay, refusal):
    lay(photos, "DR/a.jpg", "No_DR/b.jpg")
    found = read_labels(photos)
    assert {photo.grade for photo in found.photos} == {None}
    assert "No_DR in " in found.why
    assert "--grades" in found.why
    assert "'DR' is not a grade from 0 to 4; it says yes or no" in refusal(photos, dataset="classes")


def test_class_folders_that_are_given_grades(photos, lay, refusal):
    lay(photos, "x/background/a.jpg", "x/none/b.jpg", "x/blurred/c.jpg")
    scale = {"grades": {"Background": "1", "none": "0"}, "ungradable": ["blurred"]}
    found = read_labels(photos, LabelSource(**scale))
    assert found.dataset == "classes"
    assert {(photo.file, photo.grade, bool(photo.ungradable)) for photo in found.photos} == {
        ("x/background/a.jpg", 1, False),
        ("x/none/b.jpg", 0, False),
        ("x/blurred/c.jpg", None, True),
    }
    message = refusal(photos, grades=scale["grades"])
    assert "x/blurred/c.jpg: the folder name 'blurred' is not among the values of --grades" in message

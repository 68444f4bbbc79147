import pytest

from biranet.photos.datasets import LabeledPhoto, LabelSource, read_labels


def test_the_two_lists(photos, lay, tmp_path):
    lay(photos, "train/10_left.jpeg", "train/10_right.jpeg", "valid/21_left.jpeg")
    lists = lay(
        tmp_path / "lists",
        texts={"TrainSet.txt": "10_left 0\r\n\r\n10_right 3\r\n", "ValidSet.txt": "21_left 4\r\n\r\n"},
    )
    expected = [
        ("train/10_left.jpeg", 0, "10", "left", "train"),
        ("train/10_right.jpeg", 3, "10", "right", "train"),
        ("valid/21_left.jpeg", 4, "21", "left", "validation"),
    ]

    def seen(labels, dataset="auto"):
        found = read_labels(photos, LabelSource(labels, dataset))
        assert found.dataset == "lists"
        return [(photo.file, photo.grade, photo.group, photo.eye, photo.split) for photo in found.photos]

    assert seen(lists) == expected
    # One photo alone: nothing shows whose it is.
    assert seen(lists / "ValidSet.txt") == [("valid/21_left.jpeg", 4, "", "left", "validation")]
    for name in ("TrainSet.txt", "ValidSet.txt"):
        (photos / name).write_bytes((lists / name).read_bytes())
    assert seen(None) == expected
    assert seen(None, "lists") == expected


def test_a_list_of_any_name_has_no_part(photos, lay, tmp_path):
    lay(photos, "10_left.jpeg", "10_right.jpeg", "a b\t c.jpg", "😀.jpg")
    lay(tmp_path, texts={"mine.txt": "\ufeff10_left 2\r\n10_right 3\r\na b\t c.jpg\t 1\n😀  0"})
    found = read_labels(photos, LabelSource(tmp_path / "mine.txt", "lists")).photos
    assert found == [
        LabeledPhoto("10_left.jpeg", 2, "10", "left", "", "photos", group_from="name"),
        LabeledPhoto("10_right.jpeg", 3, "10", "right", "", "photos", group_from="name"),
        LabeledPhoto("a b\t c.jpg", 1, "", "", "", "photos"),
        LabeledPhoto("😀.jpg", 0, "", "", "", "photos"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10_left 0\r\n\r\n10_right 7\r\n", ["TrainSet.txt, row 3: '7' is not a grade"]),
        ("10_left\n", ["row 1", "'10_left'"]),
        ("\r\n", ["names no photos"]),
        ("10_left 0\n10_left\t1\n", ["row 2", "grade 1 here and grade 0 in row 1"]),
        ("10_left 1\n10_left 1\n", ["row 2", "stands in row 1 too"]),
    ],
)
def test_wrong_lists(photos, lay, tmp_path, refusal, text, words):
    lay(photos, "10_left.jpeg", "10_right.jpeg")
    message = refusal(photos, lay(tmp_path, texts={"TrainSet.txt": text}) / "TrainSet.txt")
    for word in words:
        assert word in message

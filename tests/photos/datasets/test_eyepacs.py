import pytest

from biranet.photos.datasets import LabeledPhoto, LabelSource, read_labels

EYEPACS = {
    "trainLabels.csv": "image,level\n10_left,0\n10_right,0\n13_left,4\n",
    "retinopathy_solution.csv": "image,level,Usage\n1_left,0,Private\n1_right,2,Public\n",
    "sampleSubmission.csv": "image,level\n1_left,0\n1_right,0\n",
}


def test_eyepacs_as_published(photos, lay):
    files = ["train/10_left.jpeg", "train/10_right.jpeg", "train/13_left.jpeg", "test/1_left.jpeg", "test/1_right.jpeg"]
    lay(photos, *files, "train/15_left.jpeg", texts=EYEPACS)
    found = read_labels(photos)
    assert (found.dataset, found.already_cropped) == ("eyepacs", False)
    assert (
        found.why == "retinopathy_solution.csv is a table with the columns image, of names such as 10_left, and level"
    )
    assert {photo.file: photo for photo in found.photos} == {
        photo.file: photo
        for photo in (
            LabeledPhoto("train/10_left.jpeg", 0, "10", "left", "train", "eyepacs", group_from="data set"),
            LabeledPhoto("train/10_right.jpeg", 0, "10", "right", "train", "eyepacs", group_from="data set"),
            LabeledPhoto("train/13_left.jpeg", 4, "13", "left", "train", "eyepacs", group_from="data set"),
            LabeledPhoto(
                "test/1_left.jpeg",
                0,
                "1",
                "left",
                "test",
                "eyepacs",
                extra_columns={"Usage": "Private"},
                group_from="data set",
            ),
            LabeledPhoto(
                "test/1_right.jpeg",
                2,
                "1",
                "right",
                "test",
                "eyepacs",
                extra_columns={"Usage": "Public"},
                group_from="data set",
            ),
        )
    }


def test_eyepacs_labels_given_and_photos_converted(photos, lay, tmp_path):
    lay(photos, "10_left.png", "10_right.png", "13_left.png")
    lay(tmp_path, texts=EYEPACS)
    for labels in (tmp_path / "trainLabels.csv", tmp_path / "renamed.csv"):
        (tmp_path / "trainLabels.csv").rename(labels)
        found = read_labels(photos, LabelSource(labels))
        assert [photo.grade for photo in found.photos] == [0, 0, 4]
        assert {photo.split for photo in found.photos} == {"train" if labels.name == "trainLabels.csv" else ""}
        labels.rename(tmp_path / "trainLabels.csv")


def test_a_dot_in_a_name_is_not_the_ending_of_a_converted_photo(photos, lay):
    text = "image,level\n10_left.jpeg,3\n11_left.v2,1\n"
    found = read_labels(lay(photos, "10_left.png", "11_left.png", texts={"trainLabels.csv": text})).photos
    assert [photo.file for photo in found] == ["10_left.png", "11_left.v2"]


def test_the_example_of_a_submission_is_no_label_file(photos, lay, refusal):
    lay(photos, "1_left.jpeg", texts={"sampleSubmission.csv": EYEPACS["sampleSubmission.csv"]})
    assert read_labels(photos).dataset == "folder"
    assert "holds no label file" in refusal(photos, dataset="eyepacs")


def test_the_same_patient_in_two_files_is_refused_once_named(photos, lay, refusal):
    lay(photos, "10_left.jpeg", "10_right.jpeg", "13_left.jpeg", texts=EYEPACS)
    (photos / "trainLabels_cropped.csv").write_text("image,level\n10_left,1\n")
    message = refusal(photos)
    assert message.endswith(
        f"trainLabels_cropped.csv, row 2: the photo '10_left.jpeg' has grade 1 here and grade 0 in "
        f"{photos / 'trainLabels.csv'}, row 2; leave the right row"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "image,level\n10_left,0\n10_right,7\n",
            "trainLabels.csv, row 3, column 'level': '7' is not a grade",
        ),
        ("image,level\n10_left,0\n,1\n", "trainLabels.csv, row 3: there is no file name"),
        ("image,level\n10_left,0\n10_left,0\n", "trainLabels.csv, row 3: the photo '10_left.jpeg' stands in row 2 too"),
    ],
)
def test_wrong_rows_are_named(photos, lay, refusal, text, words):
    assert words in refusal(lay(photos, "10_left.jpeg", "10_right.jpeg", texts={"trainLabels.csv": text}))


def test_other_sets_in_the_columns_of_eyepacs_are_not_taken_for_it(photos, lay, refusal):
    lay(photos, "a.jpg", "10_left.jpg", texts={"labels.csv": "image,level\n10_left,0\na,3\n"})
    assert read_labels(photos).dataset == "folder"
    labels = photos / "labels.csv"
    assert "--columns file=NAME" in refusal(photos, labels)
    assert "of names such as 10_left" in refusal(photos, labels, "eyepacs")

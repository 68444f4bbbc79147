from biranet.photos.datasets import LabeledPhoto, LabelSource, read_labels

APTOS_IDS = ("000c1434d8d7", "001639a390f0", "0024cdab0c1e", "0005cfc8afb6")


def test_aptos_as_published(photos, lay):
    train, other, test, _ = APTOS_IDS
    texts = {
        "train.csv": f"id_code,diagnosis\n{train},2\n{other},4\n",
        "test.csv": f"id_code\n{test}\n",
        "sample_submission.csv": f"id_code,diagnosis\n{test},0\n",
    }
    lay(photos, f"train_images/{train}.png", f"train_images/{other}.png", f"test_images/{test}.png", texts=texts)
    found = read_labels(photos)
    assert found.dataset == "aptos"
    assert found.photos == [
        LabeledPhoto(f"test_images/{test}.png", None, "", "", "test", "aptos"),
        LabeledPhoto(f"train_images/{train}.png", 2, "", "", "train", "aptos"),
        LabeledPhoto(f"train_images/{other}.png", 4, "", "", "train", "aptos"),
    ]


def test_aptos_in_three_files(photos, lay):
    parts = {"train_1.csv": "train", "valid.csv": "val", "test.csv": "test"}
    texts = {
        file: f"id_code,diagnosis\n{name},{grade}\n"
        for grade, (file, name) in enumerate(zip(parts, APTOS_IDS, strict=False))
    }
    names = [f"{part}_images/{part}_images/{name}.png" for part, name in zip(parts.values(), APTOS_IDS, strict=False)]
    found = read_labels(lay(photos, *names, texts=texts)).photos
    assert {(photo.file, photo.grade, photo.split) for photo in found} == {
        (names[0], 0, "train"),
        (names[1], 1, "validation"),
        (names[2], 2, "test"),
    }


def test_other_sets_in_the_columns_of_aptos_are_not_taken_for_it(photos, lay, refusal):
    lay(photos, "007-0004-000.jpg", texts={"DR_grading.csv": "id_code,diagnosis\n007-0004-000.jpg,0\n"})
    assert read_labels(photos).dataset == "folder"
    labels = photos / "DR_grading.csv"
    assert "--columns file=NAME" in refusal(photos, labels)
    found = read_labels(photos, LabelSource(labels, columns={"file": "id_code", "grade": "diagnosis"}))
    assert [(photo.file, photo.grade) for photo in found.photos] == [("007-0004-000.jpg", 0)]

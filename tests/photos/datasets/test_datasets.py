import subprocess
import sys
from pathlib import Path

import pytest

from biranet.photos.datasets import DATASETS, LabeledPhoto, LabelSource, read_labels
from biranet.photos.datasets.parts import find_part
from warm import unmeasured

IDS = "id_code,diagnosis\n000c1434d8d7,1\n"
LEVELS = "image,level\n10_left,1\n"


def test_two_sets_in_one_folder_are_refused_by_both_names(photos, lay, refusal):
    lay(photos, "10_left.jpeg", "000c1434d8d7.png", texts={"train.csv": IDS, "trainLabels.csv": LEVELS})
    message = refusal(photos)
    for words in ("eyepacs (trainLabels.csv is", "aptos (train.csv is", "--dataset eyepacs or --dataset aptos"):
        assert words in message
    assert read_labels(photos, LabelSource(dataset="aptos")).photos[0].source == "aptos"
    assert read_labels(photos, LabelSource(photos / "trainLabels.csv")).dataset == "eyepacs"


def test_a_published_set_goes_before_class_folders(photos, lay):
    lay(photos, "0/10_left.jpeg", "1/11_left.jpeg")
    assert read_labels(photos).dataset == "classes"
    lay(photos, texts={"trainLabels.csv": LEVELS})
    found = read_labels(photos)
    assert (found.dataset, len(found.photos)) == ("eyepacs", 1)


def test_what_was_asked_for_is_done(photos, lay):
    lay(photos, "10_left.jpeg", texts={"trainLabels.csv": LEVELS})
    found = read_labels(photos, LabelSource(dataset="eyepacs"))
    assert (found.dataset, found.why) == ("eyepacs", "it was asked for")
    assert read_labels(photos, LabelSource(dataset="folder")).photos[0].grade is None


def test_wrong_use(photos, lay, tmp_path, refusal):
    lay(photos, "a.jpg")
    lay(tmp_path, texts={"l.csv": "file,grade\na,1\n", "l.pdf": b"%PDF\xff", "lists/a.csv": "file,grade\na,1\n"})
    (tmp_path / "empty").mkdir()
    assert "there is no folder" in refusal(tmp_path / "gone")
    assert "not a folder" in refusal(photos / "a.jpg")
    assert "no photographs" in refusal(tmp_path / "empty")
    assert "no label file" in refusal(photos, tmp_path / "gone.csv")
    assert f"known are: auto, {', '.join(DATASETS)}" in refusal(photos, None, "kaggle")
    assert "needs a label file" in refusal(photos, None, "csv")
    assert "is a folder; name the file in it" in refusal(photos, tmp_path / "lists", "csv")
    assert "has no label file" in refusal(photos, tmp_path / "l.csv", "classes")
    assert "has no label file" in refusal(photos, tmp_path / "l.csv", "folder")
    assert "neither of the lists" in refusal(photos, None, "lists")
    lay(photos, texts={"preparation.json": "{}"})
    assert "prepared by biranet already" in refusal(photos)


def test_the_docs_have_a_command_and_a_row_for_every_layout():
    text = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text(encoding="utf-8")
    first, second = text.split("## What is read")
    for name in DATASETS:
        assert f"\n| `{name}` | `biranet prepare " in first
        assert f"\n| `{name}` | " in second


@pytest.mark.parametrize("name", ["l.pdf", "lists"])
def test_where_no_layout_fits_the_sentence_says_what_was_looked_for(photos, lay, tmp_path, refusal, name):
    lay(photos, "a.jpg")
    lay(tmp_path, texts={"l.pdf": b"%PDF\xff", "lists/a.csv": "file,grade\na,1\n"})
    message = refusal(photos, tmp_path / name)
    assert f"no layout fits {tmp_path / name}" in message
    for dataset, layout in DATASETS.items():
        assert f"{dataset} has {layout.signature}" in message


@pytest.mark.parametrize("dataset", [name for name in DATASETS if name not in ("csv", "classes", "folder", "lists")])
def test_a_published_set_without_its_labels_is_refused(photos, lay, refusal, dataset):
    lay(photos, "a.jpg", texts={"other.csv": "a,b\n1,2\n"})
    assert f"holds no label file of this layout, which is {DATASETS[dataset].signature}" in refusal(
        photos, dataset=dataset
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("train", "train"),
        ("trainLabels", "train"),
        ("train_1", "train"),
        ("regular-fundus-training", "train"),
        ("a. IDRiD_Disease Grading_Training Labels", "train"),
        ("valid", "validation"),
        ("val_images/val_images", "validation"),
        ("b. Testing Set", "test"),
        ("Online-Challenge1&2-Evaluation/Images/347", "test"),
        ("train/test", "test"),
        ("latest", ""),
        ("retraining", ""),
        ("trainee", ""),
        ("contest photos", ""),
        ("", ""),
    ],
)
def test_the_part_that_a_name_speaks_of(text, part):
    assert find_part(text) == part


MEMORY = """
import sys, tracemalloc
from pathlib import Path
from biranet.photos.datasets import LabelSource, read_labels
photos, labels = map(Path, sys.argv[1:])
read_labels(photos, LabelSource(labels))  # what is imported only now is no part of a photo
tracemalloc.start()
found = read_labels(photos, LabelSource(labels)).photos
held_bytes, peak_bytes = tracemalloc.get_traced_memory()
assert found[0].extra_columns is found[-1].extra_columns
print(len(found), held_bytes, peak_bytes)
"""


def test_a_photo_takes_little_memory(photos, lay, tmp_path):
    """What stays in memory for every photo: its name, its group, and one object; all else is shared.

    In a process of its own: what is counted is that of all threads, and earlier tests may have left some.
    """
    rows = 5_000
    names = [f"{row}_left" for row in range(rows)]
    lay(photos, "0_left.jpeg")
    lay(tmp_path, texts={"l.csv": "image,level,Usage\n" + "".join(f"{name},1,Private\n" for name in names)})
    command = [sys.executable, "-c", MEMORY, photos, tmp_path / "l.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=unmeasured())
    found, held_bytes, peak_bytes = map(int, done.stdout.split())
    assert found == rows
    assert held_bytes / rows < 350
    assert peak_bytes / rows < 2_000


def test_labels_are_frozen():
    with pytest.raises(AttributeError):
        LabeledPhoto("a.jpg", 1, "", "", "", "").grade = 2


@pytest.mark.parametrize(
    ("header", "row"),
    [
        # Messidor, whose grades 0 to 3 are another scale, has the columns of IDRiD.
        ("Image name,Ophthalmologic department,Retinopathy grade,Risk of macular edema", "a.tif,Service,3,1"),
        ("image_id,DR_Levels", "a,3"),
    ],
)
def test_other_sets_in_the_same_columns_are_not_taken_for_them(photos, lay, header, row):
    lay(photos, "a.tif", texts={"labels.csv": f"{header}\n{row}\n"})
    found = read_labels(photos)
    assert (found.dataset, found.photos[0].grade) == ("folder", None)

"""The pictures of `biranet grade --overlay` over several runs: each shows the photo it is called by, and no other."""

import contextlib
import shutil

import pandas as pd
import pytest
from PIL import Image

from biranet.inference.grading import _Run
from biranet.inference.pictures import picture_name
from biranet.learning.shipped_models import DEFAULT
from test_cli_grade_again import NAMES, counted, grade, here, taken_over  # noqa: F401 (fixtures)

LOOKED = ("--overlay", "looked")


@pytest.fixture
def alike(here):  # noqa: F811
    """Two photos called alike, of different grades by the model, and a third."""
    for folder, name in (("x", NAMES[0]), ("y", NAMES[1])):
        (here / folder).mkdir()
        shutil.copy(here / "photos" / name, here / folder / "a.jpg")
    shutil.copy(here / "photos" / NAMES[2], here / "c.jpg")
    return here


@pytest.fixture
def drawn(here):  # noqa: F811
    """Function that gives the picture of a photo, or None."""

    def read(file, folder="looked"):
        path = here / folder / picture_name(file)
        return path.read_bytes() if path.exists() else None

    return read


def test_tables_that_share_a_folder_keep_the_pictures_of_their_photos(grade, alike, drawn, counted):  # noqa: F811
    for folder in ("x", "y"):
        assert grade(f"{folder}/a.jpg", "--overlay", f"looked_{folder}", out=f"alone_{folder}.csv").status == 0
        assert grade(f"{folder}/a.jpg", *LOOKED, out=f"{folder}.csv").status == 0
    del counted[:]
    assert grade("x/a.jpg", *LOOKED, out="x.csv").status == 0 and counted == []
    for folder in ("x", "y"):
        assert drawn(f"{folder}/a.jpg") == drawn(f"{folder}/a.jpg", f"looked_{folder}") is not None
    assert drawn("x/a.jpg") != drawn("y/a.jpg")


def test_a_run_in_another_order_that_was_killed_leaves_each_picture_with_its_photo(
    grade, alike, drawn, monkeypatch  # noqa: F811
):  # fmt: skip
    first, other = ["x/a.jpg", "y/a.jpg", "c.jpg"], ["y/a.jpg", "x/a.jpg", "c.jpg"]
    assert grade(*first, *LOOKED, "--batch-size", 1).status == 0
    before = {file: drawn(file) for file in first}
    assert None not in before.values() and len(set(before.values())) == 3
    with monkeypatch.context() as killed:
        record = _Run._record

        def die(self, loaded, answer):
            if loaded.name == "x/a.jpg":
                raise KeyboardInterrupt
            return record(self, loaded, answer)

        killed.setattr(_Run, "_record", die)
        with contextlib.suppress(KeyboardInterrupt):
            grade(*other, *LOOKED, "--batch-size", 1)
    assert grade(*first, *LOOKED, "--batch-size", 1).status == 0
    assert {file: drawn(file) for file in first} == before


def test_shards_that_share_a_folder_lose_no_picture(grade, here, drawn):  # noqa: F811
    for number, name in enumerate(NAMES[:4]):
        (here / f"alike/{number}").mkdir(parents=True)
        shutil.copy(here / "photos" / name, here / f"alike/{number}/left.jpg")
    for number in (1, 2):
        assert grade("alike", *LOOKED, "--shard", f"{number}/2", out=f"{number}.csv").status == 0
    files = [file for number in (1, 2) for file in pd.read_csv(f"{number}.csv")["file"]]
    assert len(files) == 4 == len(set(map(drawn, files)) - {None})


def test_a_picture_that_somebody_else_wrote_is_drawn_anew(grade, biranet, here, drawn, counted):  # noqa: F811
    assert grade("photos", *LOOKED).status == 0
    files = [f"photos/{name}" for name in NAMES]
    before = {file: drawn(file) for file in files}
    one, two = (here / "looked" / picture_name(file) for file in files[:2])
    shutil.copy(two, one)
    two.write_bytes(before[files[1]][:-9])
    del counted[:]
    assert grade("photos", *LOOKED).status == 0 and counted == NAMES[:2]
    assert {file: drawn(file) for file in files} == before
    # Another model's pictures in the same folder are told from ours.
    command = ["--workers", 0, "--out", "other.csv", "--checkpoint", DEFAULT]
    assert biranet("grade", files[0], *command, *LOOKED).status == 0
    del counted[:]
    assert grade("photos", *LOOKED).status == 0 and counted == NAMES[:1]


def test_pictures_of_photos_without_an_answer_are_removed_and_others_stay(grade, here, drawn, counted):  # noqa: F811
    assert grade("photos", *LOOKED).status == 0
    (here / "other").mkdir()
    Image.open(here / "photos" / NAMES[0]).save(here / "other" / "mine.jpg")
    assert grade("other", *LOOKED, out="other.csv").status == 0
    files = [f"photos/{name}" for name in NAMES]
    (here / files[0]).unlink()
    (here / files[1]).write_text("no photo")
    shutil.copy(here / "looked" / picture_name(files[3]), here / "looked" / picture_name(files[2]))
    (here / files[2]).unlink()
    stays = drawn(files[2])
    # A run without pictures removes none, and the next one that has some knows of them.
    assert "Removed" not in grade("photos").out
    assert all(map(drawn, files))
    answer = grade("photos", *LOOKED)
    assert answer.status == 1
    assert "\nRemoved from looked: 2 pictures of photos that have no answer any more.\n" in answer.out
    assert [drawn(file) is None for file in files[:3]] == [True, True, False]
    assert drawn(files[2]) == stays and drawn("other/mine.jpg")
    assert sum(map(bool, map(drawn, files))) == 4
    assert "Removed" not in grade("photos", *LOOKED).out
    assert "pictures" not in (here / ".g.csv.journal").read_text()


def test_pictures_drawn_by_another_model_are_removed_too(grade, biranet, here, drawn):  # noqa: F811
    assert grade("photos", *LOOKED).status == 0
    (here / "photos" / NAMES[0]).unlink()
    command = ["--checkpoint", DEFAULT, "--workers", 0, "--out", "g.csv"]
    answer = biranet("grade", "photos", *command, *LOOKED)
    assert "Removed from looked: 1 picture of photos that have no answer any more." in answer.out
    assert drawn(f"photos/{NAMES[0]}") is None and len(list((here / "looked").iterdir())) == 5


def test_a_picture_of_a_journal_that_was_damaged_is_left(grade, here, drawn):  # noqa: F811
    assert grade("photos", *LOOKED).status == 0
    lines = ['{"pictures": 7}', '{"pictures": [{"name": "a.jpg"}, 3]}', '{"photos": [{"picture": {}}], "sha256": ""}']
    with (here / ".g.csv.journal").open("a") as journal:
        journal.write("".join(f"{line}\n" for line in [*lines, '{"photos": [{"file": "a", "picture": {"nam']))
    assert grade("photos", *LOOKED).status == 0
    assert all(drawn(f"photos/{name}") for name in NAMES)


def test_a_photo_that_is_listed_twice_is_one_photo_in_two_rows(grade, here):  # noqa: F811
    rows = [(NAMES[0], "left"), (NAMES[1], "right"), (NAMES[0], "left"), (NAMES[2], "left")]
    (here / "list.csv").write_text("file,patient,eye\n" + "".join(f"photos/{name},P,{eye}\n" for name, eye in rows))
    assert grade("list.csv", *LOOKED).status == 0
    answer = grade("list.csv", *LOOKED)
    assert "4 of 4 photos graded" in answer.out
    assert taken_over(answer) == "For 4 photos the answer of an earlier run was taken over."
    assert pd.read_csv("g_eyes.csv")[["eye", "photos", "gradable"]].to_numpy().tolist() == [
        ["left", 2, 2], ["right", 1, 1]
    ]  # fmt: skip
    assert pd.read_csv("g_patients.csv")[["photos", "gradable"]].to_numpy().tolist() == [[3, 3]]
    (here / "photos" / NAMES[0]).touch()  # read again, and found to be the same
    assert taken_over(grade("list.csv", *LOOKED)) == taken_over(answer)
    assert len(list((here / "looked").iterdir())) == 3

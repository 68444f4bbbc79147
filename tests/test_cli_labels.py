"""What `prepare` reads of patients, eyes and grades, and what it says of guesses, on the real command line."""

import itertools

import pytest

from biranet.manifest import GROUP_FROM, read_manifest, write_manifest


@pytest.fixture
def lay(drawn_photos, tmp_path, monkeypatch):
    """Function that lays drawn photographs under other names into the folder `photos`, and works beside it."""
    monkeypatch.chdir(tmp_path)
    drawn = sorted(drawn_photos.glob("*.jpg"))

    def lay(*names):
        for name, photo in zip(names, drawn, strict=False):
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photo.read_bytes())

    return lay


@pytest.fixture
def prepare(biranet):
    """Function that prepares the folder `photos` small and by one process."""

    def prepare(*arguments):
        return biranet("prepare", "photos", "prepared", "--size", 32, "--workers", 1, *arguments)

    return prepare


def test_patients_guessed_from_folders_are_told_of_everywhere(lay, prepare, biranet, tmp_path):
    names = [f"P{n}/{view}_left.jpg" for n, view in itertools.product(range(1, 5), ("macula", "disc"))]
    lay(*names)
    (tmp_path / "grades.csv").write_text("file,grade\n" + "".join(f"{name},{n % 5}\n" for n, name in enumerate(names)))
    answer = prepare("--labels", "grades.csv")
    assert answer.status == 0
    assert "\ngrades 0/1/2/3/4: 2/2/2/1/1\n" in answer.out
    assert (
        "\nThe patients of 8 photos are guessed from the folders they lie in (P1/macula_left.jpg: patient P1); look "
        "whether that is right, "
    ) in answer.out
    table = read_manifest(tmp_path / "prepared")
    assert table["group"].tolist() == [name.split("/")[0] for name in names]
    assert set(table[GROUP_FROM]) == {"folder"}
    assert biranet("split", "prepared", "--validation", 0, "--calibration", 0, "--test", 0.5).status == 0
    split = read_manifest(tmp_path / "prepared")["split"]
    assert (split.groupby(table["group"]).nunique() == 1).all()
    audited = " ".join(biranet("audit", "prepared").out.split())
    assert "guessed patients 4 allowed" in audited and "of one photo" not in audited

    # A manifest of an older version is read, and gets the column; its split stays, as nothing else has changed.
    write_manifest(tmp_path / "prepared", read_manifest(tmp_path / "prepared").drop(columns=GROUP_FROM))
    assert biranet("audit", "prepared").out.startswith("The audit found nothing.")
    assert "the split is gone" not in prepare("--labels", "grades.csv").out
    assert read_manifest(tmp_path / "prepared").equals(table.assign(split=split))


def test_a_scale_of_ones_own_and_what_is_odd_about_grades(lay, prepare, tmp_path):
    lay("a.jpg", "b.jpg", "c.jpg")
    labels = tmp_path / "l.csv"
    labels.write_text("file,grade\na.jpg,1\nb.jpg,2\nc.jpg,-1\n")
    answer = prepare("--labels", labels)
    assert answer.status == 2
    assert "l.csv, row 4, column 'grade': '-1' is not a grade from 0 to 4" in answer.err
    assert answer.err.endswith("--ungradable -1\n")
    answer = prepare("--labels", labels, "--ungradable", "-1")
    assert answer.status == 1
    assert "ungradable: c.jpg: the labels say that it cannot be graded\n" in answer.out
    assert "\ngrades 0/1/2/3/4: 0/1/1/0/0\n  No photo has a grade below 1: does the scale" in answer.out
    answer = prepare("--labels", labels, "--ungradable", "-1", "--grades", "1=0,2=3")
    assert "\ngrades 0/1/2/3/4: 1/0/0/1/0\n" in answer.out
    assert "No photo has" not in answer.out
    assert "3 photos are of unknown patients" in answer.out
    answer = prepare("--labels", labels, "--grades", "No DR")
    assert (answer.status, "--grades is a list such as mild=1,moderate=2, and 'No DR' is no part" in answer.err) == (
        2,
        True,
    )


def test_folders_0_and_1_are_asked_about(lay, prepare):
    lay("train/0/a.jpg", "train/1/b.jpg", "test/0/c.jpg")
    answer = prepare()
    assert answer.status == 0
    assert (
        "\ngrades 0/1/2/3/4: 2/1/0/0/0\n  No photo has a grade above 1: are 0 and 1 grades, or yes and no" in answer.out
    )


def test_one_photo_is_spoken_of_as_one(lay, prepare, biranet, tmp_path):
    lay("P1/left.jpg", "P2/left.jpg", "P2/right.jpg", "a.jpg", "b.jpg")
    answer = prepare()
    assert "\n2 photos are of unknown patients, so each is its own group" in answer.out
    audited = " ".join(biranet("audit", "prepared").out.split())
    assert "P2/left.jpg and P2/right.jpg are taken for photos of one patient" in audited
    assert "P1/left.jpg is taken for the only photo of its patient" in audited
    for name in ("P2/left.jpg", "P2/right.jpg", "b.jpg"):
        (tmp_path / "photos" / name).unlink()
    answer = prepare()
    assert "\nThe patient of 1 photo is guessed from its folder (P1/left.jpg: patient P1)" in answer.out
    assert "\n1 photo is of an unknown patient, so it is its own group" in answer.out
    assert "\n3 images of photos that are no longer there" in answer.out
    (tmp_path / "photos/a.jpg").unlink()
    assert "\n1 image of a photo that is no longer there, or not as it was, is deleted.\n" in prepare().out

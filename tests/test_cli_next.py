"""The last line of a command is the next one, which can be pasted as it stands."""

import shlex
import shutil

import pytest


@pytest.fixture
def follow(biranet):
    """Function that runs a command and gives the words of the next one."""

    def run(*words, status=0):
        answer = biranet(*words)
        assert (answer.status, answer.err) == (status, "")
        start, line = answer.out.splitlines()[-1].rsplit(": ", 1)
        assert start == "Next" or (words[0] == "grade" and start.startswith("Next: once the table has a column grade"))
        program, *following = shlex.split(line)
        assert program == "biranet"
        return following

    return run


@pytest.mark.sample
def test_the_whole_way_from_photographs_to_a_comparison(drawn_photos, tmp_path, monkeypatch, follow, small, biranet):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my photos"
    shutil.copytree(drawn_photos, folder)
    at_once = ("--workers", 0)
    prepare = follow("prepare", folder, "it's prepared", "--labels", folder / "labels.csv", "--size", 64, *at_once)
    assert prepare == ["audit", "it's prepared"]
    split = follow(*prepare)
    assert split == ["split", "it's prepared"]
    train = follow(*split, "--calibration", 0)
    assert train == ["train", "it's prepared"]
    # The folder of the run has the date for a name.
    evaluate = follow(*train, *small)
    (run,) = (tmp_path / "runs").iterdir()
    assert evaluate == [
        *("evaluate", f"runs/{run.name}/best.safetensors", "it's prepared", "--out", f"runs/{run.name}/report")
    ]
    grade = follow(*evaluate, *at_once)
    assert (run / "report" / "report.html").exists()
    photo = next(folder.glob("*.jpg"))
    measure = follow(*(photo if word == "NEW_PHOTOS" else word for word in grade), *at_once)
    assert measure == ["evaluate", "--predictions", "biranet_grades.csv"]
    compare = follow("evaluate", "--predictions", run / "report" / "predictions.csv", "--out", "again")
    other = str(run / "report" / "predictions.csv")
    answer = biranet(*(other if word == "OTHER.csv" else word for word in compare))
    assert answer.out.endswith("Next: biranet grade NEW_PHOTOS --checkpoint BETTER.safetensors\n")
    # What is left of a run goes on, although a report stands in its folder.
    assert follow("train", "--resume", "--out", f"runs/{run.name}") == evaluate


def test_where_photos_have_no_grades_or_folds_or_leaks(drawn_photos, tmp_path, monkeypatch, follow, biranet):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bare").mkdir()
    for photo in sorted(drawn_photos.glob("*.jpg"))[:4]:
        shutil.copy(photo, tmp_path / "bare")
    at_once = ("--size", 64, "--workers", 0)
    again = follow("prepare", "bare", "p", *at_once)
    assert again == ["prepare", "bare", "p", "--labels", "FILE", "--size", "64"]
    lines = (drawn_photos / "labels.csv").read_text().splitlines(keepends=True)
    (tmp_path / "labels.csv").write_text("".join(lines[:5]))
    assert follow(*("labels.csv" if word == "FILE" else word for word in again), "--workers", 0) == ["audit", "p"]
    assert follow("split", "p", "--folds", 2, "--validation", 0, "--calibration", 0) == ["train", "p", "--fold", "0"]
    assert follow("audit", "p/manifest.csv") == ["train", "p", "--fold", "0"]
    next((tmp_path / "p" / "images").rglob("*.jpg")).write_bytes(b"no picture")
    answer = biranet("audit", "p")
    assert answer.status == 1 and "Next" not in answer.out  # the finding says what to do


@pytest.mark.slow
@pytest.mark.sample
def test_of_models(shipped_folder, split_folder, checkpoint, tmp_path, follow, monkeypatch):
    monkeypatch.chdir(tmp_path)
    use = ["grade", "NEW_PHOTOS", "--checkpoint"]
    assert follow("models") == ["models", "idrid_lite0"]
    assert follow("models", "idrid_lite0") == [*use, "idrid_lite0"]
    assert follow("export", checkpoint, "half.safetensors") == [*use, "half.safetensors"]
    shutil.copy(checkpoint, "mine.safetensors")
    shutil.copytree(split_folder, "prepared")
    follow("split", "prepared", "--calibration", 0.6, "--validation", 0)
    calibrated = follow("calibrate", "mine.safetensors", "prepared", "--workers", 0)
    assert calibrated == ["evaluate", "mine.safetensors", "prepared", "--out", "report"]
    assert follow(*calibrated, "--split", "all", "--workers", 0) == [*use, "mine.safetensors"]
    by_table = ("--predictions", "report/predictions.csv", "--workers", 0)
    assert follow("calibrate", "mine.safetensors", "prepared", *by_table) == [*use, "mine.safetensors"]

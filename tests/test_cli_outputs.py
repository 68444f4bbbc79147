"""No command replaces what it did not write or what it reads, and no two write to one place."""

import contextlib
import os
import shutil
import signal
import stat

import pandas as pd
import pytest

from biranet.inference.pictures import picture_name
from biranet.outputs import LOCK_NAME

TABLE = "biranet_grades.csv"
GRADE = ["--checkpoint", "model.safetensors", "--workers", "0"]


@pytest.fixture
def workdir(tmp_path, monkeypatch, drawn_photos, split_folder, checkpoint):
    """The working folder, with three photos, a prepared folder and a model, all of them one's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("drawn_0001_left", "drawn_0001_right", "drawn_0002_left"):
        shutil.copy(drawn_photos / f"{name}.jpg", tmp_path / "photos")
    (tmp_path / "prepared").symlink_to(split_folder)
    shutil.copy(checkpoint, tmp_path / "model.safetensors")
    (tmp_path / "list.csv").write_text("file\nphotos/drawn_0001_left.jpg\n")
    (tmp_path / "grades.csv").write_text("file,grade\ndrawn_0001_left.jpg,2\n")
    return tmp_path


@pytest.fixture
def assert_refused(biranet, workdir, tree):
    """Function that runs a command which must be refused in one sentence, and change nothing."""

    def check(words, *command):
        before = tree(workdir)
        answer = biranet(*command)
        assert answer.status == 2 and answer.err.startswith("biranet: ") and answer.err.count("\n") == 1
        assert words in answer.err
        assert tree(workdir) == before

    return check


# Grading


@pytest.mark.parametrize(
    ("given", "out", "words"),
    [
        ("photos", "grades.csv", "grades.csv is not a table of grades of biranet's, and stays as it is"),
        ("photos/drawn_0001_left.jpg", "photos/drawn_0001_left.jpg", "is to be read, and a table of grades would"),
        ("photos", "photos/drawn_0002_left.jpg", "is to be read"),
        ("photos", "link.jpg", "is to be read"),
        ("photos", "hard.jpg", "is to be read"),
        ("photos", "model.safetensors", "is to be read"),
        ("list.csv", "list.csv", "is to be read"),
        ("list.csv", "photos/drawn_0001_left.jpg", "is to be read"),
        ("photos", "photos", "is a folder; name a file"),
        ("photos", "null", "is a device, a pipe or a socket"),
        ("photos", "model.safetensors/x.csv", "cannot write model.safetensors/x.csv: Not a directory"),
    ],
)
def test_grade_replaces_no_file_but_its_own_table(assert_refused, workdir, given, out, words):
    (workdir / "link.jpg").symlink_to("photos/drawn_0001_left.jpg")
    os.link("photos/drawn_0001_left.jpg", "hard.jpg")
    (workdir / "null").symlink_to("/dev/null")
    assert_refused(words, "grade", given, *GRADE, "--out", out)


def test_a_table_that_a_spreadsheet_saved_is_somebodys(assert_refused, biranet, workdir):
    command = [
        "grade",
        "photos/drawn_0001_left.jpg",
        "--checkpoint",
        "model.safetensors",
        "--workers",
        0,
        "--out",
        "g.csv",
    ]
    assert biranet(*command).status == 0
    assert biranet(*command).status == 0
    written = (workdir / "g.csv").read_bytes()
    for saved in (written.replace(b"\n", b"\r\n"), written.replace(b",", b";"), b"\xef\xbb\xbf" + written):
        (workdir / "g.csv").write_bytes(saved)
        assert_refused("is not a table of grades of biranet's", *command)


def test_grade_names_its_table_as_nobody_names_labels(biranet, workdir):
    labels = (workdir / "grades.csv").read_text()
    for _ in range(2):  # its own table is replaced
        answer = biranet("grade", "photos", *GRADE)
        assert answer.status == 0 and f"0 not usable: {TABLE}\n" in answer.out
    assert (workdir / "grades.csv").read_text() == labels
    table = pd.read_csv(TABLE, dtype=str, keep_default_na=False)
    assert len(table) == 3
    table.assign(truth="2").to_csv(TABLE, index=False)
    assert f"{TABLE} is not a table of grades of biranet's" in biranet("grade", "photos", *GRADE).err


def test_a_table_that_only_its_owner_may_read_stays_so_and_a_link_stays_a_link(biranet, workdir):
    (workdir / "far").mkdir()
    (workdir / "far" / "private.csv").touch(mode=0o600)
    (workdir / "link.csv").symlink_to("far/private.csv")
    assert biranet("grade", "photos", *GRADE, "--out", "link.csv").status == 0
    assert (workdir / "link.csv").is_symlink() and len(pd.read_csv("far/private.csv")) == 3
    for name in ("private.csv", ".private.csv.journal"):
        assert stat.S_IMODE((workdir / "far" / name).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("given", "overlay", "words"),
    [
        ("photos", "photos", "photos is a folder of photos that are graded, or lies in one"),
        ("photos", "photos/looked", "or lies in one"),
        (".", "looked", "or lies in one"),
        ("photos/drawn_0001_left.jpg", "photos", "photos is a folder of photos that are graded"),
        ("list.csv", "photos", "photos is a folder of photos"),
        ("photos", "others", "others holds other things than pictures of graded photos of biranet's, such as 00001_"),
        ("photos", "grades.csv", "grades.csv is a file; name a folder"),
    ],
)
def test_pictures_come_to_no_photos(assert_refused, workdir, given, overlay, words):
    (workdir / "others").mkdir()
    shutil.copy("photos/drawn_0002_left.jpg", "others/00001_drawn_0001_right.jpg")
    assert_refused(words, "grade", given, *GRADE, "--overlay", overlay)


def test_pictures_replace_earlier_ones_and_bear_any_name(biranet, workdir):
    longest = "b" * 251
    (workdir / "photos" / "drawn_0001_right.jpg").rename(workdir / "photos" / f"{longest}.jpg")
    for _ in range(2):
        assert biranet("grade", "photos", *GRADE, "--out", "looked/a.csv", "--overlay", "looked").status == 0
    names = sorted(path.name for path in (workdir / "looked").iterdir() if not path.name.startswith("."))
    photos = sorted((workdir / "photos").glob("*.jpg"))
    assert names == sorted(["a.csv", *(picture_name(f"photos/{photo.name}") for photo in photos)])
    assert f"{longest[:238]}_" in names[1] and len(names) == 4


# Runs, reports and what is made of models


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (["best.safetensors"], "bare holds other things than a run of biranet's, such as best.safetensors"),
        (["best.safetensors", "config.json"], "such as best.safetensors, but not its state.safetensors"),
        (["thesis.txt"], "bare holds other things than a run of biranet's, such as thesis.txt"),
    ],
)
def test_train_begins_in_no_folder_that_holds_something(assert_refused, small, workdir, run_folder, left, words):
    (workdir / "thesis.txt").write_text("years of work")
    (workdir / "bare").mkdir()
    for name in left:
        shutil.copy(workdir / name if name == "thesis.txt" else run_folder / name, workdir / "bare")
    assert_refused(words, "train", "prepared", "--out", "bare", *small)


REPORT = ["evaluate", "--predictions", "mine.csv", "--out", "report"]


@pytest.fixture
def mine(workdir):
    """Somebody's predictions."""
    rows = (f"{grade}.jpg,{grade},{grade},.2,.2,.2,.2,.2\n" for grade in range(5))
    (workdir / "mine.csv").write_text(f"file,grade,predicted_grade,p0,p1,p2,p3,p4\n{''.join(rows)}")


def test_a_report_replaces_reports_and_nothing_else(assert_refused, biranet, workdir, mine):
    report = workdir / "report"
    report.mkdir()
    for name in ("thesis.txt", "metrics.json", "report.html", "predictions.csv"):
        (report / name).write_text('{"accuracy": 1}')
        assert_refused(f"report holds other things than a report of biranet's, such as {name}", *REPORT)
        (report / name).unlink()
    assert biranet(*REPORT).status == 0
    (report / "thesis.txt").write_text("years of work")
    (report / "metrics.json").unlink()  # as if it had been killed
    assert biranet(*REPORT).status == 0
    assert (report / "thesis.txt").read_text() == "years of work"
    comparing = ["compare", "mine.csv", "report/predictions.csv", "--out"]
    assert_refused("report holds other things than a comparison of biranet's", *comparing, "report")
    (report / "metrics.json").write_text('{"accuracy": 1}')
    assert_refused("report holds other things than a report", *REPORT)


def test_a_comparison_replaces_comparisons(assert_refused, biranet, workdir, mine):
    shutil.copy("mine.csv", "other.csv")
    command = ["compare", "mine.csv", "other.csv"]
    assert biranet(*command).status == biranet(*command).status == 0
    (workdir / "comparison" / "comparison.html").write_text("<title>Of cats and dogs</title>")
    assert_refused("comparison holds other things than a comparison of biranet's", *command)


def test_export_replaces_exports_and_no_trained_model(assert_refused, biranet, workdir, run_folder):
    shutil.copytree(run_folder, workdir / "run")
    shutil.copy("grades.csv", "grades.safetensors")
    for out in ("run/best.safetensors", "run/state.safetensors", "grades.safetensors"):
        assert_refused(f"{out} is not an exported checkpoint", "export", "model.safetensors", out)
    for _ in range(2):
        assert biranet("export", "model.safetensors", "half.safetensors").status == 0
    (workdir / "x.onnx").write_bytes(b"\x08\x09 another program's")
    assert_refused("x.onnx is not an exported model", "export", "model.safetensors", "x.onnx")


def test_audit_replaces_audits_only(assert_refused, biranet, workdir, split_folder):
    shutil.copytree(split_folder, "own")
    assert biranet("audit", "own").status == biranet("audit", "own").status == 0
    (workdir / "own" / "audit.json").write_text('{"photos": 3}')
    assert_refused("audit.json is not an audit of biranet's", "audit", "own")


@pytest.mark.parametrize(("mark", "beside"), [('{"demo": true}', "thesis.txt"), ('{"players": []}', "")])
def test_demo_replaces_no_folder_into_which_somebody_put_something(assert_refused, workdir, mark, beside):
    (workdir / "demo").mkdir()
    (workdir / "demo" / "demo.json").write_text(mark)
    if beside:
        (workdir / "demo" / beside).write_text("years of work")
    assert_refused("demo holds other things than a demo of biranet's", "demo")


# Two at once


@contextlib.contextmanager
def at_work(warm, wait_for, sign, *arguments):
    """A command held up once a file shows that it is at work; after the block it goes on to its end."""
    process = warm.start(*arguments)
    try:
        wait_for(lambda: any(sign.parent.glob(sign.name)) or process.poll() is not None)
        process.send_signal(signal.SIGSTOP)
        assert process.poll() is None, process.communicate()
        yield process
    except BaseException:
        process.kill()
        raise
    finally:
        process.send_signal(signal.SIGCONT)
        process.communicate()


AT_WORK = "another biranet is at work on"


def locks(folder):
    return [path.name for path in folder.rglob("*") if path.name.endswith(LOCK_NAME)]


def test_of_two_gradings_onto_one_table_one_is_refused(biranet, workdir, warm, wait_for):
    command = ["grade", "photos", *GRADE, "--out", "table.csv"]
    with at_work(warm, wait_for, workdir / ".table.csv.journal", *command) as first:
        told = f"biranet: {AT_WORK} table.csv; wait until it has ended, or name another file\n"
        assert biranet(*command) == (2, "", told)
        assert biranet(*command[:-1], "other.csv").status == 0
    assert first.returncode == 0 and len(pd.read_csv("table.csv")) == 3 and locks(workdir) == []


def test_of_two_evaluations_into_one_folder_one_is_refused(biranet, workdir, warm, wait_for):
    shutil.copytree("prepared", "own")
    (workdir / "own" / "test_readings.jsonl").unlink(missing_ok=True)  # which shows that the first one is at work
    command = ["evaluate", "model.safetensors", "own", "--workers", "0", "--out", "report"]
    with at_work(warm, wait_for, workdir / "own" / "test_readings.jsonl", *command) as first:
        answer = biranet(*command)
        assert answer.status == 2 and f"{AT_WORK} report; wait" in answer.err
    assert first.returncode == 0 and (workdir / "report" / "metrics.json").exists() and locks(workdir) == []


@pytest.mark.sample
def test_of_two_trainings_in_one_folder_one_is_refused_and_nobody_calibrates_meanwhile(
    biranet, small, workdir, warm, wait_for
):
    command = ["train", "prepared", "--out", "run", *small]
    with at_work(warm, wait_for, workdir / "run" / "config.json", *command) as first:
        for second in (command, ["calibrate", "run/last.safetensors"]):
            answer = biranet(*second)
            assert answer.status == 2 and AT_WORK in answer.err
    assert first.returncode == 0 and locks(workdir) == []
    names = {path.name for path in (workdir / "run").iterdir()} - {"tensorboard", "config.json", "history.jsonl"}
    assert names == {"best.safetensors", "last.safetensors", "probe", "state.safetensors"}


def test_nobody_divides_photos_while_they_are_prepared(biranet, workdir, split_folder, warm, wait_for):
    shutil.copytree(split_folder, "own")
    before = (workdir / "own" / "manifest.csv").read_bytes()
    with at_work(
        warm, wait_for, workdir / "own" / "progress.jsonl", "prepare", "photos", "own", "--size", "64"
    ) as first:
        answer = biranet("split", "own")
        assert answer.status == 2 and f"{AT_WORK} own; wait" in answer.err
        first.kill()
    assert locks(workdir) == [LOCK_NAME] and (workdir / "own" / "manifest.csv").read_bytes() == before
    assert biranet("split", "own").status == 0  # what was left keeps nobody out

"""Every reading of a test part leaves a line, is counted by run, and survives kills and read-only folders."""

import json
import re
import shutil

import pytest

from biranet.files import sha256_of
from biranet.inference.readings_of_test_part import READINGS_NAME, Readings, record_reading


@pytest.fixture
def workdir(checkpoint, tmp_path):
    """A folder with `prepared` and two runs, each with a model."""
    (tmp_path / "prepared").mkdir()
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "best.safetensors").write_bytes(checkpoint.read_bytes() + run.encode())
    return tmp_path


def recorded(workdir, checkpoint, column="split"):
    return record_reading(workdir / "prepared", column, checkpoint, sha256_of(checkpoint))


def read(workdir, run, column="split", name="best"):
    return recorded(workdir, workdir / run / f"{name}.safetensors", column)


def test_readings_are_counted_by_run_and_by_split(workdir):
    shutil.copy(workdir / "first" / "best.safetensors", workdir / "first" / "last.safetensors")
    assert read(workdir, "first") == Readings(0, 0, recorded=True)
    assert read(workdir, "first", name="last") == Readings(1, 0, recorded=True)
    assert read(workdir, "second") == Readings(0, 2, recorded=True)
    assert read(workdir, "first") == Readings(2, 1, recorded=True)
    assert read(workdir, "first", column="fold_0") == Readings(0, 0, recorded=True)


def test_a_copy_of_a_checkpoint_is_the_same_run(workdir):
    read(workdir, "first")
    (workdir / "third").mkdir()
    shutil.copy(workdir / "first" / "best.safetensors", workdir / "third")
    assert read(workdir, "third") == Readings(1, 0, recorded=True)


def test_a_reading_says_what_was_read_when(workdir):
    import hashlib
    import time

    before = time.time()
    read(workdir, "first")
    row = json.loads((workdir / "prepared" / READINGS_NAME).read_text())
    assert row.keys() == {"when", "split_column", "run", "checkpoint", "sha256"}
    assert row["sha256"] == hashlib.sha256((workdir / "first" / "best.safetensors").read_bytes()).hexdigest()
    assert re.fullmatch("[0-9a-f]{16}", row["run"]) and row["checkpoint"] == "best.safetensors"
    assert str(workdir) not in json.dumps(row)  # the folder is made to be given away
    import calendar

    when = calendar.timegm(time.strptime(row["when"], "%Y-%m-%dT%H:%M:%SZ"))
    assert int(before) <= when <= time.time()


def test_runs_that_an_earlier_version_wrote_out_are_known_again(workdir):
    line = {"when": "2026-01-01T00:00:00Z", "split_column": "split", "run": str((workdir / "first").resolve())}
    (workdir / "prepared" / READINGS_NAME).write_text(json.dumps(line))
    assert read(workdir, "first").by_run == 1
    assert read(workdir, "second").by_others == 2


def test_the_same_run_by_another_way_is_the_same_run(workdir, monkeypatch):
    read(workdir, "first")
    monkeypatch.chdir(workdir / "first")
    from pathlib import Path

    assert recorded(workdir, Path("best.safetensors")).by_run == 1


@pytest.mark.parametrize("tail", ['{"when": "2026-', "null\n", "[]", "\xff\xfe"])
def test_a_line_cut_by_a_kill_hides_no_other(workdir, tail):
    read(workdir, "first")
    with (workdir / "prepared" / READINGS_NAME).open("a", encoding="latin-1") as file:
        file.write(tail)
    assert read(workdir, "first").by_run == 1
    assert read(workdir, "first").by_run == 2


def test_a_folder_that_cannot_be_written_is_told_of(workdir):
    (workdir / "prepared" / READINGS_NAME).mkdir()  # root may write anywhere, but not into a folder
    found = read(workdir, "first")
    assert found == Readings(0, 0, recorded=False)
    assert "could not be written down" in found.sentence()


@pytest.mark.parametrize(
    ("by_run", "by_others", "said"),
    [
        (0, 0, "The test part had not been read before."),
        (1, 0, "had been read once before by this run: "),
        (0, 1, "had been read once before by other runs: "),
        (2, 5, "had been read 2 times before by this run and 5 times by other runs: "),
    ],
)
def test_the_sentence_counts(by_run, by_others, said):
    assert said in Readings(by_run, by_others, recorded=True).sentence()

"""Commands that are stopped from outside: a full disk, Ctrl-C, SIGTERM, a reader that has seen enough.

What is there is whole, what to do is said, and doing it ends as if nothing had happened.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

from biranet.cli import main
from biranet.inference.prediction import TABLE_COLUMNS
from biranet.photos.drawn.synthetic import balanced_grades, draw_folder
from warm import unmeasured

EARLIER = f"{','.join(TABLE_COLUMNS)}\n"
"""A table of grades, from before."""

LONG = "--epochs 6 --batch-size 4 --draws-per-epoch 16 --workers 1 --early-stop 0"
"""A training with six chances to be stopped; it loads photos in another process, as in life."""


def comparable(tree):
    """Files of a run that must be the same to the bit, however it came to its end."""
    return {name: data for name, data in tree.items() if name.endswith(".safetensors") or name.endswith("config.json")}


@pytest.fixture
def workdir(tmp_path, monkeypatch, drawn_photos, split_folder, checkpoint):
    """The working folder, with photos, a prepared folder and a model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").symlink_to(drawn_photos)
    (tmp_path / "prepared").symlink_to(split_folder)
    (tmp_path / "model.safetensors").symlink_to(checkpoint)
    return tmp_path


# A full disk


class Disk:
    """A small file system of its own."""

    def __init__(self, path):
        self.path = path
        path.mkdir()

    def mount(self, kib):
        return subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", self.path],
            capture_output=True,
            text=True,
            check=False,
        )

    def grow(self, kib):
        subprocess.run(["mount", "-o", f"remount,size={kib}k", self.path], check=True)

    def fill(self):
        """Leave no space at all."""
        with (self.path / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
            while True:
                filler.write(bytes(4096))


@pytest.fixture
def disk(workdir):
    """Function that mounts a file system of so many KiB."""
    found = Disk(workdir / "disk")

    def mount(kib):
        mounted = found.mount(kib)
        if mounted.returncode:
            pytest.skip(f"a full disk needs the right to mount one: {mounted.stderr.strip()}")
        return found

    yield mount
    # One process may still be closing its files there; the mount then goes with the last of them.
    subprocess.run(["umount", "--lazy", found.path], capture_output=True, check=False)


def assert_no_space(answer):
    assert answer.status == 2
    assert re.fullmatch(r"biranet: cannot write \S+: No space left on device; .*make room.*\n", answer.err)


def partial_files(folder):
    return [path.name for path in folder.rglob("*") if "partial" in path.name]


def test_prepare_goes_on_after_room_was_made(biranet, workdir, disk, tree):
    disk = disk(400)
    command = ["prepare", "photos", disk.path / "out", "--labels", "photos/labels.csv", "--size", 256, "--workers", 0]
    assert_no_space(biranet(*command))
    left = tree(disk.path / "out")
    assert "manifest.csv" not in left and partial_files(disk.path) == []
    finished = {name for name in left if name.endswith(".jpg")}
    assert 0 < len(finished) < 40

    disk.grow(64 * 1024)
    touched = {name: (disk.path / "out" / name).stat().st_mtime_ns for name in finished}
    assert biranet(*command).status == 0
    assert touched == {name: (disk.path / "out" / name).stat().st_mtime_ns for name in finished}
    command[2] = "undisturbed"
    assert biranet(*command).status == 0
    assert tree(disk.path / "out") == tree(workdir / "undisturbed")


@pytest.mark.slow
@pytest.mark.sample
def test_train_on_a_full_disk_keeps_the_last_state_and_goes_on(biranet, small, workdir, disk, tree):
    """Room for one state (6.5 MB) and two checkpoints (3.3 MB each), but not for the next state beside the first."""
    disk = disk(16 * 1024)
    command = ["train", "prepared", "--out", disk.path / "run", *small, "--epochs", 2]
    assert_no_space(biranet(*command))
    assert partial_files(disk.path) == []
    left = tree(disk.path / "run")
    assert {"config.json", "state.safetensors", "last.safetensors"} <= left.keys()

    disk.grow(128 * 1024)
    assert biranet("train", "--resume", "--out", disk.path / "run").status == 0
    command[3] = "undisturbed"
    assert biranet(*command).status == 0
    assert comparable(tree(disk.path / "run")) == comparable(tree(workdir / "undisturbed"))


def test_train_that_cannot_begin_leaves_nothing_half_written(biranet, small, workdir, disk, tree):
    disk = disk(1024)
    assert_no_space(biranet("train", "prepared", "--out", disk.path / "run", *small))
    left = tree(disk.path / "run")
    assert partial_files(disk.path) == [] and not any(name.endswith(".safetensors") for name in left)


@pytest.mark.sample
@pytest.mark.parametrize(
    ("kib", "others_kib", "written"),
    [(4, 4, []), (4, 0, ["predictions.csv"]), (20, 0, ["predictions.csv"])],
    ids=["no room at all", "4KiB", "20KiB"],
)
def test_evaluate_on_a_full_disk_leaves_whole_files_only(biranet, workdir, disk, kib, others_kib, written):
    disk = disk(kib)
    (disk.path / "other").write_bytes(bytes(1024 * others_kib))
    assert_no_space(biranet("evaluate", "model.safetensors", "--workers", 0, "--out", disk.path / "report"))
    assert partial_files(disk.path) == []
    assert biranet("evaluate", "model.safetensors", "--workers", 0, "--out", "undisturbed").status == 0
    left = list((disk.path / "report").glob("*"))
    assert [file.name for file in left] == written
    for file in left:
        assert file.read_bytes() == (workdir / "undisturbed" / file.name).read_bytes()


def test_grade_on_a_full_disk_keeps_the_old_table(biranet, workdir, disk):
    disk = disk(1024)
    table = disk.path / "grades.csv"
    table.write_text(EARLIER)
    disk.fill()
    command = ["grade", "photos", "--checkpoint", "model.safetensors", "--workers", 0, "--out", table]
    assert_no_space(biranet(*command))
    assert table.read_text() == EARLIER and partial_files(disk.path) == []
    (disk.path / "filler").unlink()
    assert biranet(*command).status == 0
    assert len(table.read_text().splitlines()) == 41


def test_pictures_on_a_full_disk_keep_the_old_table(biranet, workdir, disk):
    disk = disk(64)
    (workdir / "biranet_grades.csv").write_text(EARLIER)
    disk.fill()
    answer = biranet(
        *["grade", "photos", "--checkpoint", "model.safetensors", "--workers", 0, "--overlay", disk.path / "looked"]
    )
    assert_no_space(answer)
    assert (workdir / "biranet_grades.csv").read_text() == EARLIER


# Signals


def start(*arguments):
    """Start the real command line in a process group of its own, as a terminal does."""
    return subprocess.Popen(
        [sys.executable, "-m", "biranet", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=unmeasured() | {"PYTHONUNBUFFERED": "1"},
    )


@pytest.fixture(scope="module")
def undisturbed(split_folder, small, tmp_path_factory):
    """The folder of the long training, run as nobody stops it; read only."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "prepared").symlink_to(split_folder)
    with contextlib.chdir(folder), pytest.raises(SystemExit, match="0"):
        main(["train", "prepared", "--out", "run", *small, *shlex.split(LONG)])
    return folder / "run"


@pytest.mark.slow
@pytest.mark.sample
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_training_says_how_to_go_on_and_that_very_command_works(
    biranet, small, workdir, tree, number, warm, wait_for, undisturbed
):
    process = warm.start("train", "prepared", "--out", "run", *small, *shlex.split(LONG))
    wait_for(lambda: "\nepoch   1 " in process.out.read_text() or process.poll() is not None)
    # Ctrl-C reaches every process of the group, the loader's too; SIGTERM comes from a scheduler, to the main one.
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    said = re.fullmatch(
        r"biranet: stopped (?:in|after) epoch (\d+) of 6(?:, after batch \d of 4)?; everything is saved\. "
        r"Go on with: biranet (.*)\n",
        err,
    )
    assert said, err
    assert 1 <= int(said[1]) < 6

    assert biranet(*shlex.split(said[2])).status == 0
    assert comparable(tree(workdir / "run")) == comparable(tree(undisturbed))
    assert len((workdir / "run" / "history.jsonl").read_text().splitlines()) == 6


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A folder with `photos`, 200 of them, and with `undisturbed`, what preparing makes of them; read only."""
    folder = tmp_path_factory.mktemp("many")
    draw_folder(folder / "photos", balanced_grades(200), width_px=48, height_px=48)
    with contextlib.chdir(folder), pytest.raises(SystemExit, match="0"):
        main(shlex.split("prepare photos undisturbed --labels photos/labels.csv --size 64 --workers 0"))
    return folder


@pytest.mark.slow
@pytest.mark.sample
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_prepare_goes_on_after_ctrl_c_and_after_the_terminal_was_closed(biranet, workdir, tree, number, many):
    (workdir / "photos").unlink()
    (workdir / "photos").symlink_to(many / "photos")
    command = ["prepare", "photos", "out", "--labels", "photos/labels.csv", "--size", 64]
    process = start(*command)
    journal = workdir / "out" / "progress.jsonl"
    until = time.monotonic() + 300
    while process.poll() is None and not (journal.exists() and journal.stat().st_size) and time.monotonic() < until:
        time.sleep(0.001)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert err == "biranet: stopped; finished photos are kept, so run the same command again\n"
    assert not (workdir / "out" / "manifest.csv").exists() and partial_files(workdir / "out") == []
    # What was under way was still written, but what is in the journal counts.
    finished = [workdir / "out" / json.loads(line)["prepared"] for line in journal.read_text().splitlines()]
    assert 0 < len(finished) < 200

    touched = {path: path.stat().st_mtime_ns for path in finished}
    assert biranet(*command, "--workers", 0).status == 0
    assert touched == {path: path.stat().st_mtime_ns for path in finished}
    assert tree(workdir / "out") == tree(many / "undisturbed")


@pytest.mark.slow
@pytest.mark.sample
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_grading_that_is_stopped_keeps_what_was_graded_or_the_table_of_before(biranet, workdir, number, warm):
    command = shlex.split("grade photos --checkpoint model.safetensors --batch-size 1 --workers 1 --out table.csv")
    command += ["--overlay", "looked", "--name-pattern", "{patient}_{eye}"]

    def stop():
        process = warm.start(*command)
        until = time.monotonic() + 300
        while process.poll() is None and not any(workdir.glob("looked/*.jpg")) and time.monotonic() < until:
            time.sleep(0.001)
        os.killpg(process.pid, number)  # schedulers, too, may send theirs to every process of a job
        out, err = process.communicate(timeout=300)
        assert process.returncode == 130 and partial_files(workdir) == []
        return out, err

    out, err = stop()
    rows = (workdir / "table.csv").read_text().splitlines()
    said = re.fullmatch(r"biranet: stopped after (\d+) of 40 photos, whose rows are in table\.csv; grade .*\n", err)
    assert said, err
    assert 1 <= int(said[1]) < 40 and len(rows) == 1 + int(said[1])
    assert f"{said[1]} of 40 photos graded" in out
    # Of any patient a photo may not have been graded yet.
    assert not (workdir / "table_patients.csv").exists() and " patients: " not in out

    assert biranet(*command).status == 0
    assert (workdir / "table.csv").read_text().splitlines()[: len(rows)] == rows
    assert len((workdir / "table_patients.csv").read_text().splitlines()) == 21
    finished = {path.name: path.read_bytes() for path in workdir.glob("table*")}

    shutil.rmtree(workdir / "looked")  # so that all is graded again
    _, err = stop()
    before = "biranet: stopped; table.csv holds the table of before, which is unchanged; the same command goes on\n"
    assert err == before
    assert finished == {path.name: path.read_bytes() for path in workdir.glob("table*")}
    assert biranet(*command).status == 0
    assert finished == {path.name: path.read_bytes() for path in workdir.glob("table*")}
    assert len(list((workdir / "looked").iterdir())) == 40


@pytest.mark.parametrize("command", ["--help", "train --help", "split prepared"])
def test_reader_that_has_seen_enough_gets_no_complaint(workdir, command, split_folder):
    (workdir / "prepared").unlink()
    shutil.copytree(split_folder, workdir / "prepared")
    reader, writer = os.pipe()
    os.close(reader)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-m", "biranet", *command.split()],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")

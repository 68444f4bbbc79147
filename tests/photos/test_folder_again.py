"""A second run, a killed one, and what changes in between."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from biranet.config import SplitConfig
from biranet.errors import InputError, PhotoError
from biranet.learning.split import split_photos
from biranet.manifest import read_manifest, write_manifest
from biranet.photos import folder, store
from biranet.photos.datasets import LabelSource
from biranet.photos.folder import prepare_folder
from biranet.photos.prepare import read_preparation


def test_the_second_run_does_nothing_and_changes_nothing(photos, tmp_path, counted, run, tree):
    out = tmp_path / "out"
    run(photos, out)
    before = tree(out)
    assert len(counted) == 10
    counted.clear()
    run(photos, out)
    # The text, which could not be read: what reads more kinds of files may have been installed meanwhile.
    assert [file.data for file, _ in counted] == [b"hello"]
    assert tree(out) == before


def test_only_what_is_new_or_changed_is_done(photos, tmp_path, counted, run, tree, photo_bytes):
    out = tmp_path / "out"
    run(photos, out)
    counted.clear()
    (photos / "new.png").write_bytes(photo_bytes(77))
    (photos / "9_left.png").rename(photos / "renamed.png")
    (photos / "twin.png").write_bytes(photo_bytes(6))
    (photos / "a b.png").unlink()
    _rewrite(photos / "text.jpg", photo_bytes(78))
    table = run(photos, out)
    assert len(counted) == 2
    assert set(table["file"]) >= {"new.png", "renamed.png", "twin.png"}
    assert "a b.png" not in set(table["file"])
    assert table.set_index("file").loc["text.jpg", "status"] == "ok"
    fresh = tmp_path / "fresh"
    run(photos, fresh)
    assert (fresh / "manifest.csv").read_bytes() == (out / "manifest.csv").read_bytes()
    assert tree(fresh).items() <= tree(out).items()


def test_a_lost_or_torn_prepared_image_is_made_again(photos, tmp_path, run, tree):
    out = tmp_path / "out"
    table = run(photos, out)
    before = tree(out)
    images = [out / name for name in table[table["status"] == "ok"]["prepared"].unique()]
    images[0].unlink()
    images[1].write_bytes(images[1].read_bytes()[:-9])
    images[2].write_bytes(b"")
    run(photos, out)
    assert tree(out) == before


def test_changed_labels_are_taken_over_without_redoing_photos(photos, tmp_path, counted, run):
    out, labels = tmp_path / "out", tmp_path / "labels.csv"
    labels.write_text("file,grade\na b,2\ncopy,1\n")
    run(photos, out, labels=LabelSource(labels))
    counted.clear()
    labels.write_text("file,grade,dme\ncopy,4,1\na b,3,0\n")
    table = run(photos, out, labels=LabelSource(labels))
    assert not counted
    assert table["grade"].tolist() == [4, 3]
    assert table["dme"].tolist() == ["1", "0"]


def test_a_split_stays_while_nothing_else_changes(photos, tmp_path, run, photo_bytes):
    out = tmp_path / "out"
    table = run(photos, out)
    table["split"], table["fold_0"] = "train", "test"
    write_manifest(out, table)
    assert set(run(photos, out)["split"]) == {"train"}
    assert set(read_manifest(out)["fold_0"]) == {"test"}
    (photos / "new.png").write_bytes(photo_bytes(5))
    assert set(run(photos, out)["split"]) == {""}


@pytest.mark.parametrize("folds", [None, 2])
def test_a_split_beside_an_official_one_stays_too(photos, tmp_path, run, folds):
    labels, out = tmp_path / "labels.csv", tmp_path / "out"
    names = sorted(path.name for path in photos.glob("*.png") if path.name not in ("black.png", "return\r.png"))
    rows = [f'"{name.replace(chr(34), chr(34) * 2)}",{position % 5},train' for position, name in enumerate(names)]
    # A photo that cannot be used has an official part, and none of ours: in published sets the normal case.
    labels.write_text("\n".join(["file,grade,split", *rows, "text.jpg,1,train"]))
    run(photos, out, labels=LabelSource(labels))
    divided = split_photos(read_manifest(out), SplitConfig(validation=0, calibration=0, folds=folds))
    write_manifest(out, divided)
    before = (out / "manifest.csv").read_bytes()
    assert not prepare_folder(photos, out, labels=LabelSource(labels), size_px=64).split_dropped
    assert (out / "manifest.csv").read_bytes() == before


def test_what_other_programs_leave_in_the_folder_is_left_alone(photos, tmp_path, run):
    out = tmp_path / "out"
    out.mkdir()
    (out / "progress.jsonl").touch()  # a run that was killed before its first photo
    run(photos, out)
    theirs = out / "run" / ".last.77.partial.safetensors"
    theirs.parent.mkdir()
    theirs.write_bytes(b"a training")
    notes = [out / ".note.1.partial.txt", out / "images" / "note.jpg", out / "images" / "00" / ".abc.1.partial.jpg"]
    ours = out / "images" / "00" / ".abc.biranet-0123abcd.partial"
    ours.parent.mkdir(exist_ok=True)
    for path in (*notes, ours):
        path.write_bytes(b"half")
    (out / "progress.jsonl").touch()  # killed again
    run(photos, out)
    assert theirs.exists()
    assert all(path.exists() for path in notes)
    assert not ours.exists()


def test_a_refused_run_leaves_no_trace_and_the_images_reach_the_disk_before_the_manifest(
    photos, tmp_path, run, monkeypatch, tree
):
    order, sync, write = [], os.sync, folder.write_rows
    monkeypatch.setattr(os, "sync", lambda: (order.append("synced"), sync()))
    monkeypatch.setattr(folder, "write_rows", lambda *given: (order.append("listed"), write(*given)))
    run(photos, tmp_path / "out")
    run(photos, tmp_path / "out")
    assert order == ["synced", "listed", "listed"]
    before = tree(tmp_path / "out")
    with pytest.raises(InputError, match="holds photos of 64 px"):
        run(photos, tmp_path / "out", size_px=80)
    assert tree(tmp_path / "out") == before


def test_an_interrupted_run_goes_on_and_ends_the_same(photos, tmp_path, monkeypatch, counted, run, tree):
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(photos, whole)
    everything = len(counted)
    counted.clear()
    original = store.prepare_file

    def interrupted(*args):
        if len(counted) == 3:
            raise KeyboardInterrupt
        return original(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store, "prepare_file", interrupted)
        run(photos, out)
    assert not (out / "manifest.csv").exists()
    journal = (out / "progress.jsonl").read_bytes()
    assert journal.count(b"\n") >= 3
    # A kill can tear the last line; what was whole before it still counts, and what comes after it is not spoiled.
    (out / "progress.jsonl").write_bytes(journal + b'{"file": "torn')
    (out / "images" / "00").mkdir(exist_ok=True)
    (out / "images" / "00" / ".abc.biranet-0123abcd.partial").write_bytes(b"half")
    counted.clear()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store, "prepare_file", interrupted)
        run(photos, out)
    assert len(counted) == 3
    run(photos, out)
    assert len(counted) < everything
    (out / "images" / "00").rmdir()
    assert tree(out) == tree(whole)


SCRIPT = """
import sys
from pathlib import Path
from biranet.photos.datasets import LabelSource
from biranet.photos.folder import prepare_folder

if __name__ == "__main__":
    prepare_folder(Path("photos"), Path("out"), size_px=64, workers=2)
"""


@pytest.fixture(scope="module")
def photos_of_many(tmp_path_factory, photo_bytes):
    """Folder of 300 photos; read only."""
    folder = tmp_path_factory.mktemp("many")
    for seed in range(300):
        (folder / f"{seed:03}.png").write_bytes(photo_bytes(seed))
    return folder


@pytest.fixture(scope="module")
def whole(photos_of_many, tmp_path_factory, run, tree):
    """What an undisturbed run makes of them, path to bytes."""
    out = tmp_path_factory.mktemp("whole") / "out"
    run(photos_of_many, out)
    return tree(out)


@pytest.fixture
def many(tmp_path, photos_of_many, warm, monkeypatch):
    """Prepares 300 photos in another process, in a session of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").symlink_to(photos_of_many)
    (tmp_path / "script.py").write_text(SCRIPT)
    return lambda: warm.start(program=tmp_path / "script.py")


def _written(journal):
    try:
        return journal.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


@pytest.mark.sample
@pytest.mark.parametrize("kills", [3, 20])
def test_a_run_that_is_killed_again_and_again_goes_on_and_ends_the_same(many, whole, tmp_path, run, tree, kills):
    out, journal, rng = tmp_path / "out", tmp_path / "out" / "progress.jsonl", np.random.default_rng(0)
    # Random points over all photos, and a random moment after each: reading, writing, renaming.
    for point in sorted(rng.integers(0, 250, kills)):
        before = _written(journal)
        child = many()
        deadline = time.monotonic() + 120
        # At least one photo more than before, or the kill would come before the run has begun.
        while child.poll() is None and _written(journal) < max(point, before + 1):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.03))
        assert child.poll() is None
        # Workers and all, or the main process alone: its workers then end by themselves.
        os.killpg(child.pid, signal.SIGKILL) if rng.random() < 0.5 else child.kill()
        child.communicate()
        assert not (out / "manifest.csv").exists()
    run(tmp_path / "photos", out, workers=2)
    assert tree(out) == whole


def test_a_second_run_at_once_says_so_and_leaves_the_first_alone(many, whole, tmp_path, run, tree):
    child = many()
    deadline = time.monotonic() + 60
    while _written(tmp_path / "out" / "progress.jsonl") < 5:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(InputError, match=r"another biranet is at work on .*out; wait"):
        run(tmp_path / "photos", tmp_path / "out")
    with pytest.raises(InputError, match="another biranet is at work on"):
        run(tmp_path / "photos", tmp_path / "out", size_px=80)
    assert read_preparation(tmp_path / "out").size_px == 64
    child.communicate(120)
    assert child.returncode == 0
    assert tree(tmp_path / "out") == whole


@pytest.mark.slow
def test_a_hundred_thousand_photos_take_hardly_more_memory_than_a_thousand(tmp_path, photo_bytes):
    """The largest process of all, in KiB, as the system counts it."""
    script = (
        "import resource, runpy, sys\n"
        "if __name__ == '__main__':\n"
        "    runpy.run_path('script.py', run_name='__main__')\n"
        "    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)\n"
        "    print(max(resource.getrusage(who).ru_maxrss for who in whose))\n"
    )
    (tmp_path / "measure.py").write_text(script)
    (tmp_path / "script.py").write_text(SCRIPT.replace("size_px=64", "size_px=32"))
    (tmp_path / "photos").mkdir()
    picture = io.BytesIO()
    Image.open(io.BytesIO(photo_bytes(1))).save(picture, "JPEG", quality=50)
    head, body = picture.getvalue()[:2], picture.getvalue()[2:]
    peaks, done = [], 0
    for count in (1_000, 100_000):
        for number in range(done, count):
            note = f"{number:08}".encode()
            data = head + b"\xff\xfe\x00\x0a" + note + body
            (tmp_path / "photos" / f"{number:08}.jpg").write_bytes(data)
        done = count
        answer = subprocess.run(
            [sys.executable, "measure.py"], cwd=tmp_path, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        peaks.append(int(answer.stdout))
    with (tmp_path / "out" / "manifest.csv").open(encoding="utf-8") as manifest:
        assert sum(1 for _ in manifest) == 100_001
    # Names and labels: less than 1 KiB a photo. Pixels would be 10 KiB, rows of the manifest 2 KiB.
    assert peaks[1] - peaks[0] < 99_000


def test_a_locked_photo_is_tried_again(photos, tmp_path, monkeypatch, run):
    original = store.read_source

    def locked(source):
        if source.name == "a b.png":
            raise PhotoError("unreadable", "no permission to read the file")
        return original(source)

    with monkeypatch.context() as patch:
        patch.setattr(store, "read_source", locked)
        table = run(photos, tmp_path / "out").set_index("file")
    assert table.loc["a b.png", "reason"] == "no permission to read the file"
    assert run(photos, tmp_path / "out").set_index("file").loc["a b.png", "status"] == "ok"


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(photos, tmp_path, monkeypatch, run, tree):
    out = tmp_path / "out"
    written = []
    original = Path.replace

    def full(self, target):
        if target.suffix == ".jpg":
            written.append(target)
            if len(written) > 2:
                raise OSError(28, "No space left on device")
        return original(self, target)

    with monkeypatch.context() as patch, pytest.raises(InputError, match="No space left"):
        patch.setattr(Path, "replace", full)
        run(photos, out)
    assert not [path for path in out.rglob("*") if "partial" in path.name]
    run(photos, out)
    run(photos, tmp_path / "whole")
    assert tree(out) == tree(tmp_path / "whole")


def _rewrite(path, data):
    path.write_bytes(data)
    os.utime(path, ns=(1, time.time_ns() + 10**9))

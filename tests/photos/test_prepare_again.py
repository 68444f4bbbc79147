"""A second run, a killed one, and what changes in between."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from biranet.errors import InputError
from biranet.manifest import read_manifest, write_manifest
from biranet.photos import prepare


@pytest.fixture
def counted(monkeypatch):
    """One entry for each time that a photo is really prepared, not taken from an earlier run."""
    calls = []
    original = prepare.prepare_photo

    def counting(*args):
        calls.append(args)
        return original(*args)

    monkeypatch.setattr(prepare, "prepare_photo", counting)
    return calls


def test_the_second_run_does_nothing_and_changes_nothing(photos, tmp_path, counted, run, tree):
    out = tmp_path / "out"
    run(photos, out)
    before, calls = tree(out), len(counted)
    assert calls > 0
    run(photos, out)
    assert len(counted) == calls
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


def test_a_lost_prepared_image_is_made_again(photos, tmp_path, run, tree):
    out = tmp_path / "out"
    table = run(photos, out)
    before = tree(out)
    (out / table[table["status"] == "ok"]["prepared"].iloc[0]).unlink()
    run(photos, out)
    assert tree(out) == before


def test_changed_labels_are_taken_over_without_redoing_photos(photos, tmp_path, counted, run):
    out, labels = tmp_path / "out", tmp_path / "labels.csv"
    labels.write_text("file,grade\na b,2\ncopy,1\n")
    run(photos, out, labels=labels)
    counted.clear()
    labels.write_text("file,grade,dme\ncopy,4,1\na b,3,0\n")
    table = run(photos, out, labels=labels)
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


def test_an_interrupted_run_goes_on_and_ends_the_same(photos, tmp_path, monkeypatch, counted, run, tree):
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(photos, whole)
    everything = len(counted)
    counted.clear()
    original = prepare.prepare_photo

    def interrupted(*args):
        if len(counted) == 3:
            raise KeyboardInterrupt
        return original(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prepare, "prepare_photo", interrupted)
        run(photos, out)
    assert not (out / "manifest.csv").exists()
    journal = (out / "progress.jsonl").read_bytes()
    assert journal.count(b"\n") >= 3
    # A kill can tear the last line; what was whole before it still counts, and what comes after it is not spoiled.
    (out / "progress.jsonl").write_bytes(journal + b'{"file": "torn')
    (out / "images" / "00").mkdir(exist_ok=True)
    (out / "images" / "00" / ".abc.99.partial.jpg").write_bytes(b"half")
    counted.clear()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prepare, "prepare_photo", interrupted)
        run(photos, out)
    assert len(counted) == 3
    run(photos, out)
    assert len(counted) < everything
    (out / "images" / "00").rmdir()
    assert tree(out) == tree(whole)


@pytest.mark.sample
@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_the_same(tmp_path, run, tree, photo_bytes):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for seed in range(400):
        (photos / f"{seed:03}.png").write_bytes(photo_bytes(seed))
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from biranet.photos.prepare import prepare_folder\n"
        "if __name__ == '__main__':\n"
        "    prepare_folder(Path('photos'), Path('out'), size_px=64, workers=2)\n"
    )
    journal = out / "progress.jsonl"
    with subprocess.Popen([sys.executable, script], cwd=tmp_path, stderr=subprocess.DEVNULL) as child:
        deadline = time.monotonic() + 60
        while not (journal.exists() and journal.stat().st_size > 2000):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        child.kill()
    assert 0 < journal.read_bytes().count(b"\n") < 400
    run(photos, out, workers=2)
    run(photos, tmp_path / "whole")
    assert tree(out) == tree(tmp_path / "whole")


def test_a_locked_photo_is_tried_again(photos, tmp_path, monkeypatch, run):
    original = Path.read_bytes

    def locked(self):
        if self.name == "a b.png":
            raise PermissionError(13, "Permission denied")
        return original(self)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", locked)
        table = run(photos, tmp_path / "out").set_index("file")
    assert table.loc["a b.png", "reason"] == "no permission to read the file"
    assert run(photos, tmp_path / "out").set_index("file").loc["a b.png", "status"] == "ok"


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(photos, tmp_path, monkeypatch, run, tree):
    out = tmp_path / "out"
    written = []
    original = Path.write_bytes

    def full(self, data):
        if self.suffix == ".jpg":
            written.append(self)
            if len(written) > 2:
                raise OSError(28, "No space left on device")
        return original(self, data)

    with monkeypatch.context() as patch, pytest.raises(InputError, match="No space left"):
        patch.setattr(Path, "write_bytes", full)
        run(photos, out)
    assert not [path for path in out.rglob("*") if "partial" in path.name]
    run(photos, out)
    run(photos, tmp_path / "whole")
    assert tree(out) == tree(tmp_path / "whole")


def _rewrite(path, data):
    path.write_bytes(data)
    os.utime(path, ns=(1, time.time_ns() + 10**9))

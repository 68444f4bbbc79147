"""The door for outputs: what may be replaced, and by whom."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from biranet.errors import InputError
from biranet.outputs import LOCK_NAME, check_output, claim_output, file_kind, folder_kind, lies_in, write_lock

NOTE = file_kind("a note", lambda path: path.read_text().startswith("note"))
NOTES = folder_kind("notes", {"notes": lambda path: path.read_text() == ""})

HOLDER = """
import sys, time
from pathlib import Path
from biranet.outputs import write_lock
with write_lock(Path(sys.argv[1]), folder=sys.argv[2] == "folder"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_what_the_same_command_wrote_is_replaced_and_so_is_nothing_else(tmp_path):
    place = tmp_path / "note.txt"
    for content in (None, "", "note: old"):
        if content is not None:
            place.write_text(content)
        with claim_output(place, NOTE) as out:
            assert out == place
            out.write_text("note: new")
    place.write_text("thesis")
    with (
        pytest.raises(InputError, match=r"note\.txt is not a note of biranet's"),
        claim_output(place, NOTE),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"] and place.read_text() == "thesis"


@pytest.mark.parametrize("way", ["itself", "link", "hard link", "another way", "another case of the folder"])
def test_an_input_is_never_replaced_by_whatever_name_it_goes(tmp_path, way):
    read = tmp_path / "read.txt"
    read.write_text("note: read")
    out = {"itself": read, "another way": tmp_path / "a" / ".." / "read.txt"}.get(way, tmp_path / "out.txt")
    (tmp_path / "a").mkdir()
    if way == "link":
        out.symlink_to(read)
    elif way == "hard link":
        os.link(read, out)
    elif way == "another case of the folder":
        (tmp_path / "b").symlink_to(tmp_path)
        out = tmp_path / "b" / "read.txt"
    with pytest.raises(InputError, match="is to be read, and a note would replace it"):
        check_output(out, NOTE, [tmp_path / "missing", read])


@pytest.mark.parametrize(("kind", "there", "words"), [
    (NOTE, "folder", "is a folder; name a file for a note"),
    (NOTES, "file", "is a file; name a folder for notes"),
    (NOTE, "pipe", "is a device, a pipe or a socket; name a file"),
    (NOTE, "device", "is a device"),
    (NOTES, "pipe", "is a file; name a folder"),
])  # fmt: skip
def test_another_kind_of_thing_is_refused_without_waiting(tmp_path, kind, there, words):
    place = tmp_path / "place"
    if there == "folder":
        place.mkdir()
    elif there == "file":
        place.touch()
    elif there == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/null")
    with pytest.raises(InputError, match=words):
        check_output(place, kind)


def test_a_folder_is_ours_by_our_mark_or_because_it_is_empty(tmp_path):
    folder = tmp_path / "folder"
    check_output(folder, NOTES)
    folder.mkdir()
    (folder / ".DS_Store").touch()
    check_output(folder, NOTES)
    (folder / "thesis.txt").touch()
    with pytest.raises(InputError, match=r"folder holds other things than notes of biranet's, such as thesis\.txt"):
        check_output(folder, NOTES)
    (folder / "notes").touch()
    check_output(folder, NOTES)
    (folder / "notes").write_text("of somebody")
    for _ in range(2):
        with pytest.raises(InputError, match=r"such as notes; name a folder that is new or empty"):
            check_output(folder, NOTES)
        (folder / "notes").unlink()
        os.mkfifo(folder / "notes")  # which nobody waits for


def test_a_link_is_written_through_and_locked_as_what_it_leads_to(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far" / "note.txt")
    with claim_output(tmp_path / "link", NOTE) as out:
        assert out == tmp_path / "far" / "note.txt"
        with pytest.raises(InputError, match="another biranet is at work on"), claim_output(out, NOTE):
            pass


def test_a_place_where_nothing_was_written_leaves_no_trace(tmp_path):
    for folder in (True, False):
        with pytest.raises(ZeroDivisionError), write_lock(tmp_path / "a" / "b", folder=folder):
            _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_second_process_is_told_of_the_first_until_that_ends_however_it_ends(tmp_path, kind):
    place, folder = tmp_path / ("n" * 255), kind == "folder"
    with subprocess.Popen([sys.executable, "-c", HOLDER, place, kind], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            words = f"another biranet is at work on {place}; wait until it has ended, or name another {kind}"
            with pytest.raises(InputError, match=words), write_lock(place, folder=folder):
                pass
            with write_lock(tmp_path / "other", folder=folder):
                pass
        finally:
            holder.kill()
    left = [path.name for path in tmp_path.rglob("*") if path.name.endswith(LOCK_NAME)]
    assert len(left) == 1  # it was killed, and keeps nobody out
    with write_lock(place, folder=folder):
        pass
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(LOCK_NAME)]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    for kind in (NOTE, NOTES):
        with pytest.raises(InputError, match=r"cannot write .*note: Not a directory; make room or choose"):
            check_output(tmp_path / "file" / "note", kind)
    with pytest.raises(InputError, match=r"cannot write .*note: "), write_lock(tmp_path / "file" / "note", folder=True):
        pass


def test_what_lies_in_a_folder_is_known_through_links(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    for inside in ("photos", "photos/new", "link/a/b", "a/../photos"):
        assert lies_in(tmp_path / inside, tmp_path / "photos") and lies_in(tmp_path / inside, tmp_path / "link")
    assert not lies_in(tmp_path / "photos2", tmp_path / "photos") and not lies_in(tmp_path, tmp_path / "photos")
    assert not lies_in(Path("x"), tmp_path / "missing")

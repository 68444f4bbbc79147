import contextlib
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from biranet import files
from biranet.errors import InputError
from biranet.files import (
    atomic_write,
    delete_partials,
    parse_json,
    parse_toml,
    read_json,
    read_regular,
    write_bytes,
    write_json,
)


def names(folder):
    return {item.name for item in folder.iterdir()}


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"only root can mount a tiny disk: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def small_files_only():
    """No file of this process may grow beyond 4 KiB: a full disk for those who cannot mount one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Without this the kernel would end the process instead of refusing the write.
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


def test_a_file_stands_whole_with_its_missing_folders(tmp_path):
    path = tmp_path / "a" / "b" / "note.bin"
    write_bytes(path, b"all of it")
    assert path.read_bytes() == b"all of it"
    assert names(path.parent) == {"note.bin"}


def test_until_the_block_ends_readers_see_the_old_file(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")
    with atomic_write(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_an_error_in_the_block_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as file:
        file.write(b"half")
        _ = 1 / 0
    assert path.read_text() == "old"
    assert names(tmp_path) == {"note.txt"}


def test_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    # A rename that survives a power cut while the bytes do not would leave an empty file under the right name.
    events = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (events.append("flushed"), fsync(number)))
    monkeypatch.setattr(Path, "replace", lambda self, to: (events.append("renamed"), replace(self, to)))
    write_bytes(tmp_path / "note.txt", b"x")
    assert events == ["flushed", "renamed"]


def test_a_full_disk_is_one_sentence_and_the_old_file_stays(tiny_disk):
    path = tiny_disk / "table.csv"
    write_bytes(path, b"old")
    with pytest.raises(InputError, match=r"No space left on device.*unchanged"):
        write_bytes(path, bytes(1_000_000))
    assert path.read_bytes() == b"old"
    assert names(tiny_disk) == {"table.csv"}
    write_bytes(path, bytes(10_000))
    assert path.stat().st_size == 10_000


def test_a_write_that_stops_halfway_is_one_sentence_and_the_old_file_stays(tmp_path, small_files_only):
    path = tmp_path / "table.csv"
    write_bytes(path, b"old")
    with pytest.raises(InputError, match="File too large"):
        write_bytes(path, bytes(10_000))
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == {"table.csv"}


WRITER = """
import sys, time
from pathlib import Path
from biranet.files import atomic_write
with atomic_write(Path(sys.argv[1])) as file:
    file.write(b"new")
    file.flush()
    print("written", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def writing(path):
    """A process that is writing a file, and is killed in the end."""
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout.readline() == "written\n"
            yield writer
        finally:
            writer.kill()
    assert writer.returncode == -signal.SIGKILL


def test_a_kill_leaves_the_old_file_whole_and_the_next_write_in_the_folder_tidies_up(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_CLEANED_FOLDERS", set())
    path = tmp_path / "note.txt"
    path.write_text("old")
    with writing(path):
        (half,) = names(tmp_path) - {"note.txt"}
        assert half.startswith(".note.") and half.endswith(".partial")
        delete_partials(tmp_path)  # whoever lives is let alone
        assert (tmp_path / half).read_text() == "new"
    assert path.read_text() == "old" and names(tmp_path) == {"note.txt", half}
    write_bytes(tmp_path / "other.txt", b"new")
    assert names(tmp_path) == {"note.txt", "other.txt"}


def test_what_only_looks_like_ours_is_never_tidied_up(tmp_path):
    ours = ".note.biranet-0123abcd.partial"
    (tmp_path / ".note.1.partial.txt").write_text("mine")
    (tmp_path / ".note.partial").write_text("mine")
    (tmp_path / f"{ours}.jpg").write_text("mine")
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".link.biranet-0123abcd.partial").symlink_to("victim")
    (tmp_path / ".folder.biranet-0123abcd.partial").mkdir()
    os.mkfifo(tmp_path / ".pipe.biranet-0123abcd.partial")
    before = names(tmp_path)
    (tmp_path / ours).write_text("left by a process that was killed")
    delete_partials(tmp_path)
    assert names(tmp_path) == before


def test_a_link_planted_in_place_of_the_new_file_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "0123abcd")
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".note.biranet-0123abcd.partial").symlink_to("victim")
    with pytest.raises(InputError, match="File exists"):
        write_bytes(tmp_path / "note.txt", b"new")
    assert (tmp_path / "victim").read_text() == "precious" and not (tmp_path / "note.txt").exists()


def test_two_that_write_one_file_each_write_all_of_it(tmp_path):
    path = tmp_path / "note.txt"
    with atomic_write(path) as first, atomic_write(path) as second:
        first.write(b"one")
        second.write(b"two and more")
    assert path.read_bytes() == b"one"
    assert names(tmp_path) == {"note.txt"}


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path, there):
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "target.txt", tmp_path / "link.txt"
    if there:
        target.write_text("old")
    link.symlink_to("far/target.txt")
    write_bytes(link, b"new")
    assert link.is_symlink() and target.read_bytes() == b"new" and not target.is_symlink()
    assert names(tmp_path / "far") == {"target.txt"}


def test_a_link_that_leads_to_itself_is_one_sentence(tmp_path):
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(InputError, match=r"cannot write .*link: "):
        write_bytes(tmp_path / "link", b"new")


def test_what_is_no_regular_file_is_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for name in ("pipe", "link"):
        with pytest.raises(InputError, match=f"cannot write .*{name}: it is no regular file"):
            write_bytes(tmp_path / name, b"new")
    assert names(tmp_path) == {"pipe", "link"} and stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "private.csv"
    path.write_text("old")
    path.chmod(mode)
    with atomic_write(path) as file:
        file.write(b"new")
        (beside,) = (each for each in tmp_path.iterdir() if each != path)
        assert stat.S_IMODE(beside.stat().st_mode) == 0o600  # nobody else can read the half of it either
    assert path.read_bytes() == b"new" and stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_mode_that_others_have(tmp_path):
    (tmp_path / "other").touch()
    write_bytes(tmp_path / "note", b"new")
    assert (tmp_path / "note").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("name", ["n" * 255, "n" * 251 + ".csv", "." + "n" * 254, "n." + "x" * 253, "ü" * 127])
def test_every_legal_name_can_be_written(tmp_path, name):
    write_bytes(tmp_path / name, b"new")
    assert names(tmp_path) == {name}


def test_an_error_with_another_file_is_not_blamed_on_the_output(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "table.csv") as file:
        file.write(b"half")
        (tmp_path / "missing").read_bytes()
    assert names(tmp_path) == set()


@pytest.mark.parametrize("place", ["file/note.txt", "file/a/note.txt", "folder", "n" * 300])
def test_an_impossible_place_is_one_sentence(tmp_path, place):
    (tmp_path / "file").write_text("a file where a folder should be")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=f"cannot write .*{place}: "):
        write_bytes(tmp_path / place, b"x")
    assert names(tmp_path) == {"file", "folder"}


def test_json_goes_out_and_comes_back(tmp_path):
    path = tmp_path / "value.json"
    value = {"name": 'é, "quoted", 🙂', "share": 0.1, "none": None, "list": [1, 2.5, True]}
    write_json(path, value)
    assert read_json(path) == value
    assert "🙂" in path.read_text(encoding="utf-8")
    assert path.read_bytes().endswith(b"}\n")


def test_json_holds_paths_as_text_and_refuses_what_json_has_no_word_for(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, {"weights": Path("a/b")})
    assert json.loads(path.read_text()) == {"weights": "a/b"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"loss": float("nan")})
    assert json.loads(path.read_text()) == {"weights": "a/b"}


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot read .*No such file"), (b"", "not valid JSON"), (b'{"a": ', "not valid JSON"), (b"\xff", "JSON")],
)
def test_json_that_is_missing_or_broken_is_one_sentence(tmp_path, content, words):
    path = tmp_path / "value.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_json(path)
    assert "value.json" in str(caught.value)


@pytest.mark.parametrize("text", ['{"a": "\\ud800"}', '["\ud800"]', b'["\xed\xa0\x80"]'])
def test_json_with_half_a_character_is_a_wrong_value(text):
    with pytest.raises(ValueError, match="codec can't"):
        parse_json(text)
    assert parse_json(b'["\\ud83d\\ude00"]') == ["\U0001f600"]


@pytest.mark.parametrize(("parse", "text"), [(parse_json, "[" * 200_000), (parse_toml, "a = " + "[" * 200_000)])
def test_a_text_nested_without_end_is_a_wrong_value(parse, text):
    with pytest.raises(ValueError, match="nested too deeply"):
        parse(text)


def test_a_regular_file_is_read_up_to_its_limit(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"12345")
    assert read_regular(file, 5) == b"12345"
    with pytest.raises(OSError, match="longer than"):
        read_regular(file, 4)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path, kind):
    place = tmp_path / "a"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "device":
        place.symlink_to("/dev/zero")
    else:
        place.mkdir()
    with pytest.raises(OSError, match="it is no regular file"):
        read_regular(place, 100)

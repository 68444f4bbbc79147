import json
import subprocess
import sys
from pathlib import Path

import pytest

from biranet.errors import InputError
from biranet.photos.journal import JOURNAL_NAME, open_journal

COLUMNS = ("status", "source_bytes")


def outcome(status, size="1"):
    return {"status": status, "source_bytes": size}


def test_what_is_added_is_found_and_the_file_goes_when_all_is_done(tmp_path):
    with open_journal(tmp_path, COLUMNS) as journal:
        assert not journal.resumed
        journal.add("a\n😀,'\".jpg", outcome("ok"))
        journal.remember("b.jpg", outcome("no_field", "7"))
        assert journal.find("a\n😀,'\".jpg") == outcome("ok")
        assert journal.find("b.jpg") == outcome("no_field", "7")
        assert journal.find("c.jpg") is None
        assert journal.same_length("7") == [outcome("no_field", "7")]
        assert journal.same_length("8") == []
        assert (tmp_path / JOURNAL_NAME).exists()
    assert list(tmp_path.iterdir()) == []


def test_the_last_word_on_a_photo_counts(tmp_path):
    with open_journal(tmp_path, COLUMNS) as journal:
        journal.remember("a", outcome("unreadable", "1"))
        journal.add("a", outcome("ok", "2"))
        assert journal.find("a") == outcome("ok", "2")
        assert journal.same_length("1") == []


def test_a_run_that_ended_early_is_gone_on_with(tmp_path):
    with pytest.raises(KeyboardInterrupt), open_journal(tmp_path, COLUMNS) as journal:
        journal.add("a", outcome("ok"))
        raise KeyboardInterrupt
    with open_journal(tmp_path, COLUMNS) as journal:
        assert journal.resumed
        assert journal.find("a") == outcome("ok")


@pytest.mark.parametrize(
    "torn",
    [
        *('{"file": "b", "status": "o', "null", '{"file": "b"}', "\x00\x00", '{"file": "b", '),
        *(
            "[" * 100_000,
            '{"file": "b", "status": 7, "source_bytes": "1"}',
            '{"file": 1, "status": "", "source_bytes": ""}',
        ),
        *('{"file": "\\ud800", "status": "ok", "source_bytes": "1"}', "9" * 5000),
    ],
)
def test_a_torn_line_counts_for_nothing_and_spoils_nothing(tmp_path, torn):
    whole = json.dumps({"file": "a", **outcome("ok")}) + "\n"
    (tmp_path / JOURNAL_NAME).write_text(whole + torn)
    with pytest.raises(KeyboardInterrupt), open_journal(tmp_path, COLUMNS) as journal:
        assert journal.find("a") == outcome("ok")
        assert journal.find("b") is None
        journal.add("c", outcome("ok"))
        raise KeyboardInterrupt
    with open_journal(tmp_path, COLUMNS) as journal:
        assert [journal.find(name) for name in "abc"] == [outcome("ok"), None, outcome("ok")]


def test_bytes_that_are_no_text_count_for_nothing(tmp_path):
    (tmp_path / JOURNAL_NAME).write_bytes(
        b"\xff\xfe\x00rubbish\n" + json.dumps({"file": "a", **outcome("ok")}).encode()
    )
    with open_journal(tmp_path, COLUMNS) as journal:
        assert journal.find("a") == outcome("ok")


def test_a_second_process_is_told_and_leaves(tmp_path):
    script = (
        "import pathlib, biranet.photos.journal as j\n"
        f"with j.open_journal(pathlib.Path({str(tmp_path)!r}), {COLUMNS!r}):\n"
        "    print('opened')\n"
    )

    def second():
        return subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=60)

    with open_journal(tmp_path, COLUMNS) as journal:
        journal.add("a", outcome("ok"))
        assert second().stderr.endswith(
            f"another biranet prepare is at work in {tmp_path}; wait until it has ended, "
            "or name another folder for the prepared photos\n"
        )
        assert journal.find("a") == outcome("ok")
    assert second().stdout == "opened\n"


def test_a_killed_process_keeps_nobody_out(tmp_path):
    script = (
        "import os, pathlib, biranet.photos.journal as j\n"
        f"with j.open_journal(pathlib.Path({str(tmp_path)!r}), {COLUMNS!r}) as journal:\n"
        "    journal.add('a', {'status': 'ok', 'source_bytes': '1'})\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    with open_journal(tmp_path, COLUMNS) as journal:
        assert journal.find("a") == outcome("ok")


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot lock .*file.*; choose"), open_journal(tmp_path / "file", COLUMNS):
        pass


def test_a_full_disk_is_one_sentence_wherever_it_is_noticed(tmp_path):
    with (
        pytest.raises(
            InputError,
            match=r"cannot write .*progress\.jsonl: No space left on device; make room and run the command again",
        ),
        open_journal(tmp_path, COLUMNS) as journal,
    ):
        journal._index.execute("PRAGMA max_page_count = 8")
        for number in range(10_000):
            journal.add(f"photo {number}", outcome("ok"))
    with open_journal(tmp_path, COLUMNS) as journal:
        assert journal.find("photo 0") == outcome("ok")


def test_errors_of_the_work_itself_pass_as_they_are(tmp_path):
    with pytest.raises(OSError, match="no more processes"), open_journal(tmp_path, COLUMNS):
        raise OSError(11, "no more processes")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_deleted_meanwhile_does_not_hide_the_first_error(tmp_path):
    folder = tmp_path / "prepared"
    folder.mkdir()
    with pytest.raises(InputError, match="the first"), open_journal(folder, COLUMNS):
        (folder / "progress.jsonl").unlink()
        folder.rmdir()
        raise InputError("the first")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_photos(tmp_path):
    script = (
        "import pathlib, resource, sys, biranet.photos.journal as j\n"
        "names = tuple('abcdefghij')\n"
        f"with j.open_journal(pathlib.Path({str(tmp_path)!r}), names) as journal:\n"
        "    for number in range(int(sys.argv[1])):\n"
        "        journal.remember(f'photo {number}.jpg', dict.fromkeys(names, str(number) * 5))\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    few, many = (
        int(subprocess.run([sys.executable, "-c", script, count], check=True, capture_output=True).stdout)
        for count in ("2000", "40000")
    )
    assert many - few < 6_000  # KiB; the cells alone are 20,000

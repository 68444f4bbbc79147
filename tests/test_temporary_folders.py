"""Folders for temporary files go with their process, or with the next one, and nothing else does."""

import os
import signal
import subprocess
import sys

import pytest

from biranet.errors import InputError
from biranet.temporary_folders import temporary_folder

HOLD = """
import sys
from pathlib import Path
from biranet.temporary_folders import temporary_folder
with temporary_folder(Path(sys.argv[1]), "ours-") as place:
    (place / "session").mkdir()
    (place / "session" / "log").touch()
    (place / "latest").symlink_to("session")
    print(place, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold(tmp_path):
    """Function that starts a process that has a temporary folder, and gives both."""
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process, tmp_path / process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_what_a_killed_process_left_goes_with_the_next_one(tmp_path, hold):
    killed, left = hold()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert (left / "session" / "log").exists()
    living, kept = hold()
    assert [each.name for each in left.iterdir()] == [".biranet.lock"] and kept.exists()
    living.communicate()
    assert living.returncode == 0 and not kept.exists()
    # What it had started makes things anew for a while, and they go, too.
    (left / "session").mkdir()
    os.utime(left / ".biranet.lock", (0, 0))
    hold()
    assert not left.exists()


def test_nothing_else_goes(tmp_path, hold, tree):
    _, living = hold()
    for name in ("ours-of-somebody", "ours-new", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thing").write_text("mine")
    # As one that is just being made.
    (tmp_path / "ours-new" / ".biranet.lock").touch()
    (tmp_path / "ours-link").symlink_to(tmp_path / "theirs")
    (tmp_path / "ours-file").touch()
    before = tree(tmp_path)
    with temporary_folder(tmp_path, "ours-") as place:
        assert place.is_dir()
    assert tree(tmp_path) == before and living.exists()


def test_where_nothing_can_be_written_is_one_sentence(tmp_path):
    with (
        pytest.raises(InputError, match=r"cannot write in .*missing: No such file"),
        temporary_folder(tmp_path / "missing", "ours-"),
    ):
        pass

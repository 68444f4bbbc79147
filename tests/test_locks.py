import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from biranet.errors import InputError
from biranet.locks import exclusive_file

HOLDER = """
import sys, time
from pathlib import Path
from biranet.locks import exclusive_file
with exclusive_file(Path(sys.argv[1]), wait=True) as file:
    file.write("mine")
    file.flush()
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holding(tmp_path):
    """Function that starts a process which claims `log.txt`, waiting for it, and writes into it."""
    with contextlib.ExitStack() as ended:

        def start():
            words = [sys.executable, "-c", HOLDER, str(tmp_path / "log.txt")]
            process = ended.enter_context(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
            ended.callback(process.kill)
            return process

        yield start


def test_a_claim_of_another_process_ends_with_it_however_it_ends(holding, tmp_path):
    path, holder = tmp_path / "log.txt", holding()
    assert holder.stdout.readline() == "held\n"
    with exclusive_file(path) as file:
        assert file is None
    threading.Timer(0.5, holder.kill).start()
    with exclusive_file(path, wait=True) as file:
        assert holder.wait(60) == -signal.SIGKILL
        file.write(" and mine")
        file.flush()
        file.seek(0)
        assert file.read() == "mine and mine"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_file_that_its_holder_deletes_is_claimed_anew(holding, tmp_path, wait_for):
    path = tmp_path / "log.txt"

    def opened():
        found = []
        for link in Path("/proc", str(waiting.pid), "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found.append(link.readlink())
        return path in found

    with exclusive_file(path):
        waiting = holding()
        wait_for(opened)
        path.unlink()
    assert waiting.stdout.readline() == "held\n"
    assert path.read_text() == "mine"


def test_a_file_that_cannot_be_claimed_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "folder" / "log.txt"
    with (
        pytest.raises(InputError, match=r"cannot lock .*log\.txt: Not a directory; choose a folder"),
        exclusive_file(place),
    ):
        pass


def test_a_claim_ends_with_its_block_though_a_process_started_in_it_lives_on(tmp_path):
    with exclusive_file(tmp_path / "log.txt") as file:
        os.set_inheritable(file.fileno(), True)
        child = subprocess.Popen(["sleep", "600"], close_fds=False)
    with exclusive_file(tmp_path / "log.txt") as again:
        assert again is not None
    child.kill()
    child.wait()

"""What nobody foresaw ends in one sentence, with a status of its own and a file to send."""

import os
import re
import stat
import tempfile
from pathlib import Path

import pytest

from biranet import demo
from biranet.faults import EXIT_STATUS


@pytest.fixture
def told(biranet, monkeypatch, tmp_path):
    """Function from an error that nobody catches to the sentence and the text of the file, which may be missing."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def tell(error):
        def fail(_):
            raise error

        monkeypatch.setattr(demo, "run_demo", fail)
        answer = biranet("demo")
        assert (answer.status, answer.out, answer.err.count("\n")) == (EXIT_STATUS, "", 1)
        files = list(tmp_path.glob("biranet-fault-*.txt"))
        return answer.err, files[0].read_text() if files else None

    return tell


def test_a_fault_is_one_sentence_and_the_traceback_a_file_of_its_owner(told, tmp_path):
    sentence, details = told(AttributeError("no such thing\nin two lines"))
    found = re.fullmatch(
        r"biranet: this is a fault of biranet \(AttributeError: no such thing\); the details are in (\S+); please send "
        r"it, after a look at what it says\n",
        sentence,
    )
    assert found and Path(found[1]).parent == tmp_path
    assert stat.S_IMODE(Path(found[1]).stat().st_mode) == 0o600
    assert "Traceback" in details and "command: demo" in details and re.match(r"biranet \d.*, Python 3", details)


def test_the_file_does_not_say_whose_it_is(told, monkeypatch):
    monkeypatch.setenv("HOME", str(Path(__file__).parent))
    _, details = told(ValueError(f"{Path(__file__).parent}/photo.jpg"))
    assert str(Path(__file__).parent) not in details and "~/photo.jpg" in details
    assert os.uname().nodename not in details


def test_code_is_named_relative_to_the_package(told):
    assert 'File "biranet/cli.py", line' in told(ValueError())[1]


@pytest.mark.parametrize(
    ("home", "text", "written"),
    [
        ("/", "/a/b.jpg", "/a/b.jpg"),
        ("/home/ann", "'/home/ann/b.jpg' /home/ann.", "'~/b.jpg' ~."),
        ("/home/ann", "/home/anna/c.jpg /mnt/home/ann/d.jpg", "/home/anna/c.jpg /mnt/home/ann/d.jpg"),
    ],
)
def test_only_the_home_itself_is_shortened(told, monkeypatch, home, text, written):
    monkeypatch.setenv("HOME", home)
    assert f"ValueError: {written}\n" in told(ValueError(text))[1]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "memory ran out; run it again with smaller batches, fewer workers"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you"), "memory ran out; "),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "a worker process was ended from"),
        (RecursionError("maximum recursion depth exceeded"), "this is a fault of biranet (RecursionError: maximum"),
        (PermissionError(13, "Permission denied", "x/labels.csv"), "x/labels.csv: Permission denied; "),
        (OSError(24, "Too many open files"), "the system refused: Too many open files; "),
        (OSError("cannot identify image"), "this is a fault of biranet (OSError: cannot identify image)"),
    ],
)
def test_the_true_reason_is_told(told, error, said):
    assert told(error)[0].startswith(f"biranet: {said}")


def test_where_no_file_can_be_written_the_sentence_says_where_it_came_from(told, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    sentence, details = told(KeyError("x"))
    assert details is None
    assert re.fullmatch(
        r"biranet: this is a fault of biranet \(KeyError: 'x'\); it came from .*\.py, line \d+\n", sentence
    )

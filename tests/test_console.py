"""What reaches a terminal: letters, never orders; and commands that nobody listens to do their work."""

import io
import os
import shutil
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biranet.console import GuardedStream, escape_control, progress_bar


@given(st.text())
def test_no_order_gets_through_and_letters_stay(text):
    shown = escape_control(text)
    assert all(letter.isprintable() or letter in "\n\t" or unicodedata.category(letter) == "Zs" for letter in shown)
    assert escape_control(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("back\b\rover \x9b2J \x7f", "back\\x08\\rover \\x9b2J \\x7f"),
        ("\u202egpj.exe \u2066 \u2028 \udcff", "\\u202egpj.exe \\u2066 \\u2028 \\udcff"),
        ("ÿ Привет 日本\u3000語 é 😀 \u00a0 ≥ …\tline\n", "ÿ Привет 日本\u3000語 é 😀 \u00a0 ≥ …\tline\n"),
    ],
)
def test_orders_are_written_out(text, shown):
    assert escape_control(text) == shown


def test_bar_goes_by_the_guard_and_is_not_shown_where_there_is_no_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", GuardedStream(terminal))
    assert list(progress_bar(range(3), desc="on")) == [0, 1, 2]
    assert "on: 100%" in terminal.getvalue() and "\r" in terminal.getvalue()
    for stream in (None, GuardedStream(io.StringIO())):
        monkeypatch.setattr(sys, "stderr", stream)
        assert progress_bar(range(3)).disable


def run(command, **streams):
    """Run the command line in a shell that may close or fill its streams."""
    return subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m biranet {command}"],
        text=True,
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONUNBUFFERED": ""},
        **streams,
    )


@pytest.fixture
def workdir(tmp_path, monkeypatch, drawn_photos, checkpoint):
    """The working folder, with three photos and a model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for file in sorted(drawn_photos.glob("*.jpg"))[:3]:
        shutil.copy(file, tmp_path / "photos")
    (tmp_path / "model.safetensors").symlink_to(checkpoint)
    return tmp_path


@pytest.mark.sample
@pytest.mark.parametrize(
    ("streams", "status", "told"),
    [
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        ("2>/dev/full", 0, ""),
        (">/dev/full", 2, "biranet: the work is done, but what it says cannot be written to standard output: No space"),
    ],
)
def test_closed_and_full_streams_leave_the_work_done(workdir, streams, status, told):
    done = run(f"prepare photos out --size 64 --workers 0 {streams}")
    assert done.returncode == status
    assert done.stderr.startswith(told) and done.stderr.count("\n") == bool(told)
    assert len((workdir / "out" / "manifest.csv").read_text().splitlines()) == 4


@pytest.mark.slow
@pytest.mark.sample
def test_grade_is_done_without_streams(workdir):
    assert run("grade photos --checkpoint model.safetensors --workers 0 --out g.csv >&- 2>&-").returncode == 0
    table = (workdir / "g.csv").read_text().splitlines()
    assert len(table) == 4 and table[0].startswith("file,status")  # and nothing printed has got into it


def test_an_error_keeps_its_status_without_streams(workdir):
    assert run("prepare nowhere out >&- 2>&-").returncode == 2
    assert run("prepare nowhere out >/dev/full 2>/dev/full").returncode == 2


ESCAPE = "\x1b[31mred\x1b[2J"


def test_no_input_gives_orders_to_the_terminal(biranet, workdir, tmp_path, checkpoint):
    (tmp_path / "labels.csv").write_text(f"file,{ESCAPE}\na.jpg,0\n")
    (tmp_path / f"{ESCAPE}.csv").write_text("file,grade\na.jpg,9\n")
    (tmp_path / "recipe.toml").write_text('"\\u001b[31m" = 1\n')
    (tmp_path / "odd.safetensors").write_bytes(checkpoint.read_bytes().replace(b"test_resnet", b"x\\\\u001b[mx"))
    commands = [
        ["prepare", "photos", "out", "--labels", "labels.csv"],
        ["prepare", "photos", "out", "--labels", f"{ESCAPE}.csv"],
        ["prepare", ESCAPE, "out"],
        ["prepare", "photos", "out", f"--{ESCAPE}"],
        ["prepare", "photos", "out", "--size", ESCAPE],
        [ESCAPE],
        ["train", "out", "--recipe", "recipe.toml"],
        ["grade", f"{ESCAPE}.jpg"],
        ["grade", "photos", "--checkpoint", "odd.safetensors"],
        ["models", ESCAPE],
        ["evaluate", "--predictions", f"{ESCAPE}.csv"],
    ]
    for command in commands:
        answer = biranet(*command)
        assert answer.status == 2, command
        assert answer.err and "\x1b" not in answer.out + answer.err, command

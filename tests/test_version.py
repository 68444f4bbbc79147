"""The version names the commit of this checkout, and never that of somebody else's."""

import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import biranet.version
from biranet.version import how_measured, software_version


def git(folder, *arguments):
    name = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(["git", *name, "-C", folder, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def as_in(folder, monkeypatch):
    """The version as it is where `version.py` lies in a folder."""
    shutil.copy(Path(biranet.version.__file__), folder / "version.py")
    monkeypatch.setattr(biranet.version, "__file__", str(folder / "version.py"))


def test_a_checkout_names_its_commit_and_changes(tmp_path, monkeypatch):
    as_in(tmp_path, monkeypatch)
    assert software_version() == version("biranet")
    git(tmp_path, "init", "-q")
    assert software_version() == version("biranet")
    git(tmp_path, "add", "version.py")
    git(tmp_path, "commit", "-qm", "a")
    commit = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert software_version() == f"{version('biranet')}, commit {commit}"
    (tmp_path / "version.py").write_text("changed")
    assert software_version() == f"{version('biranet')}, commit {commit} with changes"


def test_an_installation_below_another_checkout_is_not_that_checkout(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    (tmp_path / "theirs.py").write_text("")
    git(tmp_path, "add", "theirs.py")
    git(tmp_path, "commit", "-qm", "theirs")
    (tmp_path / "site-packages").mkdir()
    as_in(tmp_path / "site-packages", monkeypatch)
    assert software_version() == version("biranet")


def test_without_git_there_is_the_release(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert software_version() == version("biranet")


def test_the_command_line_can_be_typed_again(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/biranet", "evaluate", "my run/best.safetensors"])
    said = how_measured()
    monkeypatch.setattr(sys, "argv", ["/site-packages/biranet/__main__.py", "evaluate"])
    assert how_measured()["Command"] == "python -m biranet evaluate"
    assert said["Command"] == "biranet evaluate 'my run/best.safetensors'"
    assert said["Measured with"].startswith(f"biranet {software_version()}, numpy ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", said["Date"])

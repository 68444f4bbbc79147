"""The command line leaves what a paper takes, under the names and titles that it is given, without TeX or a display."""

import json
import os

import pytest

HEADER = "file,group,grade,predicted_grade,p0,p1,p2,p3,p4,camera"
ROWS = [
    "a.jpg,ann,0,0,0.7,0.1,0.1,0.05,0.05,眼_1",
    "b.jpg,ann,2,2,0.1,0.2,0.4,0.2,0.1,眼_1",
    "c.jpg,bob,1,2,0.1,0.3,0.4,0.1,0.1,A&B",
    "d.jpg,cem,4,3,0,0,0.1,0.6,0.3,A&B",
]


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """A working folder with two tables, on a machine with no display and no other program."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("PATH", os.fspath(tmp_path / "nothing"))
    for name in ("ours", "theirs"):
        (tmp_path / f"{name}.csv").write_text("\n".join([HEADER, *ROWS, ""]), encoding="utf-8")
    return tmp_path


def test_a_report_has_its_title_and_what_a_paper_takes(workdir, biranet):
    title = "Grading <b> & \\input{x}\n at  眼科"
    answer = biranet("evaluate", "--predictions", "ours.csv", "--by", "camera", "--title", title, "--out", "out")
    assert answer.status == 0, answer.err
    page = (workdir / "out" / "report.html").read_text(encoding="utf-8")
    assert "<title>Grading &lt;b&gt; &amp; \\input{x} at 眼科 – biranet</title>" in page
    methods = (workdir / "out" / "methods.md").read_text(encoding="utf-8")
    assert "# Grading \\<b\\> \\& \\\\input\\{x\\} at 眼科\n" in methods
    assert "眼_1" in (workdir / "out" / "figures" / "subgroups_camera.svg").read_text(encoding="utf-8")
    assert "A\\&B & 2" in (workdir / "out" / "tables" / "subgroups.tex").read_text(encoding="utf-8")


def test_models_have_the_names_they_are_given(workdir, biranet):
    names = ["--names", "Ours & co", "眼_2"]
    answer = biranet("compare", "ours.csv", "theirs.csv", *names, "--title", "Two", "--out", "out")
    assert answer.status == 0, answer.err
    assert "眼_2 minus Ours & co" in answer.out
    assert json.loads((workdir / "out" / "comparison.json").read_text(encoding="utf-8"))["names"] == [
        "Ours & co",
        "眼_2",
    ]
    assert "<title>Two – biranet</title>" in (workdir / "out" / "comparison.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["compare", "ours.csv", "theirs.csv", "--names", "one"], "--names gives 1 name for 2 tables; give one for"),
        (["compare", "ours.csv", "theirs.csv", "--names", "a", "a"], "--names must give each table a name of its own"),
        (["compare", "ours.csv", "theirs.csv", "--title", " "], "--title holds only spaces; give a title, or leave it"),
        (["evaluate", "--predictions", "ours.csv", "--title", "\n"], "--title holds only spaces; give a title, or"),
    ],
)
def test_names_and_titles_that_say_nothing_are_refused(workdir, biranet, words, sentence):
    answer = biranet(*words, "--out", "out")
    assert answer.status == 2
    assert answer.err.startswith(f"biranet: {sentence}") and answer.err.count("\n") == 1
    assert not (workdir / "out").exists()

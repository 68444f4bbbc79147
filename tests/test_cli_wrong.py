"""Whatever the command line is wrongly given, it answers with one clear sentence and leaves no trace."""

import json
import os
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from biranet.manifest import read_manifest, write_manifest


def words(text):
    """Text without line breaks and frames."""
    return " ".join(re.sub("[─-╿]", " ", text).split())


@pytest.fixture
def workdir(tmp_path, monkeypatch, drawn_photos, split_folder, checkpoint):
    """The working folder, with photos, a prepared folder, a model, and much that is wrong."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(split_folder, "prepared")
    (tmp_path / "photos").symlink_to(drawn_photos)
    (tmp_path / "model.safetensors").symlink_to(checkpoint)
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "text.safetensors").write_text("hello")
    (tmp_path / "names.csv").write_text("name,grade\ndrawn_0001_left.jpg,1\n")
    (tmp_path / "seven.csv").write_text("file,grade\ndrawn_0001_left.jpg,7\n")
    (tmp_path / "unknown.toml").write_text("[data]\nimagesize = 64\n")
    (tmp_path / "broken.toml").write_text("epochs =\n")
    rows = {
        "nine": "a.jpg,9,1,.2,.2,.2,.2,.2",
        "nan": "a.jpg,1,1,.2,.2,nan,.2,.2",
        "sum": "a.jpg,1,1,.4,.4,.4,.4,.4",
        "good": "a.jpg,1,1,.2,.2,.2,.2,.2",
    }
    for name, row in rows.items():
        (tmp_path / f"p_{name}.csv").write_text(f"file,grade,predicted_grade,p0,p1,p2,p3,p4\n{row}\n")
    return tmp_path


MODEL = "model.safetensors"
WRONG = {
    # command line (SMALL stands for the settings of a small training): words of the one sentence that answers
    "nonsense": "there is no command 'nonsense'; the commands are: demo, prepare,",
    "prepare photos out --nonsense": "Unrecognized options: --nonsense",
    "prepare photos": "Missing from biranet prepare",
    "prepare nowhere out": "there is no folder nowhere",
    "prepare text.safetensors out": "is not a folder",
    "prepare empty out": "empty holds no photographs",
    "prepare prepared out": "was prepared by biranet already",
    "prepare photos photos": "holds the photographs; name another folder",
    "prepare photos text.safetensors": "is a file; name a folder",
    "prepare photos out --labels nowhere.csv": "there is no label file nowhere.csv",
    "prepare photos out --labels names.csv": "there is no column 'file'; names.csv has the columns: name, grade; say",
    "prepare photos out --labels seven.csv": "seven.csv, row 2, column 'grade': '7' is not a grade from 0 to 4",
    "prepare photos out --size 5": "--size must be at least 32 pixels, not 5",
    "prepare photos out --size 100000": "--size must be at most 8192 pixels, not 100000",
    "prepare photos out --workers -1": "--workers must be at least 0, not -1",
    "prepare photos prepared --size 65": "prepared holds photos of 64 px and JPEG quality 95, not of 65 px and 95",
    "split nowhere": "nowhere holds no manifest.csv",
    "split prepared --folds 1": "--folds must be at least 2, not 1",
    "split prepared --folds 100": "20 groups of photos cannot be divided into 100 parts",
    "split prepared --test 0.9": "leave something to train on",
    "train nowhere SMALL": "nowhere holds no manifest.csv",
    "train prepared SMALL --image-size 65": "--image-size 65 is larger than the prepared photos, which are 64 px",
    "train prepared SMALL --backbone resnett50": "timm has no such model; did you mean resnet50",
    "train prepared SMALL --backbone resnet18.evil": "--backbone resnet18.evil: timm has no weights 'evil' of resnet18",
    "train prepared SMALL --backbone vit_tiny_patch16_224": "vit_tiny_patch16_224 cannot see images of 64 px (",
    "train prepared --image-size 64": "cannot download the ImageNet weights of the backbone resnet50",
    "train prepared SMALL --freeze stage2": "would keep layers at random values for ever",
    "train prepared SMALL --backbone-weights nowhere.pth": "--backbone-weights nowhere.pth: no such file",
    "train prepared SMALL --epochs 0": "--epochs must be at least 1, not 0",
    "train prepared SMALL --epochs many": "Error parsing --epochs: invalid literal",
    "train prepared SMALL --loss nonsense": "--loss",
    "train prepared SMALL --fold 1": "prepared has no fold 1; make folds with: biranet split prepared --folds 5",
    "train prepared SMALL --out text.safetensors": "text.safetensors is a file; name a folder for a run",
    "train prepared --recipe unknown.toml": "no setting 'data.imagesize'; known here are: image_size, batch_size",
    "train prepared --recipe broken.toml": "broken.toml is not valid TOML",
    "train prepared --recipe nowhere.toml": "cannot read the recipe nowhere.toml",
    "train prepared --resume": "--resume needs the run folder",
    "train --resume --out nowhere": "cannot read nowhere/config.json",
    "train --resume --out nowhere --recipe unknown.toml": "leave --recipe out",
    "evaluate": "give either a CHECKPOINT with a PREPARED folder, or --predictions FILE",
    f"evaluate {MODEL} prepared --predictions p_good.csv": "give either a CHECKPOINT",
    "evaluate prepared": "prepared is no file; give a checkpoint",
    "evaluate text.safetensors prepared": "text.safetensors is not a checkpoint of biranet, or it is damaged",
    f"evaluate {MODEL} nowhere": "nowhere holds no manifest.csv",
    f"evaluate {MODEL} prepared --split nonsense": "--split",
    f"evaluate {MODEL} prepared --workers -1": "--workers must be at least 0, not -1",
    f"evaluate {MODEL} prepared --out text.safetensors": "text.safetensors is a file; name a folder",
    "evaluate --predictions nowhere.csv": "cannot read nowhere.csv",
    "evaluate --predictions p_nine.csv": "p_nine.csv, row 2, column 'grade': '9' is not a grade from 0 to 4",
    "evaluate --predictions p_nan.csv": "p_nan.csv, row 2, column 'p2': 'nan' is not a probability",
    "evaluate --predictions p_sum.csv": "p_sum.csv, row 2, columns 'p0' to 'p4': they sum to 2, not to 1",
    "evaluate --predictions p_good.csv p_good.csv": "'a.jpg' stands in p_good.csv and again in p_good.csv",
    "grade": "no photos were given",
    f"grade --checkpoint {MODEL}": "no photos were given",
    f"grade nowhere.jpg --checkpoint {MODEL}": "nowhere.jpg does not exist",
    f"grade empty --checkpoint {MODEL}": "empty holds no photos",
    f"grade prepared --checkpoint {MODEL}": "prepared was prepared by biranet already; give the folder of the",
    f"grade names.csv --checkpoint {MODEL}": "names.csv has no column 'file'",
    "grade photos --checkpoint text.safetensors": "text.safetensors is not a checkpoint of biranet",
    "grade photos --checkpoint nowhere.safetensors": "nowhere.safetensors is no file",
    f"grade photos --checkpoint {MODEL} --batch-size 0": "--batch-size must be at least 1, not 0",
    f"grade photos --checkpoint {MODEL} --workers -1": "--workers must be at least 0, not -1",
    f"grade photos --checkpoint {MODEL} --out empty": "empty is a folder; name a file",
    f"grade photos --checkpoint {MODEL} --out text.safetensors/x.csv": "cannot write text.safetensors/x.csv",
    f"grade photos --checkpoint {MODEL} --workers 0 --overlay seven.csv": "seven.csv is a file; name a folder",
    f"export {MODEL}": "Missing from biranet export",
    f"export {MODEL} out.pt": "out.pt: the name of what is exported must end in .onnx or .safetensors",
    f"export {MODEL} empty": "empty: the name of what is exported must end in .onnx or .safetensors",
    f"export {MODEL} folder.onnx": "folder.onnx is a folder; name a file",
    f"export {MODEL} {MODEL}": "model.safetensors is to be read, and an exported checkpoint would replace it",
    f"export {MODEL} empty/../{MODEL}": "is to be read, and an exported checkpoint would replace it; name another file",
    "export nowhere.safetensors out.onnx": "nowhere.safetensors is no file; give a checkpoint",
    "export text.safetensors out.safetensors": "text.safetensors is not a checkpoint of biranet, or it is damaged",
    f"export {MODEL} text.safetensors/x.safetensors": "cannot write text.safetensors/x.safetensors",
    "demo --out prepared": "prepared holds other things than a demo of biranet's, such as contact_sheet.jpg; name a",
    "demo --out text.safetensors": "text.safetensors is a file; name a folder for a demo",
}  # fmt: skip


def assert_one_sentence(answer, sentence, status=2):
    assert answer.status == status
    assert sentence in words(answer.err)
    assert "Traceback" not in answer.err and "Error(" not in answer.err
    if answer.err.startswith("biranet: "):
        assert answer.err.count("\n") == 1


@pytest.mark.parametrize("line", WRONG)
def test_wrong_use_is_answered_by_a_sentence_and_leaves_no_trace(biranet, small, workdir, tree, line):
    before = tree(workdir)
    answer = biranet(*(word for part in line.split() for word in (small if part == "SMALL" else [part])))
    assert_one_sentence(answer, WRONG[line])
    assert tree(workdir) == before


def rewritten(checkpoint, path, **header):
    """Copy a checkpoint with another header."""
    from biranet.learning.tensors import open_tensors, write_tensors

    with open_tensors(checkpoint, "a checkpoint") as stored:
        write_tensors(path, stored.tensors(), stored.header | header)


def test_checkpoint_of_another_version(biranet, workdir, checkpoint):
    rewritten(checkpoint, workdir / "later.safetensors", version=99)
    sentence = "later.safetensors is a checkpoint of version 99, and this program reads version 4"
    assert_one_sentence(biranet("evaluate", "later.safetensors", "prepared"), sentence)
    assert_one_sentence(biranet("grade", "photos", "--checkpoint", "later.safetensors"), sentence)
    assert not (workdir / "report").exists() and not (workdir / "biranet_grades.csv").exists()


def test_checkpoint_of_which_a_bit_has_flipped(biranet, workdir, checkpoint):
    data = bytearray(checkpoint.read_bytes())
    data[-40] ^= 64
    (workdir / "flipped.safetensors").write_bytes(data)
    sentence = "flipped.safetensors is damaged: its weights are not those that were written; copy it anew"
    for command in (
        ["grade", "photos", "--checkpoint", "flipped.safetensors"],
        ["evaluate", "flipped.safetensors", "prepared"],
        ["calibrate", "flipped.safetensors", "prepared"],
        ["export", "flipped.safetensors", "half.safetensors"],
    ):
        assert_one_sentence(biranet(*command), sentence)
    assert not any((workdir / name).exists() for name in ("report", "grades.csv", "half.safetensors"))
    assert (workdir / "flipped.safetensors").read_bytes() == bytes(data)


def test_state_of_a_training_is_no_checkpoint(biranet, workdir, run_folder):
    answer = biranet("grade", "photos", "--checkpoint", run_folder / "state.safetensors")
    assert_one_sentence(answer, "is not a checkpoint; give RUN/best.safetensors")


def test_photos_of_another_size_are_refused(biranet, workdir, tree):
    assert (
        biranet("prepare", "photos", "larger", "--labels", "photos/labels.csv", "--size", 72, "--workers", 0).status
        == 0
    )
    before = tree(workdir)
    answer = biranet("evaluate", MODEL, "larger", "--split", "all")
    assert_one_sentence(answer, "prepare them again, into another folder, with --size 64", status=1)
    assert tree(workdir) == before


def test_empty_part_names_the_parts(biranet, workdir):
    table = read_manifest(workdir / "prepared")
    write_manifest(workdir / "prepared", table.assign(split=table["split"].replace("test", "train")))
    assert_one_sentence(
        biranet("evaluate", MODEL), "prepared has no graded photos in the part 'test'; its parts are: train"
    )
    assert not (workdir / "report").exists()


def test_torn_split_is_refused(biranet, small, workdir, tree):
    """One patient in two parts: the figures would be too good to be true."""
    table = read_manifest(workdir / "prepared")
    pair = table[(table["split"] == "train") & table["group"].duplicated()].index[0]
    table.loc[pair, "split"] = "test"
    write_manifest(workdir / "prepared", table)
    before = tree(workdir)
    answer = biranet("train", "prepared", "--out", "run", *small)
    assert_one_sentence(answer, f"the group {table.loc[pair, 'group']} stands in more than one part", status=1)
    assert tree(workdir) == before


def test_official_split_that_tears_every_patient_is_refused(biranet, workdir, tree):
    labels = pd.read_csv("photos/labels.csv").assign(split="train")
    labels.loc[labels["eye"] == "right", "split"] = "test"
    labels.to_csv("torn.csv", index=False)
    assert biranet("prepare", "photos", "torn", "--labels", "torn.csv", "--size", 64, "--workers", 0).status == 0
    before = tree(workdir)
    answer = biranet("split", "torn")
    assert_one_sentence(answer, "no photos are left to train on")
    assert tree(workdir) == before


def test_finished_run_is_not_overwritten(biranet, small, workdir, run_folder, tree):
    before = tree(run_folder)
    answer = biranet("train", "prepared", "--out", run_folder, *small)
    assert_one_sentence(answer, "already holds a training; go on with it by --resume")
    assert tree(run_folder) == before


def test_resume_with_other_settings_names_them(biranet, workdir, run_folder, tree):
    before = tree(run_folder)
    answer = biranet("train", "--resume", "--out", run_folder, "--epochs", 3, "--lr", 0.5, "--model", "plain")
    assert_one_sentence(answer, "--resume keeps the settings of the run; leave out what differs: ")
    for difference in ("epochs is 3 here and 1 in", "optimizer.lr is 0.5 here and 0.0002 in", "model.model is 'plain'"):
        assert difference in answer.err
    assert "seed" not in answer.err and tree(run_folder) == before


@pytest.mark.parametrize("content", ["{}", "[]", "1", '{"prepared": "p"}', '{"prepared": 1, "train": {}}'])
def test_resume_from_a_config_that_is_none(biranet, workdir, content):
    (workdir / "run").mkdir()
    (workdir / "run" / "config.json").write_text(content)
    answer = biranet("train", "--resume", "--out", "run")
    assert_one_sentence(answer, "run/config.json does not hold the settings of a training")


def test_resume_after_the_photos_changed(biranet, workdir, run_folder):
    shutil.copytree(run_folder, "run")
    stored = json.loads((workdir / "run" / "config.json").read_text())
    (workdir / "run" / "config.json").write_text(json.dumps(stored | {"prepared": "prepared"}))
    table = read_manifest(workdir / "prepared")
    table.loc[table.index[0], "grade"] = 4 - int(table["grade"].iloc[0])
    write_manifest(workdir / "prepared", table)
    assert_one_sentence(biranet("train", "--resume", "--out", "run"), "have changed since run began; train anew")


def test_resume_after_the_settings_were_edited(biranet, workdir, run_folder):
    shutil.copytree(run_folder, "run")
    stored = json.loads((workdir / "run" / "config.json").read_text())
    stored["train"]["optimizer"]["lr"] = 0.5
    (workdir / "run" / "config.json").write_text(json.dumps(stored | {"prepared": "prepared"}))
    sentence = (
        "run/state.safetensors was written under other conditions: optimizer.lr is 0.5 here and 0.0002 in the run"
    )
    assert_one_sentence(biranet("train", "--resume", "--out", "run"), sentence)


def test_demo_leaves_what_is_not_its_own(biranet, workdir):
    (workdir / "empty" / "thesis.txt").write_text("years of work")
    assert_one_sentence(biranet("demo", "--out", "empty"), "empty holds other things than a demo")
    assert (workdir / "empty" / "thesis.txt").read_text() == "years of work"


# The table of grades


def test_odd_names_stay_one_row_each(biranet, workdir):
    names = ["cr\rinside.jpg", "nl\ninside.jpg", 'q"uo,te.jpg', "ümläut 😀.jpg", " space .jpg"]
    (workdir / "odd").mkdir()
    for name in names:
        shutil.copy(workdir / "photos" / "drawn_0001_left.jpg", workdir / "odd" / name)
    assert biranet("grade", "odd", "--checkpoint", MODEL, "--workers", 0).status == 0
    table = pd.read_csv("biranet_grades.csv", dtype=str, keep_default_na=False)
    assert table["file"].tolist() == [f"odd/{name}" for name in sorted(names)]
    shares = table["p0"].astype(float)
    assert set(table["status"]) == {"ok"} and shares.max() - shares.min() < 1e-4


@pytest.mark.parametrize(
    "command",
    [
        ["prepare", "photos", "out\udcff"],
        ["audit", "prepared\udcff"],
        ["split", "prepared\udcff"],
        ["train", "prepared", "--out", "run\udcff"],
        ["calibrate", MODEL, "prepared\udcff"],
        ["evaluate", MODEL, "--out", "report\udcff"],
        ["compare", "p_good.csv", "p_good.csv", "--out", "report\udcff"],
        ["grade", "photos", "--checkpoint", MODEL, "--out=table\udcff.csv"],
        ["export", MODEL, "half\udcff.safetensors"],
        ["demo", "--out", "demo\udcff"],
    ],
    ids=lambda command: command[0],
)
def test_paths_that_are_not_utf8_are_refused_before_anything_is_written(biranet, workdir, tree, command):
    before = tree(workdir)
    answer = biranet(*command)
    assert_one_sentence(answer, "\\udcff")
    assert "is not UTF-8; rename the file or the folder" in answer.err and tree(workdir) == before


def test_names_that_are_not_utf8_are_refused(biranet, workdir):
    (workdir / "odd").mkdir()
    (workdir / "odd" / "bad\udcff.jpg").write_bytes(b"x")
    for given in ("odd", "odd/bad\udcff.jpg"):
        assert_one_sentence(biranet("grade", given, "--checkpoint", MODEL), "is not UTF-8; rename the file")
    assert not (workdir / "biranet_grades.csv").exists()


@pytest.mark.parametrize(
    "line",
    [
        "grade LONG.jpg",
        "grade photos --checkpoint LONG/best.safetensors",
        "grade photos --out LONG.csv",
        "grade photos --overlay LONG",
        "prepare LONG out",
        "prepare photos LONG",
        "prepare photos out --labels=LONG.csv",
        "audit LONG",
        "split LONG",
        "train LONG",
        "calibrate model.safetensors LONG",
        "evaluate model.safetensors --out LONG",
        "compare p_good.csv LONG.csv",
        "export model.safetensors LONG.onnx",
        "demo --out LONG",
    ],
)
def test_names_that_no_file_system_takes_are_refused(biranet, workdir, tree, line):
    before = tree(workdir)
    answer = biranet(*line.replace("LONG", "x" * 256).split())
    assert_one_sentence(answer, "File name too long")
    assert "prepare" not in answer.err
    assert tree(workdir) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["grade", ""], "nothing is given by the word ''; write what it should be, or leave it out"),
        (["grade", "photos", "--out", ""], "nothing is given by the word ''"),
        (["grade", "photos", "--out="], "nothing is given by the word '--out='"),
        (["grade", "photos", "--out", "g.csv/"], "g.csv/ is named as a folder, but it is a file; leave out the slash"),
        (["grade", "photos", "--out=g/"], "g: a table ends in .csv, .jsonl (JSON lines) or .parquet; name such a file"),
        (["grade", "p_good.csv/"], "p_good.csv/ is named as a folder, but it is a file"),
        (["export", MODEL, "m.safetensors/"], "m.safetensors/ is named as a folder, but it is a file"),
        (["grade", "a\0.jpg"], "no file or folder can be called 'a\\x00.jpg': it holds a zero byte"),
    ],
)
def test_empty_words_and_files_named_as_folders_are_refused(biranet, workdir, tree, arguments, sentence):
    before = tree(workdir)
    assert_one_sentence(biranet(*arguments), sentence)
    assert tree(workdir) == before


def test_a_name_in_utf8_under_another_locale_is_told_so():
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "biranet", "grade", "gr\u00fcn.jpg".encode()],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "is UTF-8, but the locale is not; set LANG to a UTF-8 locale, or PYTHONUTF8=1" in done.stderr


def test_a_cell_as_long_as_a_file_is_not_quoted_whole(biranet, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text(f"file,grade,predicted_grade\na.jpg,{'9' * 100_000},1\n")
    answer = biranet("evaluate", "--predictions", table, "--out", tmp_path / "report")
    assert_one_sentence(answer, "table.csv, row 2, column 'grade': '999")
    assert "999' is not a grade from 0 to 4; where it stands for one" in answer.err and len(answer.err) < 3_300

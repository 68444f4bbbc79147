"""A plain installation, without the extras: what works in it, and the one sentence about what does not.

Here a hook in a process of its own refuses the packages of the extras; `test_cli_models.py` installs a wheel.
"""

import json
import subprocess
import sys

import pandas as pd
import pytest

from biranet.decisions.rules import Rules
from biranet.extras import _PACKAGES
from biranet.learning.checkpoint_file import read_info
from biranet.learning.shipped_models import DEFAULT, find_checkpoint
from checkpoints import with_info

WITHOUT = """
import contextlib, io, json, sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

given = json.load(sys.stdin)
REFUSED = set(given["refused"])
sys.meta_path.insert(0, Refused())

from biranet.cli import main

def run(words):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main(words)
        except SystemExit as ended:
            return [ended.code, out.getvalue(), err.getvalue()]

if __name__ == "__main__":
    answers = [run(words) for words in given["commands"]]
    said = {}
    import biranet
    for name in given["names"]:
        try:
            getattr(biranet, name)
        except ValueError as error:
            said[name] = str(error)
    assert not REFUSED & sys.modules.keys(), REFUSED & sys.modules.keys()
    print(json.dumps([answers, said]))
"""


@pytest.fixture
def without_torch(tmp_path):
    """Function that runs commands where no extra is installed; gives their answers, and what names of Python say."""

    def run(*commands, names=()):
        refused = ["torchvision", "pydicom", "pyarrow", *(name for names in _PACKAGES.values() for name in names)]
        given = {"refused": refused, "commands": [[str(word) for word in words] for words in commands], "names": names}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", WITHOUT],
            input=json.dumps(given), capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return run


NEED_TORCH = ["create_model", "BiraNet", "Output", "grading_loss", "GradingLoss", "PreparedPhotos", "train", "Progress"]
LIGHT = ["load", "Grader", "CheckpointInfo", "TrainConfig", "Predictor", "measure", "prepare_photo", "audit"]


def test_what_needs_torch_says_so(without_torch, checkpoint, split_folder, drawn_photos, tmp_path, tree):
    """Nothing else happens: no folder is begun, nothing that is there is touched."""
    install = 'install it with: pip install "biranet[train]"'
    command = "biranet: biranet {} needs torch; " + install
    demo, computing = tmp_path / "demo", f"biranet: computing {checkpoint} needs torch; {install}"
    demo.mkdir()
    (demo / "demo.json").write_text('{"demo": true}')
    (demo / "run").mkdir()
    needing = {
        ("train", split_folder): command.format("train"),
        ("train", split_folder, "--from", DEFAULT): command.format("train"),
        ("crossval", split_folder): command.format("crossval"),
        ("calibrate", checkpoint, split_folder): command.format("calibrate"),
        ("evaluate", checkpoint, split_folder): computing,
        ("grade", drawn_photos, "--checkpoint", checkpoint): computing,
        ("lesions", drawn_photos, "--checkpoint", checkpoint): computing,
        ("grade", drawn_photos, "--engine", "torch"): computing.replace(str(checkpoint), str(find_checkpoint())),
        ("grade", drawn_photos, "--engine", "openvino"): (
            f"biranet: computing {find_checkpoint()} by OpenVINO needs openvino; {install.replace('train', 'openvino')}"
        ),
        **{
            (*words, "--ray"): (f"biranet: computing on a Ray cluster needs ray; {install.replace('train', 'ray')}")
            for words in (("grade", drawn_photos, "--out", "parts"), ("prepare", drawn_photos, "prepared"))
        },
        ("export", checkpoint, "a.safetensors"): f"biranet: halving a checkpoint needs torch; {install}",
        ("export", checkpoint, "a.onnx"): f"biranet: writing ONNX needs torch; {install.replace('train', 'onnx')}",
        ("serve",): 'biranet: biranet serve needs fastapi; install it with: pip install "biranet[serve]"',
        ("demo", "--out", demo): command.format("demo"),
    }
    before = tree(tmp_path)
    answers, said = without_torch(*needing, names=[*NEED_TORCH, *LIGHT])
    assert answers == [[2, "", f"{sentence}\n"] for sentence in needing.values()]
    assert said == {name: f"biranet.{name} needs torch; {install}" for name in NEED_TORCH}
    assert tree(tmp_path) == before


@pytest.mark.slow
@pytest.mark.sample
def test_all_else_works_without_torch(without_torch, biranet, checkpoint, split_folder, drawn_photos, tmp_path):
    model, exported, mine = tmp_path / "mine.safetensors", tmp_path / "mine.onnx", tmp_path / "mine"
    with_info(checkpoint, model, rules=Rules())
    assert biranet("export", model, exported).status == 0
    assert biranet("evaluate", model, split_folder, "--split", "all", "--out", tmp_path / "torch").status == 0
    table = tmp_path / "torch" / "predictions.csv"
    commands = [
        ("prepare", drawn_photos, mine, "--labels", drawn_photos / "labels.csv", "--size", "320"),
        ("audit", mine),
        ("split", mine),
        ("models",),
        ("models", DEFAULT),
        ("grade", drawn_photos, "--keep-ungradable", "--overlay", "looked"),
        ("grade", drawn_photos, "--keep-ungradable", "--checkpoint", exported, "--out", "mine.csv"),
        ("evaluate", DEFAULT, mine, "--split", "all"),
        ("evaluate", exported, split_folder, "--split", "all", "--out", "onnx"),
        ("evaluate", "--predictions", table, "--out", "again"),
        ("calibrate", model, split_folder, "--predictions", table),
        ("compare", table, "onnx/predictions.csv"),
    ]
    answers, said = without_torch(*commands, names=LIGHT)
    assert [(status, err) for status, _, err in answers] == [(0, "")] * len(commands) and said == {}
    assert len(list((tmp_path / "looked").iterdir())) == 40
    assert read_info(model).rules.fitted_on.startswith("40 photos")
    ours, theirs = pd.read_csv(tmp_path / "onnx" / "predictions.csv"), pd.read_csv(table)
    shares = [f"p{grade}" for grade in range(5)]
    assert (ours[shares] - theirs[shares]).abs().max().max() < 1e-4
    assert ours.drop(columns=shares).equals(theirs.drop(columns=shares))

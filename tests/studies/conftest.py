"""What the studies are tried with: a grid and a recipe that take seconds, on drawn photographs."""

import contextlib
import io
from pathlib import Path

import pytest

from biranet.manifest import read_manifest, write_manifest
from biranet.photos.datasets import LabelSource
from biranet.photos.drawn.synthetic import balanced_grades, draw_folder
from biranet.photos.folder import prepare_folder
from studies.idrid import run as command

STUDIES = {"finished_study", "nested", "made"}
"""Fixtures for which a study is run."""


def pytest_collection_modifyitems(items):
    """Mark what needs a study that was run: it takes long, whichever test is the first to ask for it."""
    for item in items:
        if Path(__file__).parent in item.path.parents and STUDIES & set(item.fixturenames):
            item.add_marker("slow")
            item.add_marker("sample")


TINY = """
rates = [1e-3, 1e-2]
seeds = [1]
folds = 2
validation = 0.25
architectures = ["plain", "biranet"]
ablations = ["matrix_gate"]

[train]
epochs = 2
early_stop = 0
save_epoch = 1000
device = "cpu"

[train.model]
backbone = "test_resnet"
pretrained = false
freeze = "none"

[train.data]
image_size = 64
batch_size = 20
workers = 0

[train.optimizer]
weight_scale = "unit"
optimizer = "adamw"
schedule = "cosine"
"""

TINY_RECIPE = """
epochs = 2
early_stop = 0

[model]
backbone = "test_resnet"
pretrained = false
freeze = "none"

[data]
image_size = 64
batch_size = 20
workers = 0

[optimizer]
loss = "ce"
label_smoothing = 0.2
optimizer = "adamw"
lr = 1e-2
schedule = "cosine"

[calibration]
decoder = "expected_grade"
"""


@pytest.fixture(scope="session")
def tiny_recipe():
    """Text of a recipe for the commands that make the model that ships."""
    return TINY_RECIPE


@pytest.fixture(scope="session")
def tiny_grid(tmp_path_factory):
    """File of the tiny grid."""
    path = tmp_path_factory.mktemp("grid") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def external(tmp_path_factory):
    """16 other drawn photographs, prepared like the first; read only."""
    folder = tmp_path_factory.mktemp("external")
    draw_folder(folder / "drawn", balanced_grades(16), seed=8, width_px=160, height_px=128)
    prepare_folder(
        folder / "drawn", folder / "prepared", labels=LabelSource(folder / "drawn" / "labels.csv"), size_px=64
    )
    table = read_manifest(folder / "prepared")
    write_manifest(folder / "prepared", table.assign(source="elsewhere", group="elsewhere_" + table["group"]))
    return folder / "prepared"


@pytest.fixture(scope="session")
def finished_study(prepared, external, tiny_grid, tmp_path_factory):
    """Folder of a finished study: `out`, `results`, `page`, and what was said in `said.txt`; read only."""
    folder = tmp_path_factory.mktemp("study")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = command.main([*arguments(prepared, tiny_grid, folder), "--external", str(external)])
    assert status == 0
    (folder / "said.txt").write_text(said.getvalue())
    return folder


def arguments(prepared, grid, folder):
    """The words after the command's name for a study in a folder."""
    places = [word for name in ("out", "results", "page") for word in (f"--{name}", str(folder / name))]
    return [str(prepared), "--grid", str(grid), *places]


@pytest.fixture(scope="session")
def study_arguments():
    """Function from prepared folder, grid and folder to the words of the command."""
    return arguments

"""Photographs for the tests: drawn ones always, real ones where they are; and in which order the tests run."""

import atexit
import gc
import hashlib
import os
import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from coverage import Coverage

from drawn_tables import draw_table  # noqa: F401 (a fixture)
from warm import Warm, unmeasured

REAL_DATA = Path(os.environ.get("BIRANET_REAL_DATA", Path(__file__).parents[2] / "shared" / "data" / "fundus"))

# One thread a process: the test run itself is parallel, and sums then have one order on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A run started in the background inherits that Ctrl-C is ignored, one below nohup that a closed terminal is; tests of
# both, and what they start, need them.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
# Group keys of the tests' own, not the user's: one for the whole run, so that a test and what it starts agree.
os.environ["XDG_CONFIG_HOME"] = str(Path(tempfile.gettempdir(), f"biranet-tests-{os.getuid()}"))
# Tests import it themselves; biranet says the same where it does.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# No test may reach for a hub; a missing file must fail at once, not after retries.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Seek no garbage in what is imported, neither meanwhile nor after each test: it stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(gc.unfreeze)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Files with long tests first, of these the ones that drive whole commands, or one process would wait at the end for
    # the other's longest.
    long = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("sample")}
    items.sort(key=lambda item: (item.path not in long, len(item.path.parts)))
    if REAL_DATA.is_dir():
        return
    skip = pytest.mark.skip(reason=f"no real photographs at {REAL_DATA}; BIRANET_REAL_DATA names another place")
    for item in items:
        if item.get_closest_marker("real"):
            item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Measure no coverage of long tests: it would make them half as long again, and others run the same lines."""
    is_measured = not item.get_closest_marker("slow") or item.get_closest_marker("apart")
    measured = None if is_measured else Coverage.current()
    if measured is None:
        return (yield)
    inherited = {name: os.environ.pop(name) for name in os.environ.keys() - unmeasured().keys()}
    measured.stop()
    try:
        return (yield)
    finally:
        measured.start()
        os.environ.update(inherited)


@pytest.fixture(scope="session")
def wait_for() -> Callable[[Callable[[], bool]], None]:
    """Function that waits until a condition holds, for a minute at most."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def session_lives() -> Callable[[int], bool]:
    """Function that tells whether a process of a session, which `start_new_session` makes, is still alive."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("needs /proc")

    def lives(session: int) -> bool:
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[3] == str(session) and fields[0] != "Z":
                return True
        return False

    return lives


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real photographs; its labels.csv lists the pictures in images512."""
    return REAL_DATA


@pytest.fixture(scope="session")
def drawn_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with 40 drawn photographs of 20 patients and their labels.csv; read only."""
    from biranet.photos.drawn.synthetic import balanced_grades, draw_folder

    folder = tmp_path_factory.mktemp("drawn")
    draw_folder(folder, balanced_grades(40), seed=7, width_px=160, height_px=128)
    return folder


@pytest.fixture(scope="session")
def prepared(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn photographs, prepared at 64 px; read only, so copy it to change it."""
    from biranet.photos.datasets import LabelSource
    from biranet.photos.folder import prepare_folder

    folder = tmp_path_factory.mktemp("prepared") / "prepared"
    prepare_folder(drawn_photos, folder, labels=LabelSource(drawn_photos / "labels.csv"), size_px=64)
    return folder


@pytest.fixture(scope="session")
def split_folder(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared photographs, divided into parts; read only, so copy it to change it."""
    from biranet.config import SplitConfig
    from biranet.learning.split import split_photos
    from biranet.manifest import read_manifest, write_manifest

    folder = tmp_path_factory.mktemp("split") / "prepared"
    shutil.copytree(prepared, folder)
    write_manifest(folder, split_photos(read_manifest(folder), SplitConfig()))
    return folder


@pytest.fixture(scope="session")
def checkpoint(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BiRA-Net of 64 px with random weights, which tells the photographs apart; read only."""
    import numpy as np
    import torch

    from biranet.config import ModelConfig
    from biranet.learning.checkpoint import save_checkpoint
    from biranet.learning.checkpoint_info import CheckpointInfo
    from biranet.learning.data import PreparedPhotos
    from biranet.learning.model import build_model
    from biranet.learning.normalization import backbone_normalization, normalize
    from biranet.manifest import read_manifest
    from biranet.photos.prepare import read_preparation

    config = ModelConfig(backbone="test_resnet", pretrained=False, freeze="none")
    info = CheckpointInfo(
        config, 64, *backbone_normalization(config.backbone), read_preparation(prepared), trained_on="drawn"
    )
    photos = PreparedPhotos(prepared, read_manifest(prepared), 64)
    pixels = torch.from_numpy(np.stack([photos.photo(row) for row in range(len(photos))]))
    torch.manual_seed(3)
    model = build_model(config).eval()
    with torch.no_grad():
        # Random weights hardly tell photos apart; so the head is centred on these photos and made larger.
        logits = model(normalize(pixels, info.normalization)).logits
        larger = 1 / logits.std(dim=0)
        model.head.weight.mul_(larger[:, None, None])
        model.head.bias.copy_((model.head.bias - logits.mean(dim=0)) * larger)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_checkpoint(path, model, info)
    return path


STAND_IN_CARD = """
title = "Stand-in"
summary = "A stand-in that tells drawn photographs apart."
date = 2026-11-26
recipe = "random weights, see tests/conftest.py"
start = "nothing"
intended_use = "Tests of what ships with the program, in place of the model that was trained on photographs of eyes."
limits = ["It knows nothing of eyes, and was never meant to know anything of them, or of any other thing.", "Old."]
license = "CC BY 4.0"

[data]
name = "Drawn photographs"
photographs = 40
grades = [8, 8, 8, 8, 8]
license = "Apache-2.0"
attribution = "Nobody, Drawn eyes, 2026"

[[metrics]]
how = "cross-validation, out of fold, 40 photographs"
[metrics.figures]
quadratic_weighted_kappa = { value = 0.7, ci = [0.6, 0.75] }
referable_auc = { value = 0.9, ci = [0.85, 1.0] }
"operating_points.sensitivity_90.sensitivity" = { value = 0.93, ci = [0.88, 0.97] }
brier = { value = 0.123, ci = [0.1, 0.2] }

[[metrics]]
how = "external, 12 photographs of another clinic, read once"
[metrics.figures]
quadratic_weighted_kappa = { value = 0.4, ci = [-0.1, 0.7] }
"""


@pytest.fixture(scope="session")
def _stand_in(checkpoint: Path, split_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `shipped`: the checkpoint as if it had been trained on the split, with rules, as it would ship."""
    import dataclasses

    from biranet.decisions.rules import OperatingPoint, Rules
    from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
    from biranet.learning.shipped_models import DEFAULT
    from biranet.manifest import read_manifest, training_set_digest

    folder = tmp_path_factory.mktemp("shipped")
    model, info = load_checkpoint(checkpoint)
    points = (OperatingPoint("sensitivity_90", 0.3), OperatingPoint("specificity_90", 0.6))
    rules = Rules(1.5, operating_points=points, set_threshold=0.8, fitted_on="40 drawn photographs")
    photos = read_manifest(split_folder)
    learned = photos.loc[photos["split"].isin(["train", "validation"]), "fingerprint"]
    info = dataclasses.replace(
        info,
        rules=rules,
        training_set_digest=training_set_digest(photos, "split"),
        training_set_fingerprints=tuple(sorted(learned)),
    )
    save_checkpoint(folder / f"{DEFAULT}.safetensors", model, info, half=True)
    _write_card(folder)
    return folder


def _write_card(folder: Path) -> None:
    """Write the card of the stand-in as it stands in a folder now."""
    from biranet.learning.shipped_models import DEFAULT

    weights = (folder / f"{DEFAULT}.safetensors").read_bytes()
    text = f'weights_sha256 = "{hashlib.sha256(weights).hexdigest()}"\n{STAND_IN_CARD}'
    (folder / f"{DEFAULT}.toml").write_text(text)


@pytest.fixture(scope="session")
def write_card() -> Callable[[Path], None]:
    """Function that writes the card of the stand-in in a folder, after its weights have been changed."""
    return _write_card


@pytest.fixture
def shipped_folder(_stand_in: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the model that ships, its folder in place of the package's for this process; change it at will."""
    folder = tmp_path_factory.mktemp("in_place") / "shipped"
    shutil.copytree(_stand_in, folder)
    monkeypatch.setattr("biranet.learning.shipped_models.SHIPPED", folder)
    return folder


@pytest.fixture
def no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A biranet with which no model ships."""
    monkeypatch.setattr("biranet.learning.shipped_models.SHIPPED", tmp_path / "none")


@pytest.fixture(scope="session")
def small() -> list[str]:
    """Flags of a training of one epoch that takes a second."""
    return shlex.split(
        "--backbone test_resnet --no-pretrained --freeze none --image-size 64 --workers 0 --epochs 1 --batch-size 8"
    )


@pytest.fixture(scope="session")
def run_folder(split_folder: Path, small: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of one epoch, finished; read only."""
    from biranet.cli import main

    run = tmp_path_factory.mktemp("trained") / "run"
    with pytest.raises(SystemExit, match="0"):
        main(["train", str(split_folder), "--out", str(run), *small])
    return run


class Answer(NamedTuple):
    """What a command said and how it ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def biranet(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Function that runs the command line in this process; a traceback fails the test."""
    from biranet.cli import main

    def run(*arguments: object) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Answer(ended.value.code, out, err)

    return run


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """A process that has imported torch, to start commands from that need a process of their own."""
    with Warm() as process:
        yield process


@pytest.fixture
def tree() -> Callable[[Path], dict[str, bytes]]:
    """Function from a folder to its files, path to bytes; an empty folder counts as one, too."""
    return lambda folder: {
        path.relative_to(folder).as_posix(): b"" if path.is_dir() else path.read_bytes() for path in folder.rglob("*")
    }

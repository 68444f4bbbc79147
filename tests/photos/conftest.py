"""What the tests of preparing share: a folder of drawn and of broken photos."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from biranet.manifest import read_manifest
from biranet.photos import store
from biranet.photos.folder import prepare_folder


def _encoded(picture, suffix="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, suffix, **options)
    return buffer.getvalue()


def _photo_bytes(seed, suffix="PNG", **options):
    picture = np.zeros((90, 120, 3), np.uint8)
    cv2.circle(picture, (60, 45), 38, (150 + seed % 50, 80, 40), -1)
    cv2.circle(picture, (40 + seed % 40, 30 + seed // 40), 5, (250, 220, 120), -1)
    return _encoded(picture, suffix, **options)


@pytest.fixture(scope="session")
def photo_bytes():
    """Function from a seed to the bytes of a small photo that no other seed gives."""
    return _photo_bytes


@pytest.fixture(scope="session")
def tree():
    """Function from a folder to its files, path to bytes."""
    return lambda folder: {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="session")
def run():
    """Function that prepares a folder at 64 px, and returns the manifest."""

    def prepare_small(photos: Path, out: Path, **options):
        prepare_folder(photos, out, **{"size_px": 64} | options)
        return read_manifest(out)

    return prepare_small


@pytest.fixture
def photos(tmp_path):
    """A folder with awkward names, a copy, an empty file, a text and a black photo."""
    folder = tmp_path / "clinic"
    (folder / "sub").mkdir(parents=True)
    names = [
        "a b.png",
        "comma,.png",
        'quote".png',
        "line\nbreak.png",
        "return\r.png",
        "sub/😀.png",
        "9_left.png",
        "9_right.png",
    ]
    for seed, name in enumerate(names):
        (folder / name).write_bytes(_photo_bytes(seed))
    (folder / "copy.png").write_bytes(_photo_bytes(0))
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("hello")
    (folder / "black.png").write_bytes(_encoded(np.zeros((50, 50, 3), np.uint8)))
    return folder


@pytest.fixture
def counted(monkeypatch):
    """One entry for each time that a photo is really prepared, not taken from an earlier run."""
    calls = []
    original = store.prepare_file

    def counting(*args):
        calls.append(args)
        return original(*args)

    monkeypatch.setattr(store, "prepare_file", counting)
    return calls

"""Photographs for the tests: drawn ones always, real ones where they are."""

import os
from pathlib import Path

import pytest

REAL_DATA = Path(os.environ.get("BIRANET_REAL_DATA", Path(__file__).parents[2] / "shared" / "data" / "fundus"))

# One thread a process: the test run itself is parallel, and sums then have one order on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test may reach for a hub; a missing file must fail at once, not after retries.
os.environ["HF_HUB_OFFLINE"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if REAL_DATA.is_dir():
        return
    skip = pytest.mark.skip(reason=f"no real photographs at {REAL_DATA}; BIRANET_REAL_DATA names another place")
    for item in items:
        if item.get_closest_marker("real"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real photographs; its labels.csv lists the pictures in images512."""
    return REAL_DATA


@pytest.fixture(scope="session")
def drawn_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with 40 drawn photographs of 20 patients and their labels.csv; read only."""
    from biranet.photos.synthetic import draw_folder

    folder = tmp_path_factory.mktemp("drawn")
    draw_folder(folder, 40, seed=7, width_px=160, height_px=128)
    return folder


@pytest.fixture(scope="session")
def prepared(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn photographs, prepared at 64 px; read only, so copy it to change it."""
    from biranet.photos.prepare import prepare_folder

    folder = tmp_path_factory.mktemp("prepared") / "prepared"
    prepare_folder(drawn_photos, folder, labels=drawn_photos / "labels.csv", size_px=64)
    return folder

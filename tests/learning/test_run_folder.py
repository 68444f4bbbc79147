import shutil

import numpy as np
import pytest

from biranet.config import OptimizerConfig, TrainConfig
from biranet.errors import InputError
from biranet.learning.run_folder import ensure_split, read_split_photos
from biranet.manifest import OFFICIAL_SPLIT, read_manifest, write_manifest

PLATEAU, COSINE = TrainConfig(), TrainConfig(optimizer=OptimizerConfig(schedule="cosine"))


@pytest.fixture
def published(prepared, tmp_path):
    """Function that gives the drawn photos a published split, the last patients to test, and names the folder."""
    folder = tmp_path / "prepared"
    shutil.copytree(prepared, folder)

    def publish(test, split=None):
        table = read_manifest(folder)
        table[OFFICIAL_SPLIT] = ["train"] * (len(table) - test) + ["test"] * test
        table["split"] = table[OFFICIAL_SPLIT] if split is None else split
        write_manifest(folder, table)
        return folder

    return publish


@pytest.mark.parametrize("test", [0, 12])
def test_a_published_split_without_validation_is_completed(published, test):
    folder = published(test)
    said = ensure_split(folder, PLATEAU)
    assert said.startswith("The published split has no validation part; made one by group with seed 1. split: train ")
    table = read_manifest(folder)
    assert set(table["split"]) == {"train", "validation", "calibration", "test"}
    assert table.groupby("group")["split"].nunique().max() == 1
    if test:
        assert np.array_equal(table["split"] == "test", table[OFFICIAL_SPLIT] == "test")
    photos, _ = read_split_photos(folder, PLATEAU)
    assert len(photos) == 40
    assert ensure_split(folder, PLATEAU) == ""


def test_a_published_split_that_serves_is_left_alone(published):
    folder = published(12)
    before = (folder / "manifest.csv").read_bytes()
    assert ensure_split(folder, COSINE) == ""
    assert (folder / "manifest.csv").read_bytes() == before


def test_a_split_of_the_users_own_is_never_replaced(published):
    folder = published(12, split=["test"] * 12 + ["train"] * 28)
    before = (folder / "manifest.csv").read_bytes()
    assert ensure_split(folder, PLATEAU) == ""
    assert (folder / "manifest.csv").read_bytes() == before
    with pytest.raises(InputError, match="there is no validation part"):
        read_split_photos(folder, PLATEAU)

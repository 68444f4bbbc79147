"""What the trainings of a study depend on, whichever study it is."""

import dataclasses

import pytest

from biranet.config import ModelConfig, TrainConfig
from biranet.errors import InputError
from studies.trainings import fingerprint_of_inputs, mark_folder, with_weights

CONFIG = TrainConfig(ModelConfig(backbone="test_resnet"))


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"some weights")
    return path


def test_a_working_folder_is_known_by_the_content_of_the_weights_not_by_their_place(prepared, weights, tmp_path):
    inputs = fingerprint_of_inputs(prepared, with_weights(CONFIG, weights), folds=5)
    mark_folder(tmp_path / "out", inputs)
    moved = weights.rename(tmp_path / "moved.pth")
    assert fingerprint_of_inputs(prepared, with_weights(CONFIG, moved), folds=5) == inputs
    mark_folder(tmp_path / "out", inputs)
    moved.write_bytes(b"other weights")
    for others in (
        fingerprint_of_inputs(prepared, with_weights(CONFIG, moved), folds=5),
        inputs | {"folds": 4},
        inputs | {"train": dataclasses.asdict(dataclasses.replace(CONFIG, epochs=3))},
    ):
        with pytest.raises(InputError, match="out was begun with other settings or other photos"):
            mark_folder(tmp_path / "out", others)


def test_weights_that_are_missing_or_cannot_be_read_are_named(prepared, tmp_path):
    with pytest.raises(InputError, match=r"^--backbone-weights is missing"):
        with_weights(CONFIG, None)
    with pytest.raises(InputError, match=r"none\.pth: No such file"):
        fingerprint_of_inputs(prepared, with_weights(CONFIG, tmp_path / "none.pth"))
    plain = TrainConfig(ModelConfig(backbone="test_resnet", pretrained=False, freeze="none"))
    assert with_weights(plain, None) == plain

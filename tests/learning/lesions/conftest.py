"""What the tests of the lesion branch share: drawn photos with dark spots and their masks, laid out as IDRiD's."""

import numpy as np
import pytest
from PIL import Image

from biranet.learning.lesions.settings import LesionConfig

WIDTH_PX, HEIGHT_PX = 150, 120


def _lay(folder, part, name, seed):
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT_PX, :WIDTH_PX] + 0.5
    lit = np.hypot(rows - HEIGHT_PX / 2, columns - WIDTH_PX / 2) < 58
    photo = np.where(lit[:, :, None], np.array([150, 80, 40]) + random.normal(0, 4, (HEIGHT_PX, WIDTH_PX, 3)), 0)
    masks = {"MA": np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8), "EX": np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)}
    for kind, color in (("MA", (60, 10, 10)), ("EX", (250, 240, 120))):
        for _ in range(4):
            y, x = random.integers(30, 86), random.integers(45, 101)
            photo[y : y + 5, x : x + 5] = color
            masks[kind][y : y + 5, x : x + 5] = 255
    images = folder / "1. Original Images" / part
    images.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(images / f"{name}.jpg", quality=95)
    for number, (kind, mask) in enumerate(masks.items()):
        place = folder / "2. All Segmentation Groundtruths" / part / f"{number}. {kind}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(place / f"{name}_{kind}.tif")


@pytest.fixture(scope="session")
def masked_folder(tmp_path_factory):
    """Four photos to learn from and one of the test part."""
    folder = tmp_path_factory.mktemp("masked")
    for number in range(4):
        _lay(folder, "a. Training Set", f"IDRiD_0{number + 1}", number)
    _lay(folder, "b. Testing Set", "IDRiD_55", 9)
    return folder


@pytest.fixture(scope="session")
def tiny_lesions():
    """Function from what differs to the settings of a training of a second."""

    def config(**settings):
        small = {
            "backbone": "test_resnet", "pretrained": False, "freeze": "none", "width": 8, "image_size": 96,
            "smallest_size": 64, "patch": 64, "batch_size": 4, "steps": 4, "round_steps": 3, "device": "cpu",
        }  # fmt: skip
        return LesionConfig(**(small | settings))

    return config

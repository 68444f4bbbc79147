"""From the file of a photo to its maps."""

import numpy as np
import pytest
import torch

from biranet.errors import InputError, PhotoError
from biranet.learning.lesions.checkpoint import LesionInfo, LoadedLesions, build_lesion_net, save_lesions
from biranet.learning.lesions.finder import LesionFinder
from biranet.photos.prepare import Preparation


@pytest.fixture(scope="module")
def finder(tiny_lesions, tmp_path_factory):
    config = tiny_lesions()
    info = LesionInfo(config, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), Preparation(size_px=96))
    path = tmp_path_factory.mktemp("lesions") / "lesions.safetensors"
    save_lesions(path, build_lesion_net(config), info)
    return LesionFinder.load(path, "cpu")


def test_maps_of_a_photo(finder, masked_folder):
    photo = masked_folder / "1. Original Images" / "a. Training Set" / "IDRiD_01.jpg"
    maps = finder.find(photo)
    assert maps.shares.shape == (5, 24, 24)
    assert ((maps.shares >= 0) & (maps.shares <= 1)).all()
    assert np.array_equal(maps.shares, finder.find(photo.read_bytes()).shares)
    assert finder.find(photo, 64).shares.shape == (5, 16, 16)


@pytest.mark.parametrize("size_px", [0, 100, 128])
def test_sizes_that_it_cannot_see(finder, masked_folder, size_px):
    with pytest.raises(InputError, match="must be a multiple of 32, of at most 96"):
        finder.find(masked_folder / "1. Original Images" / "a. Training Set" / "IDRiD_01.jpg", size_px)


def test_no_photo(finder, tmp_path):
    with pytest.raises(PhotoError, match="no such file"):
        finder.find(tmp_path / "nowhere.jpg")


def test_a_network_that_has_diverged_finds_nothing_silently(tiny_lesions, masked_folder):
    config = tiny_lesions()
    network = build_lesion_net(config).eval()
    network.head.maps.bias.data[:] = torch.nan
    info = LesionInfo(config, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), Preparation(size_px=96))
    finder = LesionFinder(LoadedLesions(network, info, ""), "cpu")
    with pytest.raises(InputError, match="its training has diverged; train again with a lower lr"):
        finder.find(masked_folder / "1. Original Images" / "a. Training Set" / "IDRiD_01.jpg")

"""From the file of a photo to its maps."""

import numpy as np
import pytest
import torch

from biranet.errors import InputError, PhotoError
from biranet.learning.checkpoint_info import Normalization
from biranet.learning.lesions.checkpoint import LesionInfo, LoadedLesions, build_lesion_net, save_lesions
from biranet.learning.lesions.finder import BranchFinder
from biranet.learning.normalization import normalize
from biranet.photos.prepare import Preparation


@pytest.fixture(scope="module")
def finder(tiny_lesions, tmp_path_factory):
    config = tiny_lesions()
    info = LesionInfo(config, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), Preparation(size_px=96))
    path = tmp_path_factory.mktemp("lesions") / "lesions.safetensors"
    torch.manual_seed(1)  # of some heads all maps are nearly even
    save_lesions(path, build_lesion_net(config), info)
    return BranchFinder.load(path, "cpu")


def test_maps_of_a_photo(finder, masked_folder):
    photo = masked_folder / "1. Original Images" / "a. Training Set" / "IDRiD_01.jpg"
    maps = finder.find(photo)
    assert maps.shares.shape == (5, 24, 24)
    assert ((maps.shares >= 0) & (maps.shares <= 1)).all()
    assert np.array_equal(maps.shares, finder.find(photo.read_bytes()).shares)
    assert finder.find(photo, 64).shares.shape == (5, 16, 16)


def test_a_mirror_image_has_the_mirrored_maps(finder):
    """Both are looked at, at two sizes, whichever of them is given."""
    pixels = np.random.default_rng(1).integers(0, 255, (96, 96, 3)).astype(np.uint8)
    with torch.inference_mode():
        maps, mirrored = (finder._mean_of_views(each, 96) for each in (pixels, pixels[:, ::-1]))
        image = normalize(torch.from_numpy(pixels)[None], Normalization((0.5,) * 3, (0.5,) * 3))
        once = finder._network(image).sigmoid()
    assert torch.allclose(maps, mirrored.flip(-1), atol=1e-5)
    assert not torch.allclose(maps, once[0], atol=1e-3)


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
    finder = BranchFinder(LoadedLesions(network, info, ""), "cpu")
    with pytest.raises(InputError, match="its training has diverged; train again with a lower lr"):
        finder.find(masked_folder / "1. Original Images" / "a. Training Set" / "IDRiD_01.jpg")

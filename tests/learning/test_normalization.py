import numpy as np
import pytest
import torch

from biranet.learning.checkpoint_info import Normalization
from biranet.learning.normalization import backbone_normalization, normalize

IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _random(shape):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        ("resnet50", IMAGENET),
        ("tf_efficientnet_lite0", Normalization((0.5,) * 3, (0.5,) * 3)),
        ("vit_base_patch16_clip_224", Normalization((0.48145466, 0.4578275, 0.40821073), None)),
    ],
)
def test_constants_travel_with_the_backbone(backbone, expected):
    found = backbone_normalization(backbone)
    assert found.mean == expected.mean
    assert expected.std is None or found.std == expected.std


@pytest.mark.parametrize("level", [0, 1, 128, 255])
@pytest.mark.parametrize("normalization", [IMAGENET, Normalization((0.5,) * 3, (0.5,) * 3)])
def test_pixels_become_the_written_out_numbers(level, normalization):
    # The released code fed pixels on a 0-255 scale to a network that expects 0-1.
    image = normalize(torch.full((4, 6, 3), level, dtype=torch.uint8), normalization)
    assert (image.dtype, image.shape) == (torch.float32, (3, 4, 6))
    for channel in range(3):
        expected = (level / 255 - normalization.mean[channel]) / normalization.std[channel]
        torch.testing.assert_close(image[channel], torch.full((4, 6), expected))


def test_photos_together_become_what_each_becomes():
    photos = _random((3, 5, 7, 3))
    assert torch.equal(normalize(photos, IMAGENET), torch.stack([normalize(each, IMAGENET) for each in photos]))


def test_images_have_the_scale_imagenet_weights_expect():
    image = normalize(_random((64, 64, 3)), IMAGENET)
    assert image.abs().max() < 3
    assert image.std() == pytest.approx(1.3, abs=0.1)


def test_channels_and_axes_keep_their_places():
    photo = torch.zeros(4, 6, 3, dtype=torch.uint8)
    photo[1, 2] = torch.tensor([10, 20, 30])
    image = normalize(photo, Normalization((0.0,) * 3, (1.0,) * 3))
    torch.testing.assert_close(image[:, 1, 2] * 255, torch.tensor([10.0, 20.0, 30.0]))
    assert image.count_nonzero() == 3


def test_an_image_does_not_change_its_photo():
    photo = _random((4, 6, 3))
    before = photo.clone()
    normalize(photo, IMAGENET).zero_()
    assert torch.equal(photo, before)

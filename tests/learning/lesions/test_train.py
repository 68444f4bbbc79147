"""Patches, and the training on them, from folder to checkpoint."""

import dataclasses
import shutil
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from biranet.errors import InputError, InterruptedRunError
from biranet.learning.lesions import train as module
from biranet.learning.lesions.checkpoint import LesionInfo, build_lesion_net, load_lesion_net
from biranet.learning.lesions.patches import MaskedSquare, TurnedSquare, draw_patches, draw_view, read_square
from biranet.learning.lesions.train import choose_photos, train_lesions
from biranet.lesion_kinds import KINDS
from biranet.photos.datasets.masked import find_masked_photos
from biranet.photos.prepare import Preparation


@pytest.fixture(scope="module")
def finished(masked_folder, tiny_lesions, tmp_path_factory):
    """A run that was not stopped, and what it has told."""
    told = []
    run = tmp_path_factory.mktemp("runs") / "finished"
    return train_lesions(masked_folder, run, tiny_lesions(), log=told.append), told


def view_of(square):
    """A view without frozen stages, as the network would see the photo."""
    return TurnedSquare(torch.from_numpy(square.pixels).permute(2, 0, 1).half(), [], square.covered, square.known)


def test_patches_are_drawn_from_views(masked_folder, tiny_lesions):
    squares = [read_square(masked_folder, photo, 96) for photo in find_masked_photos(masked_folder).photos]
    views = [view_of(square) for square in squares]
    first, again, other = (draw_patches(views, [], tiny_lesions(), np.random.default_rng(n)) for n in (1, 1, 2))
    assert first.image.shape == (4, 3, 64, 64)
    assert first.coverage.shape == (4, 5, 16, 16)
    assert torch.equal(first.image, again.image)
    assert not torch.equal(first.image, other.image)
    # Nobody has drawn haemorrhages, soft exudates and discs.
    assert first.coverage.isnan().all(dim=(2, 3)).any(dim=0).tolist() == [False, True, False, True, True]


@pytest.mark.parametrize("seed", range(6))
def test_masks_are_turned_and_cut_as_their_photos(tiny_lesions, seed):
    """What is white in the photo is lesion in the mask, at any angle and any resolution."""
    random = np.random.default_rng(5)
    lesion = np.zeros((128, 128), np.uint8)
    for y, x in random.integers(16, 104, (6, 2)):
        lesion[y : y + 9, x : x + 9] = 255
    covered = np.zeros((5, 128, 128), np.uint8)
    covered[1] = lesion
    square = MaskedSquare(np.repeat(lesion[:, :, None], 3, 2), covered, np.ones(5, bool))
    config = tiny_lesions(image_size=128, batch_size=4)
    pixels, turned = draw_view(square, config, np.random.default_rng(seed))
    assert pixels.shape[0] in (64, 96, 128)
    assert turned[1].max() > 200
    patches = draw_patches([view_of(MaskedSquare(pixels, turned, square.known))], [], config, random)
    seen = torch.nn.functional.avg_pool2d(patches.image.mean(dim=1, keepdim=True), 4)[:, 0]
    for one, share in zip(seen, patches.coverage[:, 1], strict=True):
        # Relit, so brightness differs from view to view, but not within one.
        assert torch.allclose(one / one.max().clamp_min(1), share / share.max().clamp_min(1e-3), atol=0.06)


def test_half_of_the_patches_are_drawn_about_lesions(tiny_lesions):
    covered = np.zeros((5, 512, 512), np.uint8)
    covered[:, 300:304, 300:304] = 255
    view = view_of(MaskedSquare(np.zeros((512, 512, 3), np.uint8), covered, np.ones(5, bool)))
    patches = draw_patches([view], [], tiny_lesions(image_size=512, batch_size=100), np.random.default_rng(1))
    with_lesion = (patches.coverage[:, 0] > 0).any(dim=2).any(dim=1).float().mean()
    assert 0.35 < with_lesion < 0.65


@pytest.mark.parametrize("freeze", ["none", "stage2", "stage4"])
def test_frozen_stages_see_the_whole_photo_once(masked_folder, tiny_lesions, freeze):
    """Patches of what they saw are what they would see of the photo, with its surroundings."""
    config = tiny_lesions(freeze=freeze, batch_size=1, patch=96, smallest_size=96, round_photos=1)
    network = build_lesion_net(config).eval()
    squares = [read_square(masked_folder, find_masked_photos(masked_folder).photos[0], 96)]
    info = LesionInfo(config, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), Preparation(size_px=96))
    views = module._Views(network, squares, info).of_step(0)
    patches = draw_patches(views, network.stages.strides, config, np.random.default_rng(1))
    with torch.inference_mode():
        assert torch.allclose(network(patches.image, patches.frozen_maps), network(patches.image), atol=0.05)
    assert len(patches.frozen_maps) == network.stages.frozen


def test_it_learns(masked_folder, tiny_lesions, tmp_path):
    config = tiny_lesions(steps=60, lr=0.01, batch_size=8)
    loaded = load_lesion_net(train_lesions(masked_folder, tmp_path / "run", config, log=lambda _: None))
    photo = next(each for each in find_masked_photos(masked_folder).photos if each.split == "test")
    square = read_square(masked_folder, photo, 96)
    image = torch.from_numpy(square.pixels.transpose(2, 0, 1)).float()[None] / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (loaded.info.mean, loaded.info.std))
    with torch.inference_mode():
        maps = loaded.network((image - mean) / std).sigmoid()[0]
    for kind in ("MA", "EX"):
        place = KINDS.index(kind)
        cells = square.covered[place].reshape(24, 4, 24, 4).mean((1, 3)) > 128
        assert maps[place].numpy()[cells].mean() > 3 * maps[place].numpy()[~cells].mean()


def test_the_test_part_teaches_nothing(finished, masked_folder):
    checkpoint, told = finished
    assert told[0] == "1 photo of the published test part teach nothing."
    info = load_lesion_net(checkpoint).info
    assert (info.photos, info.steps, info.trained_on) == (4, 4, "idrid")
    photos = find_masked_photos(masked_folder).photos
    grouped = [
        dataclasses.replace(each, group="g" if each.file[-6:] in ("01.jpg", "55.jpg") else "") for each in photos
    ]
    learned = choose_photos(grouped)
    assert [each.file[-6:-4] for each in learned.photos] == ["02", "03", "04"]
    assert "share a patient or visit" in learned.told[1]
    copies = {next(each.file for each in photos if each.file.endswith("02.jpg")): "IDRiD_55.jpg"}
    learned = choose_photos(grouped, copies)
    assert [each.file[-6:-4] for each in learned.photos] == ["03", "04"]
    assert "1 photo of the other parts show the same as one of them" in learned.told[2]
    assert learned.told[2].endswith("IDRiD_02.jpg is IDRiD_55.jpg.")
    with pytest.raises(InputError, match="all photos with masks are of the published test part"):
        choose_photos([each for each in grouped if each.group])


def test_stopped_and_resumed_is_the_same(finished, masked_folder, tiny_lesions, tmp_path, monkeypatch):
    drawn = []

    def draw_and_stop(*given):
        drawn.append(len(drawn))
        if drawn == [0, 1]:
            signal.raise_signal(signal.SIGINT)
        return draw_patches(*given)

    monkeypatch.setattr(module, "draw_patches", draw_and_stop)
    run = tmp_path / "run"
    with pytest.raises(InterruptedRunError, match="stopped after step 2 of 4; everything is saved"):
        train_lesions(masked_folder, run, tiny_lesions(), log=lambda _: None)
    assert not (run / "lesions.safetensors").exists()
    with pytest.raises(InputError, match="already holds a training"):
        train_lesions(masked_folder, run, tiny_lesions())
    with pytest.raises(InputError, match=r"lr is 0\.1 here and 0\.003 in the run"):
        train_lesions(masked_folder, run, tiny_lesions(lr=0.1), resume=True)
    checkpoint = train_lesions(masked_folder, run, tiny_lesions(), resume=True, log=lambda _: None)
    assert drawn == [0, 1, 2, 3]
    assert checkpoint.read_bytes() == finished[0].read_bytes()


def test_a_damaged_checkpoint_is_refused(finished, tmp_path):
    damaged = bytearray(finished[0].read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "damaged.safetensors").write_bytes(damaged)
    with pytest.raises(InputError, match="is damaged"):
        load_lesion_net(tmp_path / "damaged.safetensors")


def test_nothing_to_resume(masked_folder, tiny_lesions, tmp_path):
    with pytest.raises(InputError, match="holds no saved state"):
        train_lesions(masked_folder, tmp_path / "run", tiny_lesions(), resume=True)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"patch": 50}, "patch must be a multiple of 32"),
        ({"patch": 128}, "patch must lie between 32 and 64"),
        ({"image_size": 100}, "image_size must be a multiple of 32"),
        ({"smallest_size": 97}, "smallest_size must lie between 32 and 96"),
        ({"freeze": "all"}, "freeze must be one of"),
        ({"backbone": "resnet17"}, "timm has no such model"),
    ],
)
def test_wrong_settings(masked_folder, tiny_lesions, tmp_path, settings, told):
    with pytest.raises(InputError, match=told):
        train_lesions(masked_folder, tmp_path / "run", tiny_lesions(**settings), log=lambda _: None)


def test_a_copy_of_a_test_photo_teaches_nothing(masked_folder, tiny_lesions, tmp_path):
    folder = shutil.copytree(masked_folder, tmp_path / "photos")
    images = folder / "1. Original Images"
    Image.open(images / "b. Testing Set" / "IDRiD_55.jpg").rotate(90, expand=True).save(
        images / "a. Training Set" / "IDRiD_01.jpg", quality=95
    )
    for path in folder.rglob("IDRiD_01_*.tif"):
        Image.open(path).rotate(90, expand=True).save(path)
    told = []
    checkpoint = train_lesions(folder, tmp_path / "run", tiny_lesions(steps=1), log=told.append)
    assert "1 photo of the other parts show the same as one of them" in told[1]
    assert load_lesion_net(checkpoint).info.photos == 3

"""A mask goes through the same cut as its photo."""

import numpy as np
import pytest
from PIL import Image

from biranet.errors import InputError
from biranet.photos.cut import Cut
from biranet.photos.datasets.masks import MaskedPhoto, MaskFile
from biranet.photos.field import Field
from biranet.photos.lesion_masks import coverage, find_copies_of_test, read_masks
from biranet.photos.prepare import Preparation, decode_prepared, prepare_photo
from photo_files import encoded

WIDTH_PX, HEIGHT_PX, SIZE_PX = 360, 240, 150


def eye():
    rows, columns = np.mgrid[:HEIGHT_PX, :WIDTH_PX] + 0.5
    lit = np.hypot(rows - HEIGHT_PX / 2, columns - WIDTH_PX / 2) < 130
    return np.where(lit[:, :, None], np.array([120, 60, 30]), 0).astype(np.uint8)


def middle(values):
    rows, columns = np.mgrid[: values.shape[0], : values.shape[1]] + 0.5
    return np.array([(values * columns).sum(), (values * rows).sum()]) / values.sum()


def masked(folder, masks, bits=None, drawn=None):
    files = {}
    for kind, values in masks.items():
        Image.fromarray(values).save(folder / f"{kind}.png")
        files[kind] = MaskFile(f"{kind}.png", (bits or {}).get(kind))
    return MaskedPhoto("photo.png", files, drawn or tuple(masks), "train", "", "here")


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("place", [(60, 50), (180, 120), (281, 190)])
def test_a_point_of_mask_and_photo_arrives_at_the_same_pixel(tmp_path, place, times):
    photo = eye()
    before = prepare_photo(encoded(photo, "PNG"), Preparation(size_px=SIZE_PX))
    x, y = place
    with_mark, mask = photo.copy(), np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
    with_mark[y : y + 5, x : x + 5] = 255
    mask[y : y + 5, x : x + 5] = 76
    after = prepare_photo(encoded(with_mark, "PNG"), Preparation(size_px=SIZE_PX))
    assert after.field == before.field
    new = np.abs(decode_prepared(after.jpeg).astype(float) - decode_prepared(before.jpeg)).max(axis=2)
    new[new < 30] = 0
    masks = read_masks(tmp_path, masked(tmp_path, {"MA": mask.repeat(times, 0).repeat(times, 1)}), before.cut)
    share = coverage(masks["MA"], before.cut, SIZE_PX)
    assert middle(share) == pytest.approx(middle(new), abs=0.1)
    # No area is lost or gained.
    pixel_px = before.field.side_px / SIZE_PX
    assert share.sum() * pixel_px**2 == pytest.approx(25, rel=1e-3)


def test_bits_and_kinds_without_a_mask(tmp_path):
    values = np.zeros((40, 60), np.uint8)
    values[5, 7], values[9, 9] = 1 | 16, 2
    photo = masked(tmp_path, {"MA": values, "OD": values}, {"MA": 0, "OD": 4}, drawn=("MA", "SE", "OD"))
    masks = read_masks(tmp_path, photo, Cut(Field(0, -10, 60), width_px=60, height_px=40))
    assert list(masks) == ["MA", "SE", "OD"]
    assert np.argwhere(masks["MA"]).tolist() == np.argwhere(masks["OD"]).tolist() == [[5, 7]]
    assert not masks["SE"].any()


@pytest.mark.parametrize("brightness", [1, 76, 255])
def test_whatever_a_lesion_is_painted_with(tmp_path, brightness):
    values = np.zeros((4, 4, 3), np.uint8)
    values[1, 2, 0], values[0, 0, 0] = brightness, brightness // 3
    masks = read_masks(tmp_path, masked(tmp_path, {"HE": values}), Cut.whole(4))
    assert np.argwhere(masks["HE"]).tolist() == [[1, 2]]


@pytest.mark.parametrize("shape", [(60, 40), (40, 40), (20, 60)])
def test_a_mask_of_another_picture_is_refused(tmp_path, shape):
    with pytest.raises(InputError, match="do not belong together"):
        read_masks(tmp_path, masked(tmp_path, {"MA": np.zeros(shape, np.uint8)}), Cut(Field(0, 0, 60), 60, 40))


def test_a_mask_of_whole_pixels_made_smaller(tmp_path):
    # As IDRiD's 4288 x 2848 pixels become 1734 x 1152.
    cut = Cut(Field(0, 0, 87), width_px=87, height_px=58)
    left_half = np.zeros((142, 214), np.uint8)
    left_half[:, :107] = 255
    masks = read_masks(tmp_path, masked(tmp_path, {"MA": left_half}), cut)
    assert coverage(masks["MA"], cut, 29).mean() == pytest.approx(58 / 87 / 2, abs=1e-3)


def test_a_mask_that_is_no_picture_is_refused(tmp_path):
    (tmp_path / "MA.png").write_bytes(b"no picture")
    photo = MaskedPhoto("a.jpg", {"MA": MaskFile("MA.png")}, ("MA",), "", "", "here")
    with pytest.raises(InputError, match=r"the mask .*MA\.png: "):
        read_masks(tmp_path, photo, Cut.whole(4))


def test_a_mask_of_nearly_everything_is_no_drawing(tmp_path):
    full, half = np.full((4, 4), 255, np.uint8), np.zeros((4, 4), np.uint8)
    half[:2] = 255
    masks = read_masks(tmp_path, masked(tmp_path, {"MA": half, "EX": full}), Cut.whole(4))
    assert list(masks) == ["MA"]


def test_copies_of_the_test_part_are_found(tmp_path):
    random = np.random.default_rng(1)
    photos = []
    for name, part in (("taught.png", "train"), ("tested.png", "test"), ("other.png", "validation")):
        photo = eye()
        for y, x in random.integers((60, 110), (180, 250), size=(12, 2)):
            photo[y : y + 9, x : x + 9] = random.integers(40, 255, 3)
        Image.fromarray(photo).save(tmp_path / name)
        photos.append(MaskedPhoto(name, {}, (), part, "", "here"))
    turned = Image.open(tmp_path / "tested.png").rotate(180).resize((300, 200))
    turned.save(tmp_path / "copy.jpg", quality=90)
    photos.append(MaskedPhoto("copy.jpg", {}, (), "train", "", "elsewhere"))
    assert find_copies_of_test(tmp_path, photos) == {"copy.jpg": "tested.png"}
    assert find_copies_of_test(tmp_path, [photo for photo in photos if photo.split != "test"]) == {}
    for name in ("taught.png", "tested.png"):
        Image.fromarray(eye()).save(tmp_path / name)  # so plain that nothing but its bytes is known of it
    assert find_copies_of_test(tmp_path, photos) == {"taught.png": "tested.png"}
    (tmp_path / "other.png").write_bytes(b"no photo")
    with pytest.raises(InputError, match=r"other\.png: "):
        find_copies_of_test(tmp_path, photos)

"""Maps held against masks: what is found where it is drawn counts as found."""

import numpy as np
import pytest
from PIL import Image

from biranet.errors import InputError
from biranet.inference.lesion_measures import measure_lesions, measure_marks
from biranet.learning.lesion_branch.maps import LesionMaps
from biranet.lesion_kinds import KINDS
from biranet.photos.cut import Cut
from biranet.photos.datasets.masks import MaskedPhoto, MaskFile
from biranet.photos.field import Field
from biranet.photos.lesion_masks import coverage, read_masks
from biranet.photos.prepare import Preparation, prepare_photo

WIDTH_PX, HEIGHT_PX, TIMES = 320, 240, 3
PLACES = {"first": [(100, 80), (200, 150), (160, 120)], "second": [(150, 60)]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two photos, with masks three times their size."""
    folder = tmp_path_factory.mktemp("photos")
    rows, columns = np.mgrid[:HEIGHT_PX, :WIDTH_PX] + 0.5
    lit = np.hypot(rows - HEIGHT_PX / 2, columns - WIDTH_PX / 2) < 118
    photo = np.where(lit[:, :, None], np.array([120, 60, 30]), 0).astype(np.uint8)
    for name, places in PLACES.items():
        Image.fromarray(photo).save(folder / f"{name}.png")
        mask = np.zeros((HEIGHT_PX * TIMES, WIDTH_PX * TIMES), np.uint8)
        for x, y in places:
            mask[y * TIMES : (y + 6) * TIMES, x * TIMES : (x + 6) * TIMES] = 255
        Image.fromarray(mask).save(folder / f"{name}_mask.png")
    return folder


def masked(name):
    return MaskedPhoto(f"{name}.png", {"EX": MaskFile(f"{name}_mask.png")}, ("EX", "SE"), "", "", "here")


class Knowing:
    """Finds what is drawn, `shift` cells to the right of where it is."""

    thresholds = dict.fromkeys(KINDS, 0.5)

    def __init__(self, folder, shift=0):
        self.folder, self.shift = folder, shift

    def find(self, path, size_px=256):
        cut = prepare_photo(path, Preparation(size_px=256)).cut
        shares = np.zeros((len(KINDS), 64, 64), np.float32)
        drawn = read_masks(self.folder, masked(path.stem), cut)["EX"]
        shares[KINDS.index("EX")] = np.roll(coverage(drawn, cut, 64), self.shift, axis=1)
        return LesionMaps(shares, cut, 256)


def test_what_is_found_where_it_is_drawn(folder):
    (measured,) = measure_lesions(Knowing(folder), folder, [masked(name) for name in PLACES], [256])
    assert (measured["photos"], measured["groups"], measured["size_px"]) == (2, 2, 256)
    assert list(measured["kinds"]) == ["EX", "SE"]
    exudates, soft = measured["kinds"]["EX"], measured["kinds"]["SE"]
    assert exudates["aupr"] > 0.95
    assert exudates["prevalence"] == pytest.approx(4 * 36 / (2 * WIDTH_PX * HEIGHT_PX))
    assert exudates["free_response"]["lesions"] == 4
    assert exudates["free_response"]["sensitivity"]["1"]["value"] == 1
    assert exudates["outlined"]["threshold"] == 0.5 and exudates["outlined"]["found"]["value"] == 1
    assert soft["aupr"] is None
    assert soft["free_response"]["lesions"] == 0


def test_what_is_found_elsewhere_is_false(folder):
    (measured,) = measure_lesions(Knowing(folder, shift=6), folder, [masked(name) for name in PLACES], [256])
    measured = measured["kinds"]["EX"]
    assert measured["aupr"] < 0.1
    assert measured["free_response"]["sensitivity"]["10"]["value"] == 0
    assert measured["outlined"]["found"]["value"] == 0 and measured["outlined"]["false_marks"]["value"] == 2


@pytest.mark.parametrize("shape", [(100, 200), (150, 300)])
def test_a_map_lies_on_the_photo_where_it_was_found(shape):
    """The middle of a mask is the middle of what its map shows, on the photo and on a larger scan."""
    cut = Cut(Field(30, -40, 180), width_px=200, height_px=100)
    mask = np.zeros(shape, bool)
    scale = shape[0] // 50
    mask[20 * scale : 27 * scale, 41 * scale : 46 * scale] = True
    shares = np.stack([coverage(mask, cut, 180)] * 5)
    laid = LesionMaps(shares, cut, 180).on_photo(shape)
    assert laid.shape == (5, *shape)
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    middle = np.array([(laid[2] * rows).sum(), (laid[2] * columns).sum()]) / laid[2].sum()
    assert middle == pytest.approx([23.5 * scale, 43.5 * scale], abs=0.05 * scale)
    assert laid[2].sum() == pytest.approx(mask.sum(), rel=0.02)
    assert not laid[2][:, : 25 * shape[1] // 200].any()


def test_pixels_across_the_field():
    cut = Cut(Field(0, 0, 700), width_px=700, height_px=700)
    assert LesionMaps(np.zeros((5, 256, 256), np.float32), cut, 1024).seen_px == 700
    assert LesionMaps(np.zeros((5, 64, 64), np.float32), cut, 256).seen_px == 256


def test_marks_in_photos_that_have_no_lesions(folder):
    photos = [(folder / "first.png", "a"), (folder / "second.png", "b"), (folder / "second.png", "b")]
    measured = measure_marks(Knowing(folder), photos)
    assert (measured["photos"], measured["groups"]) == (3, 2)
    assert measured["kinds"]["EX"]["marks"]["value"] == pytest.approx((3 + 1 + 1) / 3)
    assert measured["kinds"]["EX"]["marked"]["value"] == 1
    assert measured["kinds"]["EX"]["marks"]["ci"][0] <= 1 < 3 <= measured["kinds"]["EX"]["marks"]["ci"][1]
    assert measured["kinds"]["MA"]["marked"]["value"] == measured["kinds"]["MA"]["marks"]["value"] == 0
    with pytest.raises(InputError, match="nowhere"):
        measure_marks(Knowing(folder), [(folder / "nowhere.png", "a")])

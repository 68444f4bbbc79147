"""Lesions of one photo, from Python, and in a report: the same as from the command line."""

import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import biranet as package
from biranet.errors import InputError, PhotoError
from biranet.files import sha256_of
from biranet.inference.lesion_drawing import COLORS, outline_layer
from biranet.inference.lesion_panels import draw_lesion_panel, draw_own_lesions
from biranet.learning.lesion_branch.maps import LesionMaps
from biranet.learning.lesions.checkpoint import LesionInfo, build_lesion_net, save_lesions
from biranet.lesion_kinds import DISC, KINDS
from biranet.photos.prepare import Preparation
from biranet.photos.store import GEOMETRY_COLUMNS


@pytest.fixture(scope="module")
def checkpoint(tiny_lesions, tmp_path_factory):
    """A branch that finds a hard exudate everywhere, and nothing else."""
    config = tiny_lesions(image_size=416)
    network = build_lesion_net(config)
    network.head.maps.weight.data[:] = 0
    network.head.maps.bias.data[:] = -9
    network.head.maps.bias.data[KINDS.index("EX")] = 9
    path = tmp_path_factory.mktemp("lesions") / "lesions.safetensors"
    save_lesions(path, network, LesionInfo(config, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), Preparation(size_px=416)))
    return path


@pytest.fixture(scope="module")
def reader(checkpoint):
    return package.load_lesions(checkpoint, "cpu")


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A field of 440 pixels across."""
    path = tmp_path_factory.mktemp("photo") / "eye.png"
    Image.fromarray(package.draw_photo(grade=3, seed=3, width_px=560, height_px=448)).save(path)
    return path


def test_a_photo_is_the_same_from_wherever_it_comes(reader, photo):
    pixels = np.asarray(Image.open(photo))
    found = reader.find(str(photo))
    assert found.file == str(photo) and found.findings["EX"].count == 1 and found.findings["MA"].count is None
    for other in (photo, photo.read_bytes(), Image.open(photo), pixels):
        assert np.array_equal(reader.find(other).maps.shares, found.maps.shares)
    assert found.on_original().shape == (5, *pixels.shape[:2])
    with pytest.raises(PhotoError, match="no such file"):
        reader.find("nowhere.jpg")
    with pytest.raises(InputError, match="a photo is a file's name, a PIL picture or RGB pixels, not int"):
        reader.find(3)


def test_a_photo_is_drawn_as_it_was_taken(reader, photo):
    found = reader.find(photo)
    pixels = np.asarray(Image.open(photo))
    drawn, covered = found.outlined(), found.outlined(opacity=1)
    assert drawn.shape == pixels.shape
    # All of the field is one lesion, so nothing is around it.
    assert np.array_equal(drawn, pixels)
    assert (covered[224, 280] == COLORS["EX"][1]).all()
    picture = found.picture(opacity=1)
    assert "Yellow: hard exudates: 1" in picture.alt_text
    why = "Too small to see microaneurysms: 416 pixels across the field, and 768 are needed."
    assert why in picture.alt_text


def test_a_picture_says_grade_score_and_scale_and_shows_the_evidence(reader, photo):
    answer = package.load().grade(photo)
    alone, picture = reader.find(photo).picture(), reader.find(photo).picture(answer)
    assert alone.alt_text.startswith("Lesions, no grade. The photo as it was taken, with outlines.")
    score = answer.probabilities[2:].sum()
    for words in (f"Grade {answer.grade} (", f"(grade 2 or more): {score:.2f}.", "Evidence (red: ", "hard exudates: 1"):
        assert words in picture.alt_text and words.startswith("hard") == (words in alone.alt_text)
    assert picture.pixels.shape[1] > 2.9 * alone.pixels.shape[1]
    unusable = package.Prediction("eye.png", "ungradable", "too dark")
    assert reader.find(photo).picture(unusable).alt_text.startswith("Lesions, no grade: too dark. ")


def test_another_photo_is_not_drawn_in_its_place(reader, photo, tmp_path):
    path = tmp_path / "eye.png"
    path.write_bytes(photo.read_bytes())
    found = reader.find(path)
    Image.fromarray(package.draw_photo(grade=0, seed=5, width_px=560, height_px=448)).save(path)
    with pytest.raises(PhotoError, match="the file holds another photo now"):
        found.picture()


def test_the_panel_of_a_report_says_how_many_and_from_where_on(reader, photo):
    row = pd.Series({"file": photo.name, "sha256": sha256_of(photo)})
    panel = draw_lesion_panel(reader.find, photo.parent, row)
    assert panel.pixels.shape == (448, 560, 3)
    assert re.fullmatch(
        r"lesions, 416 pixels across the field, outlined from the share in brackets on; "
        r"too small to see microaneurysms",
        panel.label,
    )
    assert panel.told == "green: haemorrhages 0 (0.50), yellow: hard exudates 1 (0.50), pink: soft exudates 0 (0.50)"
    assert dict(panel.legend)["#ffeb3c"] == "hard exudates 1 (0.50)"
    for other, told in (
        ({"file": "x.png"}, "no such file; name the folder"),
        ({"sha256": ""}, "is not the photo that"),
    ):
        with pytest.raises(InputError, match=told):
            draw_lesion_panel(reader.find, photo.parent, pd.Series({**row, **other}))


def test_a_model_outlines_what_it_found_itself_on_what_it_saw(reader, photo):
    """By the pixels of the photo it is told what was looked for, not by those of the larger image that was made."""
    prepared = package.prepare_photo(photo, package.Preparation(size_px=1280))
    cut = prepared.cut
    geometry = (cut.width_px, cut.height_px, cut.field.left_px, cut.field.top_px, cut.field.side_px)
    row = pd.Series({"file": photo.name, "sha256": ""} | dict(zip(GEOMETRY_COLUMNS, map(str, geometry), strict=True)))
    shares = np.zeros((5, 320, 320), np.float32)
    shares[2, 160:176, 160:176] = 0.9
    panel = draw_own_lesions(prepared.pixels, shares, dict.fromkeys(KINDS, 0.5), row)
    assert panel.pixels.shape == (1024, 1024, 3) and "hard exudates 1 (0.50)" in panel.told
    assert f"{cut.field.side_px} pixels across the field" in panel.label and "too small to see" in panel.label
    rows, columns = np.nonzero((panel.pixels == COLORS["EX"][1]).all(axis=2))
    # Around cells 160 to 176 of 320, that is pixels 512 to 563 of 1024.
    assert {rows.min(), columns.min()} <= {509, 510, 511} and {rows.max(), columns.max()} <= {563, 564, 565}


def test_only_one_optic_disc_is_outlined():
    """What else looks like one here and there is none, and no lesion either."""
    shares = np.zeros((5, 100, 100), np.float32)
    shares[4, 40:52, 60:72] = shares[4, 10:14, 10:14] = 0.9
    found = package.Lesions(
        "eye.png", LesionMaps(shares, package.Cut.whole(400), 400), dict.fromkeys(KINDS, 0.5), b"", ""
    )
    assert DISC in found.drawn
    lines = outline_layer(found.maps, found.drawn)[..., 3] > 0
    assert lines[155:215, 235:295].any() and not lines[:80, :80].any()


def test_a_photo_that_is_made_smaller_is_outlined_at_the_same_places(reader, photo):
    """By lines that stay to be seen."""
    found = reader.find(photo)
    small, large = found.outlined(opacity=1, most_px=280), found.outlined(opacity=1)
    assert small.shape == (224, 280, 3)
    colors = [(each == COLORS["EX"][1]).all(axis=2) for each in (small, large[::2, ::2])]
    assert colors[1].mean() > 0.4 and (colors[0] == colors[1]).mean() > 0.98

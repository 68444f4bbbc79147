"""The study of attention that is taught: what teaches, what is learned, and the page that is written from the table."""

import dataclasses
import json
import shutil

import cv2
import numpy as np
import pytest
import timm
import torch

from biranet.config import DataConfig, OptimizerConfig, TrainConfig
from biranet.errors import InputError
from biranet.learning.checkpoint_info import Normalization
from biranet.lesion_kinds import KINDS
from biranet.manifest import read_manifest, write_manifest
from biranet.photos.datasets import LabelSource
from biranet.photos.drawn.synthetic import draw_photo
from biranet.photos.folder import prepare_folder
from studies.cached_maps import MIRRORED, PLAIN, Drawing, Maps, cache_maps, shares_of, view_of
from studies.taught import page, run
from studies.taught.heads import BRIGHT, LESSONS, RED, UNTAUGHT, answer, fit_heads, share_of
from studies.taught.photos import find_photos

SIDE = 64
CONFIG = TrainConfig(
    epochs=60, data=DataConfig(batch_size=8), optimizer=OptimizerConfig(loss="ce", optimizer="adamw", lr=1e-2)
)
ALL_KNOWN = np.ones(len(KINDS), bool)


def drawing(seed):
    """A photo with one bright spot, which is drawn as an exudate."""
    row, column = np.random.default_rng(seed).integers(12, 22, size=2)
    pixels = np.full((SIDE, SIDE, 3), 30, np.uint8)
    pixels[row : row + 4, column : column + 4] = 220
    covered = np.zeros((len(KINDS), SIDE, SIDE), np.uint8)
    covered[KINDS.index("EX"), row : row + 4, column : column + 4] = 255
    return Drawing(pixels, covered, ALL_KNOWN)


def test_what_is_drawn_is_turned_with_the_photo():
    photo = drawing(1)
    seen = [view_of(photo, number, 3) for number in range(6)]
    assert np.array_equal(seen[PLAIN].pixels, photo.pixels)
    assert np.array_equal(seen[MIRRORED].pixels[:, ::-1], photo.pixels)
    places = set()
    for view in seen:
        bright = view.pixels[:, :, 1] > 120
        assert (bright == (view.covered[KINDS.index("EX")] > 120)).mean() > 0.995 and bright.sum() > 4
        places.add(tuple(np.argwhere(bright).mean(axis=0).round().astype(int)))
    assert len(places) == len(seen)
    assert all(np.array_equal(view_of(photo, 4, 3).pixels, each.pixels) == (each is seen[4]) for each in seen)


def test_maps_are_computed_once_and_know_where_nobody_drew(tmp_path):
    asked = []

    def read(place):
        asked.append(place)
        return drawing(place) if place else Drawing(drawing(0).pixels)

    layers = torch.nn.AvgPool2d(16)
    arguments = (tmp_path, ["a", "b"], read, layers, Normalization((0.0,) * 3, (1.0,) * 3), 3)
    maps = cache_maps(*arguments)
    assert maps.features.shape == (2, 3, 3, 4, 4) and maps.shares.shape == (2, 3, 5, 4, 4)
    assert maps.shares[0].isnan().all() and not maps.shares[1].isnan().any()
    # What is drawn lies where the photo is bright: 30 of 255 and no less elsewhere.
    lit = (maps.features[1, :, 1] * 255 - 30) / (220 - 30)
    assert (lit[:2] - maps.shares[1, :2, KINDS.index("EX")]).abs().max() < 0.01
    again = cache_maps(*arguments)
    assert asked == [0, 1] and torch.equal(again.features, maps.features)


def test_streams_are_taught_their_own_kinds():
    shares = shares_of(drawing(1), 4)
    shares[KINDS.index("HE"), 0, 0] = 0.5
    same, apart = (lesson.shares(shares) for lesson in LESSONS)
    assert torch.equal(same[0], same[1]) and torch.equal(same[0], shares[:4].sum(dim=0))
    assert torch.equal(apart[0], share_of(shares, RED)) and torch.equal(apart[1], share_of(shares, BRIGHT))
    assert apart[0].sum() == 0.5 and apart[1].sum() == pytest.approx(1 / 16)
    shares[KINDS.index("SE")] = torch.nan
    assert LESSONS[1].shares(shares)[1].isnan().all() and not LESSONS[1].shares(shares)[0].isnan().any()


@pytest.fixture(scope="module")
def maps():
    """Of 24 photos, in 2 views: channel 0 is high where something red lies, channel 1 where something bright lies.

    What grades, channel 2, lies elsewhere. Only every other photo has masks.
    """
    random = np.random.default_rng(5)
    features = torch.from_numpy(random.normal(0, 0.1, (24, 2, 8, 4, 4)))
    shares = torch.zeros(24, 2, 5, 4, 4)
    for photo in range(24):
        for channel, kind in ((0, "HE"), (1, "EX"), (2, None)):
            row, column = random.integers(4, size=2)
            features[photo, :, channel, row, column] += 2 * (photo % 5 if channel == 2 else 1)
            if kind:
                shares[photo, :, KINDS.index(kind), row, column] = 0.3
    shares[::2] = torch.nan
    return Maps(features.half(), shares)


def test_taught_heads_look_where_they_were_taught_to(maps):
    grades, rows, asked = np.arange(24) % 5, np.arange(16), np.arange(17, 24, 2)
    said = [
        answer(fit_heads(maps, grades, rows, CONFIG, 1, dataclasses.replace(lesson, weight=10.0)), maps, asked)
        for lesson in (UNTAUGHT, *LESSONS)
    ]

    def mass(answers, stream, kinds):
        weights = answers.attention[:, stream] / answers.attention[:, stream].sum(dim=(1, 2), keepdim=True)
        return float((weights * (share_of(maps.shares[asked, PLAIN], kinds) > 0)).sum(dim=(1, 2)).mean())

    untaught, same, apart = said
    assert mass(untaught, 0, RED) < 0.2 and mass(untaught, 1, BRIGHT) < 0.2
    assert min(mass(same, stream, RED + BRIGHT) for stream in (0, 1)) > 0.4
    assert mass(apart, 0, RED) > 0.4 and mass(apart, 1, BRIGHT) > 0.4
    assert max(mass(apart, 0, BRIGHT), mass(apart, 1, RED)) < 0.2
    assert said[0].logits.shape == (4, 5) and said[0].evidence.shape == (4, 1, 4, 4)


def test_a_weight_of_nothing_teaches_nothing_and_a_seed_says_all(maps):
    grades, rows = np.arange(24) % 5, np.arange(16)
    config = dataclasses.replace(CONFIG, epochs=2)
    first, again, other = (
        fit_heads(maps, grades, rows, config, seed, lesson).state_dict()
        for seed, lesson in ((1, UNTAUGHT), (1, LESSONS[0]), (2, UNTAUGHT))
    )
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not all(torch.equal(value, other[name]) for name, value in first.items())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """30 drawn photographs with grades, 9 of them with masks of their brightest and darkest parts: 3 a test part."""
    folder = tmp_path_factory.mktemp("taught")
    graded, masked = [], []
    for number in range(30):
        grade, group = (2 + number % 3 if number < 9 else number % 5), f"g{number // 2}"
        pixels = draw_photo(grade, number, 160, 128)
        name = f"{number:02}.png"
        for part in ("graded", *(("lesions", "masks") if number < 9 else ())):
            (folder / part).mkdir(exist_ok=True)
            shown = _mask(pixels) if part == "masks" else pixels[:, :, ::-1]
            cv2.imwrite(str(folder / part / name), shown)
        graded.append((f"graded/{name}", grade, group, f"id{number}"))
        if number < 9:
            part = "test" if number < 3 else "train"
            same = "" if number == 8 else f"id{number}"
            masked.append((f"lesions/{name}", f"masks/{name}", part, same, group))
    write = {"graded.csv": (("file", "grade", "group", "image_id"), graded)}
    write["lesions.csv"] = (("image", "mask", "official_part", "grading_image_id", "group"), masked)
    for name, (columns, rows) in write.items():
        (folder / name).write_text("\n".join(",".join(map(str, row)) for row in (columns, *rows)) + "\n")
    (folder / "labels.csv").write_text((folder / "graded.csv").read_text().replace("graded/", ""))
    prepare_folder(folder / "graded", folder / "prepared", labels=LabelSource(folder / "labels.csv"), size_px=SIDE)
    return folder


def _mask(pixels):
    """Bit 1, haemorrhages, in a dark square, and bit 2, hard exudates, in another."""
    mask = np.zeros(pixels.shape[:2], np.uint8)
    mask[50:60, 60:70], mask[70:80, 90:100] = 2, 4
    return mask


def test_masks_of_the_test_part_and_its_visits_teach_nothing(folder):
    photos = find_photos(folder / "prepared", folder)
    assert [photo.file for photo in photos.test] == [f"lesions/{number:02}.png" for number in range(3)]
    files = photos.graded["file"].to_list()
    # Photo 3 is of the visit of photo 2; photo 8 is none of the graded ones, as far as the table says.
    assert sorted(files[place] for place in photos.drawn) == [f"{number:02}.png" for number in range(4, 8)]
    assert sorted(np.array(files)[photos.tests]) == [f"{number:02}.png" for number in range(4)]
    place = files.index("05.png")
    assert photos.drawn[place].file == "lesions/05.png"
    taught, other = photos.read(place, SIDE), photos.read(files.index("20.png"), SIDE)
    assert taught.covered[KINDS.index("HE")].max() == 255 and taught.covered.shape == (5, SIDE, SIDE)
    assert other.covered is None and photos.read(len(files), SIDE).covered is not None
    assert len(photos.names) == len(set(photos.names)) == 33


def test_masks_that_were_drawn_anew_or_matched_anew_are_other_ones(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    digest = find_photos(folder / "prepared", folder).digest()
    assert find_photos(folder / "prepared", copy).digest() == digest
    shutil.copy(folder / "masks" / "00.png", tmp_path)
    cv2.imwrite(str(copy / "masks" / "00.png"), np.full((128, 160), 2, np.uint8))
    assert find_photos(folder / "prepared", copy).digest() != digest
    shutil.copy(tmp_path / "00.png", copy / "masks")
    (copy / "lesions.csv").write_text((folder / "lesions.csv").read_text().replace("id5", "id25"))
    assert find_photos(folder / "prepared", copy).digest() != digest


def test_photos_that_cannot_be_matched_are_refused(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "lesions.csv").write_text((folder / "lesions.csv").read_text().replace("grading_image_id", "its_id"))
    with pytest.raises(InputError, match="no table with the columns image and grading_image_id"):
        find_photos(folder / "prepared", copy)
    write_manifest(copy / "prepared", read_manifest(copy / "prepared").drop(columns="image_id"))
    with pytest.raises(InputError, match="no column image_id"):
        find_photos(copy / "prepared", folder)


RECIPE = """
epochs = 2
early_stop = 0

[model]
backbone = "test_resnet"
freeze = "stage4"

[data]
image_size = 64
batch_size = 8

[optimizer]
loss = "ce"
optimizer = "adamw"
lr = 1e-2
schedule = "cosine"

[calibration]
decoder = "expected_grade"
"""


@pytest.mark.slow
@pytest.mark.sample
def test_the_command_goes_on_and_its_table_makes_a_page(folder, tmp_path, capsys):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    torch.save(timm.create_model("test_resnet", pretrained=False).state_dict(), tmp_path / "weights.pt")
    places = {"recipe": "tiny.toml", "backbone-weights": "weights.pt", "out": "out", "results": "results"}
    words = [word for name, place in places.items() for word in (f"--{name}", str(tmp_path / place))]
    words = [str(folder / "prepared"), str(folder), *words, "--seeds", "1"]
    assert run.main(words) == 0
    fits = capsys.readouterr().out.splitlines()
    assert len(fits) == len(set(fits)) == (1 + 2 * 6) + 5 * (1 + 2 * 4)
    found = json.loads((tmp_path / "results" / run.RESULT).read_text())
    assert (found["photos"], found["with_masks"], found["learned_to_find_from"]) == (30, 4, 26)
    maps = found["finding"]["any"]["maps"]
    assert maps["chance"]["mass"]["value"] == pytest.approx(0.03, abs=0.02)
    assert "over_untaught" in maps["same both"]["precision"] and "same_0.1 both" in maps
    assert found["grading"]["same"]["differences"].keys() == {"quadratic_weighted_kappa", "aca", "referable_auc"}
    text = "before\n<!-- figures: studies/taught/page.py -->\n<!-- end of figures -->\nafter\n"
    written = page.PAGE.with_figures(text, tmp_path / "results")
    assert written.startswith("before\n") and written.endswith("after\n") and "| taught nothing |" in written
    assert run.main(words) == 0 and not capsys.readouterr().out

"""The study of lesions: one command trains and measures, another writes the page from the tables alone."""

import json
import shutil

import pytest

from biranet.inference.lesion_findings import NEEDED_PX
from biranet.lesion_kinds import LESIONS
from biranet.photos.datasets.masked import find_masked_photos
from studies.lesions import page, run
from studies.lesions.run import divide


@pytest.fixture(scope="module")
def results(masked_folder, tiny_lesions, tmp_path_factory):
    """The tables of the smallest study there can be, and its command line."""
    folder = tmp_path_factory.mktemp("study")
    graded = folder / "graded"
    (graded / "set").mkdir(parents=True)
    shutil.copy(masked_folder / "1. Original Images" / "b. Testing Set" / "IDRiD_55.jpg", graded / "set" / "eye.jpg")
    (graded / "grades.csv").write_text("file,grade,group\nset/eye.jpg,0,g1\nset/other.jpg,2,g2\n")
    words = [str(masked_folder), "--graded", str(graded / "grades.csv"), "--out", str(folder / "runs")]
    words += ["--results", str(folder / "results")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "CONFIG", tiny_lesions())
        patch.setattr(run, "SIZES_PX", (96, 64))
        assert run.main(words) == 0
        before = (folder / "results" / "test.json").read_bytes()
        assert run.main(words) == 0  # all is there
    assert (folder / "results" / "test.json").read_bytes() == before
    return folder / "results"


def test_tables_of_the_study(results):
    inner, test = (json.loads((results / f"{name}.json").read_text()) for name in ("inner", "test"))
    assert (inner["photos_learned_from"], inner["measured"][0]["photos"]) == (3, 1)
    assert (test["photos_learned_from"], test["measured"][0]["photos"]) == (4, 1)
    assert [each["size_px"] for each in test["measured"]] == [96, 64]
    assert str(results) not in json.dumps(test)
    healthy = json.loads((results / "healthy.json").read_text())
    assert healthy["photos"] == 1
    assert healthy["cpu_seconds_a_photo"] > 0


def test_whole_visits_choose(masked_folder):
    photos = find_masked_photos(masked_folder).photos
    teaching, choosing = divide(photos, seed=1)
    assert (len(teaching), len(choosing)) == (4, 1)
    assert not {photo.file for photo in teaching} & {photo.file for photo in choosing}


def test_what_is_looked_for_follows_from_the_tables():
    test = json.loads((run.HERE / "results" / "test.json").read_text())
    assert page.needed_px(test) == NEEDED_PX


def test_fewest_pixels_at_which_half_of_the_best_is_reached():
    measured = [
        {"size_px": size_px, "kinds": {kind: {"aupr": value} for kind in LESIONS}}
        for size_px, value in ((1024, 0.4), (768, 0.2), (512, 0.19), (256, 0.3))
    ]
    assert page.needed_px({"measured": measured}) == dict.fromkeys(LESIONS, 768)

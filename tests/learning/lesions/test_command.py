"""`biranet lesions`, from the command line."""

import csv

import pytest
from PIL import Image

from biranet.learning.lesions.checkpoint import LesionInfo, build_lesion_net, save_lesions
from biranet.learning.shipped_models import find_checkpoint
from biranet.photos.prepare import Preparation


@pytest.fixture(scope="module")
def checkpoint(tiny_lesions, tmp_path_factory):
    """A branch that finds something everywhere."""
    config = tiny_lesions(image_size=800)
    network = build_lesion_net(config)
    network.head.maps.bias.data[:] = 9
    path = tmp_path_factory.mktemp("lesions") / "lesions.safetensors"
    save_lesions(path, network, LesionInfo(config, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), Preparation(size_px=800)))
    return path


@pytest.fixture
def photos(tmp_path, masked_folder):
    """A photo large enough, one too small, and one that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    small = masked_folder / "1. Original Images" / "a. Training Set" / "IDRiD_01.jpg"
    Image.open(small).resize((1050, 840)).save(folder / "a.png")
    (folder / "b.jpg").write_bytes(small.read_bytes())
    (folder / "c.jpg").write_bytes(b"no photo")
    return folder


def test_a_row_a_photo(biranet, checkpoint, photos, tmp_path):
    out = tmp_path / "found.csv"
    answer = biranet("lesions", photos, "--checkpoint", checkpoint, "--out", out)
    assert answer.status == 1
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["status"] for row in rows] == ["ok", "ok", "unreadable"]
    large, small, broken = rows
    assert (large["pixels_across"], large["MA_count"], large["EX_count"]) == ("800", "1", "1")
    # All of the photo is disc, which none is.
    assert large["MA_disc_areas"] == large["MA_lower_nasal"] == ""
    assert "no optic disc was found" in large["not_told"]
    assert int(small["pixels_across"]) < 130
    assert small["MA_count"] == ""
    assert "too small to see microaneurysms" in small["not_told"]
    assert broken["reason"]
    assert "Too small to see microaneurysms" in answer.out
    assert "2 photos looked through, 1 not usable" in answer.out
    assert "not a medical device" in answer.out
    # Its own table is replaced, nobody else's.
    assert biranet("lesions", photos / "a.png", "--checkpoint", checkpoint, "--out", out).status == 0
    out.write_text("mine\n")
    answer = biranet("lesions", photos / "a.png", "--checkpoint", checkpoint, "--out", out)
    assert answer.status == 2
    assert "is not a table of lesions" in answer.err
    assert out.read_text() == "mine\n"


def test_a_picture_a_photo(biranet, checkpoint, photos, tmp_path):
    pictures, out = tmp_path / "pictures", tmp_path / "found.csv"
    answer = biranet("lesions", photos, "--checkpoint", checkpoint, "--out", out, "--overlay", pictures)
    assert answer.status == 1
    assert sorted(path.name[:2] for path in pictures.iterdir()) == ["a_", "b_"]
    with Image.open(next(pictures.glob("a_*"))) as picture:
        assert picture.width > 1050
    answer = biranet("lesions", photos, "--checkpoint", checkpoint, "--out", out, "--overlay", photos)
    assert answer.status == 2
    assert "its pictures would come to be graded as photos" in answer.err
    answer = biranet("lesions", photos, "--checkpoint", checkpoint, "--overlay", pictures, "--overlay-opacity", 1.5)
    assert answer.status == 2
    assert answer.err.startswith("biranet: --overlay-opacity must be a number from 0 to 1, not 1.5")
    (pictures / "mine.jpg").write_bytes(b"mine")
    answer = biranet("lesions", photos, "--checkpoint", checkpoint, "--out", out, "--overlay", pictures)
    assert answer.status == 2
    assert "mine.jpg" in answer.err


def test_what_is_no_checkpoint_of_lesions(biranet, photos, tmp_path):
    for content, told in ((b"nothing", "is not a checkpoint of lesions"), (None, "is no file")):
        path = tmp_path / "model.safetensors"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        answer = biranet("lesions", photos, "--checkpoint", path, "--out", tmp_path / "found.csv")
        assert answer.status == 2
        assert told in answer.err
        assert len(answer.err.splitlines()) == 1
        assert not (tmp_path / "found.csv").exists()


def test_each_kind_of_checkpoint_is_told_from_the_other(biranet, checkpoint, photos, tmp_path):
    answer = biranet("lesions", photos, "--checkpoint", find_checkpoint(None), "--out", tmp_path / "found.csv")
    assert answer.status == 2
    assert "idrid_lite0 grades photos, and looks for no lesions; give idrid_lite0_lesions, which ships," in answer.err
    assert "or RUN/lesions.safetensors" in answer.err
    answer = biranet("grade", photos, "--checkpoint", checkpoint, "--out", tmp_path / "graded.csv")
    assert answer.status == 2
    assert (
        f"finds lesions, and grades nothing; give it to: biranet lesions PHOTOS --checkpoint {checkpoint}" in answer.err
    )
    assert len(answer.err.splitlines()) == 1
    assert not list(tmp_path.glob("*.csv"))


def test_a_branch_lends_its_backbone_to_nobody(biranet, checkpoint, masked_folder, tmp_path):
    words = ["train-lesions", masked_folder, "--out", tmp_path / "run", "--backbone", "test_resnet"]
    answer = biranet(*words, "--backbone-weights", checkpoint)
    assert answer.status == 2
    assert f"{checkpoint}: is no checkpoint of a network that grades; give RUN/best.safetensors" in answer.err


def test_from_masks_to_a_table(biranet, masked_folder, tmp_path):
    run, out = tmp_path / "run", tmp_path / "found.csv"
    words = [
        "train-lesions", masked_folder, "--out", run, "--backbone", "test_resnet", "--no-pretrained", "--freeze=none",
        "--image-size", 96, "--smallest-size", 64, "--patch", 64, "--width", 8, "--steps", 2, "--device", "cpu",
    ]  # fmt: skip
    answer = biranet(*words)
    assert answer.status == 0, answer.err
    assert "1 photo of the published test part teach nothing." in answer.out
    assert f"Next: biranet lesions NEW_PHOTOS --checkpoint {run / 'lesions.safetensors'}" in answer.out
    photos = masked_folder / "1. Original Images"
    answer = biranet("lesions", photos, "--checkpoint", run / "lesions.safetensors", "--out", out)
    assert answer.status == 0, answer.err
    assert len(out.read_text().splitlines()) == 6
    answer = biranet(*words)
    assert answer.status == 2
    assert "already holds a training; go on with it by --resume" in answer.err
    answer = biranet("train-lesions", photos, "--out", run)
    assert answer.status == 2
    assert "holds no masks of lesions" in answer.err

"""Models that grade and look for lesions: the same answers from every engine and every command."""

import csv

import numpy as np
import pytest
from PIL import Image

import biranet as public
from biranet.inference.engines import load_engine
from biranet.inference.lesion_reader import GradingFinder, load_lesions
from biranet.learning.shipped_models import find_checkpoint
from biranet.lesion_kinds import KINDS, LESIONS
from lesion_models import BRANCH, IMAGE_PX, lesion_checkpoint, lesion_grader

pytestmark = pytest.mark.sample  # torch takes ten seconds to write the graph


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint of a network that looks for lesions."""
    return lesion_checkpoint(lesion_grader(test_time_flip=True), tmp_path_factory.mktemp("model") / "best.safetensors")


@pytest.fixture(scope="module")
def exported(checkpoint):
    """The checkpoint as ONNX."""
    from biranet.inference.export import export_onnx

    path = checkpoint.with_suffix(".onnx")
    assert export_onnx(checkpoint, path).difference < 1e-4
    return path


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A drawn photo that is no square."""
    path = tmp_path_factory.mktemp("photo") / "eye.png"
    Image.fromarray(public.draw_photo(grade=3, seed=5, width_px=400, height_px=320)).save(path)
    return path


def test_engines_find_the_same_lesions(checkpoint, exported, drawn_photos):
    files = sorted(drawn_photos.glob("*.jpg"))[:3]
    torch_s, onnx_s = (list(public.load(path).grade_many(files, workers=0)) for path in (checkpoint, exported))
    for ours, theirs in zip(torch_s, onnx_s, strict=True):
        assert (ours.grade, ours.decision) == (theirs.grade, theirs.decision)
        np.testing.assert_allclose(ours.probabilities, theirs.probabilities, rtol=0, atol=1e-4)
        np.testing.assert_allclose(ours.lesions.maps.shares, theirs.lesions.maps.shares, rtol=0, atol=1e-4)
        np.testing.assert_allclose(ours.lesion_evidence, theirs.lesion_evidence, rtol=0, atol=1e-3)
        assert ours.lesions.maps.shares.shape == (len(KINDS), IMAGE_PX // 4, IMAGE_PX // 4)
        assert ours.lesion_evidence.shape == (len(LESIONS),)
    assert torch_s[0].lesions.maps.shares.std() > 0.01


@pytest.mark.parametrize("kind", ["checkpoint", "exported"])
def test_the_reader_finds_what_the_grader_found(request, kind, photo):
    model = request.getfixturevalue(kind)
    reader, answer = load_lesions(model), public.load(model).grade(photo)
    found = reader.find(photo)
    np.testing.assert_array_equal(found.maps.shares, answer.lesions.maps.shares)
    assert found.findings == answer.lesions.findings and found.sha256 == answer.lesions.sha256
    assert found.maps.cut == answer.lesions.maps.cut == answer.original.cut
    assert dict(found.thresholds) == dict(BRANCH.thresholds)
    with pytest.raises(public.InputError, match=f"size_px must be {IMAGE_PX}, not 64"):
        reader.finder.find(photo, 64)


def test_a_model_without_a_branch_is_no_finder():
    with pytest.raises(public.InputError, match="idrid_lite0 grades photos, and looks for no lesions"):
        GradingFinder(load_engine(find_checkpoint("idrid_lite0")))


def test_the_picture_has_outlines_and_says_what_they_are(exported, photo, tmp_path):
    answer = public.load(exported).grade(photo)
    picture = answer.picture()
    assert "with outlines" in picture.alt_text
    assert "MA" in answer.lesions.unseen  # some 300 pixels across the field
    told = "of that by what looks like microaneurysms (too small to see) "
    assert told in picture.alt_text and "A program drew these outlines" in picture.alt_text
    without = public.load("idrid_lite0").grade(photo).picture()
    assert told not in without.alt_text and "outlines" not in without.alt_text
    outlined = answer.lesions.outlined()
    plain = np.asarray(Image.open(photo))
    assert outlined.shape == plain.shape and (outlined != plain).any()
    # The file is gone: what the network saw is shown, with the same outlines.
    gone = tmp_path / "gone.png"
    gone.write_bytes(photo.read_bytes())
    answer = public.load(exported).grade(gone)
    gone.unlink()
    assert "What the network saw, with outlines" in answer.picture().alt_text


def test_both_commands_take_it(biranet, exported, photo, tmp_path):
    graded = biranet("grade", photo, "--checkpoint", exported, "--out", tmp_path / "g.csv", "--overlay", tmp_path / "g")
    assert graded.status == 0, graded.err
    assert len(list((tmp_path / "g").glob("eye_*.jpg"))) == 1
    table, pictures = tmp_path / "l.csv", tmp_path / "l"
    found = biranet("lesions", photo, "--checkpoint", exported, "--out", table, "--overlay", pictures)
    assert found.status == 0, found.err
    [row] = csv.DictReader(table.read_text().splitlines())
    findings = public.load(exported).grade(photo).lesions.findings
    for kind, finding in findings.items():
        assert row[f"{kind}_count"] == ("" if finding.count is None else str(finding.count))
    assert len(list(pictures.glob("eye_*.jpg"))) == 1

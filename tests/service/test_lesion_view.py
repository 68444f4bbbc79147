"""What the page is shown of a photo in which lesions were looked for."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

import biranet as public
from biranet.inference.lesion_drawing import COLORS, LESIONS_NOTE, outline_layer
from biranet.learning.torch_predictor import TorchPredictor
from biranet.service.answers import Shown, show
from biranet.service.parcels import PhotoResult
from biranet.service.view import draw_view
from lesion_models import lesion_grader, lesion_info


@pytest.fixture(scope="module")
def answered():
    """A drawn photo as a file, and what a model says of it."""
    file = io.BytesIO()
    Image.fromarray(public.draw_photo(grade=3, seed=5, width_px=400, height_px=320)).save(file, "PNG")
    network = lesion_grader(test_time_flip=True)
    grader = public.Grader(TorchPredictor(network, lesion_info(network), torch.device("cpu")))
    return file.getvalue(), grader.grade(Image.open(file))


def test_outlines_are_a_layer_with_a_colour_a_kind(answered):
    data, answer = answered
    lesions, *others = draw_view(data, answer).layers
    assert (lesions.name, lesions.note, lesions.scale) == ("lesions", LESIONS_NOTE, None)
    counts = {kind: finding.count for kind, finding in answer.lesions.findings.items()}
    drawn = [(f"#{bytes(COLORS[kind][1]).hex()}", counts[kind]) for kind in answer.lesions.drawn]
    assert drawn and [(each.color, each.number) for each in lesions.outlined] == drawn
    pixels = np.asarray(Image.open(io.BytesIO(lesions.png)))
    assert pixels.shape == (320, 400, 4)
    lines = pixels[..., 3] > 0
    assert 0 < lines.mean() < 0.5
    assert {f"#{bytes(color).hex()}" for color in pixels[lines][:, :3].tolist()} == {color for color, _ in drawn}
    # The same lines as in the picture.
    plain = np.asarray(Image.open(io.BytesIO(data)))
    assert ((answer.lesions.outlined() != plain).any(axis=2) <= lines).all()
    for each in others:
        assert each.scale is not None and each.outlined == () and "not where lesions are" in each.note


def test_a_smaller_layer_has_the_same_lines(answered):
    _, answer = answered
    small = outline_layer(answer.lesions.maps, answer.lesions.drawn, 0.5)
    assert small.shape == (160, 200, 4) and 0 < (small[..., 3] > 0).mean() < 0.6


def test_programs_are_told_as_the_document_says(answered):
    data, answer = answered
    told = Shown.model_validate(show(PhotoResult(answer, draw_view(data, answer))))
    assert told.maps[0].scale is None and told.maps[0].outlined[0].words == "hard exudates"
    assert told.maps[1].scale is not None and told.maps[1].outlined == []

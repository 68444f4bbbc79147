"""What a shell prints of the objects that people hold: one line that says what it is."""

import dataclasses

import pytest
import torch

import biranet
from biranet.learning.data import PreparedPhotos, SequentialBatchSampler, load_batches


def test_what_people_hold_is_printed_in_a_line(shipped_folder, checkpoint, split_folder):
    grader = biranet.load(checkpoint, device="cpu")
    photo = biranet.draw_photo(grade=4, seed=7)
    prediction = grader.grade(photo, keep_ungradable=True)
    photos = PreparedPhotos(split_folder, "all")
    batch = next(iter(load_batches(photos, SequentialBatchSampler(4, 4), 0)))
    held = {
        f"Grader(biranet, backbone test_resnet, images of 64 px, from {str(checkpoint)!r})": grader,
        f"TorchPredictor(biranet, backbone test_resnet, images of 64 px, on cpu, from {str(checkpoint)!r})": (
            grader.predictor
        ),
        "CheckpointInfo(biranet, backbone test_resnet, images of 64 px, epoch 0, not calibrated)": dataclasses.replace(
            grader.info, training_set_fingerprints=("0" * 100,) * 1000
        ),
        "PreparedPhotos(40 photos, 64 px)": photos,
        "Batch(4 photos, 64 px)": batch,
        "Predicted(4 photos)": grader.predictor.predict(batch.pixels.numpy()),
        "Output(logits (2, 5), attention (2, 2, 2, 2))": grader.model(torch.zeros(2, 3, 64, 64)),
        "Progress(3 epochs, best validation kappa 0.610 after epoch 2)": biranet.Progress(
            epoch=3, best_kappa=0.61, best_epoch=2
        ),
        "Progress(1 epoch)": biranet.Progress(epoch=1),
        "TrainConfig()": biranet.TrainConfig(),
        "TrainConfig(model=ModelConfig(backbone='resnet18'), epochs=30)": biranet.TrainConfig(
            biranet.ModelConfig(backbone="resnet18"), epochs=30
        ),
        "Finding(kind='copies', refuses=True, count=500, sentence='a.jpg and b.jpg: …')": biranet.Finding(
            "copies", True, 500, [["a.jpg", "b.jpg"]] * 500, "a.jpg and b.jpg: …"
        ),
    }
    assert [repr(each) for each in held.values()] == list(held)
    shares = " ".join(f"{share:.3f}" for share in prediction.probabilities)
    named = dataclasses.replace(prediction, file="a.jpg")
    assert repr(named) == f"Prediction('a.jpg', grade {named.grade}, {named.decision}, probabilities {shares})"
    (failed,) = grader.grade_many(["nowhere\n.jpg"], workers=0)
    assert repr(failed) == r"Prediction('nowhere\n.jpg', unreadable: 'no such file')"
    assert "calibrated)" in repr(biranet.load(device="cpu").info) and "not calibrated" not in repr(biranet.load().info)


def test_a_prepared_photo_is_printed_without_its_bytes(drawn_photos):
    prepared = biranet.prepare_photo(next(drawn_photos.glob("*.jpg")))
    assert repr(prepared) == f"Prepared({len(prepared.jpeg):,} bytes of JPEG, of a photo of 160 x 128 px)"


@pytest.mark.parametrize("setting", ["model", "data", "optimizer", "calibration"])
def test_settings_are_printed_as_they_are_typed(setting):
    part = getattr(biranet.TrainConfig(), setting)
    assert eval(repr(part), vars(biranet) | {type(part).__name__: type(part)}) == part

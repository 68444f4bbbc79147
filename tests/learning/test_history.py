import json
import re
import socket

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from biranet.config import ModelConfig
from biranet.errors import InputError
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.data import PreparedPhotos
from biranet.learning.history import read_history
from biranet.learning.history_writer import HistoryWriter
from biranet.learning.torch_predictor import TorchPredictor
from biranet.manifest import graded_photos, read_manifest
from biranet.photos.prepare import Preparation


@pytest.fixture
def predictor(small_model):
    info = CheckpointInfo(ModelConfig(), 64, (0.5,) * 3, (0.5,) * 3, Preparation(size_px=64))
    return TorchPredictor(small_model.train(), info, torch.device("cpu"))


def _row(epoch, **more):
    return {"epoch": epoch, "lr": 0.1 / epoch, "validation_kappa": 0.2 * epoch, **more}


def _events(run):
    found = EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0})
    found.Reload()
    return found


@pytest.fixture
def photos(prepared):
    table = graded_photos(read_manifest(prepared)).reset_index(drop=True)
    return PreparedPhotos(prepared, table[:6], 64)


def test_a_run_without_an_epoch_has_no_history(tmp_path):
    assert read_history(tmp_path) == []


def test_history_and_tensorboard_tell_the_same_numbers(tmp_path):
    record = HistoryWriter(tmp_path, epochs_done=0)
    for epoch in (1, 2):
        record.add_epoch(_row(epoch))
    assert read_history(tmp_path) == [_row(1), _row(2)]
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [_row(1), _row(2)]
    events = _events(tmp_path)
    assert set(events.Tags()["scalars"]) == {"lr", "validation_kappa"}
    assert [(event.step, event.value) for event in events.Scalars("validation_kappa")] == [
        (1, pytest.approx(0.2)),
        (2, pytest.approx(0.4)),
    ]


def test_no_name_of_the_machine_stands_in_the_record(tmp_path):
    record = HistoryWriter(tmp_path, epochs_done=0)
    record.add_epoch(_row(1))
    (file,) = (tmp_path / "tensorboard").iterdir()
    assert re.fullmatch(r"events\.out\.tfevents\.\d{10}\.\d{9}", file.name)
    assert socket.gethostname().encode() not in file.read_bytes()


def test_what_was_recorded_after_the_last_save_is_dropped(tmp_path):
    first = HistoryWriter(tmp_path, epochs_done=0)
    for epoch in (1, 2, 3):
        first.add_epoch(_row(epoch))
    again = HistoryWriter(tmp_path, epochs_done=1)
    again.add_epoch(_row(2, again=1.0))
    assert read_history(tmp_path) == [_row(1), _row(2, again=1.0)]
    assert [event.step for event in _events(tmp_path).Scalars("lr")] == [1, 2]


def test_what_was_not_measured_stays_null(tmp_path):
    record = HistoryWriter(tmp_path, epochs_done=0)
    record.add_epoch(_row(1) | {"validation_kappa": None})
    assert read_history(tmp_path)[0]["validation_kappa"] is None
    assert _events(tmp_path).Tags()["scalars"] == ["lr"]


def test_history_is_json_that_every_reader_takes(tmp_path):
    record = HistoryWriter(tmp_path, epochs_done=0)
    record.add_epoch(_row(1))
    with pytest.raises(ValueError, match="not JSON compliant"):
        record.add_epoch(_row(2, train_loss=float("nan")))
    assert read_history(tmp_path) == [_row(1)]


@pytest.mark.parametrize(
    "line",
    [
        *('{"epoch": 2, "lr": 0.', "", "[2]", "2", '"epoch"', '{"lr": 0.1}', '{"epoch": "2"}', '{"epoch": null}'),
        *('{"epoch": 2, "lr": "0.1"}', '{"epoch": 2, "lr": NaN}', '{"epoch": 2, "lr": [1]}', "[" * 100_000, "\0"),
    ],
)
def test_a_history_that_is_none_is_refused_by_its_line(tmp_path, line):
    record = HistoryWriter(tmp_path, epochs_done=0)
    record.add_epoch(_row(1))
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(InputError, match=r"history\.jsonl, line 2 is not that of an epoch: .* or delete it") as caught:
        read_history(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_history_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "history.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(InputError, match=r"cannot read .*history\.jsonl"):
        read_history(tmp_path)


def test_photos_are_shown_with_the_attention_of_each_stream(tmp_path, photos, predictor, small_model):
    # Batch normalization shows it: showing must not move its statistics.
    before = {key: value.clone() for key, value in small_model.state_dict().items()}
    record = HistoryWriter(tmp_path, epochs_done=0)
    record.add_attention(predictor, photos, epoch=3)
    assert all(torch.equal(value, before[key]) for key, value in small_model.state_dict().items())
    streams = small_model.eval()(torch.zeros(1, 3, 64, 64)).attention.shape[1]
    events = _events(tmp_path)
    assert events.Tags()["images"] == [f"attention/{number}" for number in range(4)]
    for number in range(4):
        (picture,) = events.Images(f"attention/{number}")
        assert (picture.step, picture.width, picture.height) == (3, 64 * (1 + streams), 64)


def test_fewer_photos_than_places_are_all_shown(tmp_path, prepared, predictor):
    table = graded_photos(read_manifest(prepared)).reset_index(drop=True)
    few = PreparedPhotos(prepared, table[:2], 64)
    record = HistoryWriter(tmp_path, epochs_done=0)
    record.add_attention(predictor, few, epoch=1)
    assert len(_events(tmp_path).Tags()["images"]) == 2

import copy
import dataclasses
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from biranet.config import ModelConfig
from biranet.decisions.predictions import check_predictions
from biranet.decisions.rules import OperatingPoint, Rules, raw_probabilities
from biranet.errors import InputError, RefusedError
from biranet.learning.checkpoint_info import CheckpointInfo
from biranet.learning.model import build_model
from biranet.learning.predict import check_preparation, predict_photos
from biranet.learning.torch_predictor import TorchPredictor, choose_device, evaluation_mode
from biranet.manifest import graded_photos, read_manifest
from biranet.photos.prepare import read_preparation

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(5)
    return build_model(ModelConfig(backbone="test_resnet", pretrained=False, freeze="none")).eval()


@pytest.fixture
def info(prepared):
    return CheckpointInfo(
        model=ModelConfig(backbone="test_resnet", pretrained=False, freeze="none"),
        image_size=64,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        preparation=read_preparation(prepared),
    )


def answers(model, info, prepared, table, **how):
    return predict_photos(TorchPredictor(model, info, CPU, "here.safetensors"), prepared, table, **how)


def test_the_table_has_the_photos_in_order_with_probabilities_that_sum_to_one(model, info, prepared):
    table = graded_photos(read_manifest(prepared)).iloc[::-1].reset_index(drop=True)
    found = answers(model, info, prepared, table, workers=0)
    fixed = ["file", "group", "grade", "predicted_grade", "p0", "p1", "p2", "p3", "p4"]
    assert list(found.columns[: len(fixed)]) == fixed
    assert set(table.columns) <= set(found.columns)
    assert found["file"].tolist() == table["file"].tolist()
    assert found["grade"].tolist() == table["grade"].tolist()
    shares = found[["p0", "p1", "p2", "p3", "p4"]].to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert found["predicted_grade"].tolist() == shares.argmax(axis=1).tolist()
    assert len(np.unique(shares[:, 0])) > 10  # each photo has its own answer


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (7, 0), (7, 2)])
def test_answers_do_not_depend_on_batches_and_workers(model, info, prepared, batch_size, workers):
    table = graded_photos(read_manifest(prepared)).reset_index(drop=True)
    one, other = (
        answers(model, info, prepared, table, workers=0),
        answers(model.train(), info, prepared, table, batch_size=batch_size, workers=workers),
    )
    for grade in range(5):
        np.testing.assert_allclose(one[f"p{grade}"], other[f"p{grade}"], atol=1e-5)


RULES = Rules(
    temperature=2.5,
    operating_points=(OperatingPoint("sensitivity_90", 0.4), OperatingPoint("specificity_90", 0.6)),
    set_threshold=0.5,
    fitted_on="nothing real",
)


def test_rules_add_their_answers_and_leave_the_grades(model, info, prepared):
    table = graded_photos(read_manifest(prepared)).reset_index(drop=True)
    plain = answers(model, info, prepared, table, workers=0)
    ruled = answers(model, dataclasses.replace(info, rules=RULES), prepared, table, workers=0)
    added = ["temperature", "decision", "lowest_grade", "highest_grade", "refer_sensitivity_90", "refer_specificity_90"]
    assert ruled.columns.tolist() == [*plain.columns[:9], *added, *plain.columns[9:]]
    assert ruled["predicted_grade"].tolist() == plain["predicted_grade"].tolist()
    np.testing.assert_allclose(raw_probabilities(ruled), raw_probabilities(plain), atol=1e-12)
    # What softens by 2.5: the logarithms of two shares come so much nearer.
    spread = [np.log(each["p4"] / each["p0"]).to_numpy() for each in (plain, ruled)]
    np.testing.assert_allclose(spread[0], 2.5 * spread[1], atol=1e-9)
    check_predictions(ruled, "here")


def test_columns_of_the_labels_are_not_taken_for_answers(model, info, prepared):
    table = graded_photos(read_manifest(prepared)).reset_index(drop=True)
    labelled = table.assign(decision="laser", p0="x", refer_to="dr. who", temperature="", camera="a")
    found = answers(model, info, prepared, labelled, workers=0)
    assert found.equals(answers(model, info, prepared, table.assign(camera="a"), workers=0))
    check_predictions(found, "here")


@pytest.mark.parametrize(("setting", "other"), [("size_px", 90), ("jpeg_quality", 90), ("already_cropped", True)])
def test_photos_prepared_otherwise_are_refused(info, prepared, tmp_path, setting, other):
    check_preparation(prepared, info)
    folder = tmp_path / "prepared"
    shutil.copytree(prepared, folder)
    path = folder / "preparation.json"
    path.write_text(json.dumps(dataclasses.asdict(info.preparation) | {setting: other}))
    with pytest.raises(RefusedError, match="prepare them again, into another folder, with --size 64"):
        check_preparation(folder, info)


def test_a_model_that_diverged_is_refused_instead_of_grading_everything_0(model, info, prepared):
    table = graded_photos(read_manifest(prepared)).reset_index(drop=True)
    diverged = copy.deepcopy(model)
    diverged.head.bias.data[2] = float("nan")
    with pytest.raises(
        InputError, match=r"the answers of here\.safetensors are not finite numbers: its training has diverged"
    ):
        answers(diverged, info, prepared, table, workers=0)


def test_threads_that_share_a_model_never_see_it_in_training_mode():
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(1, 1)).train()
    model[1].eval()
    first_is_in, second_is_in, first_is_out = threading.Event(), threading.Event(), threading.Event()

    def first():
        with evaluation_mode(model):
            first_is_in.set()
            assert second_is_in.wait(30)
        first_is_out.set()

    def second():
        assert first_is_in.wait(30)
        with evaluation_mode(model):
            second_is_in.set()
            assert first_is_out.wait(30)
            return [part.training for part in model.modules()]

    with ThreadPoolExecutor(2) as threads:
        done = [threads.submit(each) for each in (first, second)]
        done[0].result()
        assert done[1].result() == [False, False, False]
    assert [part.training for part in model.modules()] == [True, True, False]


def test_a_device_is_found_or_refused_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert [choose_device(name).type for name in ("auto", "cpu", "mps")] == ["mps", "cpu", "mps"]
    with pytest.raises(InputError, match="the device cuda is not available to torch here; there is: mps, cpu"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device().type == "cuda"

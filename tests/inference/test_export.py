"""Exported models: the answers of `grade`, calibrated, by whatever reads them."""

import contextlib
import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file

from biranet.config import ModelConfig
from biranet.decisions.rules import OperatingPoint, Rules, decide
from biranet.grades import DISCLAIMER
from biranet.inference.grader import load
from biranet.inference.prediction import Prediction
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from biranet.learning.evidence import explain
from biranet.learning.tensors import open_tensors
from biranet.manifest import read_manifest
from biranet.photos.drawn.synthetic import draw_photo
from biranet.photos.prepare import Preparation
from checkpoints import save_varied, with_info

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")

POINTS = OperatingPoint("sensitivity_90", 0.45), OperatingPoint("specificity_90", 0.7)
ARGMAX = Rules(2.5, operating_points=POINTS, set_threshold=0.3, fitted_on="nothing real")
CROSSED = OperatingPoint("sensitivity_90", 0.75), OperatingPoint("specificity_90", 0.35)
EXPECTED = Rules(0.6, "expected_grade", (0.9, 1.7, 2.2, 3.1), CROSSED, 0.5, "nothing real")
RULES = {"argmax": ARGMAX, "expected_grade": EXPECTED, "none": Rules()}

SAMPLE = pytest.mark.slow, pytest.mark.sample
"""Marks of what exports the same once more: torch takes two to ten seconds to write a graph."""


class Export(NamedTuple):
    """A checkpoint, its export, what the command said, and what `grade` says of the drawn photos."""

    checkpoint: Path
    path: Path
    said: str
    answers: list[Prediction]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("argmax", marks=SAMPLE),
        "expected_grade",
        pytest.param("none", marks=pytest.mark.slow),
    ],
)
def exported(request, checkpoint, drawn_photos, tmp_path_factory):
    """A checkpoint with rules, and its export, which replaced an earlier one.

    Photos are prepared at 96 px, and the network sees them at 64.
    """
    from biranet.cli import main

    folder = tmp_path_factory.mktemp("exported")
    path = with_info(
        checkpoint, folder / "best.safetensors", rules=RULES[request.param], preparation=Preparation(size_px=96)
    )
    (folder / "model.onnx").write_bytes(b"what an earlier biranet wrote: biranet-checkpoint")
    with pytest.raises(SystemExit, match="0"), contextlib.redirect_stdout(io.StringIO()) as out:
        main(["export", str(path), str(folder / "model.onnx")])
    assert sorted(each.name for each in folder.iterdir()) == ["best.safetensors", "model.onnx"]
    answers = list(load(path).grade_many(sorted(drawn_photos.glob("*.jpg")), workers=0))
    return Export(path, folder / "model.onnx", out.getvalue(), answers)


def run(path, photos):
    """What an ONNX model says, by the names of its outputs."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"image": photos})
    return dict(zip((output.name for output in session.get_outputs()), outputs, strict=True))


def pixels(answers):
    return np.stack([each.photo for each in answers])


def shares(answers):
    return np.stack([each.probabilities for each in answers])


# ONNX: the same answers


@pytest.mark.parametrize("batch", [1, 40])
def test_onnx_gives_the_calibrated_probabilities_of_grade(exported, batch):
    path, answers = exported.path, exported.answers
    said = run(path, pixels(answers[:batch]))
    # Sums run in another order in another program, and this head is some hundred times as steep as a trained one.
    np.testing.assert_allclose(said["probabilities"], shares(answers[:batch]), rtol=0, atol=1e-5)
    seen = np.stack([each.attention for each in answers[:batch]])
    np.testing.assert_allclose(said["attention"], seen, rtol=0, atol=1e-5)
    known = np.stack([each.evidence for each in answers[:batch]])
    np.testing.assert_allclose(said["evidence"][:, 0], known, rtol=0, atol=1e-2 * max(0.1, np.abs(known).max()))
    assert np.ptp(shares(answers), axis=0).min() > 0.1  # the photos differ, or this would say nothing


def test_without_its_temperature_it_would_give_others(exported):
    """The comparison above tells a temperature that is left out, or applied twice."""
    path, answers = exported.path, exported.answers
    temperature = load_checkpoint(exported.checkpoint)[1].rules.temperature
    said = run(path, pixels(answers))["probabilities"].astype(float)
    for power in (temperature, 1 / temperature):
        other = said**power / (said**power).sum(axis=1, keepdims=True)
        assert (np.abs(other - shares(answers)).max() > 0.1) == (temperature != 1)


def test_rules_of_the_metadata_decide_as_grade_does(exported):
    path, answers = exported.path, exported.answers
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    header = json.loads(session.get_modelmeta().custom_metadata_map["biranet"])
    rules = TypeAdapter(Rules).validate_python(header["rules"])
    said = decide(run(path, pixels(answers))["probabilities"], rules)
    assert said.grades.tolist() == [each.grade for each in answers]
    assert said.decisions.tolist() == [each.decision for each in answers]
    if rules.set_threshold is not None:
        assert list(zip(said.lowest, said.highest, strict=True)) == [each.grade_range for each in answers]
    assert len(set(said.grades)) == 5 and len(set(said.decisions)) > 1


def header_of(checkpoint):
    """What a checkpoint says of itself, without the digests that guard it."""
    with open_tensors(checkpoint, "a checkpoint") as stored:
        return stored.header


def test_metadata_is_the_header_of_the_checkpoint(exported):
    header = json.loads({each.key: each.value for each in onnx.load(exported.path).metadata_props}["biranet"])
    stored = header_of(exported.checkpoint)
    assert header.pop("temperature_applied") == stored["rules"]["temperature"]
    assert header.pop("disclaimer") == DISCLAIMER
    assert header.pop("checkpoint_sha256") == hashlib.sha256(exported.checkpoint.read_bytes()).hexdigest()
    # What comes out is calibrated already: who applies the rules to it must not do so twice.
    stored["rules"]["temperature"] = 1.0
    assert header == stored


def test_graph_is_as_it_is_described(exported):
    model = onnx.load(exported.path)
    onnx.checker.check_model(model, full_check=True)
    described = {
        each.name: (
            each.type.tensor_type.elem_type,
            [d.dim_param or d.dim_value for d in each.type.tensor_type.shape.dim],
        )
        for each in (*model.graph.input, *model.graph.output)
    }
    assert described == {
        "image": (onnx.TensorProto.UINT8, ["batch", 64, 64, 3]),
        "probabilities": (onnx.TensorProto.FLOAT, ["batch", 5]),
        "attention": (onnx.TensorProto.FLOAT, ["batch", 2, 2, 2]),
        "raw_probabilities": (onnx.TensorProto.FLOAT, ["batch", 5]),
        "evidence": (onnx.TensorProto.FLOAT, ["batch", 1, 4, 4]),
    }
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 18)]
    assert not any(each.external_data for each in model.graph.initializer)
    # torch writes the source lines of every node into it.
    content = exported.path.read_bytes()
    assert b".py" not in content and str(Path(torch.__file__).parents[1]).encode() not in content


@pytest.mark.parametrize(
    ("name", "backbone", "freeze", "flip"),
    [
        pytest.param("ranet", "test_convnext3", "stage3", True, marks=SAMPLE),
        pytest.param("plain", "test_resnet", "stage1", True, marks=SAMPLE),
        pytest.param("ranet", "test_vit", "none", False, marks=SAMPLE),
        pytest.param("biranet", "test_resnet", "stage2", False, marks=pytest.mark.slow),
        pytest.param("biranet", "test_resnet", "stage2", True, marks=SAMPLE),
        pytest.param("biranet", "tf_efficientnet_lite0", "stage4", True, marks=SAMPLE),
        pytest.param("ranet", "tf_efficientnet_lite0", "stage3", False, marks=pytest.mark.slow),
    ],
)
def test_every_architecture_is_exported(biranet, tmp_path, name, backbone, freeze, flip):
    config = ModelConfig(model=name, backbone=backbone, pretrained=False, freeze=freeze, test_time_flip=flip)
    checkpoint = save_varied(config, tmp_path / "a.safetensors")
    said = biranet("export", checkpoint, tmp_path / "a.onnx")
    assert (said.status, said.err) == (0, "")
    photos = np.stack([draw_photo(grade, 20 + grade, 64, 64) for grade in range(5)])
    answers = run(tmp_path / "a.onnx", photos)
    streams = {"biranet": 2, "ranet": 1, "plain": 0}[name]
    named = ["probabilities", "attention", "raw_probabilities", "evidence"]
    assert list(answers) == [name for name in named if streams or name != "attention"]

    # Written out, with nothing of the export's: pixels to image, logits to probabilities.
    model, info = load_checkpoint(checkpoint)
    image = (
        torch.from_numpy(photos).permute(0, 3, 1, 2) / 255 - torch.tensor(info.mean)[:, None, None]
    ) / torch.tensor(info.std)[:, None, None]
    with torch.inference_mode():
        logits, attention = model(image)
    expected = torch.softmax(logits.double() / 1.7, dim=1).numpy()
    np.testing.assert_allclose(answers["probabilities"], expected, rtol=0, atol=2e-5)
    raw = torch.softmax(logits.double(), dim=1).numpy()
    np.testing.assert_allclose(answers["raw_probabilities"], raw, rtol=0, atol=2e-5)
    assert np.ptp(expected, axis=0).max() > 0.03
    if streams:
        assert answers["attention"].shape[1] == streams
        np.testing.assert_allclose(answers["attention"], attention.numpy(), rtol=0, atol=2e-5)
    evidence = explain(model, image, 1.7)[1].detach().numpy()
    np.testing.assert_allclose(answers["evidence"], evidence, rtol=0, atol=1e-2 * max(0.1, np.abs(evidence).max()))


@pytest.fixture(scope="module")
def stored(drawn_photos, tmp_path_factory):
    """The photos as `prepare` stores them at 96 px, in the order of their names."""
    from biranet.photos.folder import prepare_folder

    folder = tmp_path_factory.mktemp("stored") / "prepared"
    prepare_folder(drawn_photos, folder, size_px=96)
    return [folder / name for name in read_manifest(folder).sort_values("file")["prepared"]]


def test_the_program_of_the_page_says_what_grade_says(exported, stored):
    path, answers = exported.path, exported.answers
    program = re.search(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1].replace("best.onnx", path.name)
    assert "import biranet" not in program
    done = subprocess.run(
        [sys.executable, "-c", program, *stored], cwd=path.parent, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    *lines, last = done.stdout.splitlines()
    assert last == DISCLAIMER
    for line, name, graded in zip(lines, stored, answers, strict=True):
        expected = f"{name} {graded.grade} {graded.decision} "
        assert line.startswith(expected)
        printed = [float(share) for share in line.removeprefix(expected).split()]
        np.testing.assert_allclose(printed, graded.probabilities, rtol=0, atol=1e-5)


def assert_said(said, exported):
    written, difference, *rest = said.splitlines()
    assert re.fullmatch(rf"Written: (.+/)?model\.onnx \({exported.path.stat().st_size / 1e6:.1f} MB\)", written)
    found = re.fullmatch(r"Largest difference from (.+): (\S+) \(three drawn photos, a black one\)", difference)
    assert found[1] == str(exported.checkpoint) and 0 < float(found[2]) < 1e-4
    temperature = load_checkpoint(exported.checkpoint)[1].rules.temperature
    path = re.fullmatch(r"Written: (.+) \(.+ MB\)", written)[1]
    following = f"Next: biranet grade NEW_PHOTOS --checkpoint {path}"
    assert rest == [f"Temperature: {temperature:.3f}, applied in the model", DISCLAIMER, following]


def test_the_command_says_what_it_wrote(exported):
    assert_said(exported.said, exported)


@pytest.mark.slow
@pytest.mark.sample
@pytest.mark.parametrize("exported", ["expected_grade"], indirect=True)
def test_the_real_command_line_replaces_a_file_and_writes_the_same_bytes(exported, tmp_path):
    before = exported.checkpoint.read_bytes()
    (tmp_path / "model.onnx").write_bytes(exported.path.read_bytes())  # an earlier export
    done = subprocess.run(
        [sys.executable, "-m", "biranet", "export", exported.checkpoint, "model.onnx"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("Written: model.onnx (")
    assert_said(done.stdout, exported)
    # The same checkpoint gives the same bytes.
    assert (tmp_path / "model.onnx").read_bytes() == exported.path.read_bytes()
    assert exported.checkpoint.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["model.onnx"]


# Half precision


def test_half_precision_is_the_same_checkpoint_at_half_the_size(exported, biranet, tmp_path):
    checkpoint, answers = exported.checkpoint, exported.answers
    half = tmp_path / "half.safetensors"
    said = biranet("export", checkpoint, half)
    assert (said.status, said.err) == (0, "")
    assert 0.49 < half.stat().st_size / checkpoint.stat().st_size < 0.53
    assert header_of(half) == header_of(checkpoint)
    for name, tensor in load_file(checkpoint).items():
        stored = load_file(half)[name]
        assert stored.dtype == (torch.float16 if tensor.is_floating_point() else tensor.dtype)
        torch.testing.assert_close(stored.to(tensor.dtype), tensor, rtol=2**-11, atol=2**-25)

    grader = load(half)
    assert {tensor.dtype for tensor in grader.model.state_dict().values()} == {torch.float32, torch.int64}
    rounded = list(grader.grade_many([Path(each.file) for each in answers], workers=0))
    assert [each.grade for each in rounded] == [each.grade for each in answers]
    difference = np.abs(shares(rounded) - shares(answers)).max()
    assert 1e-5 < difference < 0.02
    assert f"\nTemperature: {grader.info.rules.temperature:.3f}\n{DISCLAIMER}\n" in said.out
    printed = float(re.search(r"^Largest difference from .*: (\S+) \(", said.out, re.MULTILINE)[1])
    assert 1e-5 < printed < 0.02


def test_a_model_that_ships_is_exported_by_its_name(biranet, shipped_folder, tmp_path):
    """It has half precision already, so it becomes itself."""
    said = biranet("export", "idrid_lite0", tmp_path / "a.safetensors")
    assert (said.status, said.err) == (0, "") and "idrid_lite0.safetensors: 0.0e+00 (" in said.out
    assert (tmp_path / "a.safetensors").read_bytes() == (shipped_folder / "idrid_lite0.safetensors").read_bytes()


def test_weights_beyond_half_precision_are_named(biranet, checkpoint, tmp_path, tree):
    model, info = load_checkpoint(checkpoint)
    model.stream_b.net_a[0].running_var[3] = 65_520
    save_checkpoint(tmp_path / "large.safetensors", model, info)
    for earlier in (False, True):
        if earlier:
            assert biranet("export", checkpoint, tmp_path / "half.safetensors").status == 0
        before = tree(tmp_path)
        said = biranet("export", tmp_path / "large.safetensors", tmp_path / "half.safetensors")
        assert (said.status, said.out) == (1, "")
        assert said.err == (
            "biranet: the weights stream_b.net_a.0.running_var do not fit into half precision, which ends at 65,504; "
            "pass on the checkpoint as it is\n"
        )
        assert tree(tmp_path) == before and ("half.safetensors" in before) == earlier

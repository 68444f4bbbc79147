"""Engines: ONNX Runtime answers as torch does, without torch; and what one of them cannot compute is said."""

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pandas as pd
import pytest

import biranet as package
from biranet.config import ModelConfig
from biranet.decisions.rules import OperatingPoint, Rules, decide
from biranet.errors import InputError
from biranet.learning import onnx_file
from biranet.learning.onnx_predictor import OnnxPredictor, load_onnx
from biranet.learning.openvino_predictor import load_openvino
from biranet.learning.shipped_models import DEFAULT, SHIPPED, find_checkpoint
from biranet.learning.torch_predictor import TorchPredictor, load_predictor
from checkpoints import save_varied, with_info

POINTS = OperatingPoint("sensitivity_90", 0.45), OperatingPoint("specificity_90", 0.7)
RULES = Rules(2.5, "expected_grade", (0.9, 1.7, 2.2, 3.1), POINTS, 0.5, "nothing real", ("They are an example.",))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Folder with a checkpoint that has rules, `a.safetensors`, and its export, `a.onnx`; read only."""
    from biranet.inference.export import export_onnx

    folder = tmp_path_factory.mktemp("exported")
    config = ModelConfig(model="ranet", backbone="test_convnext2", pretrained=False, freeze="stage4")
    with_info(save_varied(config, folder / "a.safetensors"), folder / "a.safetensors", rules=RULES)
    export_onnx(folder / "a.safetensors", folder / "a.onnx")
    return folder


def assert_alike(ours, theirs, rules):
    """Hold the answers of one engine against the other's; give the largest difference of a probability."""
    np.testing.assert_allclose(ours.attention, theirs.attention, rtol=0, atol=1e-4)
    # On average: single cells leap where the last digits decide on which side of the bend of a ReLU a feature lies.
    assert np.abs(ours.evidence - theirs.evidence).mean() < 1e-2 * np.abs(theirs.evidence).mean()
    said, other = decide(ours.probabilities, rules), decide(theirs.probabilities, rules)
    difference = max(
        np.abs(ours.probabilities - theirs.probabilities).max(), np.abs(said.probabilities - other.probabilities).max()
    )
    assert difference < 1e-4
    for name in ("grades", "decisions", "lowest", "highest"):
        assert getattr(said, name).tolist() == getattr(other, name).tolist(), name
    return difference


def test_an_exported_model_grades_as_its_checkpoint(exported, biranet, drawn_photos, tmp_path):
    tables = {}
    for name in ("a.safetensors", "a.onnx"):
        out = tmp_path / f"{name}.csv"
        answer = biranet("grade", drawn_photos, "--checkpoint", exported / name, "--workers", 0, "--out", out)
        assert (answer.status, answer.err) == (0, "")
        assert "\nThey are an example.\n" in answer.out and f"\nModel: {exported / name}\n" in answer.out
        tables[name] = pd.read_csv(out, keep_default_na=False)
    ours, theirs = tables.values()
    numbers = [*(f"p{grade}" for grade in range(5)), "expected_grade"]
    np.testing.assert_allclose(ours[numbers], theirs[numbers], rtol=0, atol=1e-4)
    assert ours.drop(columns=numbers).equals(theirs.drop(columns=numbers))
    assert ours["predicted_grade"].nunique() > 2 and set(ours["temperature"]) == {2.5}


def test_a_predictor_of_either_engine_is_one(exported, drawn_photos):
    ours, theirs = load_onnx(exported / "a.onnx"), load_predictor(exported / "a.safetensors", "cpu")
    assert ours.info == theirs.info and ours.checkpoint_sha256 == theirs.sha256
    pixels = np.stack([package.draw_photo(seed % 5, seed, 64, 64) for seed in range(8)])
    assert assert_alike(ours.predict(pixels), theirs.predict(pixels), RULES) > 0  # two programs have computed
    assert repr(ours) == f"OnnxPredictor({ours.info.network}, from {str(exported / 'a.onnx')!r})"


@pytest.fixture
def bfloat16():
    """Skips where no OpenVINO is, and where the processor computes in 32-bit floats whatever it is told."""
    openvino = pytest.importorskip("openvino")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16")


@pytest.mark.slow
@pytest.mark.apart
def test_openvino_answers_as_torch_does(exported, drawn_photos, biranet, tmp_path):
    pytest.importorskip("openvino")
    ours, theirs = load_openvino(exported / "a.onnx"), load_predictor(exported / "a.safetensors", "cpu")
    assert ours.info == theirs.info and ours.checkpoint_sha256 == theirs.sha256
    pixels = np.stack([package.draw_photo(seed % 5, seed, 64, 64) for seed in range(8)])
    assert assert_alike(ours.predict(pixels), theirs.predict(pixels), RULES) > 0
    assert repr(ours) == f"OpenvinoPredictor({ours.info.network}, from {str(exported / 'a.onnx')!r})"
    out = tmp_path / "a.csv"
    answer = biranet("grade", drawn_photos, "--keep-ungradable", "--engine", "openvino", "--out", out)
    assert (answer.status, answer.err) == (0, "") and "40 of 40 photos graded" in answer.out
    for wrong, sentence in ((b"no model", "cannot run {}: "), (foreign().SerializeToString(), "cannot run {}: ")):
        (tmp_path / "b.onnx").write_bytes(onnx_file.with_digest(wrong))
        with pytest.raises(InputError, match=sentence.format(tmp_path / "b.onnx")):
            package.load(tmp_path / "b.onnx", engine="openvino")


@pytest.mark.slow
@pytest.mark.apart
def test_openvino_computes_in_32_bit_floats(bfloat16, drawn_photos):
    graders = [package.load(engine=engine) for engine in ("onnx", "openvino")]
    photos = sorted(drawn_photos.glob("*.jpg"))[::4]
    pixels = np.stack([answer.photo for answer in graders[0].grade_many(photos, workers=0, keep_ungradable=True)])
    ours, theirs = (grader.predictor.predict(pixels) for grader in graders)
    assert_alike(ours, theirs, graders[0].info.rules)


def test_the_model_that_ships_answers_alike_by_both_engines(drawn_photos):
    graders = [package.load(engine=engine, device="cpu") for engine in ("onnx", "torch")]
    assert [type(grader.predictor) for grader in graders] == [OnnxPredictor, TorchPredictor]
    assert graders[0].info == graders[1].info
    photos = sorted(drawn_photos.glob("*.jpg"))[::4]
    pixels = np.stack([answer.photo for answer in graders[0].grade_many(photos, workers=0, keep_ungradable=True)])
    ours, theirs = (grader.predictor.predict(pixels) for grader in graders)
    assert_alike(ours, theirs, graders[0].info.rules)


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "every"),
    [
        pytest.param("onnx", 40, marks=pytest.mark.sample),
        pytest.param("openvino", 40, marks=pytest.mark.apart),
        ("onnx", 1),
    ],
)
def test_engines_answer_as_torch_does_for_real_photographs(real_data, engine, every):
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}[engine])
    originals, small = (sorted((real_data / name).rglob("*.jpg")) for name in ("originals", "images512"))
    assert (len(originals), len(small)) == (44, 771)
    files = [*originals[::every], *small[::every]]
    grader, torch_grader = (package.load(engine=each, device="cpu") for each in (engine, "torch"))
    photos = [answer.photo for answer in grader.grade_many(files, keep_ungradable=True) if answer.photo is not None]
    assert len(photos) == len(files)
    for begin in range(0, len(photos), 16):
        pixels = np.stack(photos[begin : begin + 16])
        assert_alike(grader.predictor.predict(pixels), torch_grader.predictor.predict(pixels), grader.info.rules)


LIGHT = """
import sys
from biranet.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert ended.code == 0, ended.code
heavy = {"torch", "timm", "safetensors", "accelerate", "pandas", "scipy"} & sys.modules.keys()
assert not heavy, heavy
assert "onnxruntime" in sys.modules
"""


@pytest.mark.slow
@pytest.mark.sample
@pytest.mark.parametrize("engine", ["onnx", "auto"])
def test_grading_by_onnx_runtime_loads_nothing_heavy(engine, drawn_photos, tmp_path):
    """With more photos than a batch, so that processes prepare them, and with pictures of the attention."""
    words = [drawn_photos, "--engine", engine, "--keep-ungradable", "--overlay", tmp_path / "looked"]
    words += ["--out", tmp_path / "a.csv"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LIGHT, "grade", *words],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "") and "40 of 40 photos graded" in done.stdout
    assert len(list((tmp_path / "looked").iterdir())) == 40


def test_which_engine_is_taken(exported, shipped_folder, monkeypatch):
    def taken(model=None, **how):
        return type(package.load(model, **how).predictor)

    assert taken(exported / "a.onnx") == taken(exported / "a.onnx", device="cpu") == OnnxPredictor
    assert taken(exported / "a.safetensors") == TorchPredictor  # though an export lies beside it
    assert taken() == TorchPredictor  # this stand-in has no ONNX file
    monkeypatch.setattr("biranet.learning.shipped_models.SHIPPED", SHIPPED)
    assert taken() == taken(DEFAULT) == taken(find_checkpoint()) == taken(device="cpu") == OnnxPredictor
    assert taken(engine="torch") == TorchPredictor


@pytest.fixture
def refused(biranet, drawn_photos, tmp_path):
    """Function that asks for a grade, which is refused in one sentence, with nothing written; gives the sentence."""

    def ask(*flags):
        answer = biranet("grade", drawn_photos, "--workers", 0, "--out", tmp_path / "refused.csv", *flags)
        assert (answer.status, answer.out) == (2, "")
        assert answer.err.startswith("biranet: ") and answer.err.count("\n") == 1
        assert not (tmp_path / "refused.csv").exists()
        return answer.err.removeprefix("biranet: ").removesuffix("\n")

    return ask


def test_an_engine_that_cannot_compute_a_model_says_what_can(exported, refused):
    checkpoint, model = exported / "a.safetensors", exported / "a.onnx"
    assert refused("--checkpoint", checkpoint, "--engine", "onnx") == (
        f"ONNX Runtime cannot compute {checkpoint}, a checkpoint; export it and give what was written: "
        f"biranet export {checkpoint} {model}"
    )
    assert refused("--checkpoint", model, "--engine", "torch") == (
        f"torch cannot compute {model}, an exported model; give the checkpoint that it was made of, or --engine onnx"
    )
    assert refused("--checkpoint", model, "--device", "cuda") == (
        "ONNX Runtime computes on the CPU here; leave out --device cuda, or give a checkpoint and --engine torch"
    )


def foreign():
    """An ONNX model that somebody else has made."""
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "theirs", ends[:1], ends[1:])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)


def with_metadata(content, change):
    """An export with another description, and a digest that is right."""
    model = onnx.load_model_from_string(content)
    described, digest = model.metadata_props
    assert digest.key == "biranet_sha256"
    header = json.loads(described.value)
    change(header)
    described.value = json.dumps(header)
    del model.metadata_props[1]
    return onnx_file.with_digest(model.SerializeToString())


def without_evidence(content):
    """An export of an earlier biranet, which gave no evidence."""
    model = onnx.load_model_from_string(content)
    assert model.graph.output[-1].name == "evidence" and model.metadata_props[-1].key == "biranet_sha256"
    del model.graph.output[-1], model.metadata_props[-1]
    return onnx_file.with_digest(model.SerializeToString())


def test_files_of_an_earlier_biranet_are_graded_without_evidence(exported, tmp_path):
    (tmp_path / "earlier.onnx").write_bytes(without_evidence((exported / "a.onnx").read_bytes()))
    photo = package.draw_photo(2, 5, 701, 420)
    earlier, now = (package.load(path).grade(photo) for path in (tmp_path / "earlier.onnx", exported / "a.onnx"))
    np.testing.assert_array_equal(earlier.probabilities, now.probabilities)
    assert earlier.evidence is None and now.evidence.shape == tuple(2 * side for side in now.attention.shape[1:])
    assert "vidence" not in earlier.picture().alt_text and "vidence" in now.picture().alt_text


def rot(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda content: b"", "is no ONNX model that biranet exported"),
        (lambda content: b"PK" * 1000, "so give a checkpoint, or export one: biranet export CHECKPOINT FILE.onnx"),
        (lambda content: foreign().SerializeToString(), "is no ONNX model that biranet exported"),
        (lambda content: onnx_file.with_digest(b"no model"), "cannot run {}: "),
        (lambda content: onnx_file.with_digest(foreign().SerializeToString()), "it lacks a part of its description"),
        (rot, "is damaged: it is not what was exported; copy it anew"),
        (lambda content: content[:-1], "is cut short, or an earlier biranet exported it"),
        (lambda content: content[: len(content) // 2] + content[-84:], "is damaged: it is not what was exported"),
        (lambda content: content[:-84], "the digest at its end is missing; export it again"),
        (
            lambda content: with_metadata(content, lambda header: header.update(version=9)),
            "is a checkpoint of version 9",
        ),
        (lambda content: with_metadata(content, lambda header: header.pop("rules")), "it lacks a part of its desc"),
        (
            lambda content: with_metadata(content, lambda header: header.update(temperature_applied=-1)),
            "the temperature must be a number above 0, not -1",
        ),
        (
            lambda content: with_metadata(content, lambda header: header.update(image_size=48)),
            "its graph is not the one it describes; export it again",
        ),
        (lambda content: with_metadata(content, lambda header: header.update(new=1)), "there is no setting 'new'"),
    ],
)
def test_a_file_that_is_not_as_exported_is_named(exported, refused, tmp_path, make, sentence):
    path = tmp_path / "b.onnx"
    path.write_bytes(make((exported / "a.onnx").read_bytes()))
    said = refused("--checkpoint", path)
    assert str(path) in said and sentence.format(path) in said


def test_no_file_and_a_folder_are_named(refused, tmp_path):
    sentence = "{} is no file; give a model that biranet export wrote"
    assert refused("--checkpoint", tmp_path / "none.onnx") == sentence.format(tmp_path / "none.onnx")
    assert refused("--checkpoint", tmp_path, "--engine", "onnx").startswith("ONNX Runtime cannot compute")


def test_a_model_that_ships_is_not_computed_by_the_graph_of_another(exported, shipped_folder, refused):
    shutil.copy(exported / "a.onnx", shipped_folder / f"{DEFAULT}.onnx")
    assert refused() == (
        f"{shipped_folder / DEFAULT}.onnx was not exported from {DEFAULT}.safetensors, which its card is about: it was "
        "replaced; install biranet anew"
    )


def test_answers_that_are_no_numbers_are_refused(exported):
    class Diverged:
        """A session whose answers are none."""

        @staticmethod
        def get_outputs():
            return [each for each in right.model.get_outputs() if each.name == onnx_file.RAW_PROBABILITIES]

        @staticmethod
        def run(outputs, given):
            return [np.full((len(given["image"]), 5), np.nan, np.float32)]

    right = load_onnx(exported / "a.onnx")
    predictor = OnnxPredictor(Diverged(), right.info, "a.onnx")
    with pytest.raises(InputError, match=r"the answers of a\.onnx are not finite numbers"):
        predictor.predict(np.zeros((1, 64, 64, 3), np.uint8))


def test_a_checkpoint_in_half_precision_is_exported_so(exported, biranet, tmp_path):
    """To the bit: what half precision rounds is the checkpoint, not its export."""
    half, model = tmp_path / "half.safetensors", tmp_path / "half.onnx"
    assert biranet("export", exported / "a.safetensors", half).status == 0
    assert biranet("export", half, model).status == 0
    weights = onnx.load(model).graph.initializer
    stored = {kind: sum(np.prod(each.dims) for each in weights if each.data_type == kind) for kind in (1, 10)}
    # What the way back computes of weights beforehand is no weight: of the running variances one over their root.
    assert stored[onnx.TensorProto.FLOAT] < 0.01 * stored[onnx.TensorProto.FLOAT16]
    assert model.stat().st_size < 0.6 * (exported / "a.onnx").stat().st_size
    assert hashlib.sha256(half.read_bytes()).hexdigest() == load_onnx(model).checkpoint_sha256
    onnx.checker.check_model(onnx.load(model), full_check=True)
    pixels = np.stack([package.draw_photo(seed % 5, seed, 64, 64) for seed in range(8)])
    assert_alike(load_onnx(model).predict(pixels), load_predictor(half, "cpu").predict(pixels), RULES)

"""What cannot be exported is refused in a sentence, and leaves nothing, or what was there."""

import re
import sys
from pathlib import Path

import pytest
import torch

from biranet.config import ModelConfig
from biranet.decisions.rules import Rules
from biranet.inference import export
from biranet.learning import model as models
from biranet.learning.checkpoint import load_checkpoint, save_checkpoint
from checkpoints import save_varied, with_info

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("out", ["model.onnx", "half.safetensors"])
def test_what_no_export_wrote_is_not_replaced(biranet, checkpoint, tmp_path, tree, out):
    for content in (b"of last year", checkpoint.read_bytes() if out.endswith(".safetensors") else PAGE.encode()):
        (tmp_path / out).write_bytes(content)
        before = tree(tmp_path)
        said = biranet("export", checkpoint, tmp_path / out)
        assert (said.status, said.out) == (2, "")
        kind = "an exported model" if out.endswith(".onnx") else "an exported checkpoint"
        assert said.err == (
            f"biranet: {tmp_path / out} is not {kind} of biranet's, and stays as it is; name another file\n"
        )
        assert tree(tmp_path) == before


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """A checkpoint of a network whose graph is soon written; read only."""
    config = ModelConfig(model="ranet", backbone="test_convnext2", pretrained=False, freeze="stage4")
    return save_varied(config, tmp_path_factory.mktemp("light") / "light.safetensors")


@pytest.fixture
def refused(biranet, light, tmp_path, tree):
    """Function that exports a checkpoint as ONNX, which leaves all as it was, and gives what was answered."""

    def ask(given=light, out="new/a.onnx"):
        before = tree(tmp_path)
        said = biranet("export", given, tmp_path / out)
        assert tree(tmp_path) == before
        assert said.out == "" and said.err.startswith("biranet: ") and said.err.count("\n") == 1
        return said

    return ask


def test_a_temperature_left_out_is_found_before_the_file_gets_its_name(refused, light, tmp_path, monkeypatch):
    def forward(self, pixels):
        image = export.normalize(pixels, self.normalization)
        (logits, attention), evidence, *_ = export.explain(self.model, image, self.temperature, self.concluding)
        return logits.softmax(dim=1), attention, logits.softmax(dim=1), evidence

    monkeypatch.setattr(export._Calibrated, "forward", forward)
    # An earlier export, which stays whole.
    (tmp_path / "there.onnx").write_bytes(b"what an earlier biranet wrote: biranet-checkpoint")
    said = refused(with_info(light, tmp_path / "warm.safetensors", rules=Rules(1.05)), "there.onnx")
    assert said.status == 1
    assert re.search(
        r"warm\.safetensors gives answers that differ by \S+e-0[123], and the limit is 0\.0001, so", said.err
    )
    assert "there.onnx was not written" in said.err


def test_an_attention_that_differs_is_found(refused, monkeypatch):
    right = export._Calibrated.forward

    def forward(self, pixels):
        probabilities, attention, *rest = right(self, pixels)
        return probabilities, attention.flip(3), *rest

    monkeypatch.setattr(export._Calibrated, "forward", forward)
    assert "gives answers that differ by" in refused().err


def test_what_torch_cannot_write_is_told_in_a_sentence(refused, monkeypatch):
    pool = models.attention_pool

    def by_its_values(features, mask):
        return pool(features, mask) if mask.mean() > 0.5 else 1 * pool(features, mask)

    monkeypatch.setattr(models, "attention_pool", by_its_values)
    said = refused()
    assert said.status == 1
    assert re.search(
        r"torch \S+ with onnxscript \S+ cannot write \S+ \(backbone test_convnext2\) as ONNX: \w+;", said.err
    )


def test_a_model_for_one_size_of_batch_is_not_handed_out(refused, monkeypatch):
    """As it was while the plain network asked for the length of a batch."""
    free = torch.onnx.export
    monkeypatch.setattr(torch.onnx, "export", lambda *given, **named: free(*given, **named | {"dynamic_shapes": None}))
    said = refused()
    assert said.status == 1 and "as ONNX: InvalidArgument;" in said.err


def test_a_model_too_large_for_one_file(refused, light, monkeypatch):
    monkeypatch.setattr(export, "MAX_PROTOBUF_BYTES", 1_000_000)
    said = refused()
    assert (said.status, said.err) == (
        1,
        f"biranet: {light} has 0.0 GB of weights, and one ONNX file holds 2; export a .safetensors\n",
    )


@pytest.mark.parametrize("module", ["onnx", "onnxscript"])
def test_without_the_extra_it_is_named(refused, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    said = refused()
    assert said.status == 2
    assert said.err == f'biranet: writing ONNX needs {module}; install it with: pip install "biranet[onnx]"\n'


def test_a_model_that_diverged(refused, checkpoint, tmp_path):
    model, info = load_checkpoint(checkpoint)
    with torch.no_grad():
        model.head.bias[0] = float("nan")
    save_checkpoint(tmp_path / "nan.safetensors", model, info)
    said = refused(tmp_path / "nan.safetensors")
    assert said.status == 2
    assert f"the answers of {tmp_path / 'nan.safetensors'} are not finite numbers: its training has" in said.err

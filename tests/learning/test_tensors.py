"""Tensors in a file: back to the bit, or refused because they, or their description, are not as they were written."""

import json
import random
import struct

import pytest
import torch
from safetensors.torch import _TYPES, save_file

from biranet.errors import InputError
from biranet.learning.tensors import NAMES_IN_TORCH, open_tensors, write_tensors

TENSORS = {
    "float": torch.arange(12.0).reshape(3, 4).T,
    "half": torch.tensor([0.5, -3.0]).bfloat16(),
    "count": torch.tensor(7),
    "empty": torch.zeros(0, 3),
    "odd": torch.tensor([float("nan"), float("inf"), -0.0]),
}
HEADER = {"a": [1, None, "ü"], "temperature": 1.5}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, TENSORS, HEADER)
    return path


def _read(path):
    with open_tensors(path, "a test") as stored:
        return stored.tensors(), stored.header


def _parts(path):
    """The JSON of a safetensors file, the header of ours inside of it, and the bytes of the tensors."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    described = json.loads(data[8 : 8 + length])
    return described, json.loads(described["__metadata__"]["biranet"]), data[8 + length :]


def _write(path, described, header, body):
    described = described | {"__metadata__": {"biranet": json.dumps(header)}}
    text = json.dumps(described).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def test_tensors_keep_their_bits_and_kinds(file):
    found, header = _read(file)
    assert header == HEADER
    assert set(found) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert found[name].reshape(-1).view(torch.uint8).equal(tensor.reshape(-1).view(torch.uint8))


def test_another_header_is_written_as_if_the_tensors_had_been_given(file, tmp_path):
    header = {"b": ["ü", '"', {"more": 1.5}]}
    with open_tensors(file, "a test") as stored:
        stored.write_with(tmp_path / "b.safetensors", header)
        stored.write_with(file, header)
    write_tensors(tmp_path / "c.safetensors", TENSORS, header)
    expected = (tmp_path / "c.safetensors").read_bytes()
    assert (tmp_path / "b.safetensors").read_bytes() == file.read_bytes() == expected


def test_tensors_that_are_damaged_get_no_new_header(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with open_tensors(file, "a test") as stored, pytest.raises(InputError, match="its weights are not those that were"):
        stored.write_with(file, HEADER)
    assert file.read_bytes() == content


def test_kinds_of_numbers_have_the_names_that_torch_gives_them():
    """By these names they enter the digest of files that were written long ago."""
    known = {name: str(kind).removeprefix("torch.") for name, kind in _TYPES.items() if kind is not None}
    assert {name: NAMES_IN_TORCH[name] for name in known} == known


def test_shapes_are_known_before_anything_is_read(file):
    with open_tensors(file, "a test") as stored:
        assert stored.shapes == {name: tuple(tensor.shape) for name, tensor in TENSORS.items()}
        assert stored.size_bytes == file.stat().st_size and stored.guarded


def test_no_flipped_bit_is_taken(file):
    whole = file.read_bytes()
    positions = random.Random(0)
    places = [*range(0, 64), *(positions.randrange(8 * len(whole)) for _ in range(400)), 8 * len(whole) - 1]
    for place in places:
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        file.write_bytes(data)
        with pytest.raises(InputError, match=r"a\.safetensors is (not a test of biranet, or it is )?damaged"):
            _read(file)


def test_a_flipped_bit_of_a_weight_is_said_to_be_one(file):
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(InputError, match="is damaged: its weights are not those that were written; copy it anew"):
        _read(file)


@pytest.mark.parametrize("change", [{"temperature": 1.25}, {"more": 1}, {"weights_sha256": "0" * 64}])
def test_a_header_changed_by_hand_is_refused(file, change):
    described, header, body = _parts(file)
    _write(file, described, header | change, body)
    with pytest.raises(InputError, match="is damaged: its description is not the one that was written; copy it anew"):
        _read(file)


def test_tensors_that_change_their_names_shapes_or_kinds_are_refused(file):
    described, header, body = _parts(file)
    half = described["half"]
    for changed in (
        {"half": half | {"dtype": "F16"}},
        {"half": half | {"shape": [2, 1]}},
        {"half": None, "other": half},
    ):
        entries = {name: entry for name, entry in (described | changed).items() if entry is not None}
        _write(file, entries, header, body)
        with pytest.raises(InputError, match="its weights are not those that were written"):
            _read(file)


def test_without_its_digests_nothing_is_taken(file):
    described, header, body = _parts(file)
    _write(file, described, {name: header[name] for name in HEADER}, body)
    with open_tensors(file, "a test") as stored:
        assert not stored.guarded
        with pytest.raises(InputError, match="is damaged: the digest"):
            stored.tensors()


@pytest.mark.parametrize(
    "described",
    [
        "[" * 200_000,
        "[]",
        "{}",
        '{"__metadata__": 1}',
        '{"__metadata__": {"biranet": 1}}',
        '{"__metadata__": {"biranet": "[1]"}}',
        json.dumps({"__metadata__": {"biranet": "[" * 100_000}}),
        '{"__metadata__": {"biranet": "{}"}, "a": 1}',
        '{"__metadata__": {"biranet": "{}"}, "a": {"dtype": "F32", "shape": 3, "data_offsets": [0, 4]}}',
        '{"__metadata__": {"biranet": "{}"}, "a": {"dtype": "F32", "shape": [1], "data_offsets": []}}',
        '{"__metadata__": {"biranet": "{}"}, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, "4"]}}',
        '{"__metadata__": {"biranet": "{}"}, "a": {"dtype": "F32", "shape": [1e9], "data_offsets": [0, 4e9]}}',
    ],
)
def test_what_is_no_such_file_is_refused_in_one_sentence(tmp_path, described):
    path = tmp_path / "b.safetensors"
    path.write_bytes(struct.pack("<Q", len(described)) + described.encode())
    with pytest.raises(InputError, match=r"b\.safetensors is not a test of biranet, or it is damaged$"):
        _read(path)


def test_a_header_that_claims_to_be_long_is_not_waited_for(tmp_path):
    path = tmp_path / "b.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(InputError, match="or it is damaged"):
        _read(path)


def test_a_file_that_is_not_utf_8_by_its_name_is_read(file):
    other = file.with_name("b\udcff.safetensors")
    file.rename(other)
    assert _read(other)[1] == HEADER


def test_a_file_of_others_is_refused(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "c.safetensors")
    with pytest.raises(InputError, match=r"c\.safetensors is not a test of biranet, or it is damaged"):
        _read(tmp_path / "c.safetensors")

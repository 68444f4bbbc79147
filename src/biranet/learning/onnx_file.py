"""What stands in an exported ONNX file beside its graph: the description of the model, and a digest of all of it.

The description is the header of a checkpoint. The digest is the last entry of the file's metadata: what ends a message
of protobuf is one more field of it, so a file is guarded by appending to it, and checked without knowing its fields. It
is no signature: whoever makes a file on purpose makes its digest too.
"""

import dataclasses
import hashlib
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from biranet.errors import InputError
from biranet.files import parse_json, read_regular, unreadable
from biranet.grades import DISCLAIMER
from biranet.learning.checkpoint_info import FORMAT, CheckpointInfo, check_version, info_header, parse_info

IMAGE = "image"
"""Input: RGB pixels of prepared photos, (batch, size, size, 3), uint8."""

PROBABILITIES = "probabilities"
"""Output: of the five grades, calibrated, (batch, 5), float32."""

ATTENTION = "attention"
"""Output of models with streams: mask of each, (batch, streams, h, w), float32."""

RAW_PROBABILITIES = "raw_probabilities"
"""Output: of the five grades, before any rule, (batch, 5), float32."""

EVIDENCE = "evidence"
"""Output: how much each cell moved the referral score, (batch, 1, h, w), float32. Earlier files have none."""

LESIONS = "lesions"
"""Output of models with a lesion branch: share of each cell that is each kind, (batch, 5, h, w), float32."""

LESION_EVIDENCE = "lesion_evidence"
"""Output of these: how much each kind of lesion moved the referral score, (batch, 4), float32."""

USED = (RAW_PROBABILITIES, ATTENTION, EVIDENCE, LESIONS, LESION_EVIDENCE)
"""The outputs that our own grading asks for."""

DESCRIPTION = "biranet"
"""Key of the metadata with the description."""

MAX_FILE_BYTES = 2**31
"""Where an ONNX file ends, with all that is in it."""

_DIGEST_LENGTH = 64
_NAME = b"biranet_sha256"
_ENTRY = bytes([0x0A, len(_NAME)]) + _NAME + bytes([0x12, _DIGEST_LENGTH])
_GUARD = bytes([0x72, len(_ENTRY) + _DIGEST_LENGTH]) + _ENTRY
"""Begin of the last entry of the metadata (field 14 of an ONNX model, a key and a value); the digest follows."""


class Described(NamedTuple):
    """What an exported file says of itself.

    Attributes:
        info: The description of the model, with the rules for its raw probabilities.
        checkpoint_sha256: SHA-256 of the checkpoint that was exported.
    """

    info: CheckpointInfo
    checkpoint_sha256: str


def describe(info: CheckpointInfo, checkpoint_sha256: str) -> dict[str, Any]:
    """Return the metadata of an exported file, as plain values.

    Args:
        info: The description of the model.
        checkpoint_sha256: SHA-256 of the checkpoint that is exported.
    """
    # The temperature is in the graph, so the rules for the probabilities that come out of it have none.
    rules = dataclasses.replace(info.rules, temperature=1.0)
    return {
        **info_header(dataclasses.replace(info, rules=rules)),
        "temperature_applied": info.rules.temperature,
        "checkpoint_sha256": checkpoint_sha256,
        "disclaimer": DISCLAIMER,
    }


def parse_description(path: Path, text: str) -> Described:
    """Parse the metadata of an exported file.

    Args:
        path: The file, for the error.
        text: What `describe` made, as JSON.

    Raises:
        InputError: As `check_version` and `parse_info`.
    """
    try:
        header = parse_json(text)
        rules = {**header["rules"], "temperature": header.pop("temperature_applied")}
        checkpoint_sha256 = str(header.pop("checkpoint_sha256"))
        del header["disclaimer"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} says of itself what cannot be: it lacks a part of its description") from error
    check_version(path, header)
    return Described(parse_info(path, header | {"rules": rules}), checkpoint_sha256)


def check_graph(path: Path, info: CheckpointInfo, shape: Sequence[object], outputs: Container[str]) -> None:
    """Refuse a graph that is not the one that its file describes.

    Args:
        path: The file, for the error.
        info: What it says of itself.
        shape: Of the pixels that the graph takes; empty where it takes something else.
        outputs: Names of what it gives.

    Raises:
        InputError: If it is another one.
    """
    if list(shape[1:]) != [info.image_size, info.image_size, 3] or RAW_PROBABILITIES not in outputs:
        raise InputError(
            f"{path} says of itself what cannot be: its graph is not the one it describes; export it again"
        )


def with_digest(content: bytes) -> bytes:
    """Append the digest of an ONNX file to it.

    Example:
        >>> guarded = with_digest(b"a graph")
        >>> guarded.startswith(b"a graph"), len(with_digest(guarded)) - len(guarded)
        (True, 84)
    """
    return content + _GUARD + hashlib.sha256(content).hexdigest().encode()


def read_onnx(path: Path) -> bytes:
    """Read an exported file as it was written.

    Args:
        path: A `.onnx` file.

    Raises:
        InputError: If it is missing, cannot be read, is no file of ours, or is not as it was written.
    """
    if not path.is_file():
        raise InputError(f"{path} is no file; give a model that biranet export wrote")
    try:
        content = read_regular(path, MAX_FILE_BYTES)
    except OSError as error:
        raise unreadable(path, error) from error
    end = len(content) - len(_GUARD) - _DIGEST_LENGTH
    guard, digest = content[max(end, 0) : -_DIGEST_LENGTH], content[-_DIGEST_LENGTH:]
    if guard != _GUARD and FORMAT.encode() in content:
        raise InputError(
            f"{path} is cut short, or an earlier biranet exported it: the digest at its end is missing; export it again"
        )
    if guard != _GUARD:
        raise InputError(
            f"{path} is no ONNX model that biranet exported; others do not say how photos are prepared and graded for "
            "them, so give a checkpoint, or export one: biranet export CHECKPOINT FILE.onnx"
        )
    if hashlib.sha256(memoryview(content)[:end]).hexdigest().encode() != digest:
        raise InputError(f"{path} is damaged: it is not what was exported; copy it anew from where it came")
    return content

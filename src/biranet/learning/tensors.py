"""Named tensors with a JSON header in one safetensors file, and two digests that show whether they are as written.

One digest is over the tensors, the other over the header, which holds the first one. So a bit that rots on a disk or on
its way, and a value that somebody edits, is found before anything is computed with it. It is no signature: whoever
makes a file on purpose makes its digests too.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from biranet.errors import InputError
from biranet.files import parse_json, unreadable, write_bytes
from biranet.learning.shipped_models import check_card, is_shipped

MAX_HEADER_BYTES = 100_000_000
"""Longest description of the tensors, which is what safetensors itself allows."""

_HEADER = "biranet"
_HEADER_SHA256 = "sha256"
_WEIGHTS_SHA256 = "weights_sha256"
_LENGTH_BYTES = 8


class StoredTensors:
    """A file of tensors that is open: its header has been read, its tensors have not.

    Attributes:
        header: What `write_tensors` was given.
        guarded: Whether the header holds digests, which has then been compared with its own; files of versions before
            there were any hold none.
        shapes: Shape of every tensor by its name, as the file announces it.
        size_bytes: Length of the file.
    """

    def __init__(self, path: Path, what: str, file: BinaryIO) -> None:
        self._path, self._what, self._file = path, what, file
        with _format_errors(path, what):
            announced = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if announced > MAX_HEADER_BYTES:
                raise ValueError("the header is too long")
            described = parse_json(file.read(announced))
            self.header: dict[str, Any] = parse_json(described.pop("__metadata__")[_HEADER])
            if not isinstance(self.header, dict):
                raise ValueError("the header is no JSON object")
            self.shapes = {str(name): tuple(entry["shape"]) for name, entry in described.items()}
            ends = [entry["data_offsets"][1] for entry in described.values()]
            self.size_bytes = _LENGTH_BYTES + announced + max(ends, default=0)
            # Whoever asks for the tensors reads so many bytes, so they must be there.
            if self.size_bytes != os.fstat(file.fileno()).st_size:
                raise ValueError("the file is not as long as its header says")
            self.guarded = _HEADER_SHA256 in self.header
            written = self.header.pop(_HEADER_SHA256, None)
            if self.guarded and written != _sha256_of_header(self.header):
                raise damaged(path, "its description is not the one that was written")
            self._weights_sha256 = self.header.pop(_WEIGHTS_SHA256, None)

    def check_guarded(self) -> None:
        """Refuse a file whose header holds no digest of its own.

        Raises:
            InputError: If it holds none.
        """
        if not self.guarded:
            raise damaged(self._path, "the digest of its description is gone")

    def tensors(self) -> dict[str, Tensor]:
        """Read the tensors.

        Returns:
            On the CPU, by name, to the bit as they were written.

        Raises:
            InputError: If they are not as they were written, or nothing shows it.
        """
        self.check_guarded()
        with _format_errors(self._path, self._what):
            tensors = load(self._content)
            if self._weights_sha256 != sha256_of_tensors(tensors):
                raise damaged(self._path, "its weights are not those that were written")
            return tensors

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file that the tensors are read from; one that replaces it meanwhile has no say."""
        with _format_errors(self._path, self._what):
            return hashlib.sha256(self._content).hexdigest()

    @cached_property
    def _content(self) -> bytes:
        self._file.seek(0)
        return self._file.read(self.size_bytes)


@contextmanager
def open_tensors(path: Path, what: str) -> Iterator[StoredTensors]:
    """Open what `write_tensors` wrote.

    Args:
        path: The file.
        what: What it should be, for the error.

    Raises:
        InputError: If the file is missing, cannot be read, is of another kind, or its header is not as it was written.
    """
    if not path.is_file():
        raise InputError(f"{path} is no file; give {what}, such as RUN/best.safetensors")
    try:
        file = path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error
    with file:
        yield StoredTensors(path, what, file)


@contextmanager
def open_checkpoint(path: Path) -> Iterator[StoredTensors]:
    """Open a checkpoint as `open_tensors` does; of a model that ships it must be the one that its card is about.

    Raises:
        InputError: If it cannot be used.
    """
    with open_tensors(path, "a checkpoint") as stored:
        if is_shipped(path):
            check_card(path, stored.sha256)
        yield stored


def is_written_here(path: Path) -> bool:
    """Whether `write_tensors` wrote a file, by the name of its header alone; whether it is whole shows `open_tensors`.

    Args:
        path: A regular file.
    """
    try:
        with safe_open(path, "pt") as file:
            return _HEADER in (file.metadata() or {})
    except (SafetensorError, OSError, ValueError):
        return False


def damaged(path: Path, how: str) -> InputError:
    """The error for a file that is not as it was written."""
    return InputError(f"{path} is damaged: {how}; copy it anew from where it came")


@contextmanager
def _format_errors(path: Path, what: str) -> Iterator[None]:
    """Say in one sentence that a file is not what it should be, however that showed."""
    try:
        yield
    except InputError:
        raise
    except (SafetensorError, AttributeError, KeyError, IndexError, TypeError, ValueError, OSError) as error:
        raise InputError(f"{path} is not {what} of biranet, or it is damaged") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write named tensors with a JSON header and the digests of both, whole or not at all.

    Args:
        path: A `.safetensors` file.
        tensors: Tensors on any device.
        header: Anything JSON can hold.
    """
    owned = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    plain = json.loads(json.dumps(header, default=str)) | {_WEIGHTS_SHA256: sha256_of_tensors(owned)}
    guarded = plain | {_HEADER_SHA256: _sha256_of_header(plain)}
    write_bytes(path, save(owned, {_HEADER: json.dumps(guarded)}))


def sha256_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Sum up tensors on the CPU, whatever their order: SHA-256 over name, dtype, shape and bytes of each, by name.

    Example:
        >>> ones, zeros = torch.ones(2), torch.zeros(2)
        >>> sha256_of_tensors({"a": ones, "b": zeros}) == sha256_of_tensors({"b": zeros, "a": ones})
        True
        >>> sha256_of_tensors({"a": ones}) == sha256_of_tensors({"a": ones[None]})
        False
    """
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        total.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _sha256_of_header(header: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()

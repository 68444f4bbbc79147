"""Named tensors with a JSON header in one safetensors file, and two digests that show whether they are as written.

One digest is over the tensors, the other over the header, which holds the first one. So a bit that rots on a disk or on
its way, and a value that somebody edits, is found before anything is computed with it. It is no signature: whoever
makes a file on purpose makes its digests too.

Files are read, checked and given another header without torch, which is imported where tensors are asked for.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from safetensors import SafetensorError, deserialize, safe_open

from biranet.errors import InputError
from biranet.files import parse_json, unreadable, write_bytes
from biranet.learning.shipped_models import check_card, is_shipped

if TYPE_CHECKING:
    from torch import Tensor

MAX_HEADER_BYTES = 100_000_000
"""Longest description of the tensors, which is what safetensors itself allows."""

_HEADER = "biranet"
_HEADER_SHA256 = "sha256"
_WEIGHTS_SHA256 = "weights_sha256"
_LENGTH_BYTES = 8

NAMES_IN_TORCH = {
    **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "C64": "complex64"},
    **{"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"},
    **{"U64": "uint64", "U32": "uint32", "U16": "uint16"},
    **{"F8_E4M3": "float8_e4m3fn", "F8_E4M3FNUZ": "float8_e4m3fnuz"},
    **{"F8_E5M2": "float8_e5m2", "F8_E5M2FNUZ": "float8_e5m2fnuz"},
}
"""What torch calls the kinds of numbers of safetensors: by these names they enter the digest."""


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
            self._described = described
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

    def check_tensors(self) -> None:
        """Refuse tensors that are not as they were written.

        Raises:
            InputError: If they are not, or nothing shows it.
        """
        self.check_guarded()
        with _format_errors(self._path, self._what):
            stored = deserialize(self._content)  # type: ignore[no-untyped-call]
            summed = _sum_up(
                (name, NAMES_IN_TORCH[each["dtype"]], each["shape"], each["data"]) for name, each in stored
            )
            if self._weights_sha256 != summed:
                raise damaged(self._path, "its weights are not those that were written")

    def tensors(self) -> "dict[str, Tensor]":
        """Read the tensors.

        Returns:
            On the CPU, by name, to the bit as they were written.

        Raises:
            InputError: As `check_tensors`.
        """
        from safetensors.torch import load

        self.check_tensors()
        with _format_errors(self._path, self._what):
            return load(self._content)

    def write_with(self, out: Path, header: Mapping[str, Any]) -> None:
        """Write the tensors as they are with another header, whole or not at all, as `write_tensors` would.

        Args:
            out: A `.safetensors` file; perhaps the one that is open.
            header: Anything JSON can hold.

        Raises:
            InputError: As `check_tensors`.
        """
        self.check_tensors()
        metadata = {_HEADER: json.dumps(_guarded(header, self._weights_sha256))}
        described = json.dumps({"__metadata__": metadata, **self._described}, separators=(",", ":")).encode()
        described += b" " * (-len(described) % _LENGTH_BYTES)
        begin = _LENGTH_BYTES + int.from_bytes(self._content[:_LENGTH_BYTES], "little")
        self._file.close()  # some systems replace no file that is open
        write_bytes(out, len(described).to_bytes(_LENGTH_BYTES, "little") + described + self._content[begin:])

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
def open_tensors(path: Path, what: str, example: str = "RUN/best.safetensors") -> Iterator[StoredTensors]:
    """Open what `write_tensors` wrote.

    Args:
        path: The file.
        what: What it should be, for the error.
        example: Where such a file may stand, for the error.

    Raises:
        InputError: If the file is missing, cannot be read, is of another kind, or its header is not as it was written.
    """
    if not path.is_file():
        raise InputError(f"{path} is no file; give {what}, such as {example}")
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
        with safe_open(path, "np") as file:
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


def write_tensors(path: Path, tensors: "Mapping[str, Tensor]", header: Mapping[str, Any]) -> None:
    """Write named tensors with a JSON header and the digests of both, whole or not at all.

    Args:
        path: A `.safetensors` file.
        tensors: Tensors on any device.
        header: Anything JSON can hold.
    """
    from safetensors.torch import save

    owned = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(owned, {_HEADER: json.dumps(_guarded(header, sha256_of_tensors(owned)))}))


def sha256_of_tensors(tensors: "Mapping[str, Tensor]") -> str:
    """Sum up tensors on the CPU, whatever their order: SHA-256 over name, dtype, shape and bytes of each, by name.

    Example:
        >>> import torch
        >>> ones, zeros = torch.ones(2), torch.zeros(2)
        >>> sha256_of_tensors({"a": ones, "b": zeros}) == sha256_of_tensors({"b": zeros, "a": ones})
        True
        >>> sha256_of_tensors({"a": ones}) == sha256_of_tensors({"a": ones[None]})
        False
    """
    import torch

    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    return _sum_up(
        (name, str(each.dtype).removeprefix("torch."), each.shape, each.reshape(-1).view(torch.uint8).numpy().data)
        for name, each in contiguous.items()
    )


def _sum_up(tensors: Iterable[tuple[str, str, Iterable[int], bytes | memoryview]]) -> str:
    """Sum up tensors, each with its name, what torch calls its kind of numbers, its shape and its bytes."""
    total = hashlib.sha256()
    for name, kind, shape, content in sorted(tensors, key=lambda tensor: tensor[0]):
        total.update(json.dumps([name, f"torch.{kind}", list(shape)]).encode())
        total.update(content)
    return total.hexdigest()


def _guarded(header: Mapping[str, Any], weights_sha256: str | None) -> dict[str, Any]:
    """A header as it is stored: with the digests of the tensors and of itself."""
    plain: dict[str, Any] = json.loads(json.dumps(header, default=str)) | {_WEIGHTS_SHA256: weights_sha256}
    return plain | {_HEADER_SHA256: _sha256_of_header(plain)}


def _sha256_of_header(header: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()

"""JPEG 2000: a codestream, bare or in boxes whose header may say something else."""

import struct
from functools import partial

from biranet.errors import PhotoError
from biranet.photos.formats.format import Format, ScaledPhoto, begins_with
from biranet.photos.formats.pillow import decode_picture, picture_fields
from biranet.photos.formats.refusals import MAX_PARTS, check_single, too_many_parts

_MAX_COLORS = 4


def _decode(data: bytes, min_side_px: int | None) -> ScaledPhoto:
    check_codestream(data)
    return decode_picture(data, "JPEG2000")


def check_codestream(data: bytes) -> None:
    """Hold what a JPEG 2000 file announces against the codestream inside.

    Raises:
        PhotoError: If there are several pictures, or they are of another size than announced.
    """
    announced, streams = None, [0] if data.startswith(b"\xff\x4f") else []
    if not streams:
        for name, start, end in _boxes(data, 0, len(data)):
            if name == b"jp2c":
                streams.append(start)
            elif name == b"jp2h":
                heads = [at for inner, at, _ in _boxes(data, start, end) if inner == b"ihdr"]
                announced = struct.unpack_from(">II", data, heads[0])[::-1] if heads else None
    check_single(len(streams), "pictures")
    if streams:
        width_px, height_px, components, _ = codestream_size(data, streams[0])
        if announced is not None and announced != (width_px, height_px):
            raise _contradiction(announced, (width_px, height_px))
        if components > _MAX_COLORS:
            raise PhotoError("unreadable", f"is a JPEG 2000 picture of {components} colours, which no photo has")


def _boxes(data: bytes, at: int, end: int) -> list[tuple[bytes, int, int]]:
    """Name, start and end of the boxes of a JPEG 2000 file."""
    boxes: list[tuple[bytes, int, int]] = []
    while at + 8 <= end and len(boxes) <= MAX_PARTS:
        length, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if length == 1 and at + 16 <= end:
            start, length = at + 16, struct.unpack_from(">Q", data, at + 8)[0]
        after = end if length == 0 else at + length
        if after < start:
            break
        boxes.append((name, start, min(after, end)))
        at = after
    if len(boxes) > MAX_PARTS:
        raise too_many_parts("JPEG 2000 file")
    return boxes


def codestream_size(data: bytes, at: int = 0) -> tuple[int, int, int, int]:
    """Read the size of a JPEG 2000 codestream: width and height in pixels, components, bits of the first.

    Raises:
        struct.error: If it is cut short.
    """
    across, down, left, top = struct.unpack_from(">IIII", data, at + 8)
    components, bits = struct.unpack_from(">HB", data, at + 40)
    return across - left, down - top, components, (bits & 127) + 1


def _contradiction(announced: tuple[int, int], present: tuple[int, int]) -> PhotoError:
    sizes = "{} x {} pixels, and the picture inside has {} x {}".format(*announced, *present)
    return PhotoError("unreadable", f"contradicts itself: its header says {sizes}; export it anew")


JPEG2000 = Format(
    "JPEG2000",
    ("jp2", "j2k", "j2c", "jpc", "jpx", "jpf"),
    begins_with(rb"\0\0\0\x0cjP|\xff\x4f\xff\x51"),
    _decode,
    partial(picture_fields, name="JPEG2000", check=check_codestream),
)

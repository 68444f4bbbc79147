"""TIFF: strips or tiles that must hold as many rows as the header announces."""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from PIL import ExifTags, Image, TiffTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from biranet.photos.formats.format import Format, HeaderField, ScaledPhoto, begins_with
from biranet.photos.formats.header_blocks import exif_tags
from biranet.photos.formats.jpeg_segments import parse_jpeg
from biranet.photos.formats.limits import PIXEL_LIMIT
from biranet.photos.formats.pillow import decode_picture, info_fields, open_picture, raw_row_direction
from biranet.photos.formats.refusals import surplus_rows, truncated
from biranet.photos.formats.tiff_pages import check_directories, photo_page

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_SAMPLES_A_PIXEL, _ROWS_A_STRIP, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT = 277, 278, 284, 322, 323
_STRIPS, _TILES = (273, 279), (324, 325)
"""Tags; of strips and tiles where they start, and how long they are."""

_NOT_COMPRESSED, _YCBCR, _JPEG = 1, 6, 7
_PACKED = (5, 8, 32773, 32946, 50000)
"""Compressions of rows of bytes: LZW, deflate, PackBits, deflate by its old number, Zstandard."""

_HEAD_BYTES = 8
_MAX_PAGES_OF_FIELDS = 16


def _decode(data: bytes, min_side_px: int | None) -> ScaledPhoto:
    return decode_picture(data, "TIFF", page=photo_page(data), check=_check_length, row_direction=raw_row_direction)


def _header_fields(data: bytes) -> Iterator[HeaderField]:
    check_directories(data)  # refuses countless parts, which Pillow would all read
    names = {tag: entry.name for tag, entry in TiffTags.TAGS_V2.items()} | ExifTags.TAGS
    with open_picture(data, "TIFF") as picture:
        yield from info_fields(picture)
        for page in range(_MAX_PAGES_OF_FIELDS):
            try:
                picture.seek(page)
            except EOFError:
                return
            yield from exif_tags(picture.getexif(), "TIFF tags", names)


class _Parts(NamedTuple):
    """The strips or tiles of a page: where each starts and how long it is; how many there must be, and of what size."""

    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    tiled: bool
    planes: int
    down: int
    needed: int


def _parts(tags: Any) -> _Parts:
    tiled = _TILE_WIDTH in tags
    starts, lengths = (tags.get(tag, ()) for tag in (_TILES if tiled else _STRIPS))
    width_px, height_px = tags[_WIDTH], tags[_HEIGHT]
    across, down = width_px, max(1, min(tags.get(_ROWS_A_STRIP, height_px), height_px))
    if tiled:
        across, down = tags[_TILE_WIDTH], tags[_TILE_HEIGHT]
    planes = tags.get(_SAMPLES_A_PIXEL, 1) if tags.get(_PLANAR) == 2 else 1
    needed = planes * -(-height_px // down) * -(-width_px // across)
    return _Parts(starts, lengths, tiled, planes, down, needed)


def _check_length(picture: Image.Image, data: bytes) -> None:
    """Compare how much the strips or tiles of a TIFF hold with what its header announces.

    Pillow leaves black what is missing, and never asks for what is left over.

    Args:
        picture: The file, opened at the page of the photo and not loaded by Pillow.
        data: The file.

    Raises:
        PhotoError: If there is less or more.
    """
    tags: Any = picture.tag_v2  # type: ignore[attr-defined]
    parts = _parts(tags)
    count = len(parts.starts)
    if count < parts.needed:
        in_rows = not parts.tiled and parts.planes == 1
        raise truncated(count * parts.down / tags[_HEIGHT] if in_rows else count / parts.needed)
    if count > parts.needed:
        raise surplus_rows()
    compression = tags.get(_COMPRESSION, _NOT_COMPRESSED)
    subsampled = compression != _JPEG and tags.get(_PHOTOMETRIC) == _YCBCR
    bits = set(tags.get(_BITS, (1,)))
    if parts.tiled or subsampled or len(bits) > 1 or len(parts.lengths) != parts.needed or 0 in parts.lengths:
        return
    row_bytes = -(-tags[_WIDTH] * (tags.get(_SAMPLES_A_PIXEL, 1) // parts.planes) * bits.pop() // 8)
    last_rows = tags[_HEIGHT] - (-(-tags[_HEIGHT] // parts.down) - 1) * parts.down
    strip = data[parts.starts[-1] : parts.starts[-1] + parts.lengths[-1]]
    if compression == _NOT_COMPRESSED:
        stored, announced = sum(parts.lengths), row_bytes * tags[_HEIGHT] * parts.planes
        if stored < announced:
            raise truncated(stored / announced)
        more = parts.lengths[-1] >= row_bytes * (last_rows + 1)
    elif compression == _JPEG:
        more = _jpeg_holds_more(strip, last_rows, parts.down, tags[_HEIGHT])
    else:
        more = compression in _PACKED and _unpacks(strip, tags, row_bytes, last_rows + 1)
    if more:
        raise surplus_rows()


def _jpeg_holds_more(strip: bytes, rows: int, rows_a_strip: int, height_px: int) -> bool:
    """Whether the last strip holds more rows than any may have; raises where it holds fewer than it must."""
    jpeg = parse_jpeg(strip)
    if jpeg is not None and jpeg.height_px < rows:
        raise truncated(1 - (rows - jpeg.height_px) / height_px)
    # Of several strips, the last is sometimes filled up to the height of the others.
    return jpeg is not None and jpeg.height_px > rows_a_strip


def _unpacks(strip: bytes, tags: Any, row_bytes: int, rows: int) -> bool:
    """Whether a strip holds so many rows, or more: libtiff tells, of a picture that is only this strip."""
    if row_bytes * rows > PIXEL_LIMIT:
        return False
    alone = ImageFileDirectory_v2()  # which counts from its own end where strips start
    for tag, value in (
        *((_WIDTH, row_bytes), (_HEIGHT, rows), (_BITS, 8), (_COMPRESSION, tags[_COMPRESSION]), (_PHOTOMETRIC, 1)),
        *((_STRIPS[0], 0), (_SAMPLES_A_PIXEL, 1), (_ROWS_A_STRIP, rows), (_STRIPS[1], len(strip))),
        (_FILL_ORDER, tags.get(_FILL_ORDER, 1)),
    ):
        alone[tag] = value
    head = struct.pack("<2sHI", b"II", 42, _HEAD_BYTES) + alone.tobytes(_HEAD_BYTES)
    try:
        with open_picture(head + strip, "TIFF") as picture:
            picture.load()
    except OSError:
        return False
    return True


def _readable_share(data: bytes) -> float | None:
    with open_picture(data, "TIFF") as picture:
        tags, raw = picture.tag_v2, raw_row_direction(picture)  # type: ignore[attr-defined]
    starts, lengths = (tags[name] for name in (_STRIPS if _STRIPS[0] in tags else _TILES))
    if len(starts) == 1:
        return float(len(data) - starts[0]) / lengths[0] if raw else None
    complete = [start + length <= len(data) for start, length in zip(starts, lengths, strict=True)]
    return None if all(complete) else complete.index(False) / len(complete)


TIFF = Format(
    "TIFF",
    ("tif", "tiff"),
    begins_with(rb"II\*\0(?!.{4}CR)|II\+\0|MM\0[*+]"),  # CR: a camera's raw file
    _decode,
    _header_fields,
    _readable_share,
)

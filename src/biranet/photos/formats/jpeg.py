"""JPEG: decoded at the scale that is needed, and refused where its data is damaged or other pictures follow.

libjpeg fills what it cannot decode with grey and only murmurs, and Pillow and OpenCV do not pass the murmur on.
simplejpeg decodes with the same library to the same pixels and raises.
"""

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from biranet.errors import PhotoError
from biranet.photos.formats.colors import check_picture, to_rgb
from biranet.photos.formats.format import Format, HeaderField, ScaledPhoto, begins_with
from biranet.photos.formats.header_blocks import as_text, exif_fields, iptc_fields, parse_or_scan, xmp_fields
from biranet.photos.formats.jpeg_segments import (
    END,
    END_MARKER,
    MAX_STRAY_BYTES,
    SCAN_MARKER,
    START,
    Jpeg,
    Segment,
    parse_jpeg,
    segments,
)
from biranet.photos.formats.pillow import apply_orientation, exif_orientation, open_picture
from biranet.photos.formats.previews import is_smaller, look_alike, thumbnail
from biranet.photos.formats.refusals import check_single
from biranet.photos.formats.unsupported import describe_unsupported_kind

_COLORS = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""Pillow's mode of a JPEG, and what simplejpeg calls it."""

_DAMAGE = re.compile(
    r"Corrupt JPEG data: (?!bad ICC|\d+ extraneous bytes before marker 0x(?:e|fe|db|c0|c2))"
    r"|Premature end|Inconsistent progression"
)
"""How libjpeg's words begin where pixels are lost. Colour profile and head are none of them."""

_SCAN_LIMIT = 200
"""A progressive JPEG has about ten scans. Each costs a pass over the picture, and a hostile file can hold millions."""

_MAX_PICTURES = 100
_DRAFT_PX = 256

_AUXILIARY_MARK = re.compile(
    rb"hdrgm:|HDRGainMap|urn:iso:std:iso:ts:21496|(?i:depth_?map|depthdata|disparity|[:/]depth\b)"
)
"""Marks in a JPEG of what makes another one brighter on some screens, or tells how far away things are."""

_COMMENT, _EXIF, _IPTC, _LAST_APPLICATION = 0xFE, 0xE1, 0xED, 0xEF
"""Markers of the segments that programs fill."""


def _decode(data: bytes, min_side_px: int | None) -> ScaledPhoto:
    """Decode at 1, 1/2, 1/4 or 1/8: of the scales at which the shorter side is large enough, the smallest."""
    jpeg = check_jpeg(data)
    check_single(1 + _count_further_pictures(data, jpeg), "pictures")
    with open_picture(data, "JPEG") as picture:
        check_picture(picture, len(data))
        size_px, orientation = picture.size, exif_orientation(picture)
        pixels = _decode_scaled(data, jpeg, picture, min_side_px)
    return apply_orientation(pixels, orientation, size_px)


def _decode_scaled(data: bytes, jpeg: Jpeg, picture: Image.Image, min_side_px: int | None) -> npt.NDArray[np.uint8]:
    shorter_px = min(picture.size)
    scale = 1 if min_side_px is None else next((s for s in (8, 4, 2) if shorter_px // s >= min_side_px), 1)
    width_px, height_px = (0, 0) if scale == 1 else (-(-side_px // scale) for side_px in picture.size)
    pixels = _decode_strictly(data, jpeg, _COLORS[picture.mode], height_px, width_px)
    if pixels is None:
        # Odd, but not known to be damaged: Pillow takes what simplejpeg is too strict for.
        picture.draft(None, (picture.width // scale, picture.height // scale))
        return to_rgb(picture)
    if picture.mode == "L":
        return np.repeat(pixels, 3, axis=2)
    if picture.mode == "CMYK":
        # As all programs do that know only Adobe's CMYK files, in which 0 is full ink.
        return to_rgb(Image.fromarray(255 - pixels, "CMYK"))
    return pixels


def check_jpeg(data: bytes) -> Jpeg:
    """Look through a JPEG before anything opens it.

    Args:
        data: The file.

    Returns:
        What it is.

    Raises:
        PhotoError: If it is of a kind that is not read, or costs much more to read than it weighs.
        ValueError: If it has no frame header.
    """
    jpeg = parse_jpeg(data)
    if jpeg is None:
        if any(segment.stray_bytes > MAX_STRAY_BYTES for segment in segments(data)):
            raise PhotoError("unreadable", "is a JPEG whose head is filled with bytes that belong to nothing")
        raise ValueError("no frame header")
    if jpeg.unsupported_kind:
        raise PhotoError("unreadable", describe_unsupported_kind(jpeg.unsupported_kind))
    if jpeg.progressive and jpeg.scans > _SCAN_LIMIT:
        raise PhotoError("unreadable", f"is a JPEG with more than {_SCAN_LIMIT} scans, which no camera writes")
    return jpeg


def complete_jpeg(data: bytes, jpeg: Jpeg) -> bytes:
    """Check a JPEG that something else decodes, and give it an end mark where it lacks only that.

    Args:
        data: The file.
        jpeg: What it is, from `check_jpeg`.

    Returns:
        The file, with its end mark.

    Raises:
        PhotoError: If the file is cut short or its data damaged.
    """
    _decode_strictly(data, jpeg, "GRAY", 1, 1)
    return _with_end_marker(data, jpeg)


def _decode_strictly(
    data: bytes, jpeg: Jpeg, colors: str, height_px: int, width_px: int
) -> npt.NDArray[np.uint8] | None:
    """The pixels, at the smallest scale that gives this size; None where the decoder finds odd what is no damage."""
    if not jpeg.complete and jpeg.end is None:
        raise PhotoError("unreadable", JPEG.describe_damage(data))
    try:
        pixels = simplejpeg.decode_jpeg(_with_end_marker(data, jpeg), colors, min_height=height_px, min_width=width_px)
    except ValueError as error:
        if jpeg.end is None:
            raise PhotoError("unreadable", JPEG.describe_damage(data)) from None
        if _DAMAGE.match(str(error)):
            raise PhotoError("unreadable", "is damaged: some of its data cannot be decoded") from None
        return None
    return np.asarray(pixels, np.uint8)


def _with_end_marker(data: bytes, jpeg: Jpeg) -> bytes:
    # With an end mark, libjpeg tells of every pixel that is missing, and of nothing where only the mark was. Broken
    # downloads are filled up with zeros.
    return data if jpeg.end is not None else data.rstrip(b"\0") + END


def _count_further_pictures(data: bytes, first: Jpeg) -> int:
    """Count the pictures behind a JPEG in the same file that are not the same picture smaller, as in MPO files.

    What is marked as brightening the first, or as its depth, is no picture.
    """
    count, at = 0, first.end or len(data)
    for _ in range(_MAX_PICTURES):
        at = data.find(START + b"\xff", at)
        if at < 0:
            break
        further = parse_jpeg(data, at, max_stray_bytes=0)
        if further is None or further.end is None:
            at += 1  # some bytes of something else
            continue
        if not _AUXILIARY_MARK.search(data, at, further.end):
            count += not _is_preview(data[at : further.end], data[: first.end])
        at = further.end
    return count


def _is_preview(behind: bytes, first: bytes) -> bool:
    """Whether a JPEG is smaller than another and shows the same, or is none that can be shown."""
    try:
        with open_picture(behind, "JPEG") as small, open_picture(first, "JPEG") as photo:
            if not is_smaller(small.size, photo.size):
                return False
            thumbnails = []
            for picture in (small, photo):
                check_picture(picture, len(first))
                picture.draft(None, (_DRAFT_PX, _DRAFT_PX))
                thumbnails.append(thumbnail(picture))
    except (OSError, ValueError, SyntaxError):  # As Pillow says that one of them is damaged.
        return True
    return look_alike(*thumbnails)


def comments(data: bytes) -> Iterator[str]:
    """Go through the comments of a JPEG; none in another file."""
    for segment in _header_segments(data):
        if segment.marker == _COMMENT:
            yield as_text(data[segment.start : segment.end])


def _header_fields(data: bytes) -> Iterator[HeaderField]:
    for segment in _header_segments(data):
        yield from _segment_fields(segment.marker, data[segment.start : segment.end])


def _header_segments(data: bytes) -> Iterator[Segment]:
    """The segments up to the start of the pixels."""
    for segment in segments(data):
        if segment.marker in (END_MARKER, SCAN_MARKER):
            return
        yield segment


def _segment_fields(marker: int, content: bytes) -> Iterator[HeaderField]:
    if marker == _COMMENT:
        yield "comment", "", as_text(content)
    elif marker == _EXIF and content.startswith(b"Exif\0\0"):
        yield from parse_or_scan("EXIF", exif_fields, content)
    elif marker == _EXIF and content.startswith((b"http://ns.adobe.com/xap", b"http://ns.adobe.com/xmp")):
        yield from xmp_fields(content)
    elif marker == _IPTC:
        yield from iptc_fields(content)
    elif _EXIF <= marker <= _LAST_APPLICATION and not content.startswith(
        (b"ICC_PROFILE", b"MPF\0", b"Adobe", b"FPXR", b"Ducky")
    ):
        yield "other header data", "", content


def _readable_share(data: bytes) -> float | None:
    if (jpeg := parse_jpeg(data)) is None or jpeg.end is not None:
        return None
    # At 1/8, because the size is only claimed. What a broken download filled with zeros is no part of the picture.
    pixels = simplejpeg.decode_jpeg(data.rstrip(b"\0"), "GRAY", min_height=1, min_width=1, strict=False)[:, :, 0]
    # libjpeg leaves what is missing at the middle of the range. Of a progressive file all may be there, but coarse.
    decoded_rows = np.flatnonzero((pixels != 128).any(axis=1))
    return min(0.99, (int(decoded_rows[-1]) + 1) / len(pixels)) if decoded_rows.size else 0.0


JPEG = Format(
    "JPEG",
    ("jpg", "jpeg", "jpe", "jfif", "mpo"),
    begins_with(rb"\xff\xd8\xff"),
    _decode,
    _header_fields,
    _readable_share,
)

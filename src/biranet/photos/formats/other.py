"""Formats that Pillow decodes whole or not at all: WebP and, where Pillow has a decoder, AVIF."""

import struct
from functools import cache, partial

from PIL import Image

from biranet.photos.formats.format import Format, ScaledPhoto, begins_with
from biranet.photos.formats.pillow import decode_picture, picture_fields
from biranet.photos.formats.refusals import check_single
from biranet.photos.formats.unsupported import AVIF as AVIF_BEGINNING


def _decode(data: bytes, min_side_px: int | None, *, name: str) -> ScaledPhoto:
    return decode_picture(data, name, check=_check_frames)


def _check_frames(picture: Image.Image, data: bytes) -> None:
    check_single(getattr(picture, "n_frames", 1))


def _readable_share_of_webp(data: bytes) -> float | None:
    file_bytes: int = struct.unpack("<I", data[4:8])[0] + 8
    return len(data) / file_bytes


_begins_like_avif = begins_with(AVIF_BEGINNING)


def _is_readable_avif(data: bytes) -> bool:
    return _begins_like_avif(data) and _avif_is_built_in()


@cache
def _avif_is_built_in() -> bool:
    try:
        from PIL import AvifImagePlugin
    except ImportError:  # Pillow before 11.3
        return False
    return bool(AvifImagePlugin.SUPPORTED)


WEBP = Format(
    "WEBP",
    ("webp",),
    begins_with(rb"RIFF.{4}WEBP"),
    partial(_decode, name="WEBP"),
    partial(picture_fields, name="WEBP"),
    _readable_share_of_webp,
    share_of="file",
)

AVIF = Format(
    "AVIF",
    ("avif", "avifs"),
    _is_readable_avif,
    partial(_decode, name="AVIF"),
    partial(picture_fields, name="AVIF"),
)

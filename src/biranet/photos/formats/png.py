"""PNG: a fault in a remark loses no photo, a fault in what makes the picture loses it."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from biranet.errors import PhotoError
from biranet.photos.formats.format import Format, HeaderField, ScaledPhoto, begins_with
from biranet.photos.formats.header_blocks import as_text, exif_fields, iptc_fields, parse_or_scan, xmp_fields
from biranet.photos.formats.pillow import decode_picture
from biranet.photos.formats.refusals import check_single, surplus_rows, truncated

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IEND = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))

_REQUIRED_ANCILLARY = (b"tRNS", b"eXIf")
"""Chunks that decoders may do without, and that change what is seen: what is transparent, which way is up."""

_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_MIN_CHUNKS, _BYTES_A_CHUNK = 1000, 256

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Kinds of colour, and how many samples a pixel of each has."""

_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced picture: the first column and row, and the steps across and down."""

_UNPACKED_AT_ONCE, _PACKED_AT_ONCE = 1_000_000, 1 << 16
_MAX_TEXT_BYTES = 1_000_000


def _decode(data: bytes, min_side_px: int | None) -> ScaledPhoto:
    sound, frames = _drop_damaged_ancillary(data)
    check_single(frames)
    photo = decode_picture(sound, "PNG")
    _check_length(sound)
    return photo


class _Chunk(NamedTuple):
    """A chunk: its name and content, where it ends in the file, and whether its checksum is right."""

    name: bytes
    content: memoryview
    end: int
    sound: bool


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Go through the chunks with their checksums, up to the end mark or to what is none.

    Raises:
        PhotoError: If the file is chopped into countless parts.
    """
    whole, at, count = memoryview(data), len(_SIGNATURE), 0
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        count += 1
        if count > _MIN_CHUNKS + len(data) / _BYTES_A_CHUNK:
            raise PhotoError("unreadable", f"is a PNG in more than {count - 1:,} parts, which no program writes")
        content = whole[at + 8 : end - 4]
        checksum = int.from_bytes(data[end - 4 : end], "big")
        sound = end <= len(data) and zlib.crc32(content, zlib.crc32(name)) == checksum
        if not sound and (not name.isalpha() or end > len(data)):
            return  # rubbish, or cut short: what came before may be all of the picture
        yield _Chunk(name, content, end, sound)
        if name == b"IEND":
            return
        at = end


def _drop_damaged_ancillary(data: bytes) -> tuple[bytes, int]:
    """Compare the checksums of a file, and leave out remarks whose own is wrong.

    Args:
        data: The file.

    Returns:
        A file with the same picture that every decoder takes, mostly the very bytes; and how many pictures the file
        shows: more than one in an animation.

    Raises:
        PhotoError: If a part that changes what is seen is damaged, or the file is chopped into countless parts.
        ValueError: If the picture itself is damaged or cut short.
    """
    whole = memoryview(data)
    start = len(_SIGNATURE)
    kept, dropped, frames, pictures, seen_picture = [whole[:start]], set[bytes](), 0, 1, False
    for name, content, end, sound in _chunks(data):
        if not sound:
            _check_damaged(name, bytes(content[:20]))
        if name == b"fcTL":
            frames += 1
        # A picture before the first frame is shown by what knows no animations, and is no part of one.
        if name == b"IDAT" and not seen_picture:
            seen_picture, pictures = True, 0 if frames else 1
        if sound and name not in _ANIMATION:
            kept.append(whole[start:end])
        else:
            dropped.add(name)
        start = end
        if name == b"IEND":
            return (b"".join(kept) if dropped else data), frames + pictures
    if not seen_picture or dropped.intersection(_ANIMATION):
        raise ValueError("there is no picture, or frames are missing")
    # Only the end mark is missing; whether all of the picture is there, the decoder finds.
    return b"".join([*kept, _IEND]), frames + pictures


def _check_damaged(name: bytes, beginning: bytes) -> None:
    """Refuse a file for a damaged chunk that is more than a remark."""
    if _is_ancillary(name, beginning):
        return
    if name[:1].isupper():
        raise ValueError("a checksum of the picture is wrong")
    raise PhotoError("unreadable", f"is damaged: its part {name.decode()}, which changes the picture")


def _is_ancillary(name: bytes, beginning: bytes) -> bool:
    """Whether a chunk tells of the picture without being any of it."""
    if name[:1].isupper() or name in (*_REQUIRED_ANCILLARY, *_ANIMATION):
        return False
    # In these, programs put the EXIF and with it the orientation.
    return name not in _TEXT or not beginning.startswith((b"Raw profile", b"XML:com.adobe"))


def _check_length(data: bytes) -> None:
    """Unpack a picture, little of it at a time, and compare how much it holds with what its header announces.

    Pillow leaves black what is missing, and never asks for what is left over.

    Args:
        data: The file, whose checksums were compared, and which a decoder takes.

    Raises:
        PhotoError: If it holds less or more.
    """
    width_px, height_px, depth, color, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)

    def stored(columns: int, rows: int) -> int:
        return rows * _row_bytes(columns, depth, color) if columns and rows else 0

    announced = stored(width_px, height_px)
    if interlaced:
        announced = sum(
            stored(-(-(width_px - left) // across), -(-(height_px - top) // down))
            for left, top, across, down in _PASSES
        )
    held_bytes = 0
    try:
        for unpacked_bytes in _inflate(data, _PACKED_AT_ONCE):
            held_bytes += unpacked_bytes
            if held_bytes > announced:
                raise surplus_rows()
    except zlib.error:  # A decoder took it: no more than the checksum at its end is wrong.
        return
    if held_bytes < announced:
        raise truncated(held_bytes / announced)


def _row_bytes(columns: int, depth: int, color: int) -> int:
    return 1 + -(-columns * depth * _SAMPLES[color] // 8)


def _inflate(data: bytes, packed_at_once: int) -> Iterator[int]:
    """Unpack a picture piece by piece, and tell how long each is; raises `zlib.error` where one cannot be unpacked."""
    unpack, at = zlib.decompressobj(), len(_SIGNATURE)
    while at + 8 <= len(data) and not unpack.eof:
        length, name = struct.unpack_from(">I4s", data, at)
        for start in range(at + 8, at + 8 + length, packed_at_once) if name == b"IDAT" else ():
            packed = data[start : min(start + packed_at_once, at + 8 + length)]
            while packed:
                yield len(unpack.decompress(packed, _UNPACKED_AT_ONCE))
                packed = unpack.unconsumed_tail
        at += 12 + length


def _readable_share(data: bytes) -> float | None:
    width_px, height_px, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    if interlaced or b"IEND" in data[-12:]:
        return None
    row_bytes, held_bytes = _row_bytes(width_px, depth, color), 0
    with suppress(zlib.error):
        # Little by little, up to the first byte that cannot be unpacked, and hardly more than the picture holds.
        for unpacked_bytes in _inflate(data, 256):
            held_bytes += unpacked_bytes
            if held_bytes >= row_bytes * height_px:
                break
    return float(held_bytes // row_bytes / height_px)


def _header_fields(data: bytes) -> Iterator[HeaderField]:
    if not data.startswith(_SIGNATURE):
        return
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        at += 12 + length
        if name == b"eXIf":
            yield from parse_or_scan("EXIF", exif_fields, content)
        elif name == b"tIME":
            yield "PNG text", "date", "changed" if len(content) == 7 else ""
        elif name in _TEXT:
            with suppress(zlib.error, ValueError, IndexError):
                yield from _text_fields(name, content)


def _text_fields(chunk: bytes, content: bytes) -> Iterator[HeaderField]:
    keyword, _, text = content.partition(b"\0")
    name, packed = keyword.decode("latin-1"), chunk == b"zTXt"
    if packed:
        text = text[1:]
    elif chunk == b"iTXt":
        packed = text[0] == 1
        text = text[2:].split(b"\0", 2)[2]
    if packed:
        text = zlib.decompressobj().decompress(text, _MAX_TEXT_BYTES)
    if name.startswith("Raw profile type "):
        # As ImageMagick writes it: a name, a length, then hexadecimal digits.
        text = bytes.fromhex(text.split(None, 2)[2].decode("ascii"))
        name = name.removeprefix("Raw profile type ")
    if name in ("exif", "APP1") and text.startswith(b"Exif"):
        yield from parse_or_scan("EXIF", exif_fields, text)
    elif name in ("iptc", "8bim"):
        yield from iptc_fields(text)
    elif name in ("xmp", "APP1", "XML:com.adobe.xmp"):
        yield from xmp_fields(text)
    elif name != "icc":
        yield "PNG text", name, as_text(text)


PNG = Format("PNG", ("png", "apng"), begins_with(rb"\x89PNG"), _decode, _header_fields, _readable_share)

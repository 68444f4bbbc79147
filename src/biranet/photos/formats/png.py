"""The chunks of a PNG: a fault in a remark loses no photo, a fault in what makes the picture loses it."""

import struct
import zlib

from biranet.errors import PhotoError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IEND = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))

_NEEDED = (b"tRNS", b"eXIf")
"""Chunks that decoders may do without, and that change what is seen: what is transparent, which way is up."""

_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_FEWEST_CHUNKS, _BYTES_A_CHUNK = 1000, 256


def sound_png(data: bytes) -> tuple[bytes, int]:
    """Compare the checksums of a PNG, and leave out remarks whose own is wrong.

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
    kept, dropped, frames, pictures, seen_picture = [whole[:8]], set[bytes](), 0, 1, False
    at, count = len(SIGNATURE), 0
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        count += 1
        if count > _FEWEST_CHUNKS + len(data) / _BYTES_A_CHUNK:
            raise PhotoError("unreadable", f"is a PNG in more than {count - 1:,} parts, which no program writes")
        body = whole[at + 8 : end - 4]
        sound = end <= len(data) and zlib.crc32(body, zlib.crc32(name)) == int.from_bytes(data[end - 4 : end], "big")
        if not sound and (not name.isalpha() or end > len(data)):
            break  # rubbish, or cut short: what came before may be all of the picture
        if not sound and not _is_remark(name, bytes(body[:20])):
            if name[:1].isupper():
                raise ValueError("a checksum of the picture is wrong")
            raise PhotoError("unreadable", f"is damaged: its part {name.decode()}, which changes the picture")
        if name == b"fcTL":
            frames += 1
        # A picture before the first frame is shown by what knows no animations, and is no part of one.
        if name == b"IDAT" and not seen_picture:
            seen_picture, pictures = True, 0 if frames else 1
        if sound and name not in _ANIMATION:
            kept.append(whole[at:end])
        else:
            dropped.add(name)
        at = end
        if name == b"IEND":
            return (b"".join(kept) if dropped else data), frames + pictures
    if not seen_picture or dropped.intersection(_ANIMATION):
        raise ValueError("there is no picture, or frames are missing")
    # Only the end mark is missing; whether all of the picture is there, the decoder finds.
    return b"".join([*kept, _IEND]), frames + pictures


def _is_remark(name: bytes, beginning: bytes) -> bool:
    """Whether a chunk tells of the picture without being any of it."""
    if name[:1].isupper() or name in (*_NEEDED, *_ANIMATION):
        return False
    # In these, programs put the EXIF and with it the orientation.
    return name not in _TEXT or not beginning.startswith((b"Raw profile", b"XML:com.adobe"))

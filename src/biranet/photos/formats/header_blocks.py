"""Blocks of a header that stand in files of several formats: EXIF, XMP and IPTC."""

import re
import struct
from collections.abc import Callable, Iterator

from PIL import ExifTags, Image

from biranet.photos.formats.format import HeaderField

_MAX_XMP_BYTES = 250_000
"""Four times what one segment of a JPEG holds."""

_IPTC_NAMES = {
    5: "title", 25: "keywords", 55: "date created", 62: "date digitised", 80: "by-line", 85: "by-line title",
    90: "city", 92: "location", 95: "province state", 100: "country", 101: "country", 105: "headline", 110: "credit",
    116: "copyright", 118: "contact", 120: "caption", 122: "caption writer",
}  # fmt: skip

_XMP_TAG = re.compile(r"<([\w.:-]++)([^<>]*+)>([^<]*+)")
_XMP_ATTRIBUTE = re.compile(r"""\s(?!xmlns:|rdf:)[\w.-]++:([\w.-]++)\s*+=\s*+(?:"([^"]*)"|'([^']*)')""")


def parse_or_scan(block: str, parse: Callable[[bytes], Iterator[HeaderField]], data: bytes) -> Iterator[HeaderField]:
    """Go through the fields of one block; where it is damaged, all of it follows as bytes."""
    try:
        yield from parse(data)
    except Exception:
        yield block, "", data


def exif_fields(data: bytes) -> Iterator[HeaderField]:
    """Go through the fields of an EXIF block; raises anything where it is damaged."""
    exif = Image.Exif()
    exif.load(data)
    yield from exif_tags(exif, "EXIF", ExifTags.TAGS)


def exif_tags(exif: Image.Exif, block: str, names: dict[int, str]) -> Iterator[HeaderField]:
    """Go through the tags that Pillow found, and those of the directories below.

    Args:
        exif: The tags.
        block: What the uppermost directory is called.
        names: Names of its tags, by number.
    """
    for tag, value in exif.items():
        yield from _tag_fields(block, names.get(tag, "unknown"), value)
    for ifd, of_ifd in ((0x8769, ExifTags.TAGS), (0x8825, ExifTags.GPSTAGS), (1, ExifTags.TAGS)):
        for tag, value in exif.get_ifd(ifd).items():
            yield from _tag_fields("EXIF", of_ifd.get(tag, "unknown"), value)


def _tag_fields(block: str, name: str, value: object) -> Iterator[HeaderField]:
    if name in ("XMLPacket", "ImageResources", "IPTCNAA", "IptcNaaInfo", "PhotoshopInfo") and isinstance(value, bytes):
        yield from xmp_fields(value) if name == "XMLPacket" else iptc_fields(value)
    elif name.startswith("XP") and isinstance(value, (bytes, tuple)):
        yield block, name, bytes(value).decode("utf-16-le", "replace")
    elif name == "UserComment" and isinstance(value, bytes):
        coding, text = value[:8], value[8:]
        yield block, name, text.decode("utf-16", "replace") if coding.startswith(b"UNICODE") else as_text(text)
    elif isinstance(value, (bytes, str)):
        yield block, name, value
    elif name.startswith("GPS") and isinstance(value, tuple):
        yield block, name, " ".join(map(str, value)) if any(value) else ""


def xmp_fields(data: bytes) -> Iterator[HeaderField]:
    """Go through the attributes and texts of an XMP block."""
    text = data[:_MAX_XMP_BYTES].decode("utf-8", "replace")
    outer = ""
    for tag, attributes, content in _XMP_TAG.findall(text):
        prefix, _, name = tag.rpartition(":")
        outer = outer if prefix == "rdf" else name
        for name_of, double, single in _XMP_ATTRIBUTE.findall(attributes):
            yield "XMP", name_of, double or single
        if content.strip():
            yield "XMP", outer, content


def iptc_fields(data: bytes) -> Iterator[HeaderField]:
    """Go through the fields of an IPTC block, alone or among Photoshop's resources."""
    at = data.find(b"8BIM\x04\x04")
    if at >= 0:
        padded_name = (data[at + 6] + 2) // 2 * 2
        at += 6 + padded_name + 4
    at = max(at, 0)
    while data[at : at + 1] == b"\x1c":
        record, dataset, length = struct.unpack_from(">BBH", data, at + 1)
        if record == 2 and dataset in _IPTC_NAMES:
            yield "IPTC", _IPTC_NAMES[dataset], as_text(data[at + 5 : at + 5 + length])
        at += 5 + length


def as_text(data: bytes) -> str:
    """Read bytes as UTF-8, or else as Latin-1, without what fills them up at either end."""
    data = data.strip(b"\0 \t\r\n")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")

"""What the header of a photo file tells of people: kinds and places for the manifest, keyed hashes for groups.

The words themselves never leave this module.
"""

import functools
import hashlib
import hmac
import os
import re
import secrets
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from PIL import ExifTags, Image, TiffTags

from biranet.errors import InputError
from biranet.photos import CONTRADICTORY
from biranet.photos.dicom import is_dicom
from biranet.photos.dicom_header import dicom_fields, patient_and_eyes
from biranet.photos.kinds import kind_of, open_picture
from biranet.photos.pages import check_codestream, check_directories, count_gif_frames
from biranet.photos.personal import KINDS, is_encoder, is_nothing, kinds_in_bytes, kinds_in_field, kinds_in_text
from biranet.photos.segments import segments

KEY_BYTES = 32
"""Length of the secret key."""

_PLACES = ("comment", "EXIF", "XMP", "IPTC", "PNG text", "TIFF tags", "DICOM", "other header data")
_Field = tuple[str, str, str | bytes]
"""Place, name of the field, what stands in it; bytes where the layout is not known."""

_MOST_TEXT_BYTES = 1_000_000
_MOST_XMP_BYTES = 250_000
"""Four times what one segment of a JPEG holds."""

_CHECKS = {"GIF": count_gif_frames, "JPEG2000": check_codestream, "TIFF": check_directories}
"""What refuses a file of countless parts before Pillow reads them all."""

_MOST_PAGES = 16
_MOST_FIELDS = 10_000
_IPTC_NAMES = {
    5: "title", 25: "keywords", 55: "date created", 62: "date digitised", 80: "by-line", 85: "by-line title",
    90: "city", 92: "location", 95: "province state", 100: "country", 101: "country", 105: "headline", 110: "credit",
    116: "copyright", 118: "contact", 120: "caption", 122: "caption writer",
}  # fmt: skip

_XMP_TAG = re.compile(r"<([\w.:-]++)([^<>]*+)>([^<]*+)")
_XMP_ATTRIBUTE = re.compile(r"""\s(?!xmlns:|rdf:)[\w.-]++:([\w.-]++)\s*+=\s*+(?:"([^"]*)"|'([^']*)')""")


def identifiers(data: bytes) -> str:
    """Name where the header of a photo file holds what looks like a person, a date or a place.

    JPEG comments, EXIF, XMP, IPTC, PNG text, TIFF tags and DICOM headers are read; what lies behind the pixels of a
    JPEG is not. A header that is damaged is read as far as it goes.

    Args:
        data: Bytes of the photo file.

    Returns:
        Places and kinds in a fixed order, such as `comment: number; EXIF: date, place`, never the words; empty where
        nothing was found.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (8, 8)).save(file, "JPEG", comment="Jane Doe 12.03.2019")
        >>> identifiers(file.getvalue())
        'comment: name, date'
    """
    found: dict[str, set[str]] = {}
    # Damaged headers make parsers raise anything; what was found before counts.
    with warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        for place, name, value in islice(_fields(data), _MOST_FIELDS):
            kinds = kinds_in_bytes(value) if isinstance(value, bytes) else kinds_in_field(name, value)
            found.setdefault(place, set()).update(kinds)
    return "; ".join(
        f"{place}: {', '.join(kind for kind in KINDS if kind in found[place])}" for place in _PLACES if found.get(place)
    )


def keyed_hash(text: str) -> str:
    """Turn a text that identifies someone into a name for a group, which nobody without the key can trace back.

    The key is made once for every user and stays in `$XDG_CONFIG_HOME/biranet/group.key` (`~/.config` where that is not
    set). So a prepared folder can be given away, and nobody can find the identity numbers in it by trying them all.

    Args:
        text: For example a patient's number.

    Returns:
        `k` and 16 hexadecimal digits: HMAC-SHA256, shortened. Equal texts give equal hashes under one key.

    Raises:
        InputError: If the key cannot be read or made.
    """
    return "k" + hmac.new(_key(_key_path()), text.encode(), hashlib.sha256).hexdigest()[:16]


def comment_group(data: bytes) -> str:
    """Name the group that the JPEG comment stands for: in some published sets it is a patient or a visit.

    Args:
        data: Bytes of the photo file.

    Returns:
        Keyed hash of the first comment; empty where there is none, or only the signature of a program.

    Raises:
        InputError: If the key cannot be read or made.
    """
    for marker, segment in _jpeg_segments(data):
        text = _as_text(segment)
        if marker == 0xFE and not is_nothing(text) and (not is_encoder(text) or kinds_in_text(text)):
            return keyed_hash(text)
    return ""


def dicom_identity(data: bytes) -> tuple[str, str]:
    """Read patient and eye from the header of a DICOM file.

    Args:
        data: Bytes of the photo file.

    Returns:
        The group: keyed hash of the patient's id, or else of name and birth date, empty where they were removed. The
        eye, wherever the header says it: `left`, `right`, `contradictory` where it says both, or empty. Both empty for
        a file that is not DICOM.

    Raises:
        InputError: If the key cannot be read or made.
    """
    if not is_dicom(data):
        return "", ""
    try:
        patient, name, born, eyes = patient_and_eyes(data)
    except Exception:  # A damaged header tells nothing; whether the photo can be used is for the reader to say.
        return "", ""
    if is_nothing(patient):
        patient = "" if is_nothing(name) else f"{name}\n{born}"
    return keyed_hash(patient) if patient else "", CONTRADICTORY if len(eyes) > 1 else "".join(eyes)


def _key_path() -> Path:
    # The standard for these folders says that a relative path is to be ignored.
    base = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config")
    return (base if base.is_absolute() else Path.home() / ".config") / "biranet" / "group.key"


@functools.cache
def _key(path: Path) -> bytes:
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the secret key for groups cannot be read from or written to {path}: {error.strerror or error}; "
            "make the folder writable, or name another one with XDG_CONFIG_HOME"
        ) from error
    if len(key) != KEY_BYTES:
        raise InputError(
            f"{path} is not a key of {KEY_BYTES} bytes; put back a copy, or delete it and prepare all photos anew"
        )
    return key


def _make_key(path: Path) -> None:
    """Write a new key whole, readable to its user alone; where two processes do so at once, the first one's stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link never replaces what is there.
        with suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _fields(data: bytes) -> Iterator[_Field]:
    if data[:2] == b"\xff\xd8":
        for marker, segment in _jpeg_segments(data):
            yield from _jpeg_fields(marker, segment)
    elif data[:8] == b"\x89PNG\r\n\x1a\n":
        yield from _png_fields(data)
    elif is_dicom(data):
        for name, value in dicom_fields(data):
            yield "DICOM", name, value
    else:
        yield from _picture_fields(data)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of the segments of a JPEG, up to the start of its pixels; none for another file."""
    for segment in segments(data):
        if segment.marker in (0xD9, 0xDA):
            return
        yield segment.marker, data[segment.start : segment.end]


def _jpeg_fields(marker: int, segment: bytes) -> Iterator[_Field]:
    if marker == 0xFE:
        yield "comment", "", _as_text(segment)
    elif marker == 0xE1 and segment.startswith(b"Exif\0\0"):
        yield from _read_or_search("EXIF", _exif_fields, segment)
    elif marker == 0xE1 and segment.startswith((b"http://ns.adobe.com/xap", b"http://ns.adobe.com/xmp")):
        yield from _xmp_fields(segment)
    elif marker == 0xED:
        yield from _iptc_fields(segment)
    elif 0xE1 <= marker <= 0xEF and not segment.startswith((b"ICC_PROFILE", b"MPF\0", b"Adobe", b"FPXR", b"Ducky")):
        yield "other header data", "", segment


def _read_or_search(place: str, read: Callable[[bytes], Iterator[_Field]], data: bytes) -> Iterator[_Field]:
    """The fields of one block; where it is damaged, the rest of it is searched as bytes."""
    try:
        yield from read(data)
    except Exception:
        yield place, "", data


def _exif_fields(data: bytes) -> Iterator[_Field]:
    exif = Image.Exif()
    exif.load(data)
    yield from _exif_tags(exif, "EXIF", ExifTags.TAGS)


def _exif_tags(exif: Image.Exif, place: str, names: dict[int, str]) -> Iterator[_Field]:
    for tag, value in exif.items():
        yield from _tag_fields(place, names.get(tag, "unknown"), value)
    for ifd, of_ifd in ((0x8769, ExifTags.TAGS), (0x8825, ExifTags.GPSTAGS), (1, ExifTags.TAGS)):
        for tag, value in exif.get_ifd(ifd).items():
            yield from _tag_fields("EXIF", of_ifd.get(tag, "unknown"), value)


def _tag_fields(place: str, name: str, value: object) -> Iterator[_Field]:
    if name in ("XMLPacket", "ImageResources", "IPTCNAA", "IptcNaaInfo", "PhotoshopInfo") and isinstance(value, bytes):
        yield from _xmp_fields(value) if name == "XMLPacket" else _iptc_fields(value)
    elif name.startswith("XP") and isinstance(value, (bytes, tuple)):
        yield place, name, bytes(value).decode("utf-16-le", "replace")
    elif name == "UserComment" and isinstance(value, bytes):
        coding, text = value[:8], value[8:]
        yield place, name, text.decode("utf-16", "replace") if coding.startswith(b"UNICODE") else _as_text(text)
    elif isinstance(value, (bytes, str)):
        yield place, name, value
    elif name.startswith("GPS") and isinstance(value, tuple):
        yield place, name, " ".join(map(str, value)) if any(value) else ""


def _xmp_fields(data: bytes) -> Iterator[_Field]:
    text = data[:_MOST_XMP_BYTES].decode("utf-8", "replace")
    outer = ""
    for tag, attributes, content in _XMP_TAG.findall(text):
        prefix, _, name = tag.rpartition(":")
        outer = outer if prefix == "rdf" else name
        for name_of, double, single in _XMP_ATTRIBUTE.findall(attributes):
            yield "XMP", name_of, double or single
        if content.strip():
            yield "XMP", outer, content


def _iptc_fields(data: bytes) -> Iterator[_Field]:
    """Fields of an IPTC block, alone or among Photoshop's resources."""
    at = data.find(b"8BIM\x04\x04")
    if at >= 0:
        padded_name = (data[at + 6] + 2) // 2 * 2
        at += 6 + padded_name + 4
    at = max(at, 0)
    while data[at : at + 1] == b"\x1c":
        record, dataset, length = struct.unpack_from(">BBH", data, at + 1)
        if record == 2 and dataset in _IPTC_NAMES:
            yield "IPTC", _IPTC_NAMES[dataset], _as_text(data[at + 5 : at + 5 + length])
        at += 5 + length


def _png_fields(data: bytes) -> Iterator[_Field]:
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = data[at + 8 : at + 8 + length]
        at += 12 + length
        if kind == b"eXIf":
            yield from _read_or_search("EXIF", _exif_fields, chunk)
        elif kind == b"tIME":
            yield "PNG text", "date", "changed" if len(chunk) == 7 else ""
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            with suppress(zlib.error, ValueError, IndexError):
                yield from _png_text(kind, chunk)


def _png_text(kind: bytes, chunk: bytes) -> Iterator[_Field]:
    keyword, _, text = chunk.partition(b"\0")
    name, packed = keyword.decode("latin-1"), kind == b"zTXt"
    if packed:
        text = text[1:]
    elif kind == b"iTXt":
        packed = text[0] == 1
        text = text[2:].split(b"\0", 2)[2]
    if packed:
        text = zlib.decompressobj().decompress(text, _MOST_TEXT_BYTES)
    if name.startswith("Raw profile type "):
        # As ImageMagick writes it: a name, a length, then hexadecimal digits.
        text = bytes.fromhex(text.split(None, 2)[2].decode("ascii"))
        name = name.removeprefix("Raw profile type ")
    if name in ("exif", "APP1") and text.startswith(b"Exif"):
        yield from _read_or_search("EXIF", _exif_fields, text)
    elif name in ("iptc", "8bim"):
        yield from _iptc_fields(text)
    elif name in ("xmp", "APP1", "XML:com.adobe.xmp"):
        yield from _xmp_fields(text)
    elif name != "icc":
        yield "PNG text", name, _as_text(text)


def _picture_fields(data: bytes) -> Iterator[_Field]:
    """Fields of TIFF, WebP, GIF, JPEG 2000 and the like, as Pillow finds them."""
    kind = kind_of(data)
    if kind in (None, "PPM"):  # the second has no fields, and Pillow reads its head byte by byte
        return
    if kind in _CHECKS:
        _CHECKS[kind](data)
    with open_picture(data, kind) as picture:
        if comment := picture.info.get("comment"):
            yield "comment", "", _as_text(comment) if isinstance(comment, bytes) else str(comment)
        if isinstance(xmp := picture.info.get("xmp"), bytes):
            yield from _xmp_fields(xmp)
        if picture.format != "TIFF":
            yield from _exif_tags(picture.getexif(), "EXIF", ExifTags.TAGS)
            return
        names = {tag: entry.name for tag, entry in TiffTags.TAGS_V2.items()} | ExifTags.TAGS
        for page in range(_MOST_PAGES):
            try:
                picture.seek(page)
            except EOFError:
                return
            yield from _exif_tags(picture.getexif(), "TIFF tags", names)


def _as_text(data: bytes) -> str:
    data = data.strip(b"\0 \t\r\n")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")

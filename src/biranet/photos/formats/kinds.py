"""What kind of file a photo is: its content says so, its name does not count."""

import ctypes
import io
import re
from contextlib import suppress
from functools import cache

from PIL import Image

INSTEAD = "export it as JPEG, PNG or TIFF"
"""What to do with a photo that is not read."""

# Named one by one, because others start outside programs (EPS) or are no photographs.
_READ = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "WEBP": rb"RIFF.{4}WEBP",
    "GIF": rb"GIF8",
    "BMP": rb"BM.{4}\0{4}",
    "PPM": rb"P[1-6]\s",
    "JPEG2000": rb"\0\0\0\x0cjP|\xff\x4f\xff\x51",
    "AVIF": rb".{4}ftyp(avi[fs]|(mif1|msf1).{0,60}avi[fs])",
}
"""Pillow's names of the formats that are read, and how their files begin."""

_PICTURES = {
    "an AVIF picture": _READ["AVIF"],
    "a HEIC picture": rb".{4}ftyp(hei|hev|mif1|msf1)",
    "a JPEG XL picture": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "a JPEG XR picture": rb"II\xbc[\0\x01]",
    "a camera's raw file": rb"II\*\0.{4}CR|.{4}ftypcrx|IIU\0|IIR[OS]|MMOR|FUJIFILM",
    "an OpenEXR picture": rb"v/1\x01",
}
"""Pictures that are not read, or not everywhere: what they are called, and how their files begin."""

_NOT_READ = {
    **_PICTURES,
    "a film": rb".{4}(ftyp|moov|mdat)|RIFF.{4}AVI |\x1aE\xdf\xa3|\0\0\x01\xba",
    "a Photoshop file": rb"8BPS",
    "a PDF document": rb"%PDF",
    "a ZIP archive": rb"PK\x03\x04",
    "a packed file": rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!",
    "a FITS picture": rb"SIMPLE  =",
    "an icon": rb"\0\0[\x01\x02]\0[^\0]\0|icns",
    "a QOI picture": rb"qoif",
    "a PAM or PFM picture": rb"P7\n|P[Ff]\n",
}
"""What is named in the reason, and how such files begin; asked only of what is not read."""

_ODD_STARTS = re.compile(rb"\xff\xd8\xff[\xc0-\xfe]|\x89PNG\r\n\x1a\n")
_SEARCHED_BYTES = 4096


BEGINNING_BYTES = 132
"""So much of a file `begins_like_a_picture` looks at."""

_DICOM = rb".{128}DICM"
_WORDLIKE = "PPM"
_BEGINNING = re.compile(
    b"|".join([*(start for kind, start in _READ.items() if kind != _WORDLIKE), *_PICTURES.values(), _DICOM]), re.DOTALL
)


def begins_like_a_picture(data: bytes) -> bool:
    """Tell whether a file whose name says nothing is a picture, one that is read or one that is only known.

    Args:
        data: Its first `BEGINNING_BYTES`. Those of PPM begin like words, so they are known by their ending alone.

    Example:
        >>> begins_like_a_picture(b"GIF89a...."), begins_like_a_picture(b"P1 is a patient")
        (True, False)
    """
    return _BEGINNING.match(data) is not None


def kind_of(data: bytes) -> str | None:
    """Tell which of the formats that are read a file has; `open_picture` reads it.

    Args:
        data: The file.

    Returns:
        Pillow's name of the format, or None.

    Example:
        >>> kind_of(b"GIF89a...."), kind_of(b"file,grade")
        ('GIF', None)
    """
    kind = next((kind for kind, start in _READ.items() if re.match(start, data, re.DOTALL)), None)
    if kind == "TIFF" and re.match(_NOT_READ["a camera's raw file"], data, re.DOTALL):
        return None
    return None if kind == "AVIF" and not _avif_is_built_in() else kind


def why_unknown(data: bytes) -> str:
    """Say what a file is that has none of the formats that are read.

    Example:
        >>> why_unknown(b"....ftypheic")
        'is a HEIC picture, which this program does not read; export it as JPEG, PNG or TIFF'
    """
    for name, start in _NOT_READ.items():
        if re.match(start, data, re.DOTALL):
            return not_read(name)
    if found := _ODD_STARTS.search(data, 0, _SEARCHED_BYTES):
        name = "JPEG" if found[0][1:2] == b"\xd8" else "PNG"
        return f"begins with {found.start()} bytes that do not belong to the {name} behind them; remove them"
    return "is not a picture in a format that is read (JPEG, PNG, TIFF, …)"


def not_read(name: str) -> str:
    """Say that a picture is of a kind that is known and not read."""
    return f"is {name}, which this program does not read; {INSTEAD}"


def open_picture(data: bytes, kind: str) -> Image.Image:
    """Open a picture with Pillow, as the kind that it is, without decoding it.

    Args:
        data: The file.
        kind: From `kind_of`.

    Raises:
        Exception: What Pillow raises for a damaged file.
    """
    if kind == "TIFF":
        _keep_libtiff_quiet()
    return Image.open(io.BytesIO(data), formats=(kind,))


@cache
def _keep_libtiff_quiet() -> None:
    """Keep libtiff from writing about damage to the standard error; Pillow raises, and silences only its warnings."""
    with suppress(OSError, AttributeError):  # Where it is linked otherwise, it goes on writing.
        ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)  # type: ignore[attr-defined]


@cache
def _avif_is_built_in() -> bool:
    try:
        from PIL import AvifImagePlugin
    except ImportError:  # Pillow before 11.3
        return False
    return bool(AvifImagePlugin.SUPPORTED)

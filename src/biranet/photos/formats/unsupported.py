"""Formats that are known and not read: what such a file is called in the reason."""

import re

EXPORT_ADVICE = "export it as JPEG, PNG or TIFF"
"""What to do with a photo that is not read."""

UNSUPPORTED_SUFFIXES = ("heic", "heif", "hif", "jxl", "jls", "jxr")
"""Endings of pictures that are listed all the same, so that a row with a reason tells of them."""

AVIF = rb".{4}ftyp(avi[fs]|(mif1|msf1).{0,60}avi[fs])"
"""How AVIF files begin, which are read where Pillow has a decoder."""

_PICTURES = {
    "an AVIF picture": AVIF,
    "a HEIC picture": rb".{4}ftyp(hei|hev|mif1|msf1)",
    "a JPEG XL picture": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "a JPEG XR picture": rb"II\xbc[\0\x01]",
    "a camera's raw file": rb"II\*\0.{4}CR|.{4}ftypcrx|IIU\0|IIR[OS]|MMOR|FUJIFILM",
    "an OpenEXR picture": rb"v/1\x01",
}
"""Pictures: what they are called, and how their files begin."""

_OTHERS = {
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
"""Other files, which are named in the reason."""

_LATE_BEGINNING = re.compile(rb"\xff\xd8\xff[\xc0-\xfe]|\x89PNG\r\n\x1a\n")
_SEARCHED_BYTES = 4096


def is_unsupported_picture(data: bytes) -> bool:
    """Tell from the first bytes of a file whether it is such a picture."""
    return any(re.match(beginning, data, re.DOTALL) for beginning in _PICTURES.values())


def describe_unsupported(data: bytes) -> str:
    """Say what a file is that has none of the formats that are read.

    Example:
        >>> describe_unsupported(b"....ftypheic")
        'is a HEIC picture, which this program does not read; export it as JPEG, PNG or TIFF'
    """
    for name, beginning in (_PICTURES | _OTHERS).items():
        if re.match(beginning, data, re.DOTALL):
            return describe_unsupported_kind(name)
    if late := _LATE_BEGINNING.search(data, 0, _SEARCHED_BYTES):
        name = "JPEG" if late[0][1:2] == b"\xd8" else "PNG"
        return f"begins with {late.start()} bytes that do not belong to the {name} behind them; remove them"
    return "is not a picture in a format that is read (JPEG, PNG, TIFF, …)"


def describe_unsupported_kind(name: str) -> str:
    """Say that a picture is of a kind that is known and not read."""
    return f"is {name}, which this program does not read; {EXPORT_ADVICE}"

"""Photo files by format. One module a format recognises, decodes and reads the header of a file; this one lists them.

The content says what a file is: its name does not count, and its header is not believed where the content contradicts
it. A new format is a module with a `Format`, and an entry here.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from biranet.photos.formats.bmp import BMP
from biranet.photos.formats.dicom import DICOM
from biranet.photos.formats.dicom_file import has_dicom_prefix
from biranet.photos.formats.format import Format
from biranet.photos.formats.gif import GIF
from biranet.photos.formats.jpeg import JPEG
from biranet.photos.formats.jpeg2000 import JPEG2000
from biranet.photos.formats.other import AVIF, WEBP
from biranet.photos.formats.png import PNG
from biranet.photos.formats.ppm import PPM
from biranet.photos.formats.tiff import TIFF
from biranet.photos.formats.unsupported import UNSUPPORTED_SUFFIXES, is_unsupported_picture

# Named one by one, because others that Pillow knows start outside programs (EPS) or are no photographs. DICOM first:
# its preamble may hold the beginning of any other.
FORMATS = (DICOM, JPEG, PNG, TIFF, WEBP, GIF, BMP, PPM, JPEG2000, AVIF)
"""The formats that are read."""

PHOTO_SUFFIXES = frozenset(f".{name}" for each in FORMATS for name in each.suffixes) | {
    f".{name}" for name in UNSUPPORTED_SUFFIXES
}
"""File name endings, in lower case, that a folder scan takes; some cannot be read, but a row with a reason tells so."""

SIGNATURE_BYTES = 132
"""So much of a file `looks_like_picture` looks at."""


def looks_like_picture(data: bytes) -> bool:
    """Tell whether a file whose name says nothing is a picture, one that is read or one that is only known.

    Args:
        data: Its first `SIGNATURE_BYTES`. Those of PPM begin like words, and those of DICOM without its mark like
            anything, so they are known by their ending alone.

    Example:
        >>> looks_like_picture(b"GIF89a...."), looks_like_picture(b"P1 is a patient")
        (True, False)
    """
    certain = (each for each in FORMATS if each not in (DICOM, PPM))
    return has_dicom_prefix(data) or is_unsupported_picture(data) or any(each.matches(data) for each in certain)


@dataclass(frozen=True)
class PhotoFile:
    """A file, read and not yet decoded.

    Attributes:
        data: Its bytes.
    """

    data: bytes

    @cached_property
    def format(self) -> Format | None:
        """The format that is read which the content has, or None.

        Example:
            >>> PhotoFile(b"GIF89a....").format.name, PhotoFile(b"file,grade").format
            ('GIF', None)
        """
        return next((each for each in FORMATS if each.matches(self.data)), None)

    @cached_property
    def opened(self) -> Any:
        """What the functions of the format take, so that photo and header come of one parse; see `Format.open`."""
        return self.data if self.format is None else self.format.open(self.data)

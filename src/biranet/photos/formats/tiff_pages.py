"""Which page of a TIFF is the photo. None is ever taken only because it comes first."""

import io
import struct
from dataclasses import dataclass
from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from biranet.errors import PhotoError
from biranet.photos.formats.colors import check_picture
from biranet.photos.formats.pillow import open_picture
from biranet.photos.formats.previews import is_smaller, look_alike, thumbnail
from biranet.photos.formats.refusals import MAX_PARTS, ONE_PHOTO, check_single, too_many_parts

_MAX_PAGES = 100

_SUBFILE, _OLD_SUBFILE, _SUB_IFDS, _WIDTH, _HEIGHT = 254, 255, 330, 256, 257
"""Tags."""
_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2


@dataclass(frozen=True)
class _Page:
    number: int
    width_px: int
    height_px: int
    reduced: bool
    mask: bool

    @property
    def pixels(self) -> int:
        return self.width_px * self.height_px


def photo_page(data: bytes) -> int:
    """Find the page of a TIFF that is the photo.

    Previews, which are smaller and are marked so or look the same, and masks do not count.

    Args:
        data: The file.

    Returns:
        Its number, from 0.

    Raises:
        PhotoError: If more than one page may be the photo, or it lies where it is not read.
    """
    check_directories(data)
    with open_picture(data, "TIFF") as picture:
        pages = [_read_page(picture, number) for number in range(_MAX_PAGES) if _seek_page(picture, number)]
        photo = max((page for page in pages if not page.mask), key=lambda page: page.pixels, default=pages[0])
        others = [page for page in pages if page is not photo and not page.mask]
        further = [page for page in others if not (page.reduced and page.pixels < photo.pixels)]
        count = 1 + sum(not _is_preview(picture, page, photo, len(data)) for page in further)
        check_single(count, "pages")
        _check_sub_ifds(data, picture, photo)
    return photo.number


def check_directories(data: bytes) -> None:
    """Count pages and tags of a TIFF before anything opens it.

    Raises:
        PhotoError: If there are too many.
        struct.error: If a directory is cut short.
    """
    order, big = "<" if data[:1] == b"I" else ">", b"+" in data[2:4]
    offset, count, entry_bytes = ("Q", "Q", 20) if big else ("I", "H", 12)
    (at,) = struct.unpack_from(order + offset, data, 8 if big else 4)
    for _ in range(_MAX_PAGES):
        (tags,) = struct.unpack_from(order + count, data, at)
        if tags > MAX_PARTS:
            raise too_many_parts("TIFF")
        (at,) = struct.unpack_from(order + offset, data, at + struct.calcsize(count) + entry_bytes * tags)
        if at == 0:
            return
    raise PhotoError("unreadable", f"holds more than {_MAX_PAGES} pages; {ONE_PHOTO}")


def _seek_page(picture: Image.Image, number: int) -> bool:
    try:
        picture.seek(number)
    except EOFError:
        return False
    return True


def _read_page(picture: Image.Image, number: int) -> _Page:
    tags: Any = picture.tag_v2  # type: ignore[attr-defined]
    marks = int(tags.get(_SUBFILE, 0))
    reduced = bool(marks & _REDUCED) or tags.get(_OLD_SUBFILE) == _OLD_REDUCED
    return _Page(number, *picture.size, reduced, bool(marks & _MASK) and picture.mode in ("1", "L"))


def _is_preview(picture: Image.Image, page: _Page, photo: _Page, file_bytes: int) -> bool:
    """Whether a page is smaller than the photo and shows the same."""
    if not is_smaller((page.width_px, page.height_px), (photo.width_px, photo.height_px)):
        return False
    thumbnails = []
    for one in (page, photo):
        picture.seek(one.number)
        check_picture(picture, file_bytes)
        thumbnails.append(thumbnail(picture))
    return look_alike(*thumbnails)


def _check_sub_ifds(data: bytes, picture: Image.Image, photo: _Page) -> None:
    """Refuse a page below which a larger one lies, as in the raw files of cameras."""
    picture.seek(photo.number)
    offsets = picture.tag_v2.get(_SUB_IFDS, ())  # type: ignore[attr-defined]
    for offset in (offsets if isinstance(offsets, tuple) else (offsets,))[:_MAX_PAGES]:
        file = io.BytesIO(data)
        file.seek(offset)
        tags: Any = ImageFileDirectory_v2(data[:16] if data[2:3] in b"+" or data[3:4] in b"+" else data[:8])
        tags.load(file)
        if tags.get(_WIDTH, 0) * tags.get(_HEIGHT, 0) > photo.pixels:
            raise PhotoError(
                "unreadable",
                "shows only a preview of the photo below it, as raw files of cameras do; export it as JPEG",
            )

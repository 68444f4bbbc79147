"""Which of the pages and frames of a file is the photo. None is ever taken only because it comes first."""

import io
import re
import struct
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from biranet.errors import PhotoError
from biranet.photos.colours import as_rgb, check_picture
from biranet.photos.kinds import open_picture
from biranet.photos.segments import START, Jpeg, examine

_MOST_PAGES = 100
_MOST_PARTS = 5000
MOST_FRAMES = 1000
"""How far frames are counted."""

_ONE_PHOTO = "save the one photo as a file of its own"

_SUBFILE, _OLD_SUBFILE, _SUB_IFDS, _WIDTH, _HEIGHT = 254, 255, 330, 256, 257
"""Tags of a TIFF."""
_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2

_MOST_COLOURS = 4
_LOOK_PX, _DRAFT_PX = 64, 256
_ALIKE = 0.985
"""Correlation of two pages, made small, from which on they show the same."""

_NO_PICTURE = re.compile(rb"hdrgm:|HDRGainMap|urn:iso:std:iso:ts:21496|(?i:depth_?map|depthdata|disparity|[:/]depth\b)")
"""Marks in a JPEG of what makes another one brighter on some screens, or tells how far away things are."""


def refuse_several(count: int, what: str = "frames") -> None:
    """Refuse a file that holds more than one photo.

    Raises:
        PhotoError: If `count` is more than 1.
    """
    if count > 1:
        number = f"more than {MOST_FRAMES}" if count > MOST_FRAMES else str(count)
        raise PhotoError("unreadable", f"holds {number} {what}, and nothing says which is the photo; {_ONE_PHOTO}")


def countless(name: str) -> PhotoError:
    """The error for a file that costs much more to read than it weighs."""
    return PhotoError("unreadable", f"is a {name} of more than {_MOST_PARTS:,} parts, which no program writes")


def count_further_jpegs(data: bytes, first: Jpeg) -> int:
    """Count the pictures behind a JPEG in the same file that are not the same picture smaller, as in MPO files.

    What is marked as brightening the first, or as its depth, is no picture.

    Args:
        data: The file.
        first: What the JPEG at its beginning is.
    """
    count, at = 0, first.end or len(data)
    for _ in range(_MOST_PAGES):
        at = data.find(START + b"\xff", at)
        if at < 0:
            break
        found = examine(data, at, most_stray_bytes=0)
        if found is None or found.end is None:
            at += 1  # some bytes of something else
            continue
        if not _NO_PICTURE.search(data, at, found.end):
            count += not _is_smaller_jpeg(data[at : found.end], data[: first.end])
        at = found.end
    return count


def _is_smaller_jpeg(behind: bytes, first: bytes) -> bool:
    """Whether a JPEG is smaller than another and shows the same, or is none that can be shown."""
    try:
        with open_picture(behind, "JPEG") as small, open_picture(first, "JPEG") as photo:
            if not _is_smaller(small.size, photo.size):
                return False
            looks = []
            for picture in (small, photo):
                check_picture(picture, len(first))
                picture.draft(None, (_DRAFT_PX, _DRAFT_PX))
                looks.append(_look(picture))
    except (OSError, ValueError, SyntaxError):  # As Pillow says that one of them is damaged.
        return True
    return _show_the_same(*looks)


def count_gif_frames(data: bytes) -> int:
    """Count the pictures of a GIF, up to a thousand and one.

    Raises:
        PhotoError: If it has countless parts, each of which costs as much to read as a picture.
    """
    count, blocks, at = 0, 0, 13 + _palette_bytes(data, 10)
    while at < len(data) and count <= MOST_FRAMES:
        block, blocks = data[at], blocks + 1
        if blocks > _MOST_PARTS:
            raise countless("GIF")
        if block == 0x2C and at + 10 <= len(data):
            count += 1
            at += 11 + _palette_bytes(data, at + 9)
        elif block == 0x21:
            at += 2
        else:
            break
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return count


def _palette_bytes(data: bytes, at: int) -> int:
    flags = data[at] if at < len(data) else 0
    return int(3 * 2 ** (1 + (flags & 7))) if flags & 0x80 else 0


def check_codestream(data: bytes) -> None:
    """Hold what a JPEG 2000 file announces against the codestream inside.

    Raises:
        PhotoError: If there are several pictures, or they are of another size than announced.
    """
    announced, streams = None, [0] if data.startswith(b"\xff\x4f") else []
    if not streams:
        for name, start, end in _boxes(data, 0, len(data)):
            if name == b"jp2c":
                streams.append(start)
            elif name == b"jp2h":
                heads = [at for inner, at, _ in _boxes(data, start, end) if inner == b"ihdr"]
                announced = struct.unpack_from(">II", data, heads[0])[::-1] if heads else None
    refuse_several(len(streams), "pictures")
    if streams:
        *found, components, _ = codestream_size(data, streams[0])
        if announced is not None and announced != tuple(found):
            raise contradiction(announced, (found[0], found[1]))
        if components > _MOST_COLOURS:
            raise PhotoError("unreadable", f"is a JPEG 2000 picture of {components} colours, which no photo has")


def _boxes(data: bytes, at: int, end: int) -> "list[tuple[bytes, int, int]]":
    """Name, start and end of the boxes of a JPEG 2000 file."""
    found: list[tuple[bytes, int, int]] = []
    while at + 8 <= end and len(found) <= _MOST_PARTS:
        length, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if length == 1 and at + 16 <= end:
            start, length = at + 16, struct.unpack_from(">Q", data, at + 8)[0]
        after = end if length == 0 else at + length
        if after < start:
            break
        found.append((name, start, min(after, end)))
        at = after
    if len(found) > _MOST_PARTS:
        raise countless("JPEG 2000 file")
    return found


def codestream_size(data: bytes, at: int = 0) -> tuple[int, int, int, int]:
    """Read the size of a JPEG 2000 codestream: width and height in pixels, components, bits of the first.

    Raises:
        struct.error: If it is cut short.
    """
    across, down, left, top = struct.unpack_from(">IIII", data, at + 8)
    components, bits = struct.unpack_from(">HB", data, at + 40)
    return across - left, down - top, components, (bits & 127) + 1


def contradiction(announced: tuple[int, int], found: tuple[int, int]) -> PhotoError:
    """The error for a header that says another size than the picture inside."""
    sizes = "{} x {} pixels, and the picture inside has {} x {}".format(*announced, *found)
    return PhotoError("unreadable", f"contradicts itself: its header says {sizes}; export it anew")


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
        pages = [_describe(picture, number) for number in range(_MOST_PAGES) if _turn_to(picture, number)]
        photo = max((page for page in pages if not page.mask), key=lambda page: page.pixels, default=pages[0])
        others = [page for page in pages if page is not photo and not page.mask]
        further = [page for page in others if not (page.reduced and page.pixels < photo.pixels)]
        count = 1 + sum(not _is_preview(picture, page, photo, len(data)) for page in further)
        refuse_several(count, "pages")
        _refuse_hidden(data, picture, photo)
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
    for _ in range(_MOST_PAGES):
        (tags,) = struct.unpack_from(order + count, data, at)
        if tags > _MOST_PARTS:
            raise countless("TIFF")
        (at,) = struct.unpack_from(order + offset, data, at + struct.calcsize(count) + entry_bytes * tags)
        if at == 0:
            return
    raise PhotoError("unreadable", f"holds more than {_MOST_PAGES} pages; {_ONE_PHOTO}")


def _turn_to(picture: Image.Image, number: int) -> bool:
    try:
        picture.seek(number)
    except EOFError:
        return False
    return True


def _describe(picture: Image.Image, number: int) -> _Page:
    tags: Any = picture.tag_v2  # type: ignore[attr-defined]
    marks = int(tags.get(_SUBFILE, 0))
    reduced = bool(marks & _REDUCED) or tags.get(_OLD_SUBFILE) == _OLD_REDUCED
    return _Page(number, *picture.size, reduced, bool(marks & _MASK) and picture.mode in ("1", "L"))


def _is_preview(picture: Image.Image, page: _Page, photo: _Page, file_bytes: int) -> bool:
    """Whether a page is smaller than the photo and shows the same."""
    if not _is_smaller((page.width_px, page.height_px), (photo.width_px, photo.height_px)):
        return False
    looks = []
    for one in (page, photo):
        picture.seek(one.number)
        check_picture(picture, file_bytes)
        looks.append(_look(picture))
    return _show_the_same(*looks)


def _is_smaller(size: tuple[int, int], photo: tuple[int, int]) -> bool:
    """Whether a size is smaller, of about the same proportions."""
    if size[0] >= photo[0] or size[1] >= photo[1]:
        return False
    return abs(size[0] / size[1] / (photo[0] / photo[1]) - 1) <= 0.1


def _look(picture: Image.Image) -> npt.NDArray[np.float32]:
    grey = as_rgb(picture).mean(axis=2, dtype=np.float32)
    look: npt.NDArray[np.float32] = cv2.resize(grey, (_LOOK_PX, _LOOK_PX), interpolation=cv2.INTER_AREA).ravel()
    return look


def _show_the_same(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    return bool(min(one.std(), other.std()) > 0 and np.corrcoef(one, other)[0, 1] > _ALIKE)


def _refuse_hidden(data: bytes, picture: Image.Image, photo: _Page) -> None:
    """Refuse a page below which a larger one lies, as in the raw files of cameras."""
    picture.seek(photo.number)
    offsets = picture.tag_v2.get(_SUB_IFDS, ())  # type: ignore[attr-defined]
    for offset in (offsets if isinstance(offsets, tuple) else (offsets,))[:_MOST_PAGES]:
        file = io.BytesIO(data)
        file.seek(offset)
        tags: Any = ImageFileDirectory_v2(data[:16] if data[2:3] in b"+" or data[3:4] in b"+" else data[:8])
        tags.load(file)
        if tags.get(_WIDTH, 0) * tags.get(_HEIGHT, 0) > photo.pixels:
            raise PhotoError(
                "unreadable",
                "shows only a preview of the photo below it, as raw files of cameras do; export it as JPEG",
            )

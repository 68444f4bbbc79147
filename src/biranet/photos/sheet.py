"""One picture of a photo as it was taken and, beside it, of maps drawn over it, with the words that belong to them."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import count, zip_longest
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image, ImageDraw

from biranet.config import OVERLAY_OPACITY, check_opacity
from biranet.photos import PICTURE_MARK
from biranet.photos.cut import Cut
from biranet.photos.lettering import load_font, shorten
from biranet.photos.overlay import BANDS, NamedMap, draw_map

_MAX_PIXELS = 170_000_000
"""Largest picture, a little less than the largest that Pillow opens: a photo of 15 million pixels with three maps."""
_MAX_SIDE_PX = 32_000
"""JPEG ends at 65,535; many viewers end before."""
_MIN_PANEL_PX = 480
"""Smaller photos are shown with each pixel as a square of several."""
_JPEG_QUALITY = 90

_BACKGROUND, _TEXT, _FAINT = (32, 32, 32), (240, 240, 240), (180, 180, 180)

_Pixels = npt.NDArray[np.uint8]


class Caption(NamedTuple):
    """What is written under a photo.

    Attributes:
        title: What is most important.
        lines: What else there is to say; none of them may be left out.
        names: Of photo and model, a line each, shortened in their middle where they are too long.
        heading: What the photo without maps is.
        colors: RGB of a square before each line, which says what this colour means; None for no square. Lines behind
            these have none.
    """

    title: str
    lines: Sequence[str]
    names: Sequence[str]
    heading: str = "The photo"
    colors: Sequence[tuple[int, int, int] | None] = ()


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with its words.

    Attributes:
        pixels: (H, W, 3), uint8, RGB.
        alt_text: What it shows, in words, for those who do not see it.

    Example:
        >>> import biranet
        >>> picture = biranet.load().grade(biranet.draw_photo(grade=4, seed=7)).picture()
        >>> picture.pixels.dtype, picture.alt_text.split(" and, ")[0]
        (dtype('uint8'), 'Grade 2 (moderate), refer. The photo as it was taken')
    """

    pixels: _Pixels
    alt_text: str

    def __repr__(self) -> str:
        return f"Picture({self.pixels.shape[1]} x {self.pixels.shape[0]} px, {self.alt_text!r})"

    def jpeg(self) -> bytes:
        """Encode as JPEG, with the alternative text where readers look for it: XMP, as IPTC says, and EXIF."""
        text = "".join(letter for letter in self.alt_text if letter.isprintable())
        exif = Image.Exif()
        exif[ExifTags.Base.ImageDescription] = text.encode("ascii", "replace").decode()
        xmp = _XMP.format(escape(text)).encode()
        head = _segment(0xFE, PICTURE_MARK) + _segment(0xE1, exif.tobytes()) + _segment(0xE1, _XMP_NAME + xmp)
        encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(self.pixels), _JPEG_QUALITY, "RGB", "444")
        return encoded[:_JFIF_END] + head + encoded[_JFIF_END:]


_JFIF_END = 20
"""Mark of the beginning, and the segment that comes first in a JPEG."""
_XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:i="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"><i:AltTextAccessibility>'
    '<rdf:Alt><rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt></i:AltTextAccessibility></rdf:Description></rdf:RDF>'
    "</x:xmpmeta>"
)


def _segment(marker: int, content: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + (len(content) + 2).to_bytes(2, "big") + content


def draw_sheet(
    photo: _Pixels,
    cut: Cut,
    maps: Sequence[NamedMap],
    caption: Caption,
    *,
    opacity: float = OVERLAY_OPACITY,
    first: _Pixels | None = None,
) -> Picture:
    """Draw a photo, and each map over it: on its scale and, beside that, stretched to its own range.

    A photo stands in its own pixels. Where the picture would get larger than 170 million of them, or 32,000 a side,
    each one shows the mean of 2 x 2 of the photo, or of 3 x 3, and so on; a photo of less than 480 a side is shown with
    each as a square of several.

    Args:
        photo: The upright photo (height_px, width_px, 3), uint8, RGB.
        cut: Where the square that the maps are of lies in it.
        maps: What to draw over it.
        caption: What to write under it.
        opacity: How strongly the colours cover the photo, from 0, contours alone, to 1.
        first: What stands without maps: the photo, or the photo with something drawn into it.

    Returns:
        The picture.

    Raises:
        InputError: If the opacity is no number from 0 to 1.
    """
    check_opacity(opacity)
    layout = _fit(cut, len(maps), len(_wrap(caption)) + len(caption.names))
    shown = _resize(photo, layout.scale)
    sheet = np.full((layout.height_px, layout.width_px, 3), _BACKGROUND[0], np.uint8)
    size = f"{cut.width_px} x {cut.height_px} pixels"
    heading = _draw_heading(caption.heading, size + layout.describe(), layout)
    _put(sheet, layout, 0, 0, np.asarray(heading), shown if first is None else _resize(first, layout.scale))
    for row, each in enumerate(maps):
        stretched = each.stretched()
        for column, (drawn, words) in enumerate(
            ((each, "the scale of all photos"), (stretched, "stretched to its own range")), 1
        ):
            panel = draw_map(shown, cut, drawn, opacity=opacity, scale=layout.scale)
            _put(sheet, layout, row, column, _draw_scale(drawn, words, layout), panel)
    under = _draw_caption(caption, layout)
    top = 2 * layout.gap_px + layout.strip_px + layout.panel_px[1]
    sheet[top : top + len(under), layout.gap_px : layout.gap_px + layout.cell_px] = under
    return Picture(sheet, _describe(caption, cut, maps))


class _Layout(NamedTuple):
    """Where what stands: columns of cells, each with a strip of words above its panel.

    Attributes:
        scale: Pixels of a panel for each one of the photo, a side.
        panel_px: Width and height of a panel.
        cell_px: Width of a cell.
        gap_px: Space around cells.
        letter_px: Size of letters.
        maps: How many there are: each is a row of two cells beside that of the photo.
        caption_lines: Lines under the photo, without the title.
    """

    scale: float
    panel_px: tuple[int, int]
    cell_px: int
    gap_px: int
    letter_px: float
    maps: int
    caption_lines: int

    @property
    def strip_px(self) -> int:
        return round(3.7 * self.letter_px)

    @property
    def row_px(self) -> int:
        return self.strip_px + self.panel_px[1] + self.gap_px

    @property
    def width_px(self) -> int:
        return self.gap_px + (self.cell_px + self.gap_px) * (3 if self.maps else 1)

    @property
    def height_px(self) -> int:
        return self.gap_px + max(self.row_px * self.maps, self.row_px + self.caption_px)

    @property
    def caption_px(self) -> int:
        return round((_TITLE_LETTERS + _LINE_LETTERS * self.caption_lines) * self.letter_px)

    def describe(self) -> str:
        if self.scale == 1:
            return ", shown in full"
        times = round(max(self.scale, 1 / self.scale))
        return f", each drawn as {times} x {times}" if self.scale > 1 else f", {times} x {times} drawn as one"


_TITLE_LETTERS, _LINE_LETTERS = 2.8, 1.45
"""Heights of lines, in letters."""
_LINE_LENGTH = 66
"""How many letters fit into a cell."""


_INDENT = 1.5
"""Letters by which lines with a coloured square stand to the right."""


class _Line(NamedTuple):
    """A line of a caption, and the colour of the square before it."""

    text: str
    color: tuple[int, int, int] | None = None
    indent: float = 0.0


def _wrap(caption: Caption) -> list[_Line]:
    lines: list[_Line] = []
    for text, color in zip_longest(caption.lines, caption.colors):
        first, *others = textwrap.wrap(text, _LINE_LENGTH if color is None else _LINE_LENGTH - 4) or [""]
        indent = 0.0 if color is None else _INDENT
        lines += [_Line(first, color, indent), *(_Line(each, None, indent) for each in others)]
    return lines


def _fit(cut: Cut, maps: int, caption_lines: int) -> _Layout:
    """Lay out at the largest scale at which the picture is not too large."""
    longer_px = max(cut.width_px, cut.height_px)
    scale: float = -(-_MIN_PANEL_PX // longer_px)
    for step in count(1):
        width_px, height_px = (max(1, int(side * scale + 1e-6)) for side in (cut.width_px, cut.height_px))
        cell_px = max(width_px, _MIN_PANEL_PX)
        layout = _Layout(scale, (width_px, height_px), cell_px, cell_px // 80, cell_px / 34, maps, caption_lines)
        if max(layout.width_px, layout.height_px) <= _MAX_SIDE_PX and (
            layout.width_px * layout.height_px <= _MAX_PIXELS
        ):
            break
        scale = 1 / (step + 1)
    return layout


def _resize(photo: _Pixels, scale: float) -> _Pixels:
    if scale == 1:
        return photo
    height_px, width_px = (max(1, int(side * scale + 1e-6)) for side in photo.shape[:2])
    if scale > 1:
        return np.asarray(cv2.resize(photo, (width_px, height_px), interpolation=cv2.INTER_NEAREST), np.uint8)
    step = round(1 / scale)
    whole = photo[: height_px * step, : width_px * step]
    return np.asarray(cv2.resize(whole, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8)


def _put(sheet: _Pixels, layout: _Layout, row: int, column: int, strip: _Pixels, panel: _Pixels) -> None:
    """Place a strip and, below it, a panel."""
    left = layout.gap_px + column * (layout.cell_px + layout.gap_px)
    top = layout.gap_px + row * layout.row_px
    sheet[top : top + len(strip), left : left + layout.cell_px] = strip
    top += layout.strip_px
    sheet[top : top + len(panel), left : left + panel.shape[1]] = panel


def _draw_heading(title: str, words: str, layout: _Layout) -> Image.Image:
    """Draw what stands above a panel, with space for a scale below it."""
    strip = Image.new("RGB", (layout.cell_px, layout.strip_px), _BACKGROUND)
    draw, font, small = ImageDraw.Draw(strip), load_font(layout.letter_px), load_font(0.8 * layout.letter_px)
    line = 1.1 * layout.letter_px
    draw.text((0, line), title, _TEXT, font, anchor="ls")
    left = font.getlength(f"{title}  ")
    draw.text((left, line), shorten(words, small, int(layout.cell_px - left)), _FAINT, small, anchor="ls")
    return strip


def _draw_scale(shown: NamedMap, words: str, layout: _Layout) -> _Pixels:
    """Draw what stands above a map: its name, and its colours with the values between them."""
    cells = " x ".join(str(side) for side in shown.values.shape[::-1])
    strip = _draw_heading(_capitalized(shown.name), f"{words}; {cells} cells", layout)
    draw, font = ImageDraw.Draw(strip), load_font(0.75 * layout.letter_px)
    left, width = layout.letter_px, layout.cell_px - 2 * layout.letter_px
    top, bottom = 1.6 * layout.letter_px, 2.5 * layout.letter_px
    edges = [round(left + width * end / BANDS) for end in range(BANDS + 1)]
    for start, end, color in zip(edges, edges[1:], shown.colors.tolist(), strict=False):
        draw.rectangle((start, top, end - 1, bottom), tuple(color))
    for edge, value in list(zip(edges, np.linspace(shown.low, shown.high, BANDS + 1), strict=True))[::2]:
        draw.text((edge, bottom + 0.1 * layout.letter_px), f"{value:.2f}", _FAINT, font, anchor="ma")
    return np.asarray(strip)


def _draw_caption(caption: Caption, layout: _Layout) -> _Pixels:
    picture = Image.new("RGB", (layout.cell_px, layout.caption_px), _BACKGROUND)
    draw, font = ImageDraw.Draw(picture), load_font(1.0 * layout.letter_px)
    draw.text((0, 0), caption.title, _TEXT, load_font(1.7 * layout.letter_px))
    top = _TITLE_LETTERS * layout.letter_px
    names = [_Line(shorten(name, font, layout.cell_px, "ends")) for name in caption.names]
    for line in [*_wrap(caption), *names]:
        if line.color is not None:
            side = 0.8 * layout.letter_px
            draw.rectangle((0, top + 0.25 * side, side, top + 1.25 * side), line.color)
        draw.text((line.indent * layout.letter_px, top), line.text, _TEXT, font)
        top += _LINE_LETTERS * layout.letter_px
    return np.asarray(picture)


def _describe(caption: Caption, cut: Cut, maps: Sequence[NamedMap]) -> str:
    """Say in words what the picture shows, without the names, which its file and its table have."""
    shown = "".join(
        f" {_capitalized(each.name)}: {each.values.min():.2f} to {each.values.max():.2f}{_highest(each, cut)}."
        for each in maps
    )
    beside = " and, beside it, maps drawn over it as coloured regions, on their scale and stretched" if maps else ""
    return f"{caption.title}. {caption.heading}{beside}.{shown} {' '.join(caption.lines)}"


def _capitalized(name: str) -> str:
    return name[:1].upper() + name[1:]


def _highest(each: NamedMap, cut: Cut) -> str:
    """Say where in the photo a map is highest."""
    rows, columns = each.values.shape
    side_px = cut.field.side_px
    x, y = ((np.arange(cells) + 0.5) * side_px / cells for cells in (columns, rows))
    shares = cut.to_original(np.stack(np.meshgrid(x, y), axis=-1), side_px) / (cut.width_px, cut.height_px)
    values = np.where(((shares > 0) & (shares < 1)).all(axis=-1), each.values, -np.inf)
    across, down = shares.reshape(-1, 2)[values.argmax()]
    return f", highest at {across:.0%} from the left and {down:.0%} from the top"

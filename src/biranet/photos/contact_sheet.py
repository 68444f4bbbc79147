"""Show the photos that the rule for ungradable photos refused, or came nearest to refusing, on one page to look at."""

import heapq
import io
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw

from biranet.files import write_bytes
from biranet.photos.lettering import Font, load_font, shorten
from biranet.photos.quality import QUALITY_COLUMNS, Quality, weakest_measure

_COLUMNS = 10
_TILE_PX = 208
_GAP_PX = 8
_LINE_HEIGHT_PX = 14
_FONT_PX = 11
_TEXT_COLOR = "#202020"
_REFUSED_COLOR = "#b00020"


class _Tile(NamedTuple):
    """One photo: whether it is ungradable, where its picture is, and the lines under it."""

    refused: bool
    prepared: str
    lines: tuple[str, str, str]


def write_contact_sheet(prepared: Path, rows: Iterable[Mapping[str, str]], path: Path, count: int = 50) -> bool:
    """Draw the worst photos of a prepared folder: the ungradable first, the clearest on top, then the least gradable.

    Under each photo stand its file name, shortened; what was decided; and the measure that decided, with its value.
    Photos whose field was not found, or that could not be read, were not measured and are left out. One picture is in
    memory at a time.

    Args:
        prepared: The prepared folder.
        rows: Rows of its manifest, with `file`, `prepared`, `status`, `reason` and `QUALITY_COLUMNS`.
        path: Where the sheet shall stand, a JPEG; deleted where no photo was measured.
        count: How many photos are shown at most, at least 1.

    Returns:
        Whether there is a sheet.

    Raises:
        InputError: If the sheet cannot be written.
    """
    font = load_font(_FONT_PX)
    measured = (row for row in rows if row[QUALITY_COLUMNS[0]])
    worst = heapq.nsmallest(count, measured, key=_sort_key)
    if not worst:
        path.unlink(missing_ok=True)
        return False
    tiles = [_tile(row, font) for row in worst]
    columns = min(_COLUMNS, len(tiles))
    lines = -(-len(tiles) // columns)
    step_x, step_y = _TILE_PX + _GAP_PX, _TILE_PX + 3 * _LINE_HEIGHT_PX + _GAP_PX
    sheet = Image.new("RGB", (columns * step_x + _GAP_PX, lines * step_y + _GAP_PX), "white")
    draw = ImageDraw.Draw(sheet)
    for number, tile in enumerate(tiles):
        left, top = _GAP_PX + number % columns * step_x, _GAP_PX + number // columns * step_y
        sheet.paste(_load_tile(prepared / tile.prepared if tile.prepared else None), (left, top))
        for index, line in enumerate(tile.lines):
            color = _REFUSED_COLOR if tile.refused and index else _TEXT_COLOR
            draw.text((left, top + _TILE_PX + 1 + index * _LINE_HEIGHT_PX), line, color, font)
    encoded = io.BytesIO()
    sheet.save(encoded, "JPEG", quality=85)
    write_bytes(path, encoded.getvalue())
    return True


def _sort_key(row: Mapping[str, str]) -> tuple[bool, float]:
    """Where a photo stands on the sheet: the ungradable first, then by the margin of the measure that decided."""
    weakness = weakest_measure(Quality.from_cells(row))
    return not (row["reason"] or weakness.reason), weakness.margin


def _tile(row: Mapping[str, str], font: Font) -> _Tile:
    measure, _, missed = weakest_measure(Quality.from_cells(row))
    reason = row["reason"] or missed
    # Ungradable photos may have been kept on request; the reason tells them.
    verdict = reason if row["status"] == "ungradable" else f"kept: {reason}" if reason else "gradable"
    value = f"{measure.replace('_', ' ')} {float(row[measure]):.2f}"
    return _Tile(
        bool(reason),
        row["prepared"],
        (shorten(row["file"], font, _TILE_PX, "end"), shorten(verdict, font, _TILE_PX), value),
    )


def _load_tile(path: Path | None) -> Image.Image:
    """The prepared picture at the size of a tile; plain grey where there is none, or it cannot be read."""
    tile = Image.new("RGB", (_TILE_PX, _TILE_PX), "#d0d0d0")
    if path is not None:
        with suppress(OSError), Image.open(path) as picture:
            picture.draft("RGB", (_TILE_PX, _TILE_PX))
            tile.paste(picture.convert("RGB").resize((_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS))
    return tile

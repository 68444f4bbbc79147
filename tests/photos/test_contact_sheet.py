import dataclasses

import numpy as np
import pytest
from PIL import Image

from biranet.errors import InputError
from biranet.photos.contact_sheet import write_contact_sheet
from biranet.photos.quality import Quality
from biranet.photos.read import read_photo

GOOD = Quality(0.6, 0.0, 0.0, 0.9, 0.02, 0.95, 0.9)
STEP_X, STEP_Y, TILE, GAP = 216, 258, 208, 8


@pytest.fixture
def rows(tmp_path):
    """Function from (shade, quality, further cells) to the row of a prepared photo of that one shade of grey."""

    def make(shade, quality=GOOD, **cells):
        Image.fromarray(np.full((64, 64, 3), shade, np.uint8)).save(tmp_path / f"{shade}.jpg")
        row = {"file": f"{shade}.png", "prepared": f"{shade}.jpg", "status": "ok", "reason": "", "grade": "1"}
        return row | quality.cells() | cells

    return make


def shades(path, count):
    """The shade in the middle of each place of the sheet."""
    sheet = read_photo(path)
    columns = (sheet.shape[1] - GAP) // STEP_X
    places = [(GAP + n // columns * STEP_Y + TILE // 2, GAP + n % columns * STEP_X + TILE // 2) for n in range(count)]
    return [int(sheet[position].mean().round()) for position in places]


def red_places(path):
    """The places of the sheet under which something stands in red."""
    sheet = read_photo(path).astype(int)
    red = sheet[:, :, 0] - sheet[:, :, 1] > 90
    rows, columns = np.nonzero(red)
    return sorted({(int(row) // STEP_Y, int(column) // STEP_X) for row, column in zip(rows, columns, strict=True)})


def test_the_clearest_ungradable_photo_comes_first_and_the_most_gradable_last(rows, tmp_path):
    table = [
        rows(200, dataclasses.replace(GOOD, sharpness_ratio=0.9)),
        rows(40, dataclasses.replace(GOOD, sharpness_ratio=0.40), status="ungradable", reason="out of focus"),
        rows(160, dataclasses.replace(GOOD, sharpness_ratio=0.5)),
        rows(80, dataclasses.replace(GOOD, sharpness_ratio=0.44)),
        rows(10, dataclasses.replace(GOOD, sharpness_ratio=0.2), status="ungradable", reason="out of focus"),
        rows(120, status="ungradable", reason="the labels say that it cannot be graded"),
    ]
    write_contact_sheet(tmp_path, table, tmp_path / "sheet.jpg")
    assert np.abs(np.subtract(shades(tmp_path / "sheet.jpg", 6), [10, 40, 80, 120, 160, 200])).max() <= 2
    # The fourth photo is ungradable but was kept, and the labels alone condemn another: both are marked.
    assert red_places(tmp_path / "sheet.jpg") == [(0, 0), (0, 1), (0, 2), (0, 3)]


def test_fifty_photos_at_most_in_rows_of_ten(rows, tmp_path):
    table = [rows(shade, dataclasses.replace(GOOD, visible_fraction=shade / 300)) for shade in range(180, 240)]
    write_contact_sheet(tmp_path, table, tmp_path / "sheet.jpg")
    assert read_photo(tmp_path / "sheet.jpg").shape == (GAP + 5 * STEP_Y, GAP + 10 * STEP_X, 3)
    assert np.abs(np.subtract(shades(tmp_path / "sheet.jpg", 50), range(180, 230))).max() <= 2
    write_contact_sheet(tmp_path, table, tmp_path / "sheet.jpg", count=3)
    assert read_photo(tmp_path / "sheet.jpg").shape == (GAP + STEP_Y, GAP + 3 * STEP_X, 3)


@pytest.mark.parametrize(
    "name", ["😀.png", "line\nbreak\ttab.jpg", "日本語 é ñ.jpg", "x" * 5000, "..", '"<&>', "\ud800.jpg"]
)
def test_any_name_can_be_shown_in_its_place(rows, tmp_path, name):
    first = rows(100, file=name, status="ungradable", reason=name)
    write_contact_sheet(tmp_path, [first, rows(150)], tmp_path / "sheet.jpg")
    sheet = read_photo(tmp_path / "sheet.jpg").astype(int)
    assert (sheet[GAP + TILE + 2 : GAP + TILE + 12, GAP : GAP + TILE] < 160).any(), "the name is there"
    assert (sheet[:, GAP + TILE + 2 : GAP + STEP_X - 2] > 200).all(), "nothing reaches over to the neighbour"


def test_a_picture_that_is_missing_or_torn_leaves_a_grey_place(rows, tmp_path):
    table = [rows(10), rows(20), rows(30, prepared="")]
    (tmp_path / "10.jpg").unlink()
    (tmp_path / "20.jpg").write_bytes(b"torn")
    write_contact_sheet(tmp_path, table, tmp_path / "sheet.jpg")
    assert np.abs(np.subtract(shades(tmp_path / "sheet.jpg", 3), 0xD0)).max() <= 2


def test_what_was_not_measured_is_left_out(rows, tmp_path):
    blank = dict.fromkeys(GOOD.cells(), "")
    unread = rows(10, **blank) | {"prepared": "", "status": "unreadable", "reason": "the file is empty"}
    assert write_contact_sheet(tmp_path, [unread, rows(90)], tmp_path / "sheet.jpg")
    assert read_photo(tmp_path / "sheet.jpg").shape == (GAP + STEP_Y, GAP + STEP_X, 3)
    assert not write_contact_sheet(tmp_path, [unread], tmp_path / "sheet.jpg")
    assert not (tmp_path / "sheet.jpg").exists(), "an old sheet would show other photos"


def test_a_sheet_that_cannot_be_written_is_one_sentence(rows, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write"):
        write_contact_sheet(tmp_path, [rows(90)], tmp_path / "file" / "sheet.jpg")

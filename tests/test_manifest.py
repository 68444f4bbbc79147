import os

import pandas as pd
import pytest

from biranet.errors import InputError
from biranet.manifest import (
    MANIFEST_COLUMNS,
    MANIFEST_NAME,
    SPLITS,
    STATUSES,
    fold_columns,
    graded_photos,
    read_manifest,
    write_manifest,
)

NASTY = [
    "a,b.jpg",
    'say "ah".jpg',
    "two\nlines.jpg",
    "re\rturn.jpg",
    "🙂 ü.jpg",
    " spaces .jpg",
    "=1+1.jpg",
    "'.jpg",
    "NA",
]


def rows(**columns):
    """A manifest with empty values where nothing is said; one row per value of the first column."""
    count = len(next(iter(columns.values())))
    values = {name: [""] * count for name in MANIFEST_COLUMNS} | {"status": ["ok"] * count} | columns
    table = pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in values.items()})
    table["grade"] = pd.to_numeric(table["grade"]).astype("Int64")
    return table


def test_nasty_names_go_out_and_come_back(tmp_path):
    grades = [0, 1, 2, 3, 4, None, 0, 1, 2]
    table = rows(file=NASTY, group=NASTY[::-1], grade=grades, reason=NASTY, **{"label, file's": NASTY})
    write_manifest(tmp_path, table)
    back = read_manifest(tmp_path)
    assert list(back.columns) == [*MANIFEST_COLUMNS, "label, file's"]
    assert str(back["grade"].dtype) == "Int64"
    pd.testing.assert_frame_equal(back.reset_index(drop=True), table[back.columns], check_column_type=False)
    first = (tmp_path / MANIFEST_NAME).read_bytes()
    write_manifest(tmp_path, back)
    assert (tmp_path / MANIFEST_NAME).read_bytes() == first


def test_the_fixed_columns_come_first_and_none_may_be_missing(tmp_path):
    table = rows(note=["x"], file=["a.jpg"])
    write_manifest(tmp_path, table[["note", *MANIFEST_COLUMNS]])
    header = (tmp_path / MANIFEST_NAME).read_text().splitlines()[0]
    assert header == ",".join([*MANIFEST_COLUMNS, "note"])
    for name in MANIFEST_COLUMNS:
        table.drop(columns=name).to_csv(tmp_path / MANIFEST_NAME, index=False)
        with pytest.raises(InputError, match=f"no column '{name}'"):
            read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("column", "value"),
    [("status", "fine"), ("status", ""), ("split", "valid"), ("official_split", "x"), ("fold_0", "x")],
)
def test_a_value_that_is_not_allowed_names_row_column_and_choices(tmp_path, column, value):
    table = rows(file=["a.jpg", "b.jpg"], fold_0=["train", "test"])
    table.loc[1, column] = value
    write_manifest(tmp_path, table)
    choices = ", ".join(STATUSES if column == "status" else SPLITS)
    with pytest.raises(InputError) as caught:
        read_manifest(tmp_path)
    place = tmp_path / MANIFEST_NAME
    assert str(caught.value) == f"{place}, row 3, column {column!r}: {value!r} is not one of {choices}"


def test_a_grade_of_7_names_the_manifest_and_the_row(tmp_path):
    write_manifest(tmp_path, rows(file=["a.jpg", "b.jpg"], grade=[1, 7]))
    with pytest.raises(InputError, match=r"manifest\.csv, row 3, column 'grade': '7'"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("prepared", "sha256"),
    [
        ("../../x.jpg", "ab" * 32),
        (f"images/ab/{'ab' * 32}.jpg", "cd" * 32),
        (f"images/../{'ab' * 32}.jpg", "ab" * 32),
        (f"/images/ab/{'ab' * 32}.jpg", "ab" * 32),
        ("images/../../../x.jpg", "../../x"),
    ],
)
def test_a_cell_that_does_not_name_the_image_of_its_photo_is_refused(tmp_path, prepared, sha256):
    good = {"prepared": f"images/ef/{'ef' * 32}.jpg", "sha256": "ef" * 32}
    table = rows(file=["a.jpg", "b.jpg"], **{name: [value, value] for name, value in good.items()})
    write_manifest(tmp_path, table)
    assert read_manifest(tmp_path)["prepared"].tolist() == table["prepared"].tolist()
    table.loc[1, ["prepared", "sha256"]] = prepared, sha256
    write_manifest(tmp_path, table)
    with pytest.raises(InputError, match=r"manifest\.csv, row 3, column 'prepared': .* run `biranet prepare` again to"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("target", [None, "/dev/zero"])
def test_a_manifest_that_is_no_file_is_not_waited_for(tmp_path, target):
    path = tmp_path / MANIFEST_NAME
    path.symlink_to(target) if target else os.mkfifo(path)
    with pytest.raises(InputError, match=r"manifest\.csv is no regular file; take it away"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("folder", ["", "missing"])
def test_a_folder_without_manifest_says_how_to_make_one(tmp_path, folder):
    with pytest.raises(InputError, match=r"holds no manifest\.csv; .*biranet prepare PHOTOS"):
        read_manifest(tmp_path / folder)


def test_only_usable_graded_photos_are_learned_from():
    table = rows(file=list("abcdef"), status=["ok", "ok", *STATUSES], grade=[0, None, 4, 3, 2, 1])
    assert graded_photos(table)["file"].tolist() == ["a", "c"]


def test_folds_are_found_in_order():
    assert fold_columns(rows(file=["a"], fold_0=[""], note=["x"], fold_1=[""])) == ["fold_0", "fold_1"]
    assert fold_columns(rows(file=["a"])) == []


def test_a_photo_that_stands_there_twice_is_refused_with_both_rows(tmp_path):
    write_manifest(tmp_path, rows(file=["a.jpg", "b.jpg", "a.jpg"], grade=[0, 1, 2]))
    with pytest.raises(
        InputError, match=r"manifest\.csv: the photo 'a\.jpg' stands in row 2 and again in row 4; leave"
    ):
        read_manifest(tmp_path)

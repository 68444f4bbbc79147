"""The predictions table is read as it was written, and refused in one sentence where it cannot be measured."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from biranet.errors import InputError
from biranet.evaluation.predictions import COLUMNS, check_predictions, read_predictions, write_predictions

HEADER = "file,group,grade,predicted_grade,p0,p1,p2,p3,p4"


def predictions(**changed: object) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "camera": ["001", "NA", ""],
            "file": ["a.png", "b, left.png", "ü <b>.png"],
            "group": ["007", "007", "8"],
            "grade": [0, 3, 4],
            "predicted_grade": [0, 2, 4],
            "p0": np.float32([0.7, 0.1, 0.2]),
            "p1": np.float32([0.1, 0.1, 0.2]),
            "p2": np.float32([0.1, 0.4, 0.2]),
            "p3": np.float32([0.1, 0.3, 0.2]),
            "p4": np.float32([0.0, 0.1, 0.2]),
            **changed,
        }
    )


def written(folder: Path, *rows: str, header: str = HEADER, name: str = "predictions.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_columns_are_the_published_ones() -> None:
    assert ",".join(COLUMNS) == HEADER


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, predictions())
    table = read_predictions(path)
    assert list(table.columns) == [*COLUMNS, "camera"]
    assert table[["grade", "predicted_grade"]].dtypes.tolist() == [np.dtype("int64")] * 2
    assert table["p0"].dtype == np.float64
    for column in table.columns:
        expected = predictions()[column].tolist()
        assert table[column].astype("float32").tolist() == expected if column[0] == "p" else table[column].tolist()
    assert table["file"].tolist() == predictions()["file"].tolist()
    assert table["group"].tolist() == ["007", "007", "8"]
    assert table["camera"].tolist() == ["001", "NA", ""]


def test_probabilities_survive_as_float32(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).dirichlet(np.ones(5), size=200).astype(np.float32)
    table = pd.DataFrame({"file": [f"{i}.png" for i in range(200)], "group": "g", "grade": 1, "predicted_grade": 2})
    table[list(COLUMNS[4:])] = drawn
    write_predictions(tmp_path / "p.csv", table)
    again = read_predictions(tmp_path / "p.csv")[list(COLUMNS[4:])].to_numpy(np.float32)
    np.testing.assert_array_equal(again, drawn)


def test_a_foreign_table_needs_three_columns_only(tmp_path: Path) -> None:
    path = written(tmp_path, "a.png,0,1", "b.png, 4.0 ,4", header="file,grade,predicted_grade")
    table = read_predictions(path)
    assert table["group"].tolist() == ["a.png", "b.png"]
    assert table["grade"].tolist() == [0, 4]
    assert "p0" not in table


def test_a_photo_without_group_is_its_own(tmp_path: Path) -> None:
    path = written(tmp_path, "a.png,,0,1", "b.png,ann,1,1", header="file,group,grade,predicted_grade")
    assert read_predictions(path)["group"].tolist() == ["a.png", "ann"]


def test_folds_are_pooled_in_order(tmp_path: Path) -> None:
    first = written(tmp_path, "a.png,g,0,1,x", header="file,group,grade,predicted_grade,eye", name="1.csv")
    second = written(tmp_path, "b.png,g,2,1", header="file,group,grade,predicted_grade", name="2.csv")
    table = read_predictions(first, second)
    assert table["file"].tolist() == ["a.png", "b.png"]
    assert table["eye"].tolist() == ["x", ""]
    assert table["grade"].dtype == np.int64
    assert table.index.tolist() == [0, 1]


GOOD = "a.png,g,0,0,1,0,0,0,0"


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([GOOD, "a.png,g,1,0,1,0,0,0,0"], "row 3, column 'file': 'a.png' stands there twice"),
        ([GOOD, " ,g,1,0,1,0,0,0,0"], "row 3, column 'file': ' ' is empty"),
        (["a.png,g,7,0,1,0,0,0,0"], "row 2, column 'grade': '7' is not a grade from 0 to 4"),
        (["a.png,g,2.5,0,1,0,0,0,0"], "row 2, column 'grade': '2.5' is not a grade"),
        (["a.png,g,,0,1,0,0,0,0"], "row 2, column 'grade': '' is not a grade"),
        (["a.png,g,nan,0,1,0,0,0,0"], "row 2, column 'grade': 'nan' is not a grade"),
        (["a.png,g,0,-1,1,0,0,0,0"], "row 2, column 'predicted_grade': '-1' is not a grade"),
        ([GOOD, "b.png,g,0,0,1,0,nan,0,0"], "row 3, column 'p2': 'nan' is not a probability"),
        (["a.png,g,0,0,1,0,0,0,"], "row 2, column 'p4': '' is not a probability"),
        (["a.png,g,0,0,1.5,-0.5,0,0,0"], "row 2, column 'p0': '1.5' is not a probability"),
        (["a.png,g,0,0,0.5,0,0,0,0.498"], "row 2, columns 'p0' to 'p4': they sum to 0.998, not to 1"),
        ([], "has no rows"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, rows: list[str], sentence: str) -> None:
    path = written(tmp_path, *rows)
    with pytest.raises(InputError, match=r"predictions\.csv") as refused:
        read_predictions(path)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_probabilities_may_be_rounded(tmp_path: Path) -> None:
    assert len(read_predictions(written(tmp_path, "a.png,g,0,0,0.3333,0.3333,0.3333,0,0"))) == 1


@pytest.mark.parametrize("column", ["file", "grade", "predicted_grade"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    header = ",".join("other" if name == column else name for name in COLUMNS)
    path = written(tmp_path, GOOD, header=header)
    with pytest.raises(InputError, match=f"has no column '{column}'"):
        read_predictions(path)


def test_some_probabilities_are_not_enough(tmp_path: Path) -> None:
    path = written(tmp_path, "a.png,0,0,1", header="file,grade,predicted_grade,p0")
    with pytest.raises(InputError, match=r"no column 'p1' \(give all five probabilities or none\)"):
        read_predictions(path)


def test_pooling_refuses_a_photo_that_stands_in_two_tables(tmp_path: Path) -> None:
    paths = [written(tmp_path, GOOD, name=name) for name in ("1.csv", "2.csv")]
    with pytest.raises(InputError, match=r"'a\.png' stands in .*1\.csv and again in .*2\.csv"):
        read_predictions(*paths)


@pytest.mark.parametrize("order", [("1.csv", "2.csv"), ("2.csv", "1.csv")])
def test_pooling_refuses_tables_with_and_without_probabilities(tmp_path: Path, order: tuple[str, str]) -> None:
    written(tmp_path, GOOD, name="1.csv")
    written(tmp_path, "b.png,0,0", header="file,grade,predicted_grade", name="2.csv")
    with pytest.raises(InputError, match=r"1\.csv has a column 'p0' and .*2\.csv has none"):
        read_predictions(*(tmp_path / name for name in order))


def test_nothing_to_read() -> None:
    with pytest.raises(InputError, match="no predictions were given"):
        read_predictions()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"grade": [0, 3, 5]}, "here, row 2, column 'grade': '5'"),
        ({"predicted_grade": pd.Series([0, None, 1], dtype="Int64")}, "row 1, column 'predicted_grade'"),
        ({"group": ["a", None, "b"]}, "row 1, column 'group'"),
        ({"p3": [0.1, np.nan, 0.2]}, "row 1, column 'p3': 'nan'"),
    ],
)
def test_tables_in_memory_are_checked(changed: dict[str, object], sentence: str) -> None:
    check_predictions(predictions(), "here")
    with pytest.raises(InputError) as refused:
        check_predictions(predictions(**changed), "here")
    assert sentence in str(refused.value)


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(InputError, match="here has no rows"):
        check_predictions(predictions().head(0), "here")


def test_a_refused_table_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no column 'group'"):
        write_predictions(tmp_path / "p.csv", predictions().drop(columns="group"))
    assert list(tmp_path.iterdir()) == []

"""The predictions table is read as it was written, and refused in one sentence where it cannot be measured."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from biranet.decisions.columns import (
    DECISION_COLUMNS,
    PREDICTION_COLUMNS,
    any_dr_score,
    has_decisions,
    has_probabilities,
    point_columns,
    probabilities,
    referable_score,
)
from biranet.decisions.predictions import check_predictions, pool_predictions, read_predictions, write_predictions
from biranet.errors import InputError
from biranet.tables import read_table

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


def answered(**changed: object) -> pd.DataFrame:
    """Predictions with what our rules answered, as two folds with rules of their own leave it."""
    answers: dict[str, object] = {
        "refer_youden": [0, 1, 1],
        "temperature": [1.37, 1.37, 0.8],
        "highest_grade": [1, 3, 4],
        "lowest_grade": [0, 2, 4],
        "decision": ["do not refer", "ask a human", "refer"],
        "refer_cost_5": [0, 1, 1],
    }
    return predictions(**(answers | changed))


def written(folder: Path, *rows: str, header: str = HEADER, name: str = "predictions.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_columns_are_the_published_ones() -> None:
    assert ",".join(PREDICTION_COLUMNS) == HEADER


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, predictions())
    table = read_predictions(path)
    assert list(table.columns) == [*PREDICTION_COLUMNS, "camera"]
    assert table[["grade", "predicted_grade"]].dtypes.tolist() == [np.dtype("int64")] * 2
    assert table["p0"].dtype == np.float64
    for column in table.columns:
        expected = predictions()[column].tolist()
        assert table[column].astype("float32").tolist() == expected if column[0] == "p" else table[column].tolist()
    assert table["file"].tolist() == predictions()["file"].tolist()
    assert table["group"].tolist() == ["007", "007", "8"]
    assert table["camera"].tolist() == ["001", "NA", ""]


def test_answers_are_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, answered())
    table = read_predictions(path)
    points = ["refer_youden", "refer_cost_5"]
    assert list(table.columns) == [*PREDICTION_COLUMNS, *DECISION_COLUMNS, *points, "camera"]
    assert has_decisions(table) and point_columns(table) == points
    assert table["temperature"].dtype == np.float64
    assert {table[name].dtype for name in ("lowest_grade", "highest_grade", *points)} == {np.dtype("int64")}
    for column in (*DECISION_COLUMNS, *points):
        assert table[column].tolist() == answered()[column].tolist(), column


def test_a_table_without_operating_points_has_none(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, answered().drop(columns=["refer_youden", "refer_cost_5"]))
    table = read_predictions(path)
    assert has_decisions(table) and point_columns(table) == []


def test_scores_add_up_probabilities() -> None:
    table = predictions()
    assert has_probabilities(table) and not has_decisions(table)
    assert not has_probabilities(table.drop(columns="p4"))
    assert probabilities(table).dtype == np.float64
    np.testing.assert_allclose(probabilities(table)[1], [0.1, 0.1, 0.4, 0.3, 0.1], rtol=1e-6)
    np.testing.assert_allclose(referable_score(probabilities(table)), [0.2, 0.8, 0.6], rtol=1e-6)
    np.testing.assert_allclose(any_dr_score(probabilities(table)), [0.3, 0.9, 0.8], rtol=1e-6)


def test_probabilities_survive_as_float32(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).dirichlet(np.ones(5), size=200).astype(np.float32)
    table = pd.DataFrame({"file": [f"{i}.png" for i in range(200)], "group": "g", "grade": 1, "predicted_grade": 2})
    table[list(PREDICTION_COLUMNS[4:])] = drawn
    write_predictions(tmp_path / "p.csv", table)
    again = read_predictions(tmp_path / "p.csv")[list(PREDICTION_COLUMNS[4:])].to_numpy(np.float32)
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


def test_spaces_around_names_make_no_other_photo_or_group(tmp_path: Path) -> None:
    header = "file,group,grade,predicted_grade"
    rows = ["a.png,ann,0,1", " b.png , ann,1,1", "c.png,ann ,1,1", "d.png ,  ,1,1"]
    table = read_predictions(written(tmp_path, *rows, header=header))
    assert table["file"].tolist() == ["a.png", "b.png", "c.png", "d.png"]
    assert table["group"].tolist() == ["ann", "ann", "ann", "d.png"]
    with pytest.raises(InputError, match=r"row 3, column 'file': 'a\.png' stands there twice"):
        read_predictions(written(tmp_path, rows[0], "a.png ,bob,1,1", header=header))


def test_folds_are_pooled_in_order(tmp_path: Path) -> None:
    first = written(tmp_path, "a.png,g,0,1,RE", header="file,group,grade,predicted_grade,eye", name="1.csv")
    second = written(tmp_path, "b.png,g,2,1", header="file,group,grade,predicted_grade", name="2.csv")
    table = read_predictions(first, second)
    assert table["file"].tolist() == ["a.png", "b.png"]
    assert table["eye"].tolist() == ["RE", ""]
    assert table["grade"].dtype == np.int64
    assert table.index.tolist() == [0, 1]


GOOD = "a.png,g,0,0,1,0,0,0,0"


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([GOOD, "a.png,g,1,0,1,0,0,0,0"], "row 3, column 'file': 'a.png'"),
        ([GOOD, " ,g,1,0,1,0,0,0,0"], "row 3, column 'file': '' is empty"),
        (["a.png,g,7,0,1,0,0,0,0"], "row 2, column 'grade': '7' is not a grade from 0 to 4"),
        (["a.png,g,2.5,0,1,0,0,0,0"], "row 2, column 'grade': '2.5' is not a grade"),
        (["a.png,g,,0,1,0,0,0,0"], "row 2, column 'grade': '' is not a grade"),
        (["a.png,g,nan,0,1,0,0,0,0"], "row 2, column 'grade': 'nan' is not a grade"),
        (["a.png,g,0,-1,1,0,0,0,0"], "row 2, column 'predicted_grade': '-1' is not a grade"),
        ([GOOD, "b.png,g,0,0,1,0,nan,0,0"], "row 3, column 'p2': 'nan' is not a probability"),
        (["a.png,g,0,0,1,0,0,0,"], "row 2, column 'p4': '' is not a probability"),
        (["a.png,g,0,0,1.5,-0.5,0,0,0"], "row 2, column 'p0': '1.5' is not a probability"),
        (["a.png,g,0,0,0.5,0,0,0,0.4984"], "row 2, columns 'p0' to 'p4': they sum to 0.9984, not to 1"),
        (["a.png,g,0,0,0.5,0,0,0,0.497"], "row 2, columns 'p0' to 'p4': they sum to 0.997, not to 1"),
        (["a.png,g,0,0,0.5,0,0,0,0.47"], "row 2, columns 'p0' to 'p4': they sum to 0.97, not to 1"),
        (["a.png,g,0,0,1.00001,0,0,0,0"], "row 2, column 'p0': '1.00001' is not a probability"),
        ([], "has no rows"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, rows: list[str], sentence: str) -> None:
    path = written(tmp_path, *rows)
    with pytest.raises(InputError, match=r"predictions\.csv") as refused:
        read_predictions(path)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "shares",
    ["0.3333,0.3333,0.3333,0,0", "0.002,0.002,0.002,0.002,0.990", "0.21,0.21,0.21,0.21,0.18", "0,1.0000001,0,-1e-8,0"],
    ids=["four digits", "three digits", "two digits", "float32"],
)
def test_probabilities_may_be_rounded(tmp_path: Path, shares: str) -> None:
    table = read_predictions(written(tmp_path, f"a.png,g,0,0,{shares}"))
    assert probabilities(table).min() >= 0
    assert probabilities(table).max() <= 1


GRADED = "file,status,reason,predicted_grade,p0,p1,p2,p3,p4,decision,lowest_grade,highest_grade,grade"


def test_a_table_of_grade_with_the_truth_added_is_measured(tmp_path: Path) -> None:
    rows = [
        "a.jpg,ok,,3,0.0005,0.0147,0.1838,0.6298,0.1712,refer,2,3,3",
        "b.jpg,ok,,0,0.9000,0.0600,0.0300,0.0070,0.0030,do not refer,0,0,0",
        "c.jpg,ungradable,out of focus,,,,,,,,,,1",
        "d.jpg,unreadable,the file is empty,,,,,,,,,,",
    ]
    pooled = pool_predictions(written(tmp_path, *rows, header=GRADED))
    assert pooled.table["file"].tolist() == ["a.jpg", "b.jpg"]
    assert pooled.table["temperature"].tolist() == [1.0, 1.0]
    assert has_decisions(pooled.table)
    assert pooled.left_out == {"ungradable": 1, "unreadable": 1}
    assert not pool_predictions(written(tmp_path, *rows[:2], header=GRADED)).left_out


def test_a_model_that_was_not_calibrated_gives_no_sets_to_measure(tmp_path: Path) -> None:
    row = "a.jpg,ok,,3,0.0005,0.0147,0.1838,0.6298,0.1712,refer,,,3"
    assert not has_decisions(read_predictions(written(tmp_path, row, header=GRADED)))


def test_a_status_that_is_somebody_elses_leaves_nothing_out(tmp_path: Path) -> None:
    header = "file,grade,predicted_grade,status"
    table = read_predictions(written(tmp_path, "a,0,0,insured", "b,0,1,ungradable", header=header))
    assert table["file"].tolist() == ["a", "b"]
    with pytest.raises(InputError, match="row 3, column 'predicted_grade': '' is not a grade"):
        read_predictions(written(tmp_path, "a,0,0,ok", "b,0,,ok", header=header))


@pytest.mark.parametrize("column", ["file", "grade", "predicted_grade"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    header = ",".join("other" if name == column else name for name in PREDICTION_COLUMNS)
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


@pytest.mark.parametrize("order", [("1.csv", "2.csv"), ("2.csv", "1.csv")])
@pytest.mark.parametrize("column", ["temperature", "refer_cost_5"])
def test_pooling_refuses_answers_in_one_table_only(tmp_path: Path, order: tuple[str, str], column: str) -> None:
    """What would be filled up with nothing is not measured on a part of the photos without saying so."""
    write_predictions(tmp_path / "1.csv", answered())
    dropped = [*DECISION_COLUMNS, "refer_youden", "refer_cost_5"] if column == "temperature" else [column]
    write_predictions(tmp_path / "2.csv", answered(file=["x", "y", "z"]).drop(columns=dropped))
    with pytest.raises(InputError, match=rf"1\.csv has a column '{column}' and .*2\.csv has none"):
        read_predictions(*(tmp_path / name for name in order))


def test_pooling_keeps_the_rules_of_each_fold(tmp_path: Path) -> None:
    write_predictions(tmp_path / "1.csv", answered(temperature=1.5))
    write_predictions(tmp_path / "2.csv", answered(temperature=0.5, file=["x", "y", "z"]))
    table = read_predictions(tmp_path / "1.csv", tmp_path / "2.csv")
    assert table["temperature"].tolist() == [1.5] * 3 + [0.5] * 3
    assert table["refer_youden"].tolist() == [0, 1, 1] * 2


ANSWERS = "file,grade,predicted_grade,temperature,decision,lowest_grade,highest_grade,refer_youden"


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("a,0,0,0,refer,0,1,0", "row 2, column 'temperature': '0.0' is not a temperature, a number above 0"),
        ("a,0,0,inf,refer,0,1,0", "row 2, column 'temperature': 'inf' is not a temperature"),
        ("a,0,0,,refer,0,1,0", "row 2, column 'temperature': '' is not a temperature"),
        ("a,0,0,1,Refer,0,1,0", "column 'decision': 'Refer' is not one of the decisions do not refer, ask a human, re"),
        ("a,0,0,1,,0,1,0", "row 2, column 'decision': '' is not one of the decisions"),
        ("a,0,0,1,refer,5,5,0", "row 2, column 'lowest_grade': '5' is not a grade from 0 to 4"),
        ("a,0,0,1,refer,0,,0", "row 2, column 'highest_grade': '' is not a grade"),
        ("a,0,0,1,refer,2,1,0", "row 2, column 'highest_grade': '1' is below 'lowest_grade'"),
        ("a,0,0,1,refer,0,1,2", "row 2, column 'refer_youden': '2' is neither 1 (refer) nor 0"),
        ("a,0,0,1,refer,0,1,0.5", "row 2, column 'refer_youden': '0.5' is neither"),
        ("a,0,0,1,refer,0,1,yes", "row 2, column 'refer_youden': 'yes' is neither"),
        ("a,0,0,1,refer,0,1,", "row 2, column 'refer_youden': '' is neither"),
    ],
)
def test_bad_answers_are_named(tmp_path: Path, row: str, sentence: str) -> None:
    path = written(tmp_path, row, header=ANSWERS)
    with pytest.raises(InputError, match=r"predictions\.csv, row 2, column") as refused:
        read_predictions(path)
    assert sentence in str(refused.value)


@pytest.mark.parametrize("column", DECISION_COLUMNS)
def test_some_answers_are_not_enough(tmp_path: Path, column: str) -> None:
    """Nor is a column of somebody else's taken for an answer without a word."""
    header = f"file,grade,predicted_grade,{column}"
    with pytest.raises(InputError, match=rf"has no column '\w+' beside '{column}' \(give all of .* or none, or give"):
        read_predictions(written(tmp_path, "a.png,0,0,1", header=header))


def test_an_operating_point_alone_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a.png,0,0,1 May", header="file,grade,predicted_grade,refer_date")
    with pytest.raises(InputError, match=r"has no column 'temperature' beside 'refer_date' .*another name"):
        read_predictions(path)


@pytest.mark.parametrize("column", ["refer_", "refer_ "])
def test_an_operating_point_needs_a_name(tmp_path: Path, column: str) -> None:
    path = written(tmp_path, "a,0,0,1,refer,0,1,0", header=ANSWERS.replace("refer_youden", column))
    sentence = "column 'refer_': an operating point must have a name, as in 'refer_youden'"
    with pytest.raises(InputError, match=rf"predictions\.csv, {sentence}"):
        read_predictions(path)
    with pytest.raises(InputError, match="here, column 'refer_"):
        check_predictions(answered(**{column: 0}), "here")


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
        ({"p3": ["0.1", "0.3", "0.2"]}, "here, row 0, column 'p3': '0.1' is text, not a number"),
        ({"p3": pd.Series([0.1, "much", 0.2], dtype=object)}, "row 1, column 'p3': 'much' is text, not a number"),
        ({"p3": pd.Series([0.1, None, 0.2], dtype=object)}, "row 1, column 'p3': 'None' is not a probability"),
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


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"temperature": np.nan}, "here, row 0, column 'temperature': 'nan'"),
        ({"temperature": [1.0, -1.0, 1.0]}, "row 1, column 'temperature': '-1.0'"),
        ({"temperature": "1.5"}, "row 0, column 'temperature': '1.5' is text, not a number"),
        ({"decision": ["refer", None, "refer"]}, "row 1, column 'decision': "),
        ({"lowest_grade": [0, 4, 4]}, "row 1, column 'highest_grade': '3' is below 'lowest_grade'"),
        ({"refer_youden": [0, 1, 7]}, "row 2, column 'refer_youden': '7'"),
    ],
)
def test_answers_in_memory_are_checked(changed: dict[str, object], sentence: str) -> None:
    check_predictions(answered(), "here")
    with pytest.raises(InputError) as refused:
        check_predictions(answered(**changed), "here")
    assert sentence in str(refused.value)


def test_many_photos_are_read_at_once(tmp_path: Path) -> None:
    """A look at each cell in Python would take many times as long as reading the file does."""
    photos = 20_000
    drawn = np.random.default_rng(0).dirichlet(np.ones(5), size=photos)
    table = pd.DataFrame({"file": np.arange(photos).astype(str), "group": "g", "predicted_grade": drawn.argmax(axis=1)})
    table["grade"] = table["predicted_grade"].to_numpy()[::-1]
    table[list(PREDICTION_COLUMNS[4:])] = drawn
    path = tmp_path / "p.csv"
    write_predictions(path, table)
    durations = []
    for read in (lambda: read_table(path), lambda: read_predictions(path)):
        tries = []
        for _ in range(4):
            begun = time.process_time()
            read()
            tries.append(time.process_time() - begun)
        durations.append(min(tries))  # what else the process does meanwhile only makes it longer
    assert durations[1] < 4 * durations[0]


@pytest.mark.parametrize("column", ["group", "eye"])
def test_columns_that_merging_renamed_are_not_lost_unseen(tmp_path: Path, column: str) -> None:
    told = pd.DataFrame({"file": ["a.png", "b.png"], "predicted_grade": ["0", "3"], column: ["", ""]})
    truth = pd.DataFrame({"file": ["a.png", "b.png"], "grade": ["0", "3"], column: ["left", "left"]})
    told.merge(truth, on="file").to_csv(tmp_path / "merged.csv", index=False)
    with pytest.raises(InputError, match=rf"merged\.csv has the columns '{column}_x' and '{column}_y', as merging"):
        read_predictions(tmp_path / "merged.csv")

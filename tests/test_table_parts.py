"""A folder of Parquet parts, as grading on a cluster writes it, is read as one table."""

import json

import pandas as pd
import pytest

from biranet.commands.grade import Grade
from biranet.table_parts import parts_in

NAME = "0123456789abcdef0123456789abcdef_{:06}.parquet"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Predictions of ten photos in two parts, with what a run keeps for itself, and `table.csv` with the same."""
    monkeypatch.chdir(tmp_path)
    grades = [number % 5 for number in range(10)]
    table = pd.DataFrame({"file": [f"{number}.jpg" for number in range(10)], "grade": [str(grade) for grade in grades]})
    table["predicted_grade"] = [*grades[:8], 0, 0]
    table.to_csv("table.csv", index=False)
    place = tmp_path / "parts"
    (place / "_checkpoint").mkdir(parents=True)
    (place / "_grading.json").write_text(json.dumps({"model": "m"}))
    table["biranet_id"] = table["file"]
    table[:6].to_parquet(place / NAME.format(0), index=False)
    table[6:].to_parquet(place / NAME.format(1), index=False)
    # Of a part that is still being written nothing is read.
    (place / NAME.format(2)).write_bytes(b"PAR1")
    (place / "_checkpoint" / NAME.format(2).replace(".parquet", ".pending.parquet")).touch()
    return place


def test_a_folder_of_parts_is_measured_and_compared_as_one_table(folder, biranet):
    assert Grade(("list.csv",), out=folder, ray="local").next_step() == f"biranet evaluate --predictions {folder}"
    answer = biranet("evaluate", "--predictions", "parts/", "--out", "ours")
    assert (answer.status, answer.err) == (0, "")
    assert biranet("evaluate", "--predictions", "table.csv", "--out", "theirs").status == 0
    ours, theirs = ((folder.parent / each / "predictions.csv").read_bytes() for each in ("ours", "theirs"))
    assert ours == theirs
    assert "pooled" not in answer.out
    answer = biranet("compare", "parts", "table.csv")
    assert (answer.status, answer.err) == (0, "")


def test_what_a_folder_of_parts_lacks_is_said_of_the_folder(folder, biranet):
    first, second = parts_in(folder)
    pd.read_parquet(second).assign(note="x").to_parquet(second, index=False)
    answer = biranet("evaluate", "--predictions", "parts")
    assert answer.err.startswith("biranet: parts holds parts with different columns, as a run that was stopped can")
    second.unlink()
    pd.read_parquet(first).drop(columns="grade").to_parquet(first, index=False)
    answer = biranet("evaluate", "--predictions", "parts")
    assert answer.err == "biranet: parts has no column 'grade'; its columns are: file, predicted_grade\n"
    assert Grade(("a.jpg",), out=folder, ray="local").next_step().startswith("once the table has a column grade with")
    first.unlink()
    assert biranet("evaluate", "--predictions", "parts").err == "biranet: parts has no rows\n"
    assert Grade(("a.jpg",), out=folder, ray="local").next_step().startswith("once the table has a column grade with")


def test_a_folder_that_is_no_table_is_one_sentence(folder, biranet):
    (folder / "_grading.json").unlink()
    answer = biranet("evaluate", "--predictions", "parts")
    assert (answer.status, answer.err.count("\n")) == (2, 1)


def test_where_a_table_stands_is_said_by_the_flags():
    assert [str(Grade(("a.jpg",), ray=ray).table) for ray in (None, "local")] == [
        "biranet_grades.csv",
        "biranet_grades",
    ]

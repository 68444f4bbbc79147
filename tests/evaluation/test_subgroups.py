"""Subgroups part the photos as their column says, and each is measured as if it were alone."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, roc_auc_score

from biranet.config import ReportConfig
from biranet.errors import InputError
from biranet.evaluation.intervals import measure_with_intervals
from biranet.evaluation.measures import SUMMARY_KEYS
from biranet.evaluation.subgroups import EMPTY_CELL, FEW_PHOTOS, MAX_VALUES, assign_subgroups, measure_subgroups
from near import near

P = [f"p{grade}" for grade in range(5)]


def predictions(rows: int = 150) -> pd.DataFrame:
    random = np.random.default_rng(2)
    truth = random.integers(0, 5, rows)
    chances = (2 * random.dirichlet(np.ones(5), rows) + np.eye(5)[truth]) / 3
    number = np.arange(rows)
    return pd.DataFrame(chances, columns=P).assign(
        file=number.astype(str),
        group=[f"patient {place // 2}" for place in number],
        grade=truth,
        predicted_grade=chances.argmax(axis=1),
        eye=["left", "right"] * (rows // 2),
        source=["clinic"] * rows,
        camera=["A"] * (rows - 2 * FEW_PHOTOS + 1) + ["B"] * (FEW_PHOTOS - 1) + [" C "] * FEW_PHOTOS
        if rows == 150
        else "A",
        sharpness=[f"{value:.6f}" for value in random.random(rows)],
    )


def test_each_is_measured_as_if_it_were_alone() -> None:
    table = predictions()
    parts = measure_subgroups(table, ReportConfig(by=("camera", "eye")))
    assert [(part["column"], part["value"], part["n"], part["few"]) for part in parts] == [
        ("camera", "A", 111, False),
        ("camera", "B", FEW_PHOTOS - 1, True),
        ("camera", "C", FEW_PHOTOS, False),
        ("eye", "left", 75, False),
        ("eye", "right", 75, False),
    ]
    right = table[table["eye"] == "right"]
    assert parts[4]["accuracy"] == pytest.approx(accuracy_score(right["grade"], right["predicted_grade"]))
    score = right[["p2", "p3", "p4"]].sum(axis=1)
    assert parts[4]["referable_auc"] == pytest.approx(roc_auc_score(right["grade"] >= 2, score))
    assert parts[4]["groups"] == 75
    whole = measure_with_intervals(right)
    assert {key: parts[4][key] for key in SUMMARY_KEYS} == {key: whole[key] for key in SUMMARY_KEYS}
    assert parts[4]["ci"] == {key: whole["ci"][key] for key in SUMMARY_KEYS}
    answered = right.assign(temperature=1.5, decision="refer", lowest_grade=0, highest_grade=4, refer_youden=1)
    # What is not shown of a subgroup is not measured and changes nothing.
    by_camera = ReportConfig(by=("camera",))
    assert measure_subgroups(answered, by_camera) == near(measure_subgroups(right, by_camera))


def test_what_is_not_defined_in_a_subgroup_says_why() -> None:
    table = predictions().assign(ill=lambda rows: np.where(rows["grade"] >= 2, "yes", "no"))
    healthy, _ = measure_subgroups(table, ReportConfig(by=("ill",)))
    assert healthy["referable_sensitivity"] is None
    assert healthy["undefined"]["referable_sensitivity"] == "no photo is referable"
    assert set(healthy["undefined"]) <= set(SUMMARY_KEYS)


def test_source_and_eye_unless_others_are_named() -> None:
    table = predictions()
    columns = [part["column"] for part in measure_subgroups(table)]
    assert columns == ["eye", "eye"]
    two = table.assign(source=["van", "clinic", ""] * 50)
    parts = measure_subgroups(two)
    assert [(part["column"], part["value"]) for part in parts] == [
        *(("source", value) for value in ("clinic", "van", EMPTY_CELL)),
        *(("eye", value) for value in ("left", "right")),
    ]
    assert measure_subgroups(table.drop(columns=["eye", "source"])) == []
    # One camera, and photos of which nothing is known, are nothing to compare; as many sources as photos neither.
    assert measure_subgroups(table.assign(eye=["left", ""] * 75)) == []
    assert [part["column"] for part in measure_subgroups(table.assign(source=table["file"]))] == ["eye", "eye"]


def test_a_column_named_twice_counts_once() -> None:
    assert len(measure_subgroups(predictions(), ReportConfig(by=("eye", "eye")))) == 2


def test_a_missing_column_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"by kamera: there is no such column; the columns are: p0, .*camera"):
        measure_subgroups(predictions(), ReportConfig(by=("camera", "kamera")))


def test_many_numbers_make_thirds() -> None:
    table = predictions()
    parts = measure_subgroups(table, ReportConfig(by=("sharpness",)))
    assert [part["n"] for part in parts] == [50, 50, 50]
    numbers = np.sort(table["sharpness"].astype(float))
    for part, word, third in zip(parts, ("lowest", "middle", "highest"), np.split(numbers, 3), strict=True):
        assert part["value"] == f"{word} third ({third[0]:.4g} to {third[-1]:.4g})"
        rows = table["sharpness"].astype(float).isin(third)
        assert part["accuracy"] == accuracy_score(table["grade"][rows], table["predicted_grade"][rows])


def test_equal_numbers_stay_together() -> None:
    column = pd.Series(["0"] * 80 + [str(value) for value in range(1, 21)])
    subgroups, values = assign_subgroups(column)
    assert values == ["lowest third (0 to 0)", "highest third (1 to 20)"]
    assert subgroups.value_counts().tolist() == [80, 20]


def test_rare_values_are_joined() -> None:
    column = pd.Series([letter for place, letter in enumerate("abcdefghijklmno") for _ in range(20 - place)] + [""])
    subgroups, values = assign_subgroups(column)
    assert values == [*"abcdefghijk", "(4 others)", EMPTY_CELL]
    assert len(values) == MAX_VALUES + 1
    assert (subgroups == "(4 others)").sum() == 9 + 8 + 7 + 6


def test_few_numbers_are_in_the_order_of_numbers() -> None:
    assert assign_subgroups(pd.Series(["10", "9", "-1", ""]))[1] == ["-1", "9", "10", EMPTY_CELL]
    assert assign_subgroups(pd.Series(["10", "9", "inf"]))[1] == ["10", "9", "inf"]
    assert assign_subgroups(pd.Series([2, 1, 1]))[1] == ["1", "2"]


@given(
    st.lists(
        st.one_of(st.sampled_from(["", "a", "b", " a"]), st.floats(-9, 9).map(str), st.text(max_size=3)), min_size=1
    )
)
def test_every_row_is_in_one_subgroup(cells: list[str]) -> None:
    column = pd.Series(cells, dtype=object)
    subgroups, values = assign_subgroups(column)
    assert subgroups.index.equals(column.index)
    assert set(subgroups) == set(values)
    assert len(values) <= MAX_VALUES + 1
    # Equal cells are never parted.
    assert pd.DataFrame({"cell": column, "subgroup": subgroups}).groupby("cell")["subgroup"].nunique().max() == 1

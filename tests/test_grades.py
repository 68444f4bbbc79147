import pytest
from hypothesis import given
from hypothesis import strategies as st

from biranet.errors import InputError
from biranet.grades import GRADE_COUNT, GRADE_NAMES, GRADES, REFERABLE_GRADE, parse_grade
from biranet.words import is_empty


def test_the_scale_is_the_international_one():
    assert GRADES == (0, 1, 2, 3, 4)
    assert GRADE_COUNT == 5
    assert GRADE_NAMES[REFERABLE_GRADE] == "moderate"


@pytest.mark.parametrize("grade", GRADES)
@pytest.mark.parametrize("written", ["{}", "{}.0", " {} ", "\t{}\n", "{}.", "0{}", "+{}"])
def test_grades_are_read_as_people_write_them(grade, written):
    parsed = parse_grade(written.format(grade))
    assert parsed == grade
    assert type(parsed) is int


@pytest.mark.parametrize("empty", ["", " ", "\t", "NA", "NaN", "nan", " None ", "NULL", "<NA>", "N/A", "#N/A"])
def test_nothing_is_not_grade_0(empty):
    assert parse_grade(empty) is None


@pytest.mark.parametrize(
    "wrong",
    [
        "7", "5", "-1", "2.5", "-nan", "inf", "mild", "1,0", "0 1", "True",
        "0_1", "1e0", "\u0661", "\uff11", "1.0.", "10", "0x1", "+-1",
    ],
)  # fmt: skip
def test_what_is_no_grade_is_named(wrong):
    with pytest.raises(InputError, match="is not a grade from 0 to 4") as caught:
        parse_grade(wrong)
    assert repr(wrong) in str(caught.value)


@given(st.text())
def test_any_text_is_a_grade_or_one_clear_error(text):
    try:
        grade = parse_grade(text)
    except InputError:
        return
    assert (grade is None) == is_empty(text)
    assert grade is None or grade in GRADES

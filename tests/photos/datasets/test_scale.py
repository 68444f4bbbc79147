import pytest

from biranet.errors import InputError
from biranet.photos.datasets import read_labels, remarks
from biranet.photos.datasets.scale import Graded, Scale, named_grade

USUAL = [
    [
        "No DR",
        "no_dr",
        "NoDR",
        "No apparent retinopathy",
        "no diabetic retinopathy",
        "Normal",
        "Healthy",
        "anodr",
        "DR0",
    ],
    ["mild", "Mild NPDR", "mild_npdr", "Mild DR", "mild non-proliferative diabetic retinopathy", "bmilddr", "1_Mild"],
    ["Moderate", "moderate NPDR", "Moderate nonproliferative retinopathy", "cmoderatedr", "2. moderate", "Grade 2"],
    ["severe", "severe NPDR", "Severe_DR", "dseveredr", "3-severe"],
    ["PDR", "Proliferative", "Proliferate_DR", "proliferative DR", "proliferative diabetic retinopathy", "eprodr"],
]


@pytest.mark.parametrize(("grade", "text"), [(grade, text) for grade, texts in enumerate(USUAL) for text in texts])
def test_the_usual_words_are_known(grade, text):
    assert named_grade(text) == grade
    assert Scale().read(text) == Graded(grade)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("R1", "of a screening scale such as R0 to R3"),
        ("r3a", "of a screening scale such as R0 to R3"),
        ("5", "begins with 1, say --grades 1=0,2=1,3=2,4=3,5=4, and where 5 means"),
        ("-1", "--ungradable -1"),
        ("npdr", "may mean several grades"),
        ("yes", "says yes or no"),
        ("DR", "says yes or no"),
        ("1_No_DR", "is not a grade"),
        ("bmoderatedr", "is not a grade"),
        ("dr7", "is not a grade"),
        ("0_1", "is not a grade"),
        ("1e0", "is not a grade"),
        ("\u0661", "is not a grade"),
        ("9" * 5000, "is not a grade"),
        ("a\nb", "--ungradable VALUE"),
        (
            "sin RD",
            '--grades "sin RD=0,…" for all values, and where nobody could grade the photo, with --ungradable "sin RD"',
        ),
        ("0,0", "'0,0' is not a grade from 0 to 4; it has a decimal comma: write decimals with a point, 0.0 for 0,0"),
        ("mild, left", "--ungradable VALUE"),
        ('the "worst"', "--ungradable VALUE"),
    ],
)
def test_other_scales_are_named_and_refused(text, words):
    with pytest.raises(InputError) as caught:
        Scale().read(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def table(photos, lay, tmp_path):
    """Function that makes a table of a photo for each value of its column `level`, and reads it."""

    def table(*values, **given):
        lay(photos, *(f"{place}.jpg" for place in range(len(values))))
        text = "file,level\n" + "".join(f"{place}.jpg,{value}\n" for place, value in enumerate(values))
        labels = lay(tmp_path, texts={"l.csv": text}) / "l.csv"
        found = read_labels(photos, labels, columns={"grade": "level"}, **given).photos
        return [photo.ungradable or photo.grade for photo in found]

    return table


def test_a_scale_that_begins_with_one(table):
    given = {str(grade + 1): str(grade) for grade in range(5)}
    assert table(1, 2, "3.0", 4, 5, "NA", grades=given) == [0, 1, 2, 3, 4, None]


def test_values_that_mean_ungradable(table):
    reason = "the labels say that it cannot be graded"
    assert table(0, -1, "-1.0", 5, "", "NA", ungradable=["-1", "5", "na"]) == [0, reason, reason, reason, None, reason]


@pytest.mark.parametrize(
    ("values", "given", "words"),
    [
        ([0, 5], {}, "l.csv, row 3, column 'level': '5' is not a grade from 0 to 4; where the scale begins with 1"),
        ([0, 1], {"grades": {"0": "0"}}, "row 3, column 'level': '1' is not among the values of --grades"),
        ([0, 1], {"grades": {"0": "0", "1": "1", "Mlid": "1"}}, "--grades Mlid=1: no label has this value"),
        ([0, 1], {"ungradable": ["-1"]}, "--ungradable -1: no label has this value"),
        ([0], {"grades": {"0": "7"}}, "--grades 0=7: '7' is not a grade from 0 to 4"),
        ([0], {"grades": {"0": "NA"}}, "--grades 0=NA: 'NA' is not a grade from 0 to 4"),
        ([0], {"grades": {"No DR": "0", "no_dr": "1"}}, "--grades No DR=0 and --grades no_dr=1 give one value two"),
        (
            [0],
            {"grades": {"5": "4"}, "ungradable": ["5"]},
            "--grades 5=4 and --ungradable 5 give one value two meanings",
        ),
        (["None", "mild"], {}, "row 3, column 'level': 'None' stands among words such as 'mild'"),
        (["mild", "none"], {}, "row 3, column 'level': 'none' stands among words such as 'mild'"),
    ],
)
def test_wrong_scales(table, values, given, words):
    with pytest.raises(InputError) as caught:
        table(*values, **given)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([9, 9, 0, 0, 0], ["are 0 and 1 grades, or yes and no"]),
        ([0, 9, 0, 0, 0], ["are 0 and 1 grades, or yes and no"]),
        ([9, 0, 9, 9, 9], ["No photo has grade 1, but others have grades below and above"]),
        ([9, 0, 0, 9, 9], ["No photo has grade 1 or 2, but"]),
        ([0, 9, 9, 9, 9], ["No photo has a grade below 1: does the scale of these labels begin there?"]),
        ([9, 9, 9, 9, 0], ["No photo has a grade above 3: does the scale of these labels end there?"]),
        ([0, 9, 0, 9, 0], ["below 1", "grade 2, but", "above 3"]),
        ([0, 0, 9, 0, 0], ["All graded photos have grade 2."]),
        ([9, 9, 9, 9, 9], []),
        ([0, 0, 0, 0, 0], []),
    ],
)
def test_what_is_odd_about_grades_is_remarked(counts, words):
    said = remarks(counts)
    assert len(said) == len(words)
    assert all(word in sentence for word, sentence in zip(words, said, strict=True))

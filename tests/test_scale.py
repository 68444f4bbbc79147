import pytest

from biranet.errors import InputError
from biranet.scale import GradeLabel, Scale, named_grade, remarks

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
    assert Scale().read(text) == GradeLabel(grade)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("R1", "of a screening scale such as R0 to R3"),
        ("r3a", "of a screening scale"),
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
            '--grades "sin RD=0,…" for all values, and where nobody could grade the photo, say so with --ungradable '
            '"sin RD"',
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


@pytest.mark.parametrize(
    ("flags", "said", "unsaid"),
    [
        (
            (),
            "write grades from 0 to 4 or words such as mild, or where nobody could grade the photo, leave its row",
            "--",
        ),
        (("--grades",), '--grades "R1=0,…"', "--ungradable"),
    ],
)
def test_only_flags_that_are_there_are_advised(flags, said, unsaid):
    with pytest.raises(InputError) as caught:
        Scale(flags=flags).read("R1")
    assert said in str(caught.value)
    assert unsaid not in str(caught.value)


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

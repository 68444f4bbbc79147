"""Whatever table `evaluate --predictions` is given, it measures it or says in one sentence where it is wrong."""

import json

import pytest

COLUMNS = "file,group,grade,predicted_grade,p0,p1,p2,p3,p4"
ANSWERS = f"{COLUMNS},temperature,decision,lowest_grade,highest_grade,refer_youden"
PLAIN = "file,grade,predicted_grade"
ROWS = [
    "a_left.jpg,ann,0,0,0.7,0.1,0.1,0.05,0.05",
    "a_right.jpg,ann,2,2,0.1,0.2,0.4,0.2,0.1",
    "b_left.jpg,bob,1,2,0.1,0.3,0.4,0.1,0.1",
    "c_left.jpg,cem,4,3,0,0,0.1,0.6,0.3",
]
ANSWERED = f"{ROWS[0]},1.2,do not refer,0,1,0"
GOOD = "\n".join([COLUMNS, *ROWS])


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """An empty working folder, so that no long path stands in a sentence."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(*rows, header=COLUMNS):
    return "\n".join([header, *rows, ""])


def instead(column, value, row=ROWS[1], header=COLUMNS):
    """A good row with one other cell, below another good one."""
    cells = row.split(",")
    cells[header.split(",").index(column)] = value
    first = ROWS[0] if header == COLUMNS else f"z_left.jpg,{ANSWERED.partition(',')[2]}"
    return lines(first, ",".join(cells), header=header)


def answer_instead(column, value):
    return instead(column, value, row=ANSWERED, header=ANSWERS)


WRONG = {
    # what is wrong: the file, and the words of the one sentence that answers
    "no bytes": ("", "p.csv has no column 'file'; its columns are: none"),
    "no rows": (lines(), "p.csv has no rows below its header"),
    "empty rows": (lines(",,,,,,,,", ""), "p.csv has no rows below its header"),
    "no header": ("\n".join(ROWS), "has no column 'file'; its columns are: a_left.jpg, ann, 0, 0, 0.7, 0.1,"),
    "no truth": (
        lines("a.jpg,2,0.5", header="image,prediction,score"),
        "p.csv has no column 'file'; its columns are: image, prediction, score",
    ),
    "no prediction": (lines("a.jpg,2", header="file,grade"), "has no column 'predicted_grade'; its columns are: fi"),
    "grades of another program": (
        lines("a.jpg,ok,2", header="file,status,predicted_grade"),
        "p.csv has no column 'grade'; its columns are: file, status, predicted_grade",
    ),
    "capitals": (lines("a.jpg,2,2", header="File,Grade,Prediction"), "its columns are: File, Grade, Prediction"),
    "a column twice": (lines("a.jpg,2,2,1", header=f"{PLAIN},grade"), "p.csv has two columns named 'grade'"),
    "three probabilities": (
        lines("a.jpg,2,2,.2,.4,.4", header=f"{PLAIN},p0,p1,p2"),
        "p.csv has no column 'p3' (give all five probabilities or none); its columns are: file, grade, "
        "predicted_grade, p0, p1, p2\n",
    ),
    "too many cells": (lines(*ROWS, "d.jpg,dan,1,1,0,1,0,0,0,0.3"), "p.csv, row 6: 10 values for 9 columns"),
    "no file": (instead("file", ""), "p.csv, row 3, column 'file': '' is empty"),
    "the same file": (instead("file", "a_left.jpg"), "row 3, column 'file': 'a_left.jpg' stands there twice"),
    "grade 5": (instead("grade", "5"), "p.csv, row 3, column 'grade': '5' is not a grade from 0 to 4"),
    "grade -1": (instead("grade", "-1"), "p.csv, row 3, column 'grade': '-1' is not a grade from 0 to 4"),
    "grade 1.5": (instead("grade", "1.5"), "p.csv, row 3, column 'grade': '1.5' is not a grade from 0 to 4"),
    "grade in other words": (instead("grade", "bad"), "p.csv, row 3, column 'grade': 'bad' is not a grade from 0 to 4"),
    "no grade": (instead("grade", ""), "p.csv, row 3, column 'grade': '' is not a grade: every photo needs one"),
    "grade NaN": (instead("grade", "NaN"), "p.csv, row 3, column 'grade': 'NaN' is not a grade: every photo needs one"),
    "prediction 9": (instead("predicted_grade", "9"), "p.csv, row 3, column 'predicted_grade': '9' is not a grade"),
    "no prediction of one": (instead("predicted_grade", " "), "row 3, column 'predicted_grade': ' ' is not a grade"),
    "probability NaN": (instead("p2", "nan"), "p.csv, row 3, column 'p2': 'nan' is not a probability from 0 to 1"),
    "probability infinite": (instead("p2", "inf"), "p.csv, row 3, column 'p2': 'inf' is not a probability from 0 to 1"),
    "no probability": (instead("p4", ""), "p.csv, row 3, column 'p4': '' is not a probability from 0 to 1"),
    "probability in words": (instead("p4", "low"), "p.csv, row 3, column 'p4': 'low' is not a probability from 0 to 1"),
    "per cent": (instead("p2", "40"), "p.csv, row 3, column 'p2': '40.0' is not a probability from 0 to 1"),
    "below nothing": (instead("p2", "-0.4"), "p.csv, row 3, column 'p2': '-0.4' is not a probability from 0 to 1"),
    "sum": (instead("p2", "0.5"), "p.csv, row 3, columns 'p0' to 'p4': they sum to 1.1, not to 1"),
    "logits": (instead("p0", "3.2"), "p.csv, row 3, column 'p0': '3.2' is not a probability from 0 to 1"),
    "decimal commas": (
        "file;grade;predicted_grade;p0;p1;p2;p3;p4\na.jpg;2;2;0,1;0,2;0,4;0,2;0,1\n",
        "p.csv, row 2, column 'p0': '0,1' has a comma; write decimals with a point, as in 0.25",
    ),
    "mixed separators": (
        "file;grade;predicted_grade\na.jpg;2;2\nb.jpg,2,2\n",
        "p.csv, row 3: 'b.jpg,2,2' is separated by commas, but the header by semicolons; separate all rows alike",
    ),
    "an open quote": (lines(*ROWS[:2], '"b.jpg,bob,1,1,0,1,0,0,0'), "p.csv, row 4: a quotation mark is opened and"),
    "temperature 0": (answer_instead("temperature", "0"), "p.csv, row 3, column 'temperature': '0.0' is not a tempera"),
    "another decision": (
        answer_instead("decision", "maybe"),
        "p.csv, row 3, column 'decision': 'maybe' is not one of the decisions do not refer, ask a human, refer",
    ),
    "upside down": (answer_instead("lowest_grade", "3"), "row 3, column 'highest_grade': '1' is below 'lowest_grade'"),
    "half": (answer_instead("refer_youden", "0.5"), "row 3, column 'refer_youden': '0.5' is neither 1 (refer) nor 0"),
    "a point without a name": (
        lines(ANSWERED, header=ANSWERS.replace("youden", "")),
        "p.csv, column 'refer_': an operating point must have a name, as in 'refer_youden'",
    ),
    "a decision alone": (
        lines("a.jpg,2,2,refer", header=f"{PLAIN},decision"),
        "p.csv has no column 'temperature' beside 'decision' (give all of temperature, decision, lowest_grade, ",
    ),
}  # fmt: skip
"""The index of a table is the row that a spreadsheet shows: the header is row 1."""


def assert_refused(answer, sentence, workdir, status=2):
    assert answer.status == status
    assert answer.err.startswith("biranet: ") and answer.err.count("\n") == 1
    assert sentence in answer.err
    assert not (workdir / "report").exists()


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_table_is_answered_by_a_sentence(biranet, workdir, what):
    content, sentence = WRONG[what]
    (workdir / "p.csv").write_text(content, encoding="utf-8")
    assert_refused(biranet("evaluate", "--predictions", "p.csv"), sentence, workdir)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "p.xlsx",
            b"PK\x03\x04\x14\x00\x06\x00\x08\x00\xff\xfe",
            "p.xlsx is a spreadsheet; save its table as CSV in UTF-8",
        ),
        ("p.csv", GOOD.encode("utf-32"), "p.csv is not a CSV table in UTF-8"),
        ("p.csv", GOOD.replace("ann", "\xe5sa").encode("latin-1"), "p.csv is not a CSV table in UTF-8"),
        ("p.csv", b"\x00" * 64, "p.csv"),
        ("p.parquet", GOOD.encode(), "p.parquet is not a Parquet table"),
    ],
    ids=["a workbook", "UTF-32", "Latin-1", "zeros", "no Parquet"],
)
def test_other_kinds_of_file(biranet, workdir, name, content, sentence):
    (workdir / name).write_bytes(content)
    assert_refused(biranet("evaluate", "--predictions", name), sentence, workdir)


def test_no_file_and_a_folder(biranet, workdir):
    (workdir / "folder").mkdir()
    assert_refused(
        biranet("evaluate", "--predictions", "nowhere.csv"), "cannot read nowhere.csv: No such file", workdir
    )
    assert_refused(biranet("evaluate", "--predictions", "folder"), "cannot read folder: it is no regular file", workdir)


POOLED = {
    "the same photo": (COLUMNS, ROWS[0], "'a_left.jpg' stands in p.csv and again in q.csv; a photo is scored once"),
    "no probabilities": (PLAIN, "d.jpg,1,1", "p.csv has a column 'p0' and q.csv has none, so they cannot be pooled"),
    "answers": (ANSWERS, f"d{ANSWERED}", "q.csv has a column 'temperature' and p.csv has none, so they cannot be "),
    "a bad second one": (COLUMNS, ROWS[0].replace(",ann,0", ",ann,7"), "q.csv, row 2, column 'grade': '7' is not a gr"),
}  # fmt: skip


@pytest.mark.parametrize("what", POOLED)
def test_tables_that_do_not_go_together(biranet, workdir, what):
    header, row, sentence = POOLED[what]
    (workdir / "p.csv").write_text(GOOD)
    (workdir / "q.csv").write_text(lines(row, header=header))
    assert_refused(biranet("evaluate", "--predictions", "p.csv", "q.csv"), sentence, workdir)


FITTED_ON = [
    f"{number}.jpg,patient {number},{grade},{grade},{','.join('0.6' if seat == grade else '0.1' for seat in range(5))}"
    for number, grade in enumerate([0, 1, 2, 3, 4, 0, 1, 2, 3, 4])
]
CALIBRATIONS = {
    # what is wrong: the table to fit on, and the words of the one sentence that answers
    "too few patients": (lines(*FITTED_ON[:8]), "c.csv: the rules need photos of at least 9 groups (patients), and th"),
    "one class": (lines(*(f"{number}.jpg,,0,0,1,0,0,0,0" for number in range(9))), "c.csv: the rules need referable p"),
    "no probabilities": (lines("x.jpg,1,1", header=PLAIN), "c.csv: the predictions hold no probabilities"),
    "a photo of both": (
        lines(*FITTED_ON, ROWS[1].replace("ann", "")),
        "p.csv, photo 'a_right.jpg', column 'file': 'a_right.jpg' stands in c.csv too, so the figures would be too goo",
    ),
    "a patient of both": (
        lines(*FITTED_ON, ROWS[2].replace("b_left", "b_right")),
        "p.csv, photo 'b_left.jpg', column 'group': 'bob' stands in c.csv too, so the figures would be too good",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CALIBRATIONS)
def test_wrong_tables_to_fit_rules_on(biranet, workdir, what):
    content, sentence = CALIBRATIONS[what]
    (workdir / "p.csv").write_text(GOOD)
    (workdir / "c.csv").write_text(content)
    answer = biranet("evaluate", "--predictions", "p.csv", "--calibration", "c.csv")
    assert_refused(answer, sentence, workdir, status=1 if "of both" in what else 2)


def test_rules_for_a_table_without_probabilities(biranet, workdir):
    (workdir / "p.csv").write_text(lines("a.jpg,1,1", header=PLAIN))
    (workdir / "c.csv").write_text(lines(*FITTED_ON))
    answer = biranet("evaluate", "--predictions", "p.csv", "--calibration", "c.csv")
    assert_refused(answer, "p.csv: the predictions hold no probabilities", workdir)


def measured(biranet, workdir, content, name="p.csv", flags=()):
    """The measures; facts and provenance name the file's own hash."""
    (workdir / name).write_bytes(content.encode() if isinstance(content, str) else content)
    answer = biranet("evaluate", "--predictions", name, *flags)
    assert answer.status == 0, answer.err
    metrics = json.loads((workdir / "report" / "metrics.json").read_text())
    del metrics["facts"], metrics["provenance"]
    return metrics


@pytest.mark.parametrize(
    "content",
    [
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        "\ufeff" + GOOD.replace("\n", "\r\n") + "\r\n\r\n",
        "\n".join(f"{line},,," for line in GOOD.split("\n")) + "\n,,,,,,,,,,,\n",
        GOOD.replace(",0,0,0.7", ", 0.0 ,0,0.7"),
        "\n".join([GOOD.split("\n")[0], *GOOD.split("\n")[:0:-1]]),
    ],
    ids=["semicolons", "tabs", "byte-order mark and CRLF", "empty columns and rows", "spaces", "other order"],
)
def test_tables_as_spreadsheets_write_them_are_measured_alike(biranet, workdir, content):
    expected = measured(biranet, workdir, GOOD)
    assert expected["n"] == 4
    assert measured(biranet, workdir, content) == expected


ANOTHER = "R0=0,R1=1,R2=2,R3=4"
ONE_BASED = "1=0,2=1,3=2,4=3,5=4"


@pytest.mark.parametrize(
    ("grades", "predicted", "flag"),
    [
        (["No DR", "moderate_npdr", "Mild", "PDR"], ["0", "2", "2", "3"], None),
        (["normal", "2", "1", "4.0"], ["No_DR", "Moderate", "moderate DR", "Severe"], None),
        (["R0", "R2", "R1", "R3"], ["0", "2", "2", "3"], ANOTHER),
        (["R0", "R2", "R1", "R3"], ["R0", "R2", "r2", "severe"], ANOTHER + ",severe=3"),
        (["1", "3", "2", "5"], ["0", "2", "2", "3"], ONE_BASED),
        (["1", "3", "2", "5"], ["no dr", "moderate", "moderate", "severe"], ONE_BASED),
    ],
    ids=["truth in words", "predictions in words", "another truth", "another scale", "one-based truth", "words"],
)
def test_grades_are_read_as_prepare_reads_labels(biranet, workdir, grades, predicted, flag):
    rows = [f"{name}.jpg,{true},{said}" for name, true, said in zip("abcd", grades, predicted, strict=True)]
    table = lines(*rows, header=PLAIN)
    plain = lines("a.jpg,0,0", "b.jpg,2,2", "c.jpg,1,2", "d.jpg,4,3", header=PLAIN)
    expected = measured(biranet, workdir, plain)
    assert measured(biranet, workdir, table, flags=["--grades", flag] if flag else []) == expected


def test_the_report_says_by_which_words_grades_were_read(biranet, workdir):
    (workdir / "p.csv").write_text(lines("a.jpg,R1,1", "b.jpg,R3,4", "c.jpg,R0,0", "d.jpg,R2,2", header=PLAIN))
    assert biranet("evaluate", "--predictions", "p.csv", "--grades", ANOTHER).status == 0
    facts = json.loads((workdir / "report" / "metrics.json").read_text())["facts"]
    assert facts["Grades"] == f"by --grades {ANOTHER}"


@pytest.mark.parametrize(
    ("rows", "flags", "sentence"),
    [
        (
            ["a,R1,1"],
            [],
            "p.csv, row 2, column 'grade': 'R1' is not a grade from 0 to 4; it is of a screening scale such as R0 to "
            'R3, whose steps are others; where each value has its grade, say so with --grades "R1=0,…"',
        ),
        (["a,0,-1"], [], "column 'predicted_grade': '-1' is not a grade from 0 to 4; where it stands for one, say so"),
        (
            ["a,R0,0", "b,R9,0"],
            ["--grades", "R0=0"],
            "row 3, column 'grade': 'R9' is not among the values of --grades",
        ),
        (["a,R0,0", "b,R9,0"], ["--grades", "R0=0"], "where nobody could grade the photo, leave its row out"),
        (
            ["a,1,1", "b,5,4"],
            ["--grades", ONE_BASED],
            "'predicted_grade': all its values are grades from 0 to 4 and",
        ),
        (["a,0,0"], ["--grades", "R0"], "--grades is a list such as mild=1,moderate=2, and 'R0' is no part of one"),
    ],
)
def test_grades_that_cannot_be_read(biranet, workdir, rows, flags, sentence):
    (workdir / "p.csv").write_text(lines(*rows, header=PLAIN))
    assert_refused(biranet("evaluate", "--predictions", "p.csv", *flags), sentence, workdir)


def test_grades_of_a_checkpoint_are_those_of_the_folder(biranet, workdir):
    answer = biranet("evaluate", "model.safetensors", "prepared", "--grades", "R0=0")
    assert (answer.status, "--grades belongs to --predictions" in answer.err) == (2, True)


def test_spaces_around_a_group_make_no_other_group(biranet, workdir):
    expected = measured(biranet, workdir, GOOD.replace(",bob,", ",ann,"))
    assert expected["groups"] == 2
    assert measured(biranet, workdir, GOOD.replace(",bob,", ", ann ,")) == expected


def test_a_table_without_probabilities_is_measured_and_says_what_is_missing(biranet, workdir):
    table = "\n".join(",".join(line.split(",")[:4]) for line in GOOD.split("\n"))
    metrics = measured(biranet, workdir, table)
    assert metrics["referable_sensitivity"] == 1
    assert metrics["referable_auc"] is None
    assert metrics["undefined"]["referable_auc"] == "the predictions hold no probabilities"


@pytest.mark.parametrize(("grade", "which"), [(4, "every"), (0, "no")])
def test_photos_of_one_class_are_measured_and_say_what_is_not_defined(biranet, workdir, grade, which):
    rows = [f"{number}.jpg,{grade},{number % 5},.2,.2,.2,.2,.2" for number in range(6)]
    metrics = measured(biranet, workdir, lines(*rows, header=f"{PLAIN},p0,p1,p2,p3,p4"))
    assert metrics["quadratic_weighted_kappa"] == 0
    assert metrics["referable_auc"] is None
    assert f"{which} photo is referable" in metrics["undefined"]["referable_auc"]
    assert "no photo has grade" in metrics["undefined"]["recall_per_grade"]


def test_one_photo_is_measured(biranet, workdir):
    metrics = measured(biranet, workdir, lines(ROWS[0]))
    assert metrics["n"] == metrics["accuracy"] == 1
    assert metrics["quadratic_weighted_kappa"] is None
    assert "one and the same grade" in metrics["undefined"]["quadratic_weighted_kappa"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--predictions", "p.csv", "--lesions", "lesions.safetensors", "--photos", "photos"],
            "--lesions belongs to a CHECKPOINT with a PREPARED folder; a table has no photos",
        ),
        (
            ["--predictions", "p.csv", "--photos", "photos"],
            "--photos belongs to a CHECKPOINT with a PREPARED folder; a table has no photos",
        ),
        (
            ["model.safetensors", "--lesions", "lesions.safetensors"],
            "--lesions FILE looks for lesions in photos as they were taken; give --photos PHOTOS too",
        ),
        (
            ["model.safetensors", "prepared", "--lesions", "lesions.safetensors", "--photos", "phtos"],
            "--photos phtos is no folder; name the one that was prepared",
        ),
    ],
)
def test_lesions_want_a_checkpoint_and_photos(biranet, workdir, words, sentence):
    answer = biranet("evaluate", *words)
    assert (answer.status, answer.err) == (2, f"biranet: {sentence}\n")

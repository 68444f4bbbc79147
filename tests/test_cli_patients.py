"""`biranet grade` where patients are known: tables of eyes and patients, and where each word of them comes from."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from biranet.errors import InputError
from biranet.inference.grader import load
from biranet.inference.patient_tables import EYE_COLUMNS, PATIENT_COLUMNS
from biranet.photos.drawn.synthetic import draw_photo
from photo_files import dicom_photo

NAMES = {"a1.jpg": (4, 1), "a2.jpg": (4, 1), "b1.jpg": (0, 1), "b2.jpg": (0, 9)}
"""Photos by name: the grade that is drawn, and by what their light is divided."""


@pytest.fixture(scope="module")
def grader(checkpoint):
    return load(checkpoint)


@pytest.fixture
def workdir(tmp_path, monkeypatch, checkpoint):
    """The working folder, with four photos of two patients, one of them too dark, and a model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for seed, (name, (grade, darker)) in enumerate(NAMES.items()):
        Image.fromarray(draw_photo(grade, seed + 3, 160, 128) // darker).save(f"photos/{name}", quality=95)
    (tmp_path / "model.safetensors").symlink_to(checkpoint)
    return tmp_path


@pytest.fixture
def grade(biranet, workdir):
    def run(*arguments, out="g.csv"):
        return biranet("grade", *arguments, "--checkpoint", "model.safetensors", "--workers", 0, "--out", out)

    return run


def table(name):
    return pd.read_csv(name, dtype=str, keep_default_na=False)


def write_list(*rows, columns="file,patient,eye", name="photos/list.csv"):
    Path(name).write_text("\n".join([columns, *rows]) + "\n")
    return name


def test_columns_that_seem_to_tell_patient_and_eye_and_do_not_are_named(grade):
    said = grade(write_list("a1,001,OD", columns="file,Patient ID,Laterality")).out
    for column, what in (("Patient ID", "patient"), ("Laterality", "eye")):
        sentence = (
            f"photos/list.csv has a column {column!r}, by which no {what} is known; call it {what} where it tells that."
        )
        assert sentence in said.splitlines()
    assert "by which no" not in grade(write_list("a1,001,OD,x", columns="file,group,eye,PatientID")).out


def test_a_list_names_patients_and_eyes(grade, grader):
    given = write_list("a1,001,OD", "a2,001,left eye", "b1,002,R", "b2,002,L")
    answer = grade(given)
    assert answer.status == 1
    photos, eyes, patients = table("g.csv"), table("g_eyes.csv"), table("g_patients.csv")
    assert (tuple(eyes), tuple(patients)) == (EYE_COLUMNS, PATIENT_COLUMNS)
    assert photos["group"].tolist() == ["001", "001", "002", "002"] and set(photos["group_from"]) == {"labels"}
    assert photos["eye"].tolist() == ["right", "left", "right", "left"] and set(photos["eye_from"]) == {"labels"}
    assert photos["action"].tolist() == ["", "", "", "retake: too dark (more light, or a wider pupil)"]
    assert eyes["file"].tolist() == ["photos/a2.jpg", "photos/a1.jpg", "", "photos/b1.jpg"]
    assert eyes["status"].tolist() == ["ok", "ok", "ungradable", "ok"]
    assert eyes["decision"].tolist()[2] == "retake" and set(eyes["patient_from"]) == {"labels"}
    assert eyes["predicted_grade"].tolist()[:2] == photos["predicted_grade"].tolist()[1::-1]
    dark = patients.iloc[1]
    assert (dark["patient"], dark["photos"], dark["gradable"], dark["left_status"]) == ("002", "2", "1", "ungradable")
    assert dark["action"] == "left eye: retake: too dark (more light, or a wider pupil)"
    assert dark["decision"] in ("retake", "ask a human", "refer")
    counts = patients["decision"].value_counts()
    decided = ", ".join(f"{counts[each]} {each}" for each in ("refer", "ask a human", "retake") if each in counts)
    assert f"\n2 patients: {decided}: g_patients.csv\n" in answer.out
    assert "guess" not in answer.out

    same = grader.grade_patient(left=["photos/b2.jpg"], right=["photos/b1.jpg"], patient="002")
    assert (same.decision, same.action, same.worst_eye) == (dark["decision"], dark["action"], dark["worst_eye"])


def test_names_say_nothing_without_a_pattern(grade, workdir):
    for old, new in zip(NAMES, ("1_left", "1_right", "macula_left", "2_x"), strict=True):
        (workdir / "photos" / old).rename(workdir / "photos" / f"{new}.jpg")
    answer = grade("photos")
    assert "patient" not in answer.out
    assert set(table("g.csv")[["group", "group_from", "eye", "eye_from"]].to_numpy().ravel()) == {""}
    assert not (workdir / "g_eyes.csv").exists() and not (workdir / "g_patients.csv").exists()

    answer = grade("photos", "--name-pattern", "{patient}_{eye}")
    assert (
        "1 of 4 names do not fit the pattern '{patient}_{eye}' and tell nothing, such as photos/2_x.jpg." in answer.out
    )
    assert "a guess and marked as one: the patient of 3 photos and the eye of 3 photos." in answer.out
    assert "Of 1 of 4 photos the patient is not known" in answer.out
    assert table("g_patients.csv")["patient"].tolist() == ["1", "macula"]
    assert set(table("g_eyes.csv")["patient_from"]) == {"name"}
    assert table("g_eyes.csv")["eye_from"].tolist() == ["name", "name", "name", ""]

    # Without patients, tables of before would be taken for those of this run.
    assert grade("photos").status == 1
    assert not (workdir / "g_eyes.csv").exists() and not (workdir / "g_patients.csv").exists()


def test_a_name_that_says_another_eye_than_the_list_is_told(grade, workdir):
    (workdir / "photos" / "a1.jpg").rename(workdir / "photos" / "macula_left.jpg")
    answer = grade(write_list("macula_left.jpg,P1,right", "a2.jpg,P1,left"))
    assert "photos/macula_left.jpg ends in left, and the list says right, which was used; 1 such in all." in answer.out
    assert table("g_eyes.csv")["file"].tolist() == ["photos/a2.jpg", "photos/macula_left.jpg"]


@pytest.mark.parametrize(
    ("rows", "columns", "more", "sentence"),
    [
        (
            ["a1,P1,left", "a1,P2,left"],
            "file,patient,eye",
            [],
            "is of the patient 'P1' by the list, and of 'P2' by the",
        ),
        (
            ["1_left,1,right"],
            "file,patient,eye",
            ["{patient}_{eye}"],
            "the eye 'right' by the list, and of 'left' by its n",
        ),
        (
            ["1_left,2,left"],
            "file,patient,eye",
            ["{patient}_{eye}"],
            "the patient '2' by the list, and of '1' by its name",
        ),
        (["a1,P1,2"], "file,patient,eye", [], "list.csv, row 2, column 'eye': '2' is not an eye"),
        (["a1"], "file", ["{patient}_{eye}"], "no name fits --name-pattern '{patient}_{eye}', such as photos/a1.jpg"),
        (["a1"], "file", ["{side}"], "--name-pattern takes a pattern such as"),
        (["1_left_right_2"], "file", ["{patient}_{eye}_*"], "in two ways"),
    ],
)
def test_what_contradicts_before_a_photo_is_read_is_refused(grade, workdir, tree, rows, columns, more, sentence):
    shutil.copy("photos/a1.jpg", "photos/1_left.jpg")
    shutil.copy("photos/a1.jpg", "photos/1_left_right_2.jpg")
    given = write_list(*rows, columns=columns)
    before = tree(workdir)
    answer = grade(given, *[word for pattern in more for word in ("--name-pattern", pattern)])
    assert answer.status == 2 and answer.err.count("\n") == 1 and sentence in answer.err
    assert tree(workdir) == before


def test_groups_that_were_guessed_stay_guesses(grade):
    rows = ["a1,10,name,left", "a2,10,labels,right", "b1,b1.jpg,photo,left", "b2,NA,,"]
    answer = grade(write_list(*rows, columns="file,group,group_from,eye"))
    assert "a guess and marked as one: the patient of 1 photo." in answer.out
    assert table("g_patients.csv")[["patient", "patient_from"]].to_numpy().tolist() == [["10", "labels, name"]]
    assert table("g.csv")["group"].tolist() == ["10", "10", "", ""]


@pytest.mark.parametrize("name", ["g_eyes.csv", "g_patients.csv"])
def test_tables_of_others_stay_as_they_are(grade, workdir, tree, name):
    given = write_list("a1,1,left")
    (workdir / name).write_text("patient,eye\n1,left\n")
    before = tree(workdir)
    answer = grade(given)
    assert answer.status == 2 and f"{name} is not a table of" in answer.err and tree(workdir) == before


def test_grades_with_the_truth_are_measured_by_patient(grade, biranet):
    answer = grade(write_list("a1,1,right", "a2,1,left", "b1,2,right"))
    assert answer.status == 0
    table("g.csv").assign(grade=["4", "4", "0"]).to_csv("truth.csv", index=False)
    assert biranet("evaluate", "--predictions", "truth.csv", "--out", "report").status == 0
    patients = json.loads(Path("report/metrics.json").read_text())["patients"]
    assert (patients["n"], patients["both_eyes"]) == (2, 1)


@pytest.fixture
def dicoms(workdir):
    folder = workdir / "dicom"
    folder.mkdir()
    for seed, (name, said) in enumerate(
        {"a": ("19870312345", "L"), "b": ("19870312345", "R"), "c": ("77", "L", "R"), "d": ("77", "R")}.items()
    ):
        (folder / f"{name}.dcm").write_bytes(dicom_photo(seed, *said))
    return folder


def test_headers_tell_patients_and_eyes(grade, dicoms, workdir, tree):
    answer = grade("dicom")
    assert answer.status == 0
    photos, eyes, patients = table("g.csv"), table("g_eyes.csv"), table("g_patients.csv")
    assert all(re.fullmatch(r"k[0-9a-f]{16}", each) for each in photos["group"])
    assert photos["group"].nunique() == 2 and set(photos["group_from"]) == {"header"}
    assert photos["eye"].tolist() == ["left", "right", "", "right"]
    assert len(eyes) == 5 and eyes["eye"].tolist().count("unknown") == 1
    both = patients.set_index("patient").loc[photos["group"][2]]
    assert "unknown eye: the header of the file names both eyes" in both["reason"]
    assert both["decision"] != "do not refer"
    assert "dicom/c.dcm: the header of the file names both eyes; it was not used. 1 such photo in all" in answer.out
    assert not any(
        b"19870312345" in data for name, data in tree(workdir).items() if name.endswith((".csv", ".journal"))
    )


def test_answers_taken_over_keep_their_headers_as_long_as_the_key_is_the_same(
    grade, dicoms, workdir, monkeypatch, tree
):
    assert grade("dicom").status == 0
    before = tree(workdir)
    answer = grade("dicom")
    assert "For 4 photos the answer of an earlier run was taken over" in answer.out and tree(workdir) == before
    monkeypatch.setenv("XDG_CONFIG_HOME", str(workdir / "other"))
    assert "taken over" not in grade("dicom").out
    assert set(table("g.csv")["group"]).isdisjoint(before["g_patients.csv"].decode().replace("\n", ",").split(","))


def test_a_patient_whom_only_headers_tell_is_in_no_table_of_a_shard(grade, dicoms, workdir):
    rows = ["a.dcm,P1,left", "b.dcm,P1,right", "c.dcm,,", "d.dcm,,"]
    answer = grade(write_list(*rows, name="dicom/list.csv"), "--shard", "2/2")
    assert table("g.csv")["file"].tolist() == ["dicom/c.dcm"] and not (workdir / "g_patients.csv").exists()
    assert "The patient of 1 photo stands in headers alone: they are in no patient's answer, since other" in answer.out


def test_a_header_that_says_another_eye_than_the_list_makes_it_unknown(grade, dicoms):
    rows = ["a.dcm,P1,right", "b.dcm,P1,right", "d.dcm,P1,"]
    answer = grade(write_list(*rows, name="dicom/list.csv"))
    eyes = table("g_eyes.csv").set_index("eye")
    assert eyes.loc["left", "status"] == "missing" and eyes.loc["right", "photos"] == "2"
    assert eyes.loc["unknown", "reason"] == "it was given as right, the header of the file says left"
    assert "dicom/a.dcm: it was given as right, the header of the file says left; it was not used." in answer.out
    [patient] = table("g_patients.csv").to_dict("records")
    assert "the headers of its files name 2 patients" in patient["reason"]
    assert patient["patient"] == "P1" and patient["decision"] != "do not refer"


def test_without_the_key_photos_are_graded_all_the_same(grade, dicoms, workdir, monkeypatch):
    (workdir / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(workdir / "file"))
    answer = grade("dicom")
    assert answer.status == 0 and "the secret key for groups cannot be read" in answer.out
    assert not (workdir / "g_patients.csv").exists()
    assert table("g.csv")["eye"].tolist() == ["left", "right", "", "right"]  # needs no key


def test_one_patient_from_python(grader):
    good, dark = draw_photo(4, 3, 160, 128), draw_photo(0, 3, 160, 128) // 9
    answer = grader.grade_patient([good, dark], [Image.fromarray(dark)])
    assert [(eye.status, eye.gradable, len(eye.photos)) for eye in answer.eyes] == [("ok", 1, 2), ("ungradable", 0, 1)]
    assert answer.grade == answer.eyes[0].grade == grader.grade(good).grade
    kept = grader.grade_patient([good], [dark], keep_ungradable=True)
    assert [eye.gradable for eye in kept.eyes] == [1, 1]
    with pytest.raises(InputError, match="left takes a list of photos, not one"):
        grader.grade_patient("a.jpg")
    with pytest.raises(InputError, match="and got none"):
        grader.grade_patient()

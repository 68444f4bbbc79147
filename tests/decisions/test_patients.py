"""Eyes and patients: the rules of docs/patients.md written out, on random answers for photos."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from biranet.decisions.patients import PATIENT_DECISIONS, PhotoAnswer, Subject, answer_patient, answer_patients
from biranet.grades import DECISIONS

HEADERS = ("", "", "P", "k2", "k3")


@st.composite
def photos(draw, *, gradable=None, eyes=("left", "right", ""), patients=("P",)):
    origin = draw(st.sampled_from(["labels", "entered", "entered"]))
    subject = Subject(draw(st.sampled_from(patients)), origin, draw(st.sampled_from(eyes)))
    subject = dataclasses.replace(subject, header_patient=draw(st.sampled_from(HEADERS)))
    name = f"{draw(st.integers(0, 9**9))}.jpg"
    margin = draw(st.none() | st.sampled_from([1.0, 1.5]) | st.floats(1, 9))
    if not (draw(st.booleans()) if gradable is None else gradable):
        return PhotoAnswer(name, subject, margin=margin, action=draw(st.sampled_from(["retake: a", "retake: b"])))
    grade = draw(st.integers(0, 4))
    return PhotoAnswer(name, subject, grade, draw(st.sampled_from(DECISIONS)), draw(st.floats(0, 4)), margin)


def written_out(shots):
    """The decision for a patient, as docs/patients.md says it."""
    said = []
    for eye in ("left", "right"):
        usable = [shot for shot in shots if shot.subject.eye == eye and shot.grade is not None]
        grades = {shot.grade for shot in usable}
        if not usable:
            said.append("retake")
        elif max(grades) - min(grades) > 1:
            said.append("ask a human")
        else:
            best = sorted(
                usable,
                key=lambda shot: (
                    shot.margin or 0,
                    DECISIONS.index(shot.decision),
                    shot.expected_grade,
                ),
            )[-1]
            unanimous = all(shot.decision == "do not refer" for shot in usable)
            said.append("ask a human" if best.decision == "do not refer" and not unanimous else best.decision)
    said += [shot.decision for shot in shots if not shot.subject.eye and shot.grade is not None]
    named = {shot.subject.header_patient for shot in shots} - {""}
    believed = {shot.subject.header_patient for shot in shots if shot.subject.patient_from != "entered"} - {""}
    if len(named) > 1 and believed - {"P"}:
        said.append("ask a human")
    for gravest in ("refer", "ask a human", "retake"):
        if gravest in said:
            return gravest
    return "do not refer"


def test_a_photo_that_is_named_twice_counts_once():
    """As in a list with two rows of one file; pictures in memory, which have no names, are all different ones."""
    one = PhotoAnswer("a.jpg", Subject("P", "labels", "left"), 2, "refer", 2.0, 1.5)
    other = dataclasses.replace(one, file="b/a.jpg")
    answer = answer_patient("P", [one, other, one])
    assert [photo.file for photo in answer.photos] == ["a.jpg", "b/a.jpg"] and answer.eyes[0].gradable == 2
    assert answer == answer_patient("P", [one, other])
    # Another answer is never left out, whatever its photo is called; other last digits are none.
    graver = dataclasses.replace(one, grade=4)
    assert answer_patient("P", [one, graver]).eyes[0].gradable == 2
    assert answer_patient("P", [one, dataclasses.replace(one, margin=1.5000001)]).eyes[0].gradable == 1
    assert answer_patient("P", [dataclasses.replace(one, file="")] * 2).eyes[0].gradable == 2


@given(st.lists(photos(), max_size=7, unique_by=lambda photo: photo.file))
def test_patients_are_decided_by_the_written_out_rule(shots):
    answer = answer_patient("P", shots)
    assert answer.decision == written_out(shots)
    assert sorted(photo.file for photo in answer.photos) == sorted(shot.file for shot in shots)
    known = [eye.grade for eye in answer.eyes if eye.grade is not None]
    assert answer.grade == max(known, default=None)
    for eye in answer.eyes:
        usable = [
            shot for shot in shots if shot.subject.eye == eye.eye.replace("unknown", "") and shot.grade is not None
        ]
        assert eye.gradable == len(usable) and (eye.grade is None) == (not usable)
        assert eye.action or eye.decision in DECISIONS
        if usable and eye.eye != "unknown":
            assert (eye.photos[0].margin or 0) == max(shot.margin or 0 for shot in usable)
            assert (eye.file, eye.grade) == (eye.photos[0].file, eye.photos[0].grade)
    assert bool(answer.worst_eye) == bool(known)
    if answer.decision == "do not refer":
        assert all(eye.gradable and not eye.reason for eye in answer.eyes if eye.eye != "unknown")


@given(st.lists(photos(patients=("P", "Q", "")), max_size=7, unique_by=lambda shot: shot.file), st.randoms())
def test_the_order_of_photos_changes_nothing(shots, random):
    shuffled = list(shots)
    random.shuffle(shuffled)
    assert answer_patients(shuffled) == answer_patients(shots)
    assert [each.patient for each in answer_patients(shots)] == sorted({shot.subject.patient for shot in shots} - {""})


@given(st.lists(photos(), max_size=6), photos(gradable=False))
def test_an_ungradable_photo_makes_no_decision_milder(shots, dark):
    before, after = answer_patient("P", shots), answer_patient("P", [*shots, dark])
    assert PATIENT_DECISIONS.index(after.decision) >= PATIENT_DECISIONS.index(before.decision)
    assert after.grade == before.grade


@given(st.lists(photos(eyes=("left",)), max_size=4))
def test_an_eye_without_a_gradable_photo_never_sends_home(shots):
    assert answer_patient("P", shots).decision != "do not refer"


def shot(grade, decision, margin=2.0, eye="left", patient_from="labels", **subject):
    return PhotoAnswer(
        f"{grade}{eye}.jpg", Subject("P", patient_from, eye, "labels", **subject), grade, decision, 1.0, margin
    )


def test_a_graver_photo_is_not_passed_over_for_a_sharper_one():
    eye = answer_patient("P", [shot(1, "do not refer", margin=5), shot(2, "refer", margin=1.1)]).eyes[0]
    assert (eye.grade, eye.decision, eye.reason) == (1, "ask a human", "another photo says: refer")
    eye = answer_patient("P", [shot(1, "do not refer", margin=1.1), shot(2, "refer", margin=5)]).eyes[0]
    assert (eye.grade, eye.decision, eye.reason) == (2, "refer", "")
    eye = answer_patient("P", [shot(0, "do not refer", margin=5), shot(2, "refer", margin=6)]).eyes[0]
    assert (eye.grade, eye.decision, eye.reason) == (2, "ask a human", "gradable photos give grades 0 and 2")


def test_what_to_do_is_said_eye_by_eye():
    dark = PhotoAnswer("d.jpg", Subject("P", "labels", "left", "labels"), margin=0.5, action="retake: too dark")
    answer = answer_patient("P", [dark, dark])
    assert answer.action == "left eye: retake: too dark; right eye: photograph the right eye"
    assert answer.reason == "left eye: no photo is gradable; right eye: no photo"
    assert [(eye.status, eye.file) for eye in answer.eyes] == [("ungradable", ""), ("missing", "")]
    assert answer.worst_eye == "" and answer.grade is None
    both = answer_patient("P", [shot(2, "refer"), shot(2, "refer", eye="right")])
    assert both.worst_eye == "both" and (both.action, both.reason) == ("", "")


def test_photos_of_an_unknown_eye_can_only_make_it_graver():
    seen = [shot(0, "do not refer"), shot(0, "do not refer", eye="right")]
    assert answer_patient("P", seen).decision == "do not refer"
    answer = answer_patient("P", [*seen, shot(3, "refer", eye="", problem="the header says both")])
    assert (answer.decision, answer.worst_eye, answer.grade) == ("refer", "unknown", 3)
    assert answer.eyes[2].reason == "the header says both"
    assert answer_patient("P", [shot(0, "do not refer", eye="")]).decision == "retake"


def test_headers_of_two_people_are_for_a_human():
    seen = [shot(0, "do not refer", header_patient="k1"), shot(0, "do not refer", eye="right", header_patient="k2")]
    answer = answer_patient("P", seen)
    assert (answer.decision, answer.reason) == ("ask a human", "the headers of its files name 2 patients")
    assert answer.action == "find out whose photos these are"


def test_a_person_who_enters_whose_photos_they_are_has_found_out():
    """Until one comes of which nobody has said it, and whose header says otherwise."""
    said = "the headers of its files name 2 patients"

    def answered(*sources, patient="P"):
        photos = [
            shot(0, "do not refer", eye=eye, header_patient=header, patient_from=source)
            for eye, header, source in zip(("left", "right"), ("k1", "k2"), sources, strict=True)
        ]
        answer = answer_patient(patient, photos)
        return answer.decision, answer.reason, answer.action

    found_out = ("do not refer", f"{said}, and one was entered", "")
    assert answered("entered", "entered") == found_out
    assert answered("header", "entered", patient="k1") == found_out
    for sources in (("entered", "name"), ("labels", "entered"), ("header", "header")):
        assert answered(*sources) == ("ask a human", said, "find out whose photos these are")


def test_an_eye_that_was_entered_over_a_header_answers_and_says_so():
    seen = shot(3, "refer")
    over = dataclasses.replace(seen, subject=dataclasses.replace(seen.subject, eye_from="entered over header"))
    said = "it was entered, the header of the file says the other eye"
    left = answer_patient("P", [over]).eyes[0]
    assert (left.status, left.decision, left.reason, left.action) == ("ok", "refer", said, "")
    left = answer_patient("P", [over, shot(0, "do not refer")]).eyes[0]
    assert (left.decision, left.reason) == ("ask a human", f"gradable photos give grades 0 and 3; {said}")
    left = answer_patient("P", [dataclasses.replace(over, grade=None, decision="")]).eyes[0]
    assert (left.status, left.decision, left.reason) == ("ungradable", "retake", f"no photo is gradable; {said}")

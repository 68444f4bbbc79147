"""The folder of parts: what is ours, what is taken out of it, and what a run that goes on finds."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from biranet.decisions.patients import NOBODY, Subject
from biranet.errors import InputError
from biranet.inference.inputs import list_photos
from biranet.inference.loading import Header, PhotoTask
from biranet.inference.prediction import Prediction
from biranet.inference.ray_parts import (
    ID,
    PARTS,
    ListedPhoto,
    answers_in,
    as_part,
    begin_parts,
    settle_parts,
)
from biranet.inference.rows import NOTHING_FURTHER, Further, GradeRows
from biranet.outputs import check_output
from biranet.table_parts import parts_in

MARK = {"model": "idrid_lite0", "sha256": "a" * 64, "engine": "onnxruntime", "biranet": "1", "keep_ungradable": False}
RUN = "0123456789abcdef" * 2
PLAIN, LISTED_SUBJECT = GradeRows([]), Subject("P1", "labels", "left", "labels")


def answer(name, status="ok"):
    if status != "ok":
        return Prediction(name, status, "no such file", action="give it again", subject=Subject(problem="both eyes"))
    shares = np.array([0.125, 0.5, 0.25, 0.125, 0.0])
    subject = Subject("P1", "labels", "left", "labels", "k1")
    return Prediction(name, "ok", "", 1, shares, "refer", (1, 2), 1.5, margin=2.0, subject=subject)


@pytest.fixture
def folder(tmp_path):
    """Two parts, of photos a and b, and of c, which is missing, as a run has left them."""
    begin_parts(tmp_path, MARK)
    (tmp_path / "_checkpoint").mkdir()
    write(tmp_path, 0, [("a", "ok"), ("b", "ok")])
    write(tmp_path, 1, [("c", "unreadable")])
    return tmp_path


def write(folder, number, photos, rows=PLAIN, further=NOTHING_FURTHER):
    graded = [
        (name, answer(f"{name}.jpg", status), Header("k1") if status == "ok" else Header(problem="both eyes"), further)
        for name, status in photos
    ]
    name = f"{RUN}_{number:06}.parquet"
    parquet.write_table(as_part(graded, rows).replace_schema_metadata({"model": "idrid_lite0"}), folder / name)
    parquet.write_table(pa.table({ID: [photo for photo, _ in photos]}), folder / "_checkpoint" / name)


def listed(names, subject=LISTED_SUBJECT):
    """Photos as a list names them now; of c, which is missing, it never says whose it is."""
    return {
        name: ListedPhoto(
            name, PhotoTask(b"", name=f"{name}.jpg", subject=NOBODY if name == "c" else subject), Further()
        )
        for name in names
    }


def settle(folder, names, redo=lambda _: False):
    return settle_parts(folder, listed(names), PLAIN, redo)


def ids(folder, place="."):
    return sorted(
        each for file in (folder / place).glob("*.parquet") for each in parquet.read_table(file)[ID].to_pylist()
    )


def test_answers_come_back_as_they_were(folder):
    first, _, missing = answers_in(folder)
    for found, given in ((first, answer("a.jpg")), (missing, answer("c.jpg", "unreadable"))):
        assert found.for_patient() == given.for_patient()
        assert found.values() == given.values()


def test_nothing_is_touched_where_all_is_wanted(folder, tree):
    before = tree(folder)
    assert settle(folder, "abcd") == 3
    assert tree(folder) == before


def test_what_is_not_wanted_any_more_or_again_goes(folder):
    assert settle(folder, "bcd", lambda status: status != "ok") == 1
    assert ids(folder) == ids(folder, "_checkpoint") == ["b"]
    assert len(list(parts_in(folder))) == 1


def test_a_part_that_was_taken_away_is_graded_again(folder):
    next(parts_in(folder)).unlink()
    assert settle(folder, "abc") == 1
    assert ids(folder, "_checkpoint") == ["c"]


def test_the_parts_count_where_a_run_was_stopped_while_it_took_rows_out(folder):
    for file in (folder / "_checkpoint").iterdir():
        file.unlink()
    assert settle(folder, "abc") == 3
    assert ids(folder, "_checkpoint") == ["a", "b", "c"]


def test_a_part_that_was_being_written_is_left_to_ray(folder):
    half = folder / f"{RUN}_000002.parquet"
    half.write_bytes(b"PAR1")
    (folder / "_checkpoint" / f"{RUN}_000002.pending.parquet").write_bytes(b"")
    assert settle(folder, "abc") == 3
    assert half.exists()


def test_of_two_rows_for_a_photo_one_stays(folder):
    write(folder, 3, [("b", "ok"), ("d", "ok")])
    assert settle(folder, "abcd") == 4
    assert ids(folder) == ids(folder, "_checkpoint") == ["a", "b", "c", "d"]


def test_what_a_list_says_otherwise_changes_rows_and_no_answer(folder, tree):
    """One part is of an earlier list, one of today's, as a run that was stopped leaves them."""
    rows = GradeRows(["note", "camera"])
    write(folder, 3, [("d", "ok")], rows, Further(("note", "camera"), ("", "B")))
    photos = listed("acd", Subject("P2", "labels", "right", "labels"))
    notes = {name: Further(("note", "camera"), (f"={name}", "")) for name in photos}
    photos = {name: photo._replace(further=notes[name]) for name, photo in photos.items()}
    before = {each.file: each for each in answers_in(folder)}

    assert settle_parts(folder, photos, rows) == 3
    parts = [parquet.read_table(part) for part in parts_in(folder)]
    assert {tuple(part.column_names) for part in parts} == {(ID, *rows.columns, *parts[0].column_names[-5:])}
    assert all(part.schema.equals(parts[0].schema, check_metadata=True) for part in parts)
    assert parts[0].schema.metadata[b"model"] == b"idrid_lite0"
    said = ("file", "group", "group_from", "eye", "eye_from", "note", "camera")
    assert sorted(tuple(row[name] for name in said) for part in parts for row in part.to_pylist()) == [
        ("a.jpg", "P2", "labels", "right", "labels", "=a", None),
        ("c.jpg", None, None, None, None, "=c", None),
        ("d.jpg", "P2", "labels", "right", "labels", "=d", None),
    ]
    for now in answers_in(folder):
        assert now.subject.header_patient == before[now.file].subject.header_patient
        assert now.subject.problem == before[now.file].subject.problem
        for name, value in before[now.file].values().items():
            assert now.values()[name] == value or name in said
    settled = tree(folder)
    assert settle_parts(folder, photos, rows) == 3
    assert tree(folder) == settled


def test_whose_eye_it_is_follows_from_header_and_list_anew(folder):
    part = next(parts_in(folder))
    parquet.write_table(as_part([("a", answer("a.jpg"), Header(eye="right"), Further())], PLAIN), part)
    settle(folder, "a")
    assert [(each.subject.eye, each.subject.problem) for each in answers_in(folder)] == [
        ("", "it was given as left, the header of the file says right")
    ]
    settle_parts(folder, listed("a", Subject("P1", "labels")), PLAIN)
    assert [each.subject for each in answers_in(folder)] == [Subject("P1", "labels", "right", "header")]


def test_a_column_or_a_patient_more_makes_no_other_photo(tmp_path):
    """So a list with a note grades nothing again; a file that changed is another photo."""
    ray_grading = pytest.importorskip("biranet.inference.ray_grading")
    photo, table = tmp_path / "a.jpg", tmp_path / "list.csv"
    photo.write_bytes(b"photo")

    def known(text):
        table.write_text(text)
        return [each.id for each in ray_grading.list_for_cluster(list_photos([table]))]

    first = known("file\na.jpg\na.jpg\n")
    assert len(set(first)) == 2
    assert known("file,patient,eye,note\na.jpg,P1,left,x\na.jpg,P1,left,y\n") == first
    photo.write_bytes(b"another")
    assert not set(known("file\na.jpg\na.jpg\n")) & set(first)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"sha256": "b" * 64, "model": "other"}, "made with another model, idrid_lite0; name another folder"),
        ({"engine": "torch"}, "made with another engine, onnxruntime; name"),
        ({"biranet": "2"}, "made with another biranet, 1; name"),
        ({"keep_ungradable": True}, "made with another --keep-ungradable, False; name"),
    ],
)
def test_parts_that_were_made_otherwise_stay(folder, tree, wrong, sentence):
    before = tree(folder)
    with pytest.raises(InputError, match=sentence):
        begin_parts(folder, MARK | wrong)
    assert tree(folder) == before


def test_grades_of_other_photos_stay(folder, tree):
    before = tree(folder)
    with pytest.raises(InputError, match="holds grades of other photos, or of these before they changed; name"):
        settle(folder, "x")
    assert tree(folder) == before


def test_a_damaged_part_is_named(folder):
    part = next(parts_in(folder))
    part.write_bytes(part.read_bytes()[:-40])
    with pytest.raises(InputError, match=f"{part.name} is damaged; delete it"):
        settle(folder, "a")


def test_only_a_folder_of_parts_is_ours(folder):
    check_output(folder, PARTS)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(
        InputError, match="holds other things than parts of a table of grades of biranet's, such as notes"
    ):
        check_output(folder, PARTS)
    (folder / "notes.txt").unlink()
    (folder / "_grading.json").write_text("{}")
    with pytest.raises(InputError, match="such as 0123456789"):
        check_output(folder, PARTS)

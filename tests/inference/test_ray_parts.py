"""The folder of parts: what is ours, what is taken out of it, and what a run that goes on finds."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from biranet.decisions.patients import Subject
from biranet.errors import InputError
from biranet.inference.prediction import Prediction
from biranet.inference.ray_parts import ID, PARTS, answers_in, as_part, begin_parts, parts_in, settle_parts
from biranet.inference.rows import GradeRows
from biranet.outputs import check_output

MARK = {"model": "idrid_lite0", "sha256": "a" * 64, "engine": "onnxruntime", "biranet": "1", "keep_ungradable": False}
RUN = "0123456789abcdef" * 2


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


def write(folder, number, photos):
    rows = [
        (name, answer(f"{name}.jpg", status), GradeRows([]).row(answer(f"{name}.jpg", status)))
        for name, status in photos
    ]
    name = f"{RUN}_{number:06}.parquet"
    parquet.write_table(as_part(rows, GradeRows([]).columns), folder / name)
    parquet.write_table(pa.table({ID: [photo for photo, _ in photos]}), folder / "_checkpoint" / name)


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
    assert settle_parts(folder, {"a", "b", "c", "d"}, lambda status: False) == 3
    assert tree(folder) == before


def test_what_is_not_wanted_any_more_or_again_goes(folder):
    assert settle_parts(folder, {"b", "c", "d"}, lambda status: status != "ok") == 1
    assert ids(folder) == ids(folder, "_checkpoint") == ["b"]
    assert len(list(parts_in(folder))) == 1


def test_a_part_that_was_taken_away_is_graded_again(folder):
    next(parts_in(folder)).unlink()
    assert settle_parts(folder, {"a", "b", "c"}, lambda status: False) == 1
    assert ids(folder, "_checkpoint") == ["c"]


def test_the_parts_count_where_a_run_was_stopped_while_it_took_rows_out(folder):
    for file in (folder / "_checkpoint").iterdir():
        file.unlink()
    assert settle_parts(folder, {"a", "b", "c"}, lambda status: False) == 3
    assert ids(folder, "_checkpoint") == ["a", "b", "c"]


def test_a_part_that_was_being_written_is_left_to_ray(folder):
    half = folder / f"{RUN}_000002.parquet"
    half.write_bytes(b"PAR1")
    (folder / "_checkpoint" / f"{RUN}_000002.pending.parquet").write_bytes(b"")
    assert settle_parts(folder, {"a", "b", "c"}, lambda status: False) == 3
    assert half.exists()


def test_of_two_rows_for_a_photo_one_stays(folder):
    write(folder, 3, [("b", "ok"), ("d", "ok")])
    assert settle_parts(folder, {"a", "b", "c", "d"}, lambda status: False) == 4
    assert ids(folder) == ids(folder, "_checkpoint") == ["a", "b", "c", "d"]


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
    with pytest.raises(InputError, match="holds grades of other photos, or of these before they"):
        settle_parts(folder, {"x"}, lambda status: False)
    assert tree(folder) == before


def test_a_damaged_part_is_named(folder):
    part = next(parts_in(folder))
    part.write_bytes(part.read_bytes()[:-40])
    with pytest.raises(InputError, match=f"{part.name} is damaged; delete it"):
        settle_parts(folder, {"a"}, lambda status: False)


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

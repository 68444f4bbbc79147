"""`biranet grade` given again: what is known is taken over, what a kill has left is gone on with, to the same bytes.

The tables are compared byte by byte, so an answer that was only nearly the same would be seen.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys

import pandas as pd
import pytest

from biranet.inference.grader import Grader
from test_cli_stopped import disk, workdir  # noqa: F401 (fixtures)

NAMES = [f"drawn_{number:04d}_{eye}.jpg" for number in (1, 2, 3) for eye in ("left", "right")]


@pytest.fixture
def here(tmp_path, monkeypatch, drawn_photos, checkpoint):
    """The working folder, with six photos of one's own and a model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in NAMES:
        shutil.copy(drawn_photos / name, tmp_path / "photos")
    (tmp_path / "model.safetensors").symlink_to(checkpoint)
    return tmp_path


@pytest.fixture
def grade(biranet, here):
    """Function that grades in this process, by batches of two."""

    def run(*arguments, out="g.csv"):
        command = ["--checkpoint", "model.safetensors", "--workers", 0, "--batch-size", 2, "--out", out]
        return biranet("grade", *arguments, *command)

    return run


@pytest.fixture
def counted(monkeypatch):
    """The names of photos that were computed."""
    computed = []
    predict = Grader.answer

    def note(self, loaded):
        computed.extend(photo.name.rpartition("/")[2] for photo in loaded if not photo.known)
        return predict(self, loaded)

    monkeypatch.setattr(Grader, "answer", note)
    return computed


def taken_over(answer):
    [line] = [line for line in answer.out.splitlines() if "taken over" in line] or [""]
    return line


def tables(folder, stem):
    return {path.name.removeprefix(stem): path.read_bytes() for path in folder.glob(f"{stem}*")}


# What a kill leaves


@pytest.mark.parametrize(("lost", "kept"), [(0, 6), (1, 4), (300, 4), (1500, 2), (100_000, 0)])
def test_a_run_whose_journal_was_torn_goes_on_to_the_same_bytes(grade, here, counted, lost, kept):
    """A journal as a kill leaves it: lines of two batches and the half of a third, or no more than its head."""
    assert grade("photos", "--name-pattern", "{patient}_{eye}", out="whole.csv").status == 0
    head, *lines = (here / ".whole.csv.journal").read_text().splitlines(keepends=True)
    photos = [each for line in lines for each in json.loads(line).get("photos", [])]
    del counted[:]

    lines = [json.dumps(photos[first : first + 2]) for first in (0, 2, 4)]
    made = [f'{{"photos": {line}, "sha256": "{hashlib.sha256(line.encode()).hexdigest()[:16]}"}}\n' for line in lines]
    (here / ".g.csv.journal").write_text("".join([head, *made])[: -1 - lost])
    answer = grade("photos", "--name-pattern", "{patient}_{eye}")
    assert answer.status == 0
    assert counted == NAMES[kept:]
    assert taken_over(answer) == (f"For {kept} photos the answer of an earlier run was taken over." if kept else "")
    assert tables(here, "g") == tables(here, "whole")
    assert (here / ".g.csv.journal").read_bytes() == (here / ".whole.csv.journal").read_bytes()


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(biranet, here, warm, wait_for, drawn_photos):
    command = ["grade", drawn_photos, "--checkpoint", "model.safetensors", "--workers", 1, "--batch-size", 3]
    journal = here / ".g.csv.journal"
    process = warm.start(*command, "--out", "g.csv")
    wait_for(lambda: (journal.exists() and journal.read_bytes().count(b"\n") > 2) or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (here / "g.csv").exists()
    answers = []
    # Its worker, which holds on to the lock, ends a moment later.
    wait_for(lambda: answers.append(biranet(*command, "--out", "g.csv")) or "at work" not in answers[-1].err)
    [*_, answer] = answers
    assert answer.status == 0 and "the answer of an earlier run was taken over" in answer.out
    assert biranet(*command, "--out", "whole.csv").status == 0
    assert (here / "g.csv").read_bytes() == (here / "whole.csv").read_bytes()


def test_a_full_disk_loses_nothing_and_the_same_command_goes_on(biranet, workdir, disk):  # noqa: F811
    disk = disk(40)
    table = disk.path / "g.csv"
    command = ["grade", "photos", "--checkpoint", "model.safetensors", "--workers", 0, "--batch-size", 2, "--out"]
    answer = biranet(*command, table)
    assert answer.status == 2
    assert "No space left on device; make room and run the command again, finished photos are kept" in answer.err
    assert not table.exists()
    disk.grow(4096)
    answer = biranet(*command, table)
    assert answer.status == 0 and "the answer of an earlier run was taken over" in answer.out
    assert biranet(*command, "whole.csv").status == 0
    assert table.read_bytes() == (workdir / "whole.csv").read_bytes()


@pytest.mark.parametrize(
    "line",
    [
        *("null", "7", '"photos"', '{"photos": []}', '{"photos": [{"file": 1}], "sha256": ""}', "{", "\0\0\0"),
        *('{"settings": 1}', '{"settings": {}, "run": {}}', '{"table": 3}', '{"finished": 1}', "[" * 99_999),
    ],
)
def test_what_is_no_line_of_a_journal_counts_for_nothing(grade, here, counted, line):
    assert grade("photos").status == 0
    before = (here / "g.csv").read_bytes()
    with (here / ".g.csv.journal").open("a") as file:
        file.write(f"{line}\n")
    assert grade("photos").status == 0
    assert (here / "g.csv").read_bytes() == before
    journal = (here / ".g.csv.journal").read_bytes()
    (here / ".g.csv.journal").write_bytes(journal.replace(b'"grade": 1', b'"grade": 3'))  # damage, or somebody's hand
    assert grade("photos").status == 0
    assert (here / "g.csv").read_bytes() == before


# A second run


def test_only_what_is_new_or_changed_is_graded_and_what_is_no_longer_listed_goes(grade, here, counted, drawn_photos):
    assert grade("photos").status == 0
    del counted[:]
    (here / "photos" / NAMES[0]).unlink()
    shutil.copy(drawn_photos / "drawn_0009_left.jpg", "photos")
    changed, touched = here / "photos" / NAMES[1], here / "photos" / NAMES[2]
    state = changed.stat()
    shutil.copyfile(drawn_photos / "drawn_0010_left.jpg", changed)
    with changed.open("ab") as file:  # as long as it was, and as old by its date
        file.truncate(state.st_size)
    os.utime(changed, ns=(state.st_atime_ns, state.st_mtime_ns))
    os.utime(touched)  # another date, the same content
    answer = grade("photos")
    assert counted == [NAMES[1], "drawn_0009_left.jpg"]
    assert taken_over(answer) == "For 4 photos the answer of an earlier run was taken over."
    assert pd.read_csv("g.csv")["file"].tolist() == [f"photos/{name}" for name in [*NAMES[1:], "drawn_0009_left.jpg"]]
    assert NAMES[0] not in (here / ".g.csv.journal").read_text()
    del counted[:]
    assert grade("photos").status == answer.status and counted == []


def test_photos_that_change_their_names_get_their_own_answers(grade, here, counted):
    assert grade("photos").status == 0
    before = pd.read_csv("g.csv", index_col="file")["p0"]
    one, other = (here / "photos" / name for name in NAMES[:2])
    one.rename("kept")
    other.rename(one)
    (here / "kept").rename(other)
    assert grade("photos").status == 0
    after = pd.read_csv("g.csv", index_col="file")["p0"]
    assert after.iloc[[1, 0]].tolist() == pytest.approx(before.iloc[[0, 1]].tolist(), rel=1e-5)


def test_labels_order_and_repetitions_are_those_of_the_list_of_today(grade, here, counted):
    (here / "list.csv").write_text(f"file,patient,eye\nphotos/{NAMES[0]},P1,left\nphotos/{NAMES[1]},P1,right\n")
    assert grade("list.csv").status == 0
    first = pd.read_csv("g.csv", dtype=str, keep_default_na=False)
    del counted[:]
    rows = [f"{NAMES[1]},P2,left,x", f"{NAMES[0]},P1,right,y", f"{NAMES[1]},P2,left,z"]
    (here / "list.csv").write_text("file,patient,eye,note\n" + "".join(f"photos/{row}\n" for row in rows))
    assert grade("list.csv").status == 0 and counted == []
    second = pd.read_csv("g.csv", dtype=str, keep_default_na=False)
    assert second[["group", "eye", "note"]].to_numpy().tolist() == [
        ["P2", "left", "x"], ["P1", "right", "y"], ["P2", "left", "z"]
    ]  # fmt: skip
    assert second["p0"].tolist() == [first["p0"][1], first["p0"][0], first["p0"][1]]
    assert pd.read_csv("g_patients.csv")["patient"].tolist() == ["P1", "P2"]
    assert grade("list.csv", out="whole.csv").status == 0
    assert (here / "g_patients.csv").read_bytes() == (here / "whole_patients.csv").read_bytes()


def test_what_was_not_usable_is_tried_again_when_asked_for(grade, here, counted, monkeypatch):
    (here / "photos" / "aaa.jpg").write_text("no photo")
    (here / "list.csv").write_text("file\nphotos/aaa.jpg\nphotos/gone.jpg\n" + f"photos/{NAMES[0]}\n")
    assert grade("list.csv").status == 1
    del counted[:]
    assert grade("list.csv").status == 1 and counted == []
    assert grade("list.csv", "--retry-failed").status == 1
    assert counted == ["aaa.jpg", "gone.jpg"]
    del counted[:]
    (here / "photos" / NAMES[1]).rename("photos/gone.jpg")  # it is there now, which needs no asking
    answer = grade("list.csv")
    assert counted == ["gone.jpg"] and "2 of 3 photos graded, 1 not usable" in answer.out


def test_pictures_that_are_missing_are_drawn_again_and_others_stay(grade, here, counted):
    assert grade("photos").status == 0
    assert grade("photos", "--overlay", "looked").status == 0
    assert counted == NAMES * 2
    del counted[:]
    pictures = sorted((here / "looked").iterdir())
    kept = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in pictures}
    pictures[2].unlink()
    assert grade("photos", "--overlay", "looked").status == 0 and counted == [NAMES[2]]
    assert {path for path in pictures if (path.read_bytes(), path.stat().st_mtime_ns) != kept[path]} == {pictures[2]}
    del counted[:]
    assert grade("photos", "--overlay", "looked", "--overlay-opacity", 0.9).status == 0 and counted == NAMES
    del counted[:]
    (here / "photos" / NAMES[0]).unlink()  # the others move up, and keep their pictures
    assert grade("photos", "--overlay", "looked", "--overlay-opacity", 0.9).status == 0 and counted == []


def test_answers_of_another_model_or_setting_are_not_mixed_in(grade, biranet, here, counted, checkpoint):
    assert grade("photos").status == 0
    del counted[:]
    assert taken_over(grade("photos", "--keep-ungradable")) == "" and counted == NAMES
    del counted[:]
    answer = biranet("grade", "photos", "--checkpoint", "idrid_lite0", "--workers", 0, "--out", "g.csv")
    assert answer.status == 0 and taken_over(answer) == "" and counted == NAMES
    anew = "The answers of before were given with another model, engine, setting of --keep-ungradable: all photos were"
    assert anew in answer.out


def test_the_journal_of_a_run_that_did_not_end_is_kept_from_others(grade, biranet, here, tree):
    assert grade("photos").status == 0
    journal = here / ".g.csv.journal"
    journal.write_text("".join(line for line in journal.read_text().splitlines(True) if "finished" not in line))
    before = tree(here)
    for arguments, how in [
        (["photos", "--keep-ungradable"], "with another setting of --keep-ungradable"),
        ([os.path.realpath(f"photos/{NAMES[0]}")], "on other photos"),
    ]:
        answer = grade(*arguments)
        assert answer.status == 2
        assert answer.err.startswith(f"biranet: g.csv is that of a run {how}, which was stopped after 6 photos; give")
        assert tree(here) == before
    journal.unlink()
    assert grade("photos", "--keep-ungradable").status == 0


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("edited", ["g", "g_eyes", "g_patients"])
def test_a_table_that_somebody_has_edited_stays(grade, here, tree, ending, edited):
    by_name, out = ("photos", "--name-pattern", "{patient}_{eye}"), f"g.{ending}"
    assert grade(*by_name, out=out).status == 0
    table = here / f"{edited}.{ending}"
    table.write_bytes(table.read_bytes() + table.read_bytes().splitlines(keepends=True)[-1])
    before = tree(here)
    for photos in (by_name, ["photos"]):
        answer = grade(*photos, out=out)
        assert answer.status == 2 and "biranet's, and stays as it is; name another file" in answer.err
        assert tree(here) == before


def test_rows_that_go_are_told_of(grade, here):
    assert "no longer listed" not in grade("photos").out
    answer = grade(f"photos/{NAMES[0]}")
    assert "\nThe table of before held 5 photos more, which are no longer listed.\n" in answer.out
    assert "no longer listed" not in grade("photos").out


def test_a_table_of_ours_with_columns_of_a_list_is_known_again_until_somebody_changes_it(grade, here):
    (here / "list.csv").write_text("file,grade,status\n" + "".join(f"photos/{name},2,old\n" for name in NAMES))
    for out in ("g.csv", "g.jsonl", "g.parquet"):
        assert grade("list.csv", out=out).status == 0
        assert grade("list.csv", out=out).status == 0
        written = (here / out).read_bytes()
        (here / out).write_bytes(written.replace(b"photos", b"PHOTOS"))
        answer = grade("list.csv", out=out)
        assert answer.status == 2 and f"{out} is not a table of grades of biranet's, and stays as it is" in answer.err
        (here / out).write_bytes(written)
        assert grade("list.csv", out=out).status == 0


# Formats


def test_json_lines_and_parquet_hold_what_csv_holds_and_are_measured_alike(grade, biranet, here, tree):
    (here / "photos" / "aaa.jpg").write_text("no photo")
    rows = [f"{name},{number % 5},P{number // 2}" for number, name in enumerate([*NAMES, "aaa.jpg"])]
    (here / "list.csv").write_text("file,grade,patient\n" + "".join(f"photos/{row}\n" for row in rows))
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "jsonl": lambda path: pd.read_json(path, lines=True)}
    for ending in read:
        answer = grade("list.csv", out=f"g.{ending}")
        assert answer.status == 1
        assert answer.out.endswith(f"\nNext: biranet evaluate --predictions g.{ending}\n")  # the true grades are there
        assert biranet("evaluate", "--predictions", f"g.{ending}", "--out", ending).status == 0
        assert tree(here / ending)["predictions.csv"] == tree(here / "csv")["predictions.csv"]
    for name in ("g", "g_eyes", "g_patients"):
        csv, jsonl, parquet = (read[ending](f"{name}.{ending}") for ending in ("csv", "jsonl", "parquet"))
        for other in (jsonl, parquet):
            assert list(other) == list(csv)
            for column in csv.select_dtypes("number"):
                pd.testing.assert_series_equal(other[column].astype(float), csv[column].astype(float), rtol=0)
            text = [column for column in csv if column not in csv.select_dtypes("number")]
            assert other[text].fillna("").equals(csv[text].fillna(""))
    first = json.loads((here / "g.jsonl").read_text().splitlines()[0])
    assert (type(first["predicted_grade"]), type(first["p0"]), first["reason"]) == (int, float, None)
    assert pd.read_parquet("g.parquet").dtypes["lowest_grade"].kind in "if"


@pytest.mark.parametrize("out", ["g.xlsx", "g", "g.tsv"])
def test_a_table_of_an_unknown_format_is_refused(grade, here, tree, out):
    before = tree(here)
    answer = grade("photos", out=out)
    assert answer == (
        2,
        "",
        f"biranet: {out}: a table ends in .csv, .jsonl (JSON lines) or .parquet; name such a file\n",
    )
    assert tree(here) == before


def test_a_folder_that_cannot_be_written_is_one_sentence(grade, here):
    (here / "file").touch()
    answer = grade("photos", out="file/g.csv")
    assert answer.status == 2 and answer.err.startswith("biranet: cannot write file/g.csv: ")


# Shards


def test_shards_make_the_whole_and_divide_no_patient(grade, here):
    rows = [f"{name},{patient}" for name, patient in zip(NAMES, ["P1", "P2", "", "P1", "", "P2"], strict=True)]
    (here / "list.csv").write_text("file,patient\n" + "".join(f"photos/{row}\n" for row in rows))
    assert grade("list.csv", out="whole.csv").status == 0
    for number in (1, 2, 3):
        assert grade("list.csv", "--shard", f"{number}/3", out=f"{number}.csv").status == 0
    shards = pd.concat([pd.read_csv(f"{number}.csv", dtype=str, keep_default_na=False) for number in (1, 2, 3)])
    whole = pd.read_csv("whole.csv", dtype=str, keep_default_na=False)
    assert list(shards) == list(whole)
    assert sorted(shards["file"]) == sorted(whole["file"])
    assert [sorted(set(pd.read_csv(f"{n}.csv")["group"].dropna())) for n in (1, 2, 3)] == [["P1"], ["P2"], []]
    patients = pd.concat([pd.read_csv(f"{number}_patients.csv") for number in (1, 2)])
    assert patients["patient"].tolist() == pd.read_csv("whole_patients.csv")["patient"].tolist()
    assert not (here / "3_patients.csv").exists()
    answer = grade("list.csv", "--shard", "2/3", out="1.csv")
    assert answer.status == 2
    assert "1.csv holds the shard 1/3, which 2/3 would replace; give each shard a table of its own" in answer.err
    assert "whole.csv holds all photos, which 2/3" in grade("list.csv", "--shard", "2/3", out="whole.csv").err
    assert grade("list.csv", out="1.csv").status == 0 and len(pd.read_csv("1.csv")) == 6


@pytest.mark.parametrize(
    ("shard", "sentence"),
    [
        *((wrong, "--shard takes a number and how many shards") for wrong in ("0/3", "4/3", "3", "a/b", "1/0", "-1/2")),
        ("7/7", "--shard 7/7 holds no photo, since there are 6 photos or patients; give fewer shards"),
    ],
)
def test_what_is_no_shard_is_refused(grade, shard, sentence):
    answer = grade("photos", "--shard", shard)
    assert answer.status == 2 and answer.err.startswith(f"biranet: {sentence}")


def test_parquet_without_its_package_is_one_sentence(here):
    script = "import sys; sys.modules['pyarrow'] = None\nfrom biranet.cli import main\nmain(sys.argv[1:])"
    command = ["grade", "photos", "--checkpoint", "model.safetensors", "--out", "g.parquet"]
    done = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=False)
    assert done.stderr == 'biranet: writing g.parquet needs pyarrow; install it with: pip install "biranet[parquet]"\n'


def test_a_file_in_the_place_of_the_journal_that_is_none_stays(grade, here, tree):
    (here / ".g.csv.journal").write_text("my notes\n")
    before = tree(here)
    answer = grade("photos")
    assert answer.status == 2 and ".g.csv.journal is not a journal of biranet's, and stays as it is" in answer.err
    assert tree(here) == before
    (here / ".g.csv.journal").write_text('{"sett')  # the first line of a run that was killed
    assert grade("photos").status == 0

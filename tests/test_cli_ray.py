"""Preparing and grading on a Ray cluster: the same answers as without, whatever dies, and nothing done twice."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from biranet.cluster import LOCAL, Cluster
from biranet.errors import InputError
from biranet.learning.shipped_models import find_checkpoint
from biranet.table_parts import parts_in
from warm import unmeasured

PHOTOS = 40
SHIPPED_MODEL = find_checkpoint(None)


@pytest.fixture(scope="module")
def cluster():
    """A real cluster of two workers, which commands in this process use, too."""
    with ExitStack() as closing:
        started = Cluster({"address": LOCAL, "num_cpus": 2, "include_dashboard": False}, closing)
        started.connect()
        yield started


@pytest.fixture
def photos(drawn_photos, tmp_path):
    """A list of photos with patients and a column of its own: one is broken, one missing, one stands there twice."""
    folder = tmp_path / "photos"
    shutil.copytree(drawn_photos, folder)
    (folder / "labels.csv").unlink()
    names = sorted(path.name for path in folder.iterdir())
    broken = folder / names[5]
    broken.write_bytes(broken.read_bytes()[:700])
    listed = [*names, "missing.jpg", names[0]]
    eyes = [("left", "right")[number % 2] for number in range(len(names))]
    patients = [f"P{number // 2}" for number in range(len(names))]
    table = pd.DataFrame({"file": listed, "patient": [*patients, "", "P0"], "eye": [*eyes, "", "left"]})
    table.assign(camera="A").to_csv(folder / "list.csv", index=False)
    return folder / "list.csv"


def workers_of(pid):
    """Processes that grade among all that a process has started."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)] = int(fields[1]), (entry / "cmdline").read_bytes()
        except OSError:
            continue

    def descends(number):
        while number in parents and number != pid:
            number = parents[number][0]
        return number == pid

    tasks = (b"ray::Map", b"ray::_run_batch")
    return [number for number, (_, words) in parents.items() if words.startswith(tasks) and descends(number)]


def meanwhile(act):
    """Start something beside what this thread does next."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def rows(table):
    """The rows of a table or a folder of parts, without columns of parts alone, in one order."""
    read = pd.read_parquet(table)
    kept = [name for name in read if not name.startswith("biranet_")]
    return read[kept].sort_values(["file"], kind="stable").reset_index(drop=True)


@pytest.mark.slow
def test_grades_are_the_same_though_a_worker_dies_and_the_run_is_stopped(biranet, cluster, photos, tmp_path, wait_for):
    parts, options = tmp_path / "parts", ("--keep-ungradable", "--batch-size", 1)
    plain = biranet("grade", photos, "--out", tmp_path / "plain.parquet", "--workers", 0, *options)
    assert plain.status == 1

    def disturb():
        # Two that are finished at least, not one that was being written.
        wait_for(lambda: any(parts_in(parts)))
        os.kill(workers_of(os.getpid())[0], signal.SIGKILL)
        before = len(list(parts_in(parts)))
        wait_for(lambda: len(list(parts_in(parts))) > before)
        os.kill(os.getpid(), signal.SIGINT)

    disturbing = meanwhile(disturb)
    stopped = biranet("grade", photos, "--out", parts, "--ray", *options)
    disturbing.join()
    found = re.search(r"stopped after (\d+) of 42 photos, whose rows are in", stopped.err)
    assert (stopped.status, bool(found)) == (130, True), stopped
    assert 0 < int(found[1]) < PHOTOS + 2
    first = {path: path.read_bytes() for path in parts_in(parts)}

    answer = biranet("grade", photos, "--out", parts, "--ray", *options)
    assert (answer.status, answer.err) == (1, "")
    taken_over = re.search(r"For (\d+) photos the answer of an earlier run was taken over", answer.out)
    assert int(found[1]) <= int(taken_over[1]) < PHOTOS + 2
    # What was finished is not touched again.
    assert {path: path.read_bytes() for path in first} == first
    pd.testing.assert_frame_equal(rows(parts), rows(tmp_path / "plain.parquet"))
    for what in ("eyes", "patients"):
        ours, theirs = (pd.read_parquet(tmp_path / f"{table}_{what}.parquet") for table in ("parts", "plain"))
        pd.testing.assert_frame_equal(ours, theirs)
    said = answer.out.replace("parts_", "plain_").splitlines()
    assert said[2:-1] == plain.out.splitlines()[1:-1]
    assert said[-1].endswith(f"measure it: biranet evaluate --predictions {parts}")


@pytest.mark.slow
@pytest.mark.apart
def test_a_prepared_folder_is_the_same_though_a_worker_dies(biranet, cluster, photos, tmp_path, wait_for, tree):
    ours, plain = tmp_path / "ours", tmp_path / "plain"
    assert biranet("prepare", photos.parent, plain, "--size", 64, "--workers", 0).status == 1

    working = []

    def disturb():
        wait_for(lambda: bool(working.extend(workers_of(os.getpid())) or working))
        os.kill(working[0], signal.SIGKILL)

    disturbing = meanwhile(disturb)
    answer = biranet("prepare", photos.parent, ours, "--size", 64, "--ray")
    disturbing.join()
    assert (answer.status, answer.err) == (1, "")
    assert tree(ours) == tree(plain)


@pytest.mark.slow
def test_a_cluster_of_its_own_is_quiet_and_leaves_nothing(photos, tmp_path, session_lives, wait_for):
    parts = tmp_path / "parts"
    words = ["grade", photos, "--out", parts, "--ray", "--keep-ungradable", "--batch-size", 1]

    def start(temporary):
        return subprocess.Popen(
            [sys.executable, "-m", "biranet", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**unmeasured(), "TMPDIR": temporary, "HOME": temporary},
            start_new_session=True,
        )

    # Sockets have short names, so no folder of the tests will do.
    places = [tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) for _ in range(2)]
    with places[0] as first_place, places[1] as place:
        killed = start(first_place)
        wait_for(lambda: len(list(parts_in(parts))) > 3)
        killed.kill()
        killed.communicate()
        first = {path: path.read_bytes() for path in parts_in(parts)}
        ended = start(place)
        out, err = ended.communicate()
        assert (ended.returncode, err) == (1, "")
        assert out.startswith("40 of 42 photos graded, 2 not usable: ")
        assert "ray" not in out.replace(str(parts), "").lower()
        assert {path: path.read_bytes() for path in first} == first
        table = pd.read_parquet(parts)
        assert (len(table), table["biranet_id"].nunique()) == (PHOTOS + 2, PHOTOS + 2)
        wait_for(lambda: not session_lives(ended.pid))
        assert {path.name for path in Path(place).iterdir()} <= {".ses", ".cache"}  # those are not Ray's


@pytest.mark.slow
def test_a_node_that_would_grade_otherwise_ends_the_run(cluster, photos, tmp_path, no_models):
    from biranet.inference.inputs import list_photos
    from biranet.inference.ray_grading import list_for_cluster
    from biranet.inference.ray_nodes import write_parts

    with pytest.raises(InputError, match=r"the model .* is another file on the node .*; have the same one on all"):
        write_parts(list_for_cluster(list_photos([photos])), tmp_path, node_model(sha256="0" * 64), cluster)


def node_model(**other):
    """The model that ships, for nodes."""
    from biranet.inference.engines import load_engine
    from biranet.inference.ray_nodes import NodeModel
    from biranet.inference.rows import GradeRows

    predictor = load_engine(SHIPPED_MODEL)
    settings = {
        "checkpoint": "idrid_lite0",
        "sha256": predictor.sha256,
        "engine": "onnx",
        "device": "cpu",
        "preparation": predictor.info.preparation,
        "image_size": predictor.info.image_size,
        "keep_ungradable": True,
        "batch_size": 4,
        "rows": GradeRows(["camera"]),
    }
    return NodeModel(**settings | other)


def test_what_is_prepared_elsewhere_is_graded_the_same(photos, monkeypatch):
    """As it is on a cluster with GPUs, where many processes prepare for one that grades."""
    from biranet.inference import ray_nodes
    from biranet.inference.inputs import list_photos
    from biranet.inference.ray_grading import list_for_cluster

    listed = list_for_cluster(list_photos([photos]))[3:7]
    model = node_model()
    [block] = ray_nodes._as_blocks(listed)
    together, apart = ray_nodes._Grading(model), ray_nodes._Grading(replace(model, device="cuda"))
    apart.grader = model.load()
    expected = together(block)
    assert apart(ray_nodes._prepare(block, model)).equals(expected)
    assert expected["status"].to_pylist() == ["ok", "ok", "unreadable", "ok"]
    assert expected["camera"].to_pylist() == ["A"] * 4
    # A photo that the list saw and this node does not.
    listed[0].task.source.unlink()
    with pytest.raises(InputError, match=rf"the node .* does not see {re.escape(str(listed[0].task.source))}; have"):
        ray_nodes._prepare(block, model)
    # What nobody foresaw is that photo's row, not the end of all.
    monkeypatch.setattr(ray_nodes, "load_photo", None)
    [fault] = together(ray_nodes._as_blocks(listed[1:2])[0]).to_pylist()
    assert (fault["status"], fault["reason"][:40]) == ("unreadable", "this is a fault of biranet (TypeError: '")


NO_ADDRESS = "'{}' is no address of a Ray cluster; give HOST:PORT of its head"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["grade", "--ray", "PHOTOS"], NO_ADDRESS.format("PHOTOS")),
        (["grade", "PHOTOS", "--ray", "ray://head:10001"], NO_ADDRESS.format("ray://head:10001")),
        (["grade", "PHOTOS", "--ray", "head:70000"], NO_ADDRESS.format("head:70000")),
        (
            ["grade", "PHOTOS", "--ray", "--out", "p.csv"],
            "p.csv is named as a table, and a cluster writes a folder",
        ),
        (
            ["grade", "PHOTOS", "--ray", "--out", "PHOTOS"],
            "photos is to be read, and parts of a table",
        ),
        (["grade", "PHOTOS", "--ray", "--out", "p", "--shard", "1/2"], "--shard is not for a cluster; leave it out"),
        (["grade", "PHOTOS", "--ray", "--out", "p", "--overlay", "a"], "--overlay is not for a cluster; leave it"),
        (["prepare", "PHOTOS", "p", "--ray", "here"], NO_ADDRESS.format("here")),
    ],
)
def test_what_cannot_be_done_is_said_before_a_cluster_is_started(
    biranet, photos, tmp_path, monkeypatch, words, sentence
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    answer = biranet(*[word.replace("PHOTOS", "photos") for word in words])
    assert (answer.status, sentence.replace("PHOTOS", "photos") in answer.err) == (2, True), answer.err
    assert answer.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before

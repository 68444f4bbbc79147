"""The study's command: what it leaves, that it goes on where it stopped, and what no choice may depend on."""

import errno
import fcntl
import os
import re
import shutil
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from biranet.decisions.predictions import read_predictions
from biranet.errors import InputError
from biranet.inference.readings_of_test_part import READINGS_NAME
from biranet.learning.predict import predict_photos
from biranet.learning.torch_predictor import load_predictor
from biranet.locks import exclusive_file
from biranet.manifest import graded_photos, read_manifest, write_manifest
from studies.idrid import page
from studies.idrid import run as command
from studies.idrid.analysis import final_kappa
from studies.idrid.cells import choose_rate, inner_history, result_file, run_training
from studies.idrid.folds import divide, make_folders
from studies.idrid.grid import LOSSES, Cell, Training, read_grid
from studies.idrid.variants import ABLATIONS, ARCHITECTURES

ROOT = Path(__file__).parents[2]


def test_every_photo_is_answered_for_once_in_every_table(finished_study, prepared):
    photos = graded_photos(read_manifest(prepared)).set_index("file")
    tables = sorted((finished_study / "results" / "predictions").glob("*.csv"))
    assert [path.stem for path in tables] == [
        "biranet_ce_s1", "biranet_grading_s1", "matrix_gate_grading_s1", "plain_ce_s1", "plain_grading_s1",
    ]  # fmt: skip
    for path in tables:
        table = read_predictions(path)
        assert sorted(table["file"]) == sorted(photos.index)
        assert table["grade"].tolist() == photos.loc[table["file"], "grade"].tolist()
        assert table["group"].tolist() == photos.loc[table["file"], "group"].tolist()
        assert table.groupby("group")["fold"].nunique().max() == 1


def test_what_is_kept_of_a_finished_study(finished_study):
    assert not _files(finished_study, "running/*")
    models = sorted(path.parent.name for path in (finished_study / "out").rglob("*.safetensors"))
    assert [name.split("_lr")[0] for name in models] == [
        f"{variant}_{loss}_s1_whole" for variant in ("biranet", "plain") for loss in LOSSES
    ]
    said = (finished_study / "said.txt").read_text().splitlines()
    assert said[0] == "40 photos, 10 cells, 30 trainings, 0 done before"
    assert [f"{number}/30" in line for number, line in enumerate(said[1:-1], 1)] == [True] * 30
    assert ["seed 1 all photos: to be measured" in line for line in said[1:-1]] == [False] * 26 + [True] * 4
    assert ["kappa" in line for line in said[1:-1]].count(True) == 16  # of what is measured, nothing is said
    assert all("h left" in line for line in said[1:-1])
    epochs = pd.read_csv(finished_study / "results" / "epochs.csv")
    trainings = epochs.groupby(["variant", "loss", "fold", "part", "lr"])["epoch"].agg(list).tolist()
    assert trainings == [[1, 2]] * 26
    assert epochs["validation_kappa"].notna().equals(epochs["part"] == "inner")


def test_the_external_photos_are_answered_by_models_of_all_photos(finished_study, external):
    results = finished_study / "results" / "external"
    photos = graded_photos(read_manifest(external)).reset_index(drop=True)
    choices = pd.read_csv(results.parent / "choices.csv")
    rates = pd.read_csv(results / "rates.csv")
    pairs = [(variant, loss) for variant in ("plain", "biranet") for loss in LOSSES]
    assert list(zip(rates["variant"], rates["loss"], strict=True)) == pairs
    measured = pd.read_csv(results / "measures.csv")
    for (variant, loss), rate in zip(pairs, rates["lr"], strict=True):
        chosen = choices.query("variant == @variant and loss == @loss and chosen == 1")["lr"]
        assert rate == chosen.mode().min()
        name = f"{variant}_{loss}_s1_whole_lr{rate:g}"
        log = (finished_study / "out" / "logs" / f"external_{name}.txt").read_text()
        assert "on 40 photos (0 for validation)" in log
        predictor = load_predictor(finished_study / "out" / "cells" / name / "last.safetensors", "cpu")
        answers = predict_photos(predictor, external, photos, workers=0)
        kappa = cohen_kappa_score(answers["grade"], answers["predicted_grade"], weights="quadratic")
        rows = measured.query("variant == @variant and loss == @loss and measure == 'quadratic_weighted_kappa'")
        assert rows["value"].tolist() == pytest.approx([kappa], abs=1e-8)


def test_nothing_that_is_kept_of_the_external_photos_tells_of_a_single_one(finished_study, external):
    tables = (finished_study / "results" / "external").iterdir()
    kept = {path.name: path.read_text() for path in [*tables, *(finished_study / "page").iterdir()]}
    assert sorted(kept) == [
        "README.md", "curves.svg", "differences.csv", "differences.svg", "measures.csv", "rates.csv", "settings.csv",
    ]  # fmt: skip
    for photo in graded_photos(read_manifest(external)).itertuples():
        assert not any(photo.file in text or photo.sha256 in text or photo.group in text for text in kept.values())


def test_each_rate_is_chosen_by_its_score_and_used_on_the_outer_fold(finished_study):
    results = finished_study / "results"
    choices, epochs = pd.read_csv(results / "choices.csv"), pd.read_csv(results / "epochs.csv")
    assert set(choices["variant"]) == {"plain", "biranet"}
    for names, tried in choices.groupby(["variant", "loss", "fold"]):
        best = tried.sort_values(["score", "lr"], ascending=[False, True])["lr"].iloc[0]
        assert tried.loc[tried["chosen"] == 1, "lr"].tolist() == [best]
        variant, loss, fold = names
        trainings = epochs[(epochs["loss"] == loss) & (epochs["fold"] == fold)]
        for taker in [variant, "matrix_gate"] if (variant, loss) == ("biranet", "grading") else [variant]:
            used = trainings[(trainings["part"] == "outer") & (trainings["variant"] == taker)]
            assert used["lr"].unique().tolist() == [best]
        inner = trainings[(trainings["part"] == "inner") & (trainings["variant"] == variant)]
        for rate, score in zip(tried["lr"], tried["score"], strict=True):
            assert final_kappa(inner.loc[inner["lr"] == rate, "validation_kappa"]) == pytest.approx(score, abs=1e-8)


def test_a_finished_study_is_not_trained_again(
    finished_study, prepared, external, tiny_grid, study_arguments, tmp_path, capsys
):
    copy = Path(shutil.copytree(finished_study, tmp_path / "copy", symlinks=True))
    shutil.rmtree(copy / "results" / "predictions")
    for path in (copy / "results").glob("*.csv"):
        path.unlink()
    assert command.main([*study_arguments(prepared, tiny_grid, copy), "--external", str(external)]) == 0
    assert "30 trainings, 30 done before" in capsys.readouterr().out
    assert _tables(copy, times=True, external=True) == _tables(finished_study, times=True, external=True)


def test_every_reading_of_the_external_photos_is_written_down_and_none_is_made_twice(
    finished_study, prepared, external, tiny_grid, study_arguments, tmp_path
):
    copy = Path(shutil.copytree(finished_study, tmp_path / "copy", symlinks=True))
    other = Path(shutil.copytree(external, tmp_path / "other"))
    log = other / READINGS_NAME
    words = [*study_arguments(prepared, tiny_grid, copy), "--external", str(other)]
    assert command.main(words) == 0
    assert log.read_bytes() == (external / READINGS_NAME).read_bytes()  # what was measured stands
    log.unlink()
    for before in (0, 4):
        shutil.rmtree(copy / "results" / "external")
        assert command.main(words) == 0
        settings = pd.read_csv(copy / "results" / "external" / "settings.csv", dtype=str).set_index("name")["value"]
        assert settings["readings_before"] == str(before)
        assert f"had been read {before} times before." in (copy / "page" / "README.md").read_text()
    assert len(log.read_text().split("\n\n")) == 8
    numbers = [(copy / "results" / "external" / name).read_bytes() for name in ("measures.csv", "differences.csv")]
    assert numbers == [
        (finished_study / "results" / "external" / name).read_bytes() for name in ("measures.csv", "differences.csv")
    ]
    # Other photos are measured, although the models are the same.
    table = read_manifest(other)
    write_manifest(other, table[table["group"] != table["group"].iloc[0]])
    assert command.main(words) == 0
    settings = pd.read_csv(copy / "results" / "external" / "settings.csv", dtype=str).set_index("name")["value"]
    assert settings["photos"] == str((table["group"] != table["group"].iloc[0]).sum())


def test_a_further_rate_trains_only_what_is_new(finished_study, prepared, tiny_grid, study_arguments, tmp_path, capsys):
    copy = Path(shutil.copytree(finished_study, tmp_path / "copy", symlinks=True))
    shutil.rmtree(copy / "results" / "external")
    wider = tmp_path / "wider.toml"
    wider.write_text(tiny_grid.read_text().replace("[1e-3, 1e-2]", "[1e-3, 1e-2, 3e-2]"))
    assert command.main(study_arguments(prepared, wider, copy)) == 0
    said = capsys.readouterr().out
    choices = pd.read_csv(copy / "results" / "choices.csv").query("chosen == 1")
    moved = choices[choices["lr"] == 3e-2]
    assert said.count("choosing, rate 0.03") == 8
    # A choice that moved is trained anew, with the ablation where it is the one of BiRA-Net.
    anew = len(moved) + len(moved.query("variant == 'biranet' and loss == 'grading'"))
    assert said.count("to be measured") == anew
    epochs = pd.read_csv(copy / "results" / "epochs.csv").query("part == 'outer' and variant in ('plain', 'biranet')")
    used = epochs.drop_duplicates(["variant", "loss", "fold"]).set_index(["variant", "loss", "fold"])["lr"]
    assert used.to_dict() == choices.set_index(["variant", "loss", "fold"])["lr"].to_dict()


def test_what_was_measured_elsewhere_of_other_models_is_refused(finished_study, tmp_path, capsys):
    results = Path(shutil.copytree(finished_study / "results", tmp_path / "results"))
    choices = (results / "choices.csv").read_text()
    (results / "choices.csv").write_text(choices.replace("0.001,", "0.002,"))
    assert page.main([str(results), "--out", str(tmp_path)]) == 2
    assert "external holds what was measured of other models than those of" in capsys.readouterr().err


def test_answers_of_variants_that_are_in_the_grid_no_more_are_removed(
    finished_study, prepared, tiny_grid, study_arguments, tmp_path
):
    copy = Path(shutil.copytree(finished_study, tmp_path / "copy", symlinks=True))
    shutil.rmtree(copy / "results" / "external")
    fewer = tmp_path / "fewer.toml"
    fewer.write_text(tiny_grid.read_text().replace('["matrix_gate"]', "[]"))
    assert command.main(study_arguments(prepared, fewer, copy)) == 0
    assert not (copy / "results" / "predictions" / "matrix_gate_grading_s1.csv").exists()
    assert "## Ablations" not in (copy / "page" / "README.md").read_text()


def test_a_study_that_was_stopped_and_killed_ends_with_the_same_tables(
    finished_study, prepared, tiny_grid, study_arguments, tmp_path, warm, monkeypatch
):
    monkeypatch.chdir(ROOT)
    words = study_arguments(prepared, tiny_grid, tmp_path)
    for sent, status, enough in ((signal.SIGTERM, 130, 3), (signal.SIGKILL, -signal.SIGKILL, 8)):
        process = warm.start(*words, program=command.__name__)
        # In the middle of a training: some are finished, and the state of the next one is there.
        while len(_files(tmp_path, "choices/*.csv")) < enough or not _files(tmp_path, "running/*/state.safetensors"):
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        process.send_signal(sent)
        _, said = process.communicate(timeout=60)
        assert process.returncode == status, said
        if sent == signal.SIGTERM:
            assert said == "studies/idrid/run.py: stopped; the same command goes on from here\n"
        assert _files(tmp_path, "running/*")
    assert command.main(study_arguments(prepared, tiny_grid, tmp_path)) == 0
    assert _tables(tmp_path) == _tables(finished_study)


def test_processes_that_are_started_together_share_the_work(
    finished_study, prepared, tiny_grid, study_arguments, tmp_path, warm, monkeypatch
):
    monkeypatch.chdir(ROOT)
    words = study_arguments(prepared, tiny_grid, tmp_path)
    processes = [warm.start(*words, program=command.__name__) for _ in range(2)]
    said = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    trained = [
        [line.split(": ")[0].split(" ", 2)[2] for line in out.splitlines() if "h left" in line] for out, _ in said
    ]
    assert min(map(len, trained)) > 0
    assert sum(map(len, trained)) == 26
    counts = [int(count) for out, _ in said for count in re.findall(r" (\d+)/26 ", out)]
    assert len(counts) == 26
    assert max(counts) == 26
    assert _tables(tmp_path) == _tables(finished_study)


def test_what_other_processes_finish_counts_as_done(finished_study, tiny_grid, tmp_path, capsys):
    out = Path(shutil.copytree(finished_study / "out", tmp_path / "out", symlinks=True))
    grid = read_grid(str(tiny_grid))
    paths = {cell: result_file(out, cell, choose_rate(out, grid, cell)) for cell in grid.cells()}
    for path in paths.values():
        path.unlink()
    costs, cells = grid.costs(), list(paths)
    progress = command.Progress(out, grid, costs)
    for cell in cells[:3]:  # the last of them is ours
        paths[cell].touch()
    progress(Training(cells[2], None), None, costs[Training(cells[2], None)] * 3600)
    hours = sum(costs[Training(cell, None)] for cell in cells[3:])
    said = capsys.readouterr().out
    assert " 19/26 " in said
    assert f"about {hours:.1f} h left for one process" in said


def test_a_process_looks_whose_folder_it_is_only_when_no_other_is_making_it(
    prepared, tiny_grid, study_arguments, tmp_path, capsys
):
    statuses = []
    words = study_arguments(prepared, tiny_grid, tmp_path)
    second = threading.Thread(target=lambda: statuses.append(command.main(words)))
    with exclusive_file(tmp_path / "out" / "lock"):
        second.start()
        second.join(2)
        assert _files(tmp_path, "*") == [tmp_path / "out" / "lock"]
        (tmp_path / "out" / "begun_with.json").write_text("{}")
    second.join(60)
    assert statuses == [2]
    assert "begun with other settings" in capsys.readouterr().err
    assert sorted(path.name for path in _files(tmp_path, "*")) == ["begun_with.json", "lock"]


def test_no_photo_or_group_of_an_outer_test_part_is_in_the_folder_of_the_choice(prepared, tiny_grid):
    table = read_manifest(prepared)
    pairs = divide(table, read_grid(str(tiny_grid)))
    tested = []
    for inner, outer in pairs:
        test = outer[outer["split"] == "test"]
        assert not set(test["file"]) & set(inner["file"])
        assert not set(test["group"]) & set(inner["group"])
        assert set(inner["split"]) == {"train", "validation"}
        assert not set(inner[inner["split"] == "train"]["group"]) & set(inner[inner["split"] == "validation"]["group"])
        assert sorted(inner["file"]) == sorted(outer.loc[outer["split"] == "train", "file"])
        tested += test["file"].tolist()
    assert sorted(tested) == sorted(graded_photos(table)["file"])


def test_a_choice_is_the_same_without_the_pictures_of_the_outer_test_photos(
    finished_study, prepared, tiny_grid, tmp_path
):
    grid, copy = read_grid(str(tiny_grid)), Path(shutil.copytree(prepared, tmp_path / "prepared"))
    make_folders(copy, tmp_path / "out", grid)
    outer = read_manifest(tmp_path / "out" / "folds" / "0" / "outer")
    for name in outer.loc[outer["split"] == "test", "prepared"]:
        (copy / name).unlink()
    cell = Cell("plain", "ce", 1, 0)
    for tried in grid.rates:
        assert choose_rate(tmp_path / "out", grid, cell) is None
        assert run_training(tmp_path / "out", grid, Training(cell, tried), lambda *_: None)
    rate = choose_rate(tmp_path / "out", grid, cell)
    for tried in grid.rates:
        ours, theirs = (
            pd.read_csv(inner_history(folder, cell, tried)).drop(columns="seconds")
            for folder in (tmp_path / "out", finished_study / "out")
        )
        pd.testing.assert_frame_equal(ours, theirs)
    choices = pd.read_csv(finished_study / "results" / "choices.csv")
    chosen = choices.query("variant == 'plain' and loss == 'ce' and fold == 0 and chosen == 1")["lr"]
    assert chosen.tolist() == [rate]


def test_a_training_that_fails_is_named(prepared, tiny_grid, tmp_path):
    grid, copy = read_grid(str(tiny_grid)), Path(shutil.copytree(prepared, tmp_path / "prepared"))
    make_folders(copy, tmp_path / "out", grid)
    shutil.rmtree(copy / "images")
    with pytest.raises(InputError, match=r"^plain ce seed 1 fold 0: choosing, rate 0\.001: .*images"):
        run_training(tmp_path / "out", grid, Training(Cell("plain", "ce", 1, 0), 1e-3), lambda *_: None)


@pytest.mark.parametrize("name", ["core", "full"])
def test_the_grids_hold_what_the_study_is_about(name):
    grid = read_grid(name)
    cells = grid.cells()
    assert len(cells) == len(set(cells)) == len(grid.seeds) * 5 * (3 * len(LOSSES) + len(ABLATIONS))
    assert {cell.variant for cell in cells} == set(ARCHITECTURES) | set(ABLATIONS)
    assert len(grid.rates) == 4
    configs = [grid.settings(cell, 1e-3) for cell in cells]
    assert {config.epochs for config in configs} == {grid.train.epochs}
    assert {config.optimizer.weight_scale for config in configs} == {"unit"}
    assert not any(config.early_stop for config in configs)
    assert (grid.seeds, grid.train.data.image_size) == {"core": ((1,), 160), "full": ((1, 2, 3), 448)}[name]


def test_the_core_grid_fits_into_its_time():
    times = pd.read_csv(command.HERE / "results" / "core" / "times.csv")
    wanted = Counter((training.cell.variant, training.part) for training in read_grid("core").costs(external=True))
    assert Counter(zip(times["variant"], times["part"], strict=True)) == wanted
    # Each had one thread, so its processor time is not more than its time by the clock.
    assert times.loc[times["part"] != "external", "seconds"].sum() <= 6 * 3600


def test_what_is_wrong_is_said_in_one_sentence(
    prepared, external, tiny_grid, finished_study, study_arguments, tmp_path, capsys, monkeypatch
):
    def refused(*words):
        assert command.main([str(word) for word in words]) == 2
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1
        return said

    assert "give core, full or a file" in refused(prepared, "--grid", "corr")
    assert "--backbone-weights is missing" in refused(prepared)
    strange = tmp_path / "strange.toml"
    strange.write_text(tiny_grid.read_text().replace("matrix_gate", "matrix_gait"))
    assert "there is no 'matrix_gait'" in refused(prepared, "--grid", strange, "--out", tmp_path / "a")
    large = tmp_path / "large.toml"
    large.write_text(tiny_grid.read_text().replace("image_size = 64", "image_size = 128"))
    assert "--size 128 or more" in refused(prepared, "--grid", large, "--out", tmp_path / "b")
    assert not (tmp_path / "b").exists()
    longer = tmp_path / "longer.toml"
    longer.write_text(tiny_grid.read_text().replace("epochs = 2", "epochs = 4"))
    assert "begun with other settings" in refused(*study_arguments(prepared, longer, finished_study))
    small = Path(shutil.copytree(external, tmp_path / "small"))
    (small / "preparation.json").write_text((external / "preparation.json").read_text().replace("64", "32"))
    asked = (prepared, "--grid", tiny_grid, "--out", tmp_path / "x", "--external")
    assert "was prepared otherwise" in refused(*asked, small)
    assert "holds photos of drawn0, which is learned from; give photos of another clinic" in refused(*asked, prepared)
    assert "none.pth: No such file or directory; give the file" in refused(
        *asked, external, "--backbone-weights", tmp_path / "none.pth"
    )
    table = read_manifest(small)
    (small / "preparation.json").write_text((external / "preparation.json").read_text())
    write_manifest(small, table.assign(grade=""))
    assert "holds no graded photo" in refused(*asked, small)
    assert not (tmp_path / "x").exists()
    renamed = read_manifest(prepared).assign(source="elsewhere", file=lambda table: "copy_" + table["file"])
    # Without the digests that bind a row to its file, as an older version wrote it.
    write_manifest(small, renamed.iloc[:1].assign(group="other").drop(columns="row_sha256"))
    assert command.main([str(word) for word in (*asked, small)]) == 1
    assert "shares patients or pictures with" in capsys.readouterr().err
    mixed = Path(shutil.copytree(prepared, tmp_path / "mixed"))
    table = read_manifest(mixed)
    table.loc[table.index[0], "source"] = "elsewhere"
    write_manifest(mixed, table)
    assert f"{table['source'].iloc[1]}, elsewhere; prepare those of IDRiD alone" in refused(
        mixed, "--grid", tiny_grid, "--out", tmp_path / "c"
    )
    assert not (tmp_path / "c").exists()
    assert "lock: Not a directory; choose a folder with room" in refused(
        prepared, "--grid", tiny_grid, "--out", tiny_grid / "d"
    )

    def without_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", without_locks)
    assert f"lock: {os.strerror(errno.ENOLCK)}; choose a folder with room" in refused(
        prepared, "--grid", tiny_grid, "--out", tmp_path / "e"
    )


def _files(folder, pattern):
    return list((folder / "out").glob(pattern))


def _tables(folder, *, times=False, external=False):
    """The tables of a study by name; without those times in which two runs differ."""
    paths = {str(path.relative_to(folder / "results")): path for path in (folder / "results").rglob("*.csv")}
    return {
        name: path.read_bytes()
        for name, path in paths.items()
        if (times or name != "times.csv") and (external or not name.startswith("external"))
    }

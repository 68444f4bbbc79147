"""The study of grades by lesions: who may teach what, what is pooled, and what is promised."""

import shutil
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from biranet.config import OptimizerConfig, TrainConfig
from biranet.errors import InputError, InterruptedRunError
from biranet.lesion_kinds import KINDS
from biranet.manifest import read_manifest, write_manifest
from biranet.photos.datasets.masks import MaskedPhoto
from studies.lesion_grades import arms, looking, measure, run
from studies.lesion_grades.arms import Answers, biranet_and_lesions, forest, grade_all, lesions, mean
from studies.lesion_grades.bound import (
    STRETCHES,
    bound_mean,
    bound_next,
    bounded_threshold,
    coverage,
    held,
    missed_shares,
    promise,
)
from studies.lesion_grades.divisions import WHOLE, HeadName, head_names, heads_of
from studies.lesion_grades.measure import WAYS
from studies.lesion_grades.network import LesionBiraNet, Shown, answer, train
from studies.lesion_grades.seen import ELSEWHERE, Seen, Task
from studies.shipped.steps import FOLDS
from studies.stretches import stretch_of

OWN, BEYOND = 60, 5


@pytest.fixture(scope="module")
def seen():
    """Photos whose vectors of lesions say which head has made them, and whose features say their grade."""
    random = np.random.default_rng(1)
    folds = np.append(np.arange(OWN) % FOLDS, [ELSEWHERE] * BEYOND)
    grades = np.arange(OWN + BEYOND) // FOLDS % 5
    kept = []
    for fold, grade in zip(folds.tolist(), grades.tolist(), strict=True):
        names = heads_of({"visits": fold} if fold != ELSEWHERE else {})
        vector = (grade + random.normal(size=40) / 4).astype(np.float32)
        features = random.random((6, 4, 3, 3)).astype(np.float16) + grade
        kept.append(
            {
                f"lesions_512_{name}": np.append(vector, np.float32(sum(10**left for left in name.left_out)))
                for name in names
            }
            | {f"means_{size}": features[:1].mean(axis=(2, 3)) for size in (256, 512)}
            | {"maps_320": features.astype(np.float16)}
        )
    photos = pd.DataFrame({"file": [f"p_{row}.jpg" for row in range(len(grades))], "grade": grades})
    return Seen(photos.assign(group=photos["file"]), kept, {"visits": folds})


def task_of(seen, fold):
    config = TrainConfig(epochs=2, optimizer=OptimizerConfig(loss="ce", optimizer="adamw", schedule="cosine"))
    return Task(seen, "visits", fold, 512, config)


def test_no_mask_of_a_visit_that_is_answered_for_has_taught_what_looks_at_any_photo(seen):
    """Of photos that teach, and of those asked about: by the names of the heads, and by whom each has learned from."""
    own = seen.photos.iloc[:OWN].assign(group=[f"g{row // 2}" for row in range(OWN)])
    folds = {"visits": np.arange(OWN) // 2 % FOLDS}
    masked = [MaskedPhoto(f"m_{row}.jpg", {}, KINDS, "train", f"g{row // 2}", "x") for row in range(OWN)]
    teachers = looking.masked_teachers(Path("masks"), masked)
    taught = {
        name: {own.index[own["group"] == each.group][0] for each in looking._teaching(teachers, name, own, folds)}
        for name in head_names(folds)
    }
    assert len(taught[WHOLE]) == OWN // 2
    for name, its in taught.items():
        assert not {folds["visits"][row] for row in its} & set(name.left_out), name
        assert len(its) == OWN // 2 * (FOLDS - len(name.left_out)) // FOLDS
    for fold in range(FOLDS):
        task = task_of(seen, fold)
        of_heads = task.lesions()[:, -1].tolist()
        expected = [sum(10**left for left in {own, fold} - {ELSEWHERE}) for own in task.folds]
        assert of_heads[:OWN] == expected[:OWN]
    elsewhere = task_of(seen, ELSEWHERE)
    assert elsewhere.lesions()[OWN:, -1].tolist() == [0] * BEYOND
    assert elsewhere.lesions()[:OWN, -1].tolist() == [10**own for own in elsewhere.folds[:OWN]]
    assert set(elsewhere.taught) == set(range(OWN)) and set(elsewhere.asked) == set(range(OWN, OWN + BEYOND))
    assert not set(task_of(seen, 2).taught) & {*elsewhere.asked, *task_of(seen, 2).asked}


def test_heads_that_look_at_a_photo_know_nothing_of_its_fold():
    names = heads_of({"visits": 3, "stretches": 0})
    assert len(names) == len(set(names)) == 2 * FOLDS
    assert all({"visits": 3, "stretches": 0}[name.division] in name.left_out for name in names)
    assert set(names) <= set(head_names({"visits": None, "stretches": None})) and heads_of({}) == [WHOLE]
    assert HeadName.of("visits", 4, 2) == HeadName.of("visits", 2, 4, 2)


def test_with_lesions_the_network_is_biranet_and_a_linear_function_and_learns_both():
    torch.manual_seed(1)
    vectors = torch.rand(12, 7)
    network = LesionBiraNet(4, vectors, gain=2.0).eval()
    features = torch.rand(3, 4, 5, 5)
    none = network(features, vectors[:3]).logits
    with torch.no_grad():
        network.lesions.copy_(torch.rand(5, 7))
    more = network(features, vectors[:3]).logits - none
    standard = 2 * (vectors[:3] - vectors.mean(dim=0)) / vectors.std(dim=0, correction=0)
    assert torch.allclose(more, standard @ network.lesions.T, atol=1e-5)
    grades = np.arange(12) % 5
    shown = Shown(torch.rand(12, 3, 4, 5, 5).half(), vectors, grades)
    learned = train(shown, np.arange(12), task_of(None, 0).config, 1.0)
    assert learned.lesions.abs().max() > 0 and not learned.training
    assert answer(learned, shown, np.arange(4)).sum(axis=1) == pytest.approx(np.ones(4))
    again = train(shown, np.arange(12), task_of(None, 0).config, 1.0)
    assert torch.equal(again.head.weight, learned.head.weight)


def test_every_way_answers_elsewhere_and_learns_from_no_photo_it_answers_for(seen, monkeypatch):
    for name, value in (("PENALTIES", (0.1,)), ("TREES", 20), ("EPOCHS", 1)):
        monkeypatch.setattr(arms, name, value)
    kept = {}

    def keep(way, ask):
        kept[way] = ask()
        return kept[way]

    grade_all(task_of(seen, ELSEWHERE), keep)
    assert set(kept) == set(WAYS)
    for way, answers in kept.items():
        assert answers.shares.shape == (BEYOND, 5), way
        assert answers.shares.sum(axis=1) == pytest.approx(np.ones(BEYOND)), way
    right = seen.photos["grade"].to_numpy()[OWN:]
    assert (lesions(task_of(seen, ELSEWHERE)).shares.argmax(axis=1) == right).all()
    # What is asked about has other grades now: nothing that learns may notice.
    asked = task_of(seen, 1).asked
    other = seen.photos.assign(grade=seen.photos["grade"].where(~seen.photos.index.isin(asked), 4))
    changed = Seen(other, seen.kept, seen.divisions)
    for way in (lesions, forest, lambda task: biranet_and_lesions(task, "anywhere")):
        before, after = way(task_of(seen, 1)), way(task_of(changed, 1))
        assert np.array_equal(before.shares, after.shares) and before.chosen == after.chosen
    assert mean(Answers(np.array([[1.0, 0]]), {}), Answers(np.array([[0.0, 1]]), {})).shares.tolist() == [[0.5, 0.5]]


def test_answers_are_asked_for_once(tmp_path):
    asked = []

    def ask():
        asked.append(1)
        return Answers(np.array([[0.25, 0.75]]), {"features": "256"})

    first, second = (run._kept(tmp_path / "x", 3, "probe", ask) for _ in range(2))
    assert asked == [1] and first.chosen == second.chosen and np.array_equal(first.shares, second.shares)


def test_the_bound_of_the_next_stretch_holds_for_small_skewed_shares_and_that_of_the_mean_less_often():
    for drawn in ((0.05, 0.0), (0.05, 0.06), (0.107, 0.0), (0.107, 0.06), (0.107, 0.15), (0.087, 0.25), (0.107, 0.25)):
        of_next, of_mean = coverage(np.full(10, 23), *drawn)
        assert 0.9 <= of_next <= 0.98 and 0.8 <= of_mean < 0.95, drawn
    of_next, of_mean = coverage(np.full(10, 2000), 0.3, 0.01)
    assert of_next == pytest.approx(0.95, abs=0.01) and of_mean == pytest.approx(0.95, abs=0.01)


def test_a_bound_tells_when_stretches_differ():
    alike, unlike = np.full(10, 0.1), np.array([0.0] * 8 + [0.5] * 2)
    assert bound_next(alike) == pytest.approx(0.1) == bound_mean(alike)
    assert bound_next(unlike) > 0.4 and held(unlike) == 8
    assert bound_next(np.array([0.9, 0.1, 1.0, 0.2])) == 1 == bound_mean(np.array([0.5, 1.0, 1.0]))


def test_coverage_is_of_the_referable_photos_of_each_stretch(monkeypatch):
    counted = []
    monkeypatch.setattr(measure, "coverage", lambda counts, *drawn: counted.append(counts.tolist()) or (0.9, 0.8))
    photos = pd.DataFrame({"file": [f"x_{row:03}.jpg" for row in range(40)], "group": [f"g{row}" for row in range(40)]})
    rows = measure.coverage_of_bounds(photos.assign(grade=[0] * 4 + [2] * 35 + [1]))
    assert counted == [[4] * 8 + [3]] * len(rows)
    assert {(row["next"], row["of_mean"]) for row in rows} == {(0.9, 0.8)}


def test_a_bounded_rule_keeps_to_its_target_by_the_bound():
    random = np.random.default_rng(1)
    stretch, referable = np.arange(400) % 10, np.arange(400) % 2 == 0
    score = np.where(referable, random.beta(5, 2, 400), random.beta(2, 5, 400))
    threshold = bounded_threshold(score, referable, stretch)
    assert bound_next(missed_shares(referable & (score < threshold), referable, stretch)) <= 0.1
    assert 0 < (score[referable] < threshold).mean() < 0.1
    bad = score.copy()
    bad[referable & (stretch == 4)] = 0
    assert bounded_threshold(bad, referable, stretch) == 0  # all that is missed at first is of one stretch


def test_a_promise_is_of_whole_stretches():
    rows = np.arange(200)
    table = pd.DataFrame({"file": [f"x_{row:03}.jpg" for row in rows], "group": [f"g{row // 2}" for row in rows]})
    table["grade"] = np.where(rows % 2, 2, 0)
    table["decision"] = np.where((rows % 2 == 1) & (rows < 20), "do not refer", "refer")
    share = np.where(rows % 2, 0.9, 0.1)
    table = table.assign(p0=1 - share, p1=0.0, p2=share, p3=0.0, p4=0.0)
    told = promise(table, stretch_of(table, STRETCHES))
    assert told["fraction"] == pytest.approx(0.1) and told["shares"] == [1.0] + [0.0] * 9
    assert told["held"] == 9 and told["mean"] < told["next"] and told["next"] > 0.6
    assert told["bounded"]["missed"] == 0 and told["bounded"]["of_new_stretches"] == [0.0] * 10


def test_masks_of_unknown_visits_teach_nothing(monkeypatch, tmp_path, capsys):
    photos = [MaskedPhoto(f"{name}.jpg", {}, KINDS, "train", name, "x") for name in ("", "a", "b")]
    monkeypatch.setattr(looking, "find_masked_photos", lambda folder: types.SimpleNamespace(photos=photos))
    assert [photo.group for photo in looking.teaching_photos(tmp_path)] == ["a", "b"]
    assert "1 more are of unknown visits" in capsys.readouterr().out


def _draw_masked(folder, name, spot):
    """A photo with a mask, laid out as IDRiD's."""
    pixels = np.zeros((8, 8), np.uint8)
    pixels[spot, spot] = 255
    for place, file in (
        ("1. Original Images/a. Training Set", f"{name}.jpg"),
        ("2. All Segmentation Groundtruths/a. Training Set/1. Microaneurysms", f"{name}_MA.tif"),
    ):
        (folder / place).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / place / file)


def _command(words):
    return run.main([str(word) for word in words])


def test_a_working_folder_of_other_photos_masks_or_weights_is_refused(
    prepared, external, tmp_path, capsys, monkeypatch
):
    """Nothing that is kept there is looked at before: it is kept by the numbers of rows."""
    monkeypatch.setattr(run, "Backbone", lambda *given: (_ for _ in ()).throw(InterruptedRunError("begun")))
    masks, weights, out = tmp_path / "masks", tmp_path / "weights.pth", tmp_path / "out"
    _draw_masked(masks, "IDRiD_01", 3)
    weights.write_bytes(b"some weights")
    fewer = tmp_path / "fewer"
    shutil.copytree(external, fewer)
    write_manifest(fewer, read_manifest(fewer).iloc[1:])
    other_masks, other_weights = tmp_path / "other_masks", tmp_path / "other.pth"
    _draw_masked(other_masks, "IDRiD_01", 4)
    other_weights.write_bytes(b"others")

    def begin(own=prepared, beyond=external, drawn=masks, by=weights):
        return _command([own, drawn, "--external", beyond, "--backbone-weights", by, "--out", out])

    begun = InterruptedRunError.exit_status
    moved = shutil.copytree(masks, tmp_path / "moved")
    assert begin() == begin(drawn=moved) == begun
    capsys.readouterr()
    for other in ({"own": external}, {"beyond": fewer}, {"drawn": other_masks}, {"by": other_weights}):
        assert begin(**other) == InputError.exit_status, other
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "out was begun with other settings or other photos" in said
    assert begin() == begun

"""The model that ships with a lesion branch: how its correction is fitted, and on what."""

import shutil
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from biranet.config import DataConfig, read_recipe
from biranet.decisions.calibration import fit_temperature
from biranet.decisions.columns import PROBABILITIES
from biranet.errors import InputError
from biranet.files import read_json
from biranet.learning.lesion_branch.grader import Correction
from biranet.learning.lesion_branch.pooling import VALUES
from biranet.learning.shipped_models import LESIONS_DEFAULT, SHIPPED
from biranet.lesion_kinds import KINDS, LESIONS
from biranet.photos.drawn.synthetic import draw_photo
from studies.lesion_grades.correction import COUNTED, Learned, Settings, fit_correction, fit_with
from studies.lesion_grades.divisions import HeadName
from studies.lesion_grades.heads import CONFIG, FastHead, _new_head
from studies.lesion_grades.look import LESION_PX
from studies.shipped.measured import by_fold
from studies.shipped.steps import FOLDS, SHIPPED_RECIPE
from studies.shipped_lesions import card as card_script
from studies.shipped_lesions import healthy, stretches
from studies.shipped_lesions.answers import Photos, as_predictions, correct_out_of_fold, join_answers
from studies.shipped_lesions.begin import Begun
from studies.trainings import mark_folder

PHOTOS = 100


@pytest.fixture
def learned():
    """Answers that are too sure, of photos whose grade the first value of the vector knows."""
    random = np.random.default_rng(1)
    grades = random.integers(0, 5, PHOTOS)
    shares = random.dirichlet(np.full(5, 0.5), PHOTOS)
    vectors = random.normal(size=(PHOTOS, VALUES))
    vectors[:, 0] += 6 * grades
    return Learned(shares, vectors, grades, random.uniform(0.5, 2, PHOTOS), np.arange(PHOTOS) % FOLDS)


@pytest.mark.parametrize("counted", COUNTED)
def test_what_is_fitted_minimizes_the_penalized_loss_of_the_formula(learned, counted):
    """By a written-out loss, whose slope at what was found is none in any direction."""
    penalty = 0.1
    fitted = fit_with(learned, Settings(counted, penalty))
    counts = learned.balance if counted == "grades" else np.full(PHOTOS, 2.0)
    weights = counts / counts.sum()
    temperature = fit_temperature(learned.shares, learned.grades)
    assert fitted.sharpness == pytest.approx(1 / temperature)
    mean = weights @ learned.vectors
    deviation = np.sqrt(weights @ (learned.vectors - mean) ** 2)

    def loss(values):
        weight, bias = values[:-5].reshape(5, -1), values[-5:]
        logits = np.log(learned.shares.clip(1e-12)) / temperature + learned.vectors @ weight.T + bias
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        right = logs[np.arange(PHOTOS), learned.grades]
        return penalty / 2 * ((weight * deviation) ** 2).sum() - weights @ right

    found = np.append(fitted.weight.ravel(), fitted.bias)
    slope = [(loss(found + step) - loss(found - step)) / 2e-5 for step in 1e-5 * np.eye(len(found))]
    assert np.abs(slope).max() < 1e-4
    steps = 0.05 * np.random.default_rng(3).normal(size=(20, len(found)))
    assert all(loss(found + step) > loss(found) for step in steps)


def test_a_strong_penalty_leaves_the_temperature_and_a_weak_one_uses_the_vector(learned):
    strong, chosen = fit_with(learned, Settings("photos", 1e6)), fit_correction(learned)
    assert np.abs(strong.weight).max() < 1e-6
    right = chosen(learned.shares, learned.vectors).argmax(axis=1) == learned.grades
    assert right.mean() > 0.5 > 0.3 > (learned.shares.argmax(axis=1) == learned.grades).mean()
    noise = learned._replace(vectors=np.random.default_rng(2).normal(size=learned.vectors.shape))
    assert fit_correction(noise).settings.penalty > chosen.settings.penalty


def test_the_network_corrects_as_was_fitted(learned):
    from studies.shipped_lesions.make import set_correction

    fitted, correction = fit_with(learned, Settings("grades", 0.1)), Correction()
    set_correction(correction, fitted)
    logits = torch.from_numpy(np.log(learned.shares)).float()
    theirs = correction(logits, torch.from_numpy(learned.vectors).float()).softmax(dim=1)
    np.testing.assert_allclose(theirs.numpy(), fitted(learned.shares, learned.vectors), atol=1e-5)


def photos_of(learned, division="visits"):
    """Photos whose vectors say by which head they are: its folds are added to them."""
    kept = []
    for own, vector in zip(learned.folds.tolist(), learned.vectors, strict=True):
        names = [HeadName.of(division, own, other) for other in range(FOLDS)]
        kept.append({f"lesions_{max(LESION_PX)}_{name}": vector + 0.01 * sum(name.left_out) for name in names})
    table = pd.DataFrame({"file": [f"p{row}.jpg" for row in range(PHOTOS)], "grade": learned.grades})
    return Photos(table.assign(group=table["file"]), learned.shares, division, learned.folds, kept)


def test_nothing_of_a_fold_has_a_say_in_its_answers(learned):
    photos, config = photos_of(learned), DataConfig()
    before, _ = correct_out_of_fold(photos, config)
    for fold in range(FOLDS):
        others = photos.table["grade"].where(photos.folds != fold, 4 - photos.table["grade"])
        after, _ = correct_out_of_fold(photos._replace(table=photos.table.assign(grade=others)), config)
        assert np.array_equal(before[photos.folds == fold], after[photos.folds == fold])
        taught = photos.learned(fold, config)
        assert len(taught.grades) == PHOTOS * 4 // 5 and fold not in taught.folds
        # Those that teach were looked at by heads that know neither this fold nor their own.
        added = taught.vectors - learned.vectors[photos.folds != fold]
        np.testing.assert_allclose(added[:, 0], 0.01 * (taught.folds + fold))
    assert not np.array_equal(before, photos.shares)


def test_stretches_are_corrected_by_heads_of_stretches_and_measured(learned, tmp_path):
    """Photos without an answer belong to a stretch, and are not measured."""
    learned = learned._replace(folds=np.arange(PHOTOS) * FOLDS // PHOTOS)
    photos = photos_of(learned, "stretches")
    answered = as_predictions(photos, photos.shares).drop(index=[0, 25, PHOTOS - 1])
    answered.to_csv(tmp_path / "answers.csv", index=False)
    (tmp_path / "results").mkdir()
    answered.to_csv(tmp_path / "results" / "out_of_fold.csv", index=False)  # as if these were those by visits
    folds_seen = []

    class Given:
        given = types.SimpleNamespace(results=tmp_path / "results", work=tmp_path / "work")
        own, config = photos.table, read_recipe(SHIPPED_RECIPE)

        def look(self, division, folds, results):
            folds_seen.append((division, folds.tolist(), results))
            return photos.kept

    stretches.measure(Given(), tmp_path / "answers.csv")
    assert folds_seen == [("stretches", learned.folds.tolist(), tmp_path / "results" / "stretches")]
    measured = read_json(tmp_path / "results" / "stretches" / "cross_validated.json")
    assert measured["n"] == PHOTOS - 3
    corrected = pd.read_csv(tmp_path / "results" / "stretches" / "out_of_fold.csv")
    before = roc_auc_score(answered["grade"] >= 2, answered[["p2", "p3", "p4"]].sum(axis=1))
    assert roc_auc_score(corrected["grade"] >= 2, corrected[["p2", "p3", "p4"]].sum(axis=1)) > before + 0.1
    from_visits = read_json(tmp_path / "results" / "stretches" / "from_visits.json")["differences"]
    assert from_visits["referable_auc"]["difference"] > 0.1
    difference = read_json(tmp_path / "results" / "stretches" / "difference.json")
    assert {"alone", "corrected"} == difference["missed"].keys()


def test_heads_of_another_division_are_not_taken_over(tmp_path):
    given = types.SimpleNamespace(work=tmp_path)
    begun = Begun(given, config=None, own=None, taught=None, beyond=None, backbone=None)
    mark_folder(tmp_path / "own_stretches", {"folds": [0, 0, 1]})
    with pytest.raises(InputError, match="was begun with other settings or other photos"):
        begun.look("stretches", np.array([0, 1, 1]), tmp_path)


def test_answers_are_joined_by_the_names_of_files(learned, tmp_path):
    photos = photos_of(learned)
    table = as_predictions(photos, photos.shares)
    assert [its["fold"].nunique() for its in by_fold(table)] == [1] * FOLDS
    path = tmp_path / "answers.csv"
    shuffled = table.assign(file="other/" + table["file"]).sample(frac=1, random_state=1).iloc[:-1]
    shuffled.to_csv(path, index=False)
    joined = join_answers(photos.table, photos.division, photos.folds, photos.kept, path)
    assert len(joined.table) == PHOTOS - 1
    rows = joined.table["file"].str[1:-4].astype(int).to_numpy()
    np.testing.assert_allclose(joined.shares, photos.shares[rows], atol=1e-12)
    assert list(joined.table["grade"]) == list(learned.grades[rows]) and set(PROBABILITIES) <= set(table)
    shuffled.assign(grade=4 - shuffled["grade"]).to_csv(path, index=False)
    with pytest.raises(InputError, match="has other grades than the prepared photos"):
        join_answers(photos.table, photos.division, photos.folds, photos.kept, path)


def test_a_fast_head_is_the_head(tmp_path):
    channels = [4, 6, 8, 10, 12]
    torch.manual_seed(1)
    head = _new_head(channels).eval()
    fast = FastHead(head, channels, tmp_path / "head.onnx")
    for side in (16, 24):  # cells of the coarsest map but one decide how large the others are
        sides = [side * 8, side * 8, side * 4, side * 2, side]
        maps = [torch.rand(1, count, each, each) for count, each in zip(channels, sides, strict=True)]
        torch.testing.assert_close(fast(maps), head(maps), rtol=1e-4, atol=1e-4)


def test_the_card_of_the_package_is_what_its_results_say(tmp_path):
    name = f"{LESIONS_DEFAULT}.toml"
    shutil.copytree(SHIPPED, tmp_path / "shipped")
    (tmp_path / "shipped" / name).unlink()
    card_script.write_card(card_script.RESULTS, tmp_path / "shipped")
    assert (tmp_path / "shipped" / name).read_bytes() == (SHIPPED / name).read_bytes()


def test_healthy_eyes_teach_that_no_lesion_is_there_and_nothing_of_the_disc(tmp_path):
    path = tmp_path / "healthy.png"
    Image.fromarray(draw_photo(grade=0, seed=1)).save(path)
    [teacher] = healthy.healthy_teachers([(path, "visit")])
    square = teacher.read()
    assert teacher.group == "visit" and square.pixels.shape == (CONFIG.image_size, CONFIG.image_size, 3)
    assert not square.covered.any()
    assert {kind for kind, known in zip(KINDS, square.known.tolist(), strict=True) if known} == set(LESIONS)


def test_eyes_that_measure_what_is_found_in_healthy_ones_have_taught_nothing():
    photos = [(Path(f"{number}.jpg"), f"visit {number}") for number in range(7)]
    teaching, measuring = healthy.divide_healthy(photos)
    assert not {visit for _, visit in teaching} & {visit for _, visit in measuring}
    assert sorted([*teaching, *measuring]) == photos

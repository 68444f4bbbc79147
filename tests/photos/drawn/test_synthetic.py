import hashlib
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from biranet.errors import InputError
from biranet.photos.drawn import synthetic
from biranet.photos.drawn.eye import Eye
from biranet.photos.drawn.synthetic import balanced_grades, draw_folder, draw_photo
from biranet.photos.field import find_field
from biranet.tables import read_table

Pixels = npt.NDArray[np.uint8]
SHAPE = (256, 320)
SEEDS = range(8)
NEW_VESSEL_SPAN = 0.385
"""Field radii: haemorrhages that flow together stay smaller, fronds of new vessels are larger."""


def fingerprint(photo: Pixels) -> str:
    return hashlib.sha256(photo.tobytes()).hexdigest()


def spots(grade: int, seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Places (n, 2) in field radii and spans (n,) of what is clearly darker than in the same eye without lesions."""
    eye = Eye(seed, SHAPE)
    change = draw_photo(grade, seed)[..., 1].astype(int) - draw_photo(0, seed)[..., 1]
    count, _, stats, centers = cv2.connectedComponentsWithStats((change < -14).astype(np.uint8))
    spans = stats[1:count, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1) / eye.radius
    large = stats[1:count, cv2.CC_STAT_AREA] >= 8
    return (centers[1:count] - eye.center)[large] / eye.radius, spans[large]


def brightened(grade: int, seed: int) -> int:
    """Pixels that are much brighter than in the same eye without lesions."""
    change = draw_photo(grade, seed)[..., 1].astype(int) - draw_photo(0, seed)[..., 1]
    return int((change > 40).sum())


@pytest.mark.parametrize("grade", range(5))
def test_same_arguments_give_the_same_photo_and_others_another(grade: int) -> None:
    prints = [fingerprint(draw_photo(grade, seed)) for seed in SEEDS]
    assert prints == [fingerprint(draw_photo(grade, seed)) for seed in SEEDS]
    assert len(set(prints)) == len(prints)


def test_another_process_without_fast_paths_draws_the_same() -> None:
    code = (
        "import cv2, hashlib\n"
        "cv2.setUseOptimized(False); cv2.setNumThreads(1)\n"
        "from biranet.photos.drawn.synthetic import draw_photo\n"
        "print(*[hashlib.sha256(draw_photo(grade, 11).tobytes()).hexdigest() for grade in range(5)])\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == [fingerprint(draw_photo(grade, 11)) for grade in range(5)]


@pytest.mark.parametrize(("width_px", "height_px"), [(320, 256), (97, 131), (131, 97), (64, 64), (32, 33), (701, 500)])
def test_a_photo_has_the_size_asked_for(width_px: int, height_px: int) -> None:
    for grade in range(5):
        photo = draw_photo(grade, 3, width_px, height_px)
        assert photo.shape == (height_px, width_px, 3)
        assert photo.dtype == np.uint8
        assert photo.flags.c_contiguous


def test_a_photo_is_a_lit_red_circle_on_a_dark_ground() -> None:
    for seed in SEEDS:
        eye, photo = Eye(seed, SHAPE), draw_photo(seed % 5, seed).astype(int)
        rows, columns = np.indices(SHAPE)
        away = np.hypot(columns - eye.center[0], rows - eye.center[1]) / eye.radius
        assert photo[away > 1.03].max() < 25
        red, green, blue = photo[away < 0.9].mean(axis=0)
        assert red > 80
        assert red > 1.2 * green > 1.2 * blue


def test_some_fields_are_round_and_some_are_cut_at_top_and_bottom() -> None:
    radii = [Eye(2 * patient, SHAPE).radius for patient in range(40)]
    cut = sum(radius > SHAPE[0] / 2 for radius in radii)
    assert 5 < cut < 30


@pytest.mark.parametrize("seed", range(20))
def test_the_field_is_found(seed: int) -> None:
    eye, found = Eye(seed, SHAPE), find_field(draw_photo(seed % 5, seed))
    middle = np.array([found.left_px, found.top_px]) + found.side_px / 2
    assert found.side_px == pytest.approx(2 * eye.radius, abs=7)
    assert middle[0] == pytest.approx(eye.center[0], abs=3.5)
    if eye.radius < SHAPE[0] / 2:
        assert middle[1] == pytest.approx(eye.center[1], abs=3.5)


def test_the_disc_is_bright_and_lies_to_the_nose() -> None:
    for seed in SEEDS:
        eye = Eye(seed, SHAPE)
        (disc_x, disc_y), (fovea_x, fovea_y) = eye.pixels(np.stack([eye.disc, eye.fovea]))
        assert (disc_x > fovea_x) == bool(seed % 2), "odd seeds are right eyes, whose nose is on the right"
        green = draw_photo(0, seed)[..., 1].astype(float)
        around = [
            green[int(y) - 8 : int(y) + 9, int(x) - 8 : int(x) + 9] for x, y in ((disc_x, disc_y), (fovea_x, fovea_y))
        ]
        assert np.percentile(around[0], 80) > 1.25 * np.percentile(around[1], 80)


def test_two_eyes_share_the_camera_of_their_patient() -> None:
    for patient in range(10):
        left, right = (Eye(2 * patient + side, SHAPE) for side in (0, 1))
        assert left.radius == right.radius
        assert not np.allclose(left.fovea, right.fovea)


@pytest.mark.parametrize("seed", SEEDS)
def test_grade_1_has_microaneurysms_only(seed: int) -> None:
    lesion_positions, spans = spots(1, seed)
    assert 4 <= len(lesion_positions) <= 16
    assert spans.max() < 0.11
    assert brightened(1, seed) == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_grade_2_has_more_but_not_in_all_four_quadrants(seed: int) -> None:
    _, spans = spots(2, seed)
    assert brightened(2, seed) > 20 or spans.max() > 0.06
    assert len(spans) < 40
    assert spans.max() < NEW_VESSEL_SPAN


@pytest.mark.parametrize("seed", SEEDS)
def test_grade_3_has_many_haemorrhages_in_each_quadrant(seed: int) -> None:
    lesion_positions, _ = spots(3, seed)
    quadrants = (lesion_positions[:, 0] > 0) + 2 * (lesion_positions[:, 1] > 0)
    # Neighbours flow together, so fewer than the 21 drawn are told apart.
    assert np.bincount(quadrants, minlength=4).min() >= 8


@pytest.mark.parametrize("seed", SEEDS)
def test_grade_4_has_new_vessels_or_pooled_blood(seed: int) -> None:
    _, spans = spots(4, seed)
    assert spans.max() > NEW_VESSEL_SPAN


def global_statistics(photo: Pixels) -> list[float]:
    """Means, spreads, percentiles and histograms of the whole photo and of its field, in RGB and HSV."""
    field = photo.max(axis=2) > 30
    statistics: list[float] = []
    for picture in (photo, cv2.cvtColor(photo, cv2.COLOR_RGB2HSV)):
        for values in (picture.reshape(-1, 3), picture[field]):
            for channel in range(3):
                share = np.bincount(values[:, channel], minlength=256) / len(values)
                mean = share @ np.arange(256)
                percentiles = np.searchsorted(
                    share.cumsum(), [0.005, 0.01, 0.02, 0.05, 0.25, 0.5, 0.75, 0.95, 0.98, 0.99]
                )
                spread = np.sqrt(share @ (np.arange(256) - mean) ** 2)
                statistics += [mean, spread, *percentiles, *share.reshape(32, 8).sum(axis=1)]
    return statistics


def kappas_from_statistics(count: int) -> list[float]:
    """Agreement with the grade that two strong classifiers reach from global statistics, on patients not seen."""
    grades = np.random.default_rng(0).permutation(np.arange(count) % 5)
    photos = [draw_photo(int(grade), 500 + seed, 160, 128) for seed, grade in enumerate(grades)]
    table = np.array([global_statistics(photo) for photo in photos])
    models = (
        ExtraTreesClassifier(200, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000)),
    )
    patients = np.arange(count) // 2
    with threadpool_limits(1):
        guesses = [cross_val_predict(model, table, grades, groups=patients, cv=GroupKFold(5)) for model in models]
    return [cohen_kappa_score(grades, guess, weights="quadratic", labels=range(5)) for guess in guesses]


@pytest.mark.sample
def test_brightness_and_colour_cannot_tell_the_grade() -> None:
    assert max(kappas_from_statistics(240)) < 0.3


@pytest.mark.sample
def test_without_the_exposure_brightness_and_colour_could_tell_the_grade(monkeypatch: pytest.MonkeyPatch) -> None:
    # Shows that the classifiers above are strong enough to find what there is to find.
    monkeypatch.setattr(synthetic, "_match_histogram", lambda *_: np.arange(4096, dtype=np.float32))
    assert max(kappas_from_statistics(120)) > 0.4


def test_the_tone_curve_brings_the_histogram_to_that_of_the_model() -> None:
    random = np.random.default_rng(3)
    model = random.integers(600, 3200, (60, 80), np.uint16)
    image = np.clip(random.normal(2000, 400, (60, 80)), 0, 4095).astype(np.uint16)
    field = np.ones((60, 80), np.uint8)
    curve = synthetic._match_histogram(image, model, field)
    shares = np.linspace(0.05, 0.95, 19)
    assert np.abs(np.quantile(curve[image], shares) - np.quantile(model, shares)).max() < 10
    assert np.abs(synthetic._match_histogram(model, model, field)[model] - model).max() < 1
    assert (np.diff(curve) >= 0).all()


def test_a_folder_holds_both_eyes_of_each_patient_and_all_grades(tmp_path: Path) -> None:
    labels = draw_folder(tmp_path / "photos", balanced_grades(30), width_px=80, height_px=64)
    table = read_table(labels, ["file", "grade", "group", "eye"])
    grades = table["grade"].to_numpy(int)
    assert np.bincount(grades).tolist() == [6] * 5
    assert np.abs(grades[::2] - grades[1::2]).max() == 1
    assert table.groupby("group")["eye"].agg(list).tolist() == [["left", "right"]] * 15
    assert sorted(table["file"]) == sorted(path.name for path in labels.parent.glob("*.jpg"))
    assert table["file"].iloc[3] == "drawn_0002_right.jpg"
    stored = cv2.imread(str(labels.parent / "drawn_0002_right.jpg"))[..., ::-1]
    drawn = draw_photo(int(grades[3]), 2 * 1_000_001 + 1, 80, 64)
    assert np.abs(stored.astype(int) - drawn).mean() < 6


def test_a_folder_follows_its_settings(tmp_path: Path) -> None:
    labels = draw_folder(tmp_path / "a", [4, 0, 4], photos_per_group=1, width_px=64, height_px=64)
    table = read_table(labels)
    assert table["grade"].tolist() == ["4", "0", "4"]
    assert table["group"].nunique() == 3
    assert table["eye"].tolist() == ["left", "right", "left"]
    first = (tmp_path / "a" / "drawn_0001_left.jpg").read_bytes()
    draw_folder(tmp_path / "b", [4], width_px=64, height_px=64)
    draw_folder(tmp_path / "c", [4], seed=2, width_px=64, height_px=64)
    assert (tmp_path / "b" / "drawn_0001_left.jpg").read_bytes() == first
    assert (tmp_path / "c" / "drawn_0001_left.jpg").read_bytes() != first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((7, 1), "7 is not a grade from 0 to 4"),
        ((-1, 1), "-1 is not a grade"),
        ((1, -1), "seed of a drawn photo must be at least 0"),
        ((1, 1, 31, 64), "must measure at least 32 x 32 px, not 31 x 64"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw_photo(*arguments)


@pytest.mark.parametrize(
    ("grades", "settings", "message"),
    [
        ([], {}, "at least 1"),
        ([0, 1], {"seed": -1}, "at least 0"),
        ([0, 1], {"photos_per_group": 3}, "1 or 2 photos, not 3"),
        ([1, 5], {}, "5 is not a grade"),
    ],
)
def test_a_folder_that_cannot_be_drawn_is_refused(
    grades: list[int], settings: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        draw_folder(tmp_path / "photos", grades, **settings)  # type: ignore[arg-type]
    assert not (tmp_path / "photos").exists()

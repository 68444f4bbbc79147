import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biranet.config import SplitConfig
from biranet.errors import InputError
from biranet.learning.split import describe_split, split_photos, too_few_to_calibrate
from biranet.manifest import SPLITS, graded_photos
from biranet.photos.audit import audit

# Fingerprints of pictures that have nothing to do with each other.
PRINTS = [bytes(row).hex() for row in np.random.default_rng(0).integers(0, 90, (41, 120), dtype=np.uint8)]


def _table(grades, groups=None, sha256=None, official="", status="ok"):
    """A manifest with these grades; every photo is a group and a picture of its own when nothing else is said."""
    count = len(grades)
    return pd.DataFrame(
        {
            "file": [f"{number}.jpg" for number in range(count)],
            "status": status if isinstance(status, list) else [status] * count,
            "grade": pd.array(grades, dtype="Int64"),
            "group": [f"g{number}" for number in (groups if groups is not None else range(count))],
            "split": "",
            "eye": "",
            "sha256": [f"s{number}" for number in (sha256 if sha256 is not None else range(count))],
            "official_split": official if isinstance(official, list) else [official] * count,
        }
    )


def _many(seed=0, patients=400):
    """Two photos of each patient, grades as uneven as they are in screening."""
    random = np.random.default_rng(seed)
    grades = random.choice(5, size=patients, p=[0.6, 0.12, 0.18, 0.06, 0.04])
    fellow = np.clip(grades + random.integers(-1, 2, patients), 0, 4)
    return _table([*grades, *fellow], [*range(patients), *range(patients)])


def _torn(table, column, key):
    parts = table[table[column] != ""].groupby(key)[column].nunique()
    return list(parts[parts > 1].index)


photos = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(0, 4)),
        st.integers(0, 25),
        st.integers(0, 40),
        st.integers(-20, 40),
        st.sampled_from(["ok", "ok", "ok", "unreadable", "no_field", "ungradable"]),
    ),
    min_size=1,
    max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(photos, st.integers(0, 10), st.one_of(st.none(), st.integers(2, 5)))
def test_groups_and_copies_are_never_torn_and_every_photo_has_one_part(photos, seed, folds):
    grades, groups, sha256, prints, status = map(list, zip(*photos, strict=True))
    table = _table(grades, groups, sha256, status=status)
    table["fingerprint"] = [PRINTS[number] if number >= 0 else "" for number in prints]
    before = table.copy()
    try:
        split = split_photos(table, SplitConfig(seed=seed, folds=folds))
    except InputError as error:
        assert "\n" not in str(error)
        return
    finally:
        pd.testing.assert_frame_equal(table, before)
    usable = graded_photos(table).index
    columns = ["split"] if folds is None else [f"fold_{number}" for number in range(folds)]
    for column in columns:
        assert not [finding.sentence for finding in audit(split, [column]) if finding.refuses]
        assert _torn(split, column, "group") == _torn(split, column, "sha256") == []
        assert _torn(split[split["fingerprint"] != ""], column, "fingerprint") == []
        assert split.loc[usable, column].isin(SPLITS).all()
        assert (split[column].drop(usable) == "").all()
        assert (split[column] == "train").any()
    if folds is not None:
        tested = (split.loc[usable, columns] == "test").sum(axis=1)
        assert (tested == 1).all()
        assert (split["split"] == "").all()


def test_parts_get_their_share_of_every_grade():
    table = _many()
    split = split_photos(table, SplitConfig(validation=0.15, calibration=0.15, test=0.2))
    counts = pd.crosstab(split["split"], split["grade"])
    for part, share in {"train": 0.5, "validation": 0.15, "calibration": 0.15, "test": 0.2}.items():
        target = share * counts.sum()
        assert (counts.loc[part] - target).abs().max() <= 2


def test_folds_get_their_share_of_every_grade():
    split = split_photos(_many(), SplitConfig(folds=5, validation=0.1, calibration=0))
    for number in range(5):
        counts = pd.crosstab(split[f"fold_{number}"], split["grade"])
        assert set(counts.index) == {"train", "validation", "test"}
        assert (counts.loc["test"] - counts.sum() / 5).abs().max() <= 2
        assert (counts.loc["validation"] - 0.1 * 0.8 * counts.sum()).abs().max() <= 2


def test_large_groups_still_leave_balanced_parts():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), random.integers(1, 30, 60))
    split = split_photos(_table(list(random.integers(0, 5, len(groups))), groups), SplitConfig())
    shares = split["split"].value_counts(normalize=True)
    for part, share in {"train": 0.5, "validation": 0.15, "calibration": 0.15, "test": 0.2}.items():
        assert shares[part] == pytest.approx(share, abs=0.04)


@pytest.mark.parametrize("folds", [None, 4])
def test_the_seed_decides(folds):
    first, again, other = (
        split_photos(_many(), SplitConfig(seed=seed, folds=folds))["split" if folds is None else "fold_0"]
        for seed in (1, 1, 2)
    )
    assert list(first) == list(again)
    assert list(first) != list(other)


def test_parts_without_a_share_stay_empty():
    split = split_photos(_many(), SplitConfig(validation=0, calibration=0, test=0.25))
    assert set(split["split"]) == {"train", "test"}


def test_photos_linked_through_a_copy_stay_together():
    # The same picture stands under two patients: all of their photos must go together.
    table = _table([0, 1, 2, 3] * 10, groups=np.repeat(range(20), 2), sha256=[0, 1, 1, *range(3, 40)])
    for seed in range(10):
        split = split_photos(table, SplitConfig(seed=seed))
        assert split["split"][:4].nunique() == 1


def test_photos_linked_through_near_identical_ones_stay_together():
    # Not equal, but so close that they are one photo, under two patients; the photo between them is not even graded.
    table = _table([0, 1, None, 3, 4] * 8, groups=np.repeat(range(20), 2))
    near = np.frombuffer(bytes.fromhex(PRINTS[0]), np.uint8)
    table["fingerprint"] = ["", bytes(near + 9).hex(), bytes(near).hex(), bytes(near + 18).hex(), *[""] * 36]
    for seed in range(10):
        split = split_photos(table, SplitConfig(seed=seed))
        assert split["split"][[0, 1, 3]].nunique() == 1


def test_official_parts_are_kept():
    table = _many(patients=100)
    table["official_split"] = np.where(table["group"].str[1:].astype(int) < 30, "test", "train")
    split = split_photos(table, SplitConfig(validation=0.2, calibration=0))
    official = table["official_split"] == "test"
    assert (split["split"][official] == "test").all()
    assert set(split["split"][~official]) == {"train", "validation"}
    assert (split["split"][~official] == "validation").mean() == pytest.approx(0.2, abs=0.03)
    assert list(split["official_split"]) == list(table["official_split"])


def test_an_official_validation_part_is_not_cut_anew():
    table = _many(patients=100)
    table["official_split"] = np.where(table["group"].str[1:].astype(int) < 30, "validation", "train")
    split = split_photos(table, SplitConfig())
    assert list(split["split"] == "validation") == list(table["official_split"] == "validation")
    assert set(split["split"]) == set(SPLITS)


def test_photos_without_an_official_part_are_divided_with_the_train_part():
    table = _many(patients=100)
    table["official_split"] = np.where(table["group"].str[1:].astype(int) < 30, "test", "")
    split = split_photos(table, SplitConfig())
    assert set(split["split"]) == set(SPLITS)


def test_photos_that_give_a_more_guarded_official_part_away_are_left_out():
    official = ["test", "train", "", "train", "validation", "train", "train", "", "train", "train"]
    groups = [0, 0, 0, 1, 1, 2, 3, 4, 5, 6]
    table = _table([0, 1, 2, 3, 4, 0, 1, 2, 3, 4], groups, official=official)
    split = split_photos(table, SplitConfig(calibration=0))["split"].tolist()
    # Group 0 stands in test: its train photo and the one without a part must not be learned from. Group 1 is chosen on.
    assert split[:5] == ["test", "", "", "", "validation"]
    assert set(split[5:]) == {"train"}
    assert "3 photos are in no part, to keep the published parts apart" in describe_split(table.assign(split=split))


def test_photos_that_were_not_divided_are_not_called_left_out():
    assert describe_split(_many(patients=2).assign(split="")) == "split: none of the 4 graded photos is in a part"


def test_patients_in_headers_stay_together():
    table = _table([0, 1] * 20).assign(header_group=["k1"] * 10 + [""] * 30)
    split = split_photos(table, SplitConfig())["split"]
    assert split[:10].nunique() == 1
    assert split[10:].nunique() == 4


def test_folds_leave_official_test_photos_out():
    table = _many(patients=100)
    official = table["group"].str[1:].astype(int) < 30
    table["official_split"] = np.where(official, "test", "train")
    split = split_photos(table, SplitConfig(folds=2))
    assert (split.loc[official, ["fold_0", "fold_1"]] == "").all(axis=None)
    assert ((split.loc[~official, ["fold_0", "fold_1"]] == "test").sum(axis=1) == 1).all()


def test_a_new_split_replaces_folds():
    folds = split_photos(_many(), SplitConfig(folds=5))
    assert [name for name in folds if name.startswith("fold_")] == [f"fold_{number}" for number in range(5)]
    fewer = split_photos(folds, SplitConfig(folds=2))
    assert [name for name in fewer if name.startswith("fold_")] == ["fold_0", "fold_1"]
    one = split_photos(fewer, SplitConfig())
    assert not [name for name in one if name.startswith("fold_")]
    assert set(one["split"]) == set(SPLITS)


@pytest.mark.parametrize(
    ("table", "config", "message"),
    [
        (_table([None, None]), SplitConfig(), "no graded photos to split"),
        (_table([1, 2], status="unreadable"), SplitConfig(), "no graded photos to split"),
        (_table([0, 1, 2]), SplitConfig(), "3 groups of photos cannot be divided into 4 parts"),
        (_table([0] * 9, groups=[0] * 9), SplitConfig(folds=2), "1 groups? of photos cannot be divided into 2 parts"),
        (_table([0, 1, 2], official="test"), SplitConfig(), "no photos are left to train on"),
        (_table([0, 1, 2], official="test"), SplitConfig(folds=2), "no photos are left to train on"),
    ],
)
def test_what_cannot_be_divided_is_refused(table, config, message):
    with pytest.raises(InputError, match=message):
        split_photos(table, config)


def test_description_counts_photos_by_part_and_grade():
    table = _table([0, 1, 1, 4, None])
    table["split"] = ["train", "train", "test", "test", "test"]
    text = describe_split(table)
    assert text.startswith("split: train 2 (1/1/0/0/0), test 2 (0/1/0/0/1);")


@pytest.mark.parametrize(("groups", "few"), [(8, True), (9, False)])
def test_a_calibration_part_that_is_too_small_is_told_of(groups, few):
    table = _table([0, 3] * groups + [1], groups=[*np.arange(2 * groups), 99]).assign(split="calibration")
    table.loc[table.index[-1], "split"] = "train"
    said = too_few_to_calibrate(table)
    assert ("has 8 patients with referable photos and 8 with others" in said) if few else said == ""
    assert too_few_to_calibrate(table.assign(split="train")) == ""

import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from biranet.config import DataConfig
from biranet.errors import InputError
from biranet.learning.data import (
    NO_GRADE,
    BalancedBatchSampler,
    PreparedPhotos,
    SampleKey,
    SequentialBatchSampler,
    load_batches,
    load_sample,
    sample_epoch,
)
from biranet.manifest import graded_photos, read_manifest

GRADES = np.repeat(np.arange(5), [400, 60, 120, 10, 10])


@pytest.fixture
def table(prepared):
    return graded_photos(read_manifest(prepared)).reset_index(drop=True)


@pytest.fixture
def photos(prepared, table):
    return PreparedPhotos(prepared, table, 64, "fundus")


def _frequencies(rows, grades=GRADES):
    return np.bincount(grades[rows], minlength=5) / len(rows)


def _batches(grades, seed=1, epoch=0, first=0, process=0, processes=1, **config):
    sampler = BalancedBatchSampler(grades, DataConfig(**config), seed, process, processes)
    sampler.epoch, sampler.first = epoch, first
    return list(sampler)


def test_balanced_draws_fall_on_every_grade_alike():
    # The released code gave the five weights of the grades to the sampler as weights of the photos.
    rows = sample_epoch(GRADES, DataConfig(draws_per_epoch=20_000), seed=1, epoch=0)
    np.testing.assert_allclose(_frequencies(rows), 0.2, atol=0.015)


def test_photos_of_one_grade_are_drawn_alike():
    rows = sample_epoch(GRADES, DataConfig(draws_per_epoch=20_000), seed=1, epoch=0)
    drawn = np.bincount(rows, minlength=len(GRADES))[GRADES == 4]
    assert drawn.min() > 300
    assert drawn.max() < 500


def test_balance_leaves_out_grades_without_photos():
    grades = np.array([0, 0, 0, 3])
    rows = sample_epoch(grades, DataConfig(draws_per_epoch=8000), seed=1, epoch=0)
    np.testing.assert_allclose(_frequencies(rows, grades), [0.5, 0, 0, 0.5, 0], atol=0.02)


def test_class_weights_are_chances_of_one_photo():
    weights = (1.0, 10.0, 8.0, 20.0, 21.0)
    rows = sample_epoch(GRADES, DataConfig(draws_per_epoch=20_000, class_weights=weights), seed=1, epoch=0)
    chances = np.array(weights) * np.bincount(GRADES)
    np.testing.assert_allclose(_frequencies(rows), chances / chances.sum(), atol=0.015)


def test_published_weights_balance_eyepacs():
    grades = np.repeat(np.arange(5), [25810, 2443, 5292, 873, 708])
    config = DataConfig(class_weights=(1, 10, 8, 20, 21), draws_per_epoch=32_000)
    frequencies = _frequencies(sample_epoch(grades, config, seed=1, epoch=0), grades)
    assert frequencies.min() > 0.1
    assert frequencies.max() < 0.4


def test_a_weight_of_zero_leaves_a_grade_out():
    config = DataConfig(class_weights=(0, 1, 1, 0, 1))
    assert set(GRADES[sample_epoch(GRADES, config, seed=1, epoch=0)]) == {1, 2, 4}


def test_weights_that_leave_nothing_are_refused():
    with pytest.raises(InputError, match="gives no grade among the training photos a chance"):
        sample_epoch(np.array([0, 0, 1]), DataConfig(class_weights=(0, 0, 1, 1, 1)), seed=1, epoch=0)


def test_without_balance_every_photo_comes_once_in_random_order():
    rows = sample_epoch(GRADES, DataConfig(balance=False), seed=1, epoch=0)
    assert sorted(rows) == list(range(len(GRADES)))
    assert list(rows) != sorted(rows)


@pytest.mark.parametrize("draws", [7, 10, 25])
def test_without_balance_more_draws_begin_anew(draws):
    rows = sample_epoch(np.zeros(10, np.int64), DataConfig(balance=False, draws_per_epoch=draws), seed=1, epoch=0)
    counts = np.bincount(rows, minlength=10)
    assert len(rows) == draws
    assert set(counts) <= {draws // 10, -(-draws // 10)}
    assert list(rows[:10]) != list(rows[10:20])


@pytest.mark.parametrize(("draws", "expected"), [(None, len(GRADES)), (17, 17)])
@pytest.mark.parametrize("balance", [True, False])
def test_an_epoch_has_as_many_draws_as_asked_for(balance, draws, expected):
    rows = sample_epoch(GRADES, DataConfig(balance=balance, draws_per_epoch=draws), seed=1, epoch=0)
    assert len(rows) == expected


@pytest.mark.parametrize("balance", [True, False])
def test_draws_follow_seed_and_epoch(balance):
    config = DataConfig(balance=balance)
    first = sample_epoch(GRADES, config, seed=1, epoch=0)
    np.testing.assert_array_equal(first, sample_epoch(GRADES, config, seed=1, epoch=0))
    assert not np.array_equal(first, sample_epoch(GRADES, config, seed=1, epoch=1))
    assert not np.array_equal(first, sample_epoch(GRADES, config, seed=2, epoch=0))


@pytest.mark.parametrize("count", [20, 21, 24])
def test_batches_hold_all_draws_in_order(count):
    batches = _batches(np.zeros(count, np.int64), batch_size=5)
    assert [len(batch) for batch in batches] == [5] * (count // 5) + ([count % 5] if count % 5 else [])
    draws = [draw for batch in batches for draw in batch]
    assert [draw.row for draw in draws] == list(sample_epoch(np.zeros(count, np.int64), DataConfig(), seed=1, epoch=0))
    assert [draw.seed for draw in draws] == [(1, 0, position) for position in range(count)]
    assert len(BalancedBatchSampler(np.zeros(count, np.int64), DataConfig(batch_size=5), seed=1)) == len(batches)


@pytest.mark.parametrize("first", [0, 1, 3, 5])
def test_a_resumed_epoch_goes_on_where_it_stopped(first):
    whole = _batches(GRADES[:23], epoch=4, batch_size=5)
    assert _batches(GRADES[:23], epoch=4, first=first, batch_size=5) == whole[first:]


@pytest.mark.parametrize("processes", [2, 3])
def test_the_shares_of_all_processes_are_the_batch(processes):
    whole = _batches(GRADES, epoch=2, batch_size=8)
    shares = [
        _batches(GRADES, epoch=2, batch_size=8, process=number, processes=processes) for number in range(processes)
    ]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert sorted(draw for part in parts for draw in part) == sorted(batch)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_in_order_gives_every_photo_once_without_augmentation():
    batches = list(SequentialBatchSampler(11, 4))
    assert batches == [[SampleKey(row) for row in rows] for rows in (range(4), range(4, 8), range(8, 11))]
    assert len(SequentialBatchSampler(11, 4)) == 3
    assert all(draw.seed is None for batch in batches for draw in batch)


def test_a_photo_comes_with_its_grade(prepared, table, photos):
    assert len(photos) == 40
    for row in (0, 17):
        photo, grade, number = load_sample(photos, SampleKey(row))
        pixels = np.array(Image.open(prepared / table["prepared"][row]))
        np.testing.assert_array_equal(photo.numpy(), pixels)
        assert (grade, number) == (table["grade"][row], row)


def test_a_photo_without_a_grade_says_so(prepared, table):
    table["grade"] = pd.array([pd.NA, *table["grade"][1:]], dtype="Int64")
    photos = PreparedPhotos(prepared, table, 64)
    assert load_sample(photos, SampleKey(0))[1] == NO_GRADE
    assert load_sample(photos, SampleKey(1))[1] == table["grade"][1]


def test_it_is_a_data_set_of_torch(split_folder, prepared):
    photos = PreparedPhotos(str(split_folder), "validation")
    table = read_manifest(split_folder)
    table = graded_photos(table)[table["split"] == "validation"]
    assert repr(photos) == f"PreparedPhotos({len(table)} photos, 64 px)"
    assert [grade for _, grade in photos] == list(table["grade"])
    image, grade = photos[-1]
    np.testing.assert_array_equal(
        image.permute(1, 2, 0), np.array(Image.open(split_folder / table["prepared"].iloc[-1]))
    )
    assert (image.dtype, grade) == (torch.uint8, photos[len(photos) - 1][1])
    with pytest.raises(IndexError):
        photos[len(photos)]
    with pytest.raises(TypeError):
        photos[SampleKey(0)]
    images, grades = next(iter(DataLoader(photos, batch_size=3)))
    assert (images.shape, grades.tolist()) == ((3, 3, 64, 64), list(table["grade"][:3]))
    assert len(PreparedPhotos(split_folder, "all")) == 40
    assert PreparedPhotos(split_folder, table[:2], 32)[0][0].shape == (3, 32, 32)
    with pytest.raises(InputError, match=r"has no graded photos in the part 'train'; its parts are: none; run biranet"):
        PreparedPhotos(prepared)
    with pytest.raises(InputError, match=r"has no split 'fold_0'; make folds with: biranet split"):
        PreparedPhotos(split_folder, split_column="fold_0")


def test_a_photo_drawn_twice_gives_two_images(photos):
    first, second = (load_sample(photos, SampleKey(3, (1, 0, position)))[0] for position in (5, 6))
    again = load_sample(photos, SampleKey(3, (1, 0, 5)))[0]
    assert not torch.equal(first, second)
    assert torch.equal(first, again)
    assert not torch.equal(first, load_sample(photos, SampleKey(3, (1, 1, 5)))[0])
    assert not torch.equal(first, load_sample(photos, SampleKey(3))[0])


def test_in_a_balanced_epoch_repeated_photos_differ(photos):
    draws = [draw for batch in _batches(np.zeros(3, np.int64), draws_per_epoch=30) for draw in batch]
    images = {load_sample(photos, draw)[0].numpy().tobytes() for draw in draws}
    assert len({draw.row for draw in draws}) == 3
    assert len(images) == 30


def test_without_augmentation_the_key_changes_nothing(prepared, table):
    photos = PreparedPhotos(prepared, table, 64, "none")
    assert torch.equal(load_sample(photos, SampleKey(3, (1, 0, 5)))[0], load_sample(photos, SampleKey(3))[0])


def _load(photos, workers, first=0, epochs=(0, 1)):
    sampler = BalancedBatchSampler(photos.grades, DataConfig(batch_size=12), seed=1)
    loader = load_batches(photos, sampler, workers)
    batches = []
    for epoch in epochs:
        sampler.epoch, sampler.first = epoch, first
        batches += list(loader)
    return batches


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_do_not_change_a_bit(photos, workers):
    torch.manual_seed(workers)
    here, there = _load(photos, 0), _load(photos, workers)
    assert len(here) == len(there) == 8
    for ours, theirs in zip(here, there, strict=True):
        assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))
    assert not torch.equal(here[0].pixels, here[4].pixels)


def test_a_resumed_epoch_loads_the_same_remaining_batches(photos):
    whole, rest = _load(photos, 0, epochs=(3,)), _load(photos, 0, first=2, epochs=(3,))
    assert len(rest) == 2
    for ours, theirs in zip(whole[2:], rest, strict=True):
        assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


def test_batches_have_the_declared_shapes(photos):
    batch = _load(photos, 0)[0]
    assert (batch.pixels.shape, batch.pixels.dtype) == ((12, 64, 64, 3), torch.uint8)
    assert (batch.grades.shape, batch.grades.dtype) == ((12,), torch.int64)
    assert torch.equal(batch.grades, torch.tensor(photos.grades[batch.rows.numpy()]))


def test_a_smaller_image_is_resized(prepared, table):
    large, small = (PreparedPhotos(prepared, table, size).photo(0) for size in (64, 32))
    np.testing.assert_array_equal(small, cv2.resize(large, (32, 32), interpolation=cv2.INTER_AREA))


def test_an_image_larger_than_the_stored_one_is_refused(prepared, table):
    photos = PreparedPhotos(prepared, table, 65)
    with pytest.raises(InputError, match=r"image_size 65 is larger than the prepared photos, which are 64 px"):
        photos.photo(0)


@pytest.mark.parametrize(
    ("damage", "workers"),
    [("missing", 0), ("empty", 0), ("truncated", 0), ("text", 0), ("other", 0), ("missing", 1)],
)
def test_a_damaged_prepared_photo_is_named(prepared, table, tmp_path, damage, workers):
    copy = tmp_path / "prepared"
    shutil.copytree(prepared, copy)
    path = copy / table["prepared"][1]
    whole = path.read_bytes()
    path.unlink()
    if damage != "missing":
        other = (copy / table["prepared"][2]).read_bytes()
        made = {"empty": b"", "truncated": whole[: len(whole) // 2], "text": b"no picture at all", "other": other}
        path.write_bytes(made[damage])
    photos = PreparedPhotos(copy, table[:4], 64)
    with pytest.raises(InputError, match="cannot be read") as caught:
        list(load_batches(photos, SequentialBatchSampler(4, 2), workers))
    reason = "No such file or directory" if damage == "missing" else "it is not the image that was stored"
    # Whoever loads it, the sentence alone, without the tracebacks of a worker.
    assert str(caught.value) == (
        f"the prepared image of {table['file'][1]}, {path}, cannot be read: {reason}; "
        "run `biranet prepare` again to restore it"
    )


def test_a_manifest_of_an_older_version_is_read_without_digests(prepared, table, photos):
    older = PreparedPhotos(prepared, table.drop(columns="prepared_sha256"), 64)
    assert torch.equal(load_sample(older, SampleKey(3))[0], load_sample(photos, SampleKey(3))[0])

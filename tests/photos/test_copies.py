import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biranet.errors import InputError
from biranet.photos import copies
from biranet.photos.copies import MAX_DISTANCE, near_identical_pairs
from biranet.photos.fingerprint import FINGERPRINT_BYTES as BYTES
from biranet.photos.fingerprint import QUANTIZATION_STEPS


def _texts(rows):
    return [bytes(row).hex() for row in rows]


def _all_pairs(rows):
    numbers = rows.astype(np.int64)
    return [
        [i, j]
        for i, j in itertools.combinations(range(len(rows)), 2)
        if ((numbers[i] - numbers[j]) ** 2).sum() <= (MAX_DISTANCE * QUANTIZATION_STEPS) ** 2
    ]


def _crowd(random, count):
    """Random fingerprints, spread like those of photos, a third of them copies of others at all distances."""
    rows = np.abs(random.normal(40, 26, (count, BYTES)))
    third = count // 3
    change = random.standard_normal((third, BYTES))
    change *= random.uniform(0, 1.3 * MAX_DISTANCE * QUANTIZATION_STEPS, (third, 1)) / np.linalg.norm(
        change, axis=1, keepdims=True
    )
    rows[:third] = rows[third : 2 * third] + change
    return np.rint(rows).clip(0, 255).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 90))
def test_pairs_are_those_of_comparing_all(seed, count):
    random = np.random.default_rng(seed)
    rows = random.permutation(_crowd(random, count))
    assert near_identical_pairs(_texts(rows)).tolist() == _all_pairs(rows)


def test_trees_find_what_comparing_all_finds(monkeypatch):
    rows = _crowd(np.random.default_rng(5), 6000)
    trees = near_identical_pairs(_texts(rows))
    monkeypatch.setattr(copies, "_BRUTE_FORCE_LIMIT", 6000)
    everything = near_identical_pairs(_texts(rows))
    assert len(everything) > 1400
    missed = set(map(tuple, everything.tolist())) - set(map(tuple, trees.tolist()))
    assert set(map(tuple, trees.tolist())) <= set(map(tuple, everything.tolist()))
    assert len(missed) <= 0.005 * len(everything)


@pytest.mark.parametrize("count", [300, 4000])
def test_the_order_of_photos_does_not_matter(count):
    random = np.random.default_rng(2)
    rows = _crowd(random, count)
    order = random.permutation(count)
    pairs = near_identical_pairs(_texts(rows[order]))
    assert np.unique(np.sort(order[pairs], axis=1), axis=0).tolist() == near_identical_pairs(_texts(rows)).tolist()


def test_many_equal_photos_make_few_pairs_and_one_set():
    rows = _crowd(np.random.default_rng(3), 9)
    texts = [_texts(rows)[-1]] * 5000 + ["", *_texts(rows)]
    pairs = near_identical_pairs(texts)
    assert [0, 4999] in pairs.tolist()
    assert len(pairs) < 5100
    # So do thousands that are nearly equal, which no comparison of bytes would link.
    random = np.random.default_rng(4)
    near = (rows[-1] + random.integers(0, 4, (2500, BYTES))).clip(0, 255).astype(np.uint8)
    pairs = near_identical_pairs(_texts(near))
    assert len(pairs) < 50 * 2500
    reached, links = {0}, {}
    for one, other in pairs.tolist():
        links.setdefault(one, []).append(other)
        links.setdefault(other, []).append(one)
    waiting = [0]
    while waiting:
        new = set(links.get(waiting.pop(), [])) - reached
        reached |= new
        waiting += new
    assert len(reached) == 2500


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["00" * BYTES]])
def test_nothing_to_compare(texts):
    assert near_identical_pairs(texts).shape == (0, 2)


@pytest.mark.parametrize("text", ["abc", "zz" * BYTES, "00" * (BYTES - 1)])
def test_what_is_no_fingerprint_is_refused(text):
    with pytest.raises(InputError, match="is not the fingerprint of a photo"):
        near_identical_pairs([text, "00" * BYTES])

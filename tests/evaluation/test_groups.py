"""Groups are drawn whole, within their stratum, and by their content alone."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from biranet.evaluation.groups import BLOCK, Groups, arrange_groups, block_sizes, draw_weights

Draw = Callable[..., pd.DataFrame]


def test_groups_hold_their_photos(draw_table: Draw) -> None:
    table = draw_table(30, seed=1).sample(frac=1, random_state=0)
    groups = arrange_groups([table])
    names = table["group"].to_numpy()[groups.order]
    assert sorted(groups.order.tolist()) == list(range(len(table)))
    assert groups.sizes.sum() == len(table)
    assert len(groups.sizes) == table["group"].nunique()
    for start, size in zip(groups.starts, groups.sizes, strict=True):
        assert len(set(names[start : start + size])) == 1
    assert [len(set(names[groups.group_of_photo == number])) for number in range(30)] == [1] * 30


@pytest.mark.parametrize("stratify", [False, True])
def test_neither_order_nor_names_matter(draw_table: Draw, stratify: bool) -> None:
    table = draw_table(40, seed=2)
    content = table.columns.difference(["file", "group"])
    arranged = []
    for seed in range(3):
        other = table.sample(frac=1, random_state=seed).assign(group=lambda rows: rows["group"].str[::-1])
        groups = arrange_groups([other], stratify=stratify)
        arranged.append((other[content].to_numpy()[groups.order], groups.sizes, groups.strata))
    for rows, sizes, strata in arranged[1:]:
        np.testing.assert_array_equal(rows, arranged[0][0])
        np.testing.assert_array_equal(sizes, arranged[0][1])
        assert strata == arranged[0][2]


def test_strata_are_the_worst_grades(draw_table: Draw) -> None:
    table = draw_table(50, seed=3)
    worst = table.groupby("group")["grade"].max()
    groups = arrange_groups([table], stratify=True)
    assert groups.strata == tuple(worst.value_counts().sort_index())
    weights = draw_weights(groups, 20, [1])
    first = np.cumsum((0, *groups.strata))
    for start, end, count in zip(first, first[1:], groups.strata, strict=False):
        np.testing.assert_allclose(weights[start:end].sum(axis=0), count)


def test_every_group_is_drawn_equally_often() -> None:
    groups = Groups(np.arange(8), np.ones(8, np.intp), (8,))
    weights = draw_weights(groups, 20_000, [5])
    assert (weights.sum(axis=0) == 8).all()
    # A weight is binomial (8, 1/8): mean 1, variance 7/8.
    np.testing.assert_allclose(weights.mean(axis=1), 1, atol=5 * np.sqrt(7 / 8 / 20_000))
    np.testing.assert_allclose(weights.var(axis=1), 7 / 8, rtol=0.05)


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_a_stratum_varies_as_its_groups_do(count: int) -> None:
    """The mean of a stratum's groups has the variance that one estimates from them: their own by n - 1, by n."""
    weights = draw_weights(Groups(np.arange(50 + count), np.ones(50 + count, np.intp), (50, count)), 20_000, [6])
    values = np.random.default_rng(0).normal(0, 1, count)
    expected = values.var(ddof=1) / count if count > 1 else 0
    assert (values @ weights[50:] / count).var() == pytest.approx(expected, rel=0.05)


def test_one_long_name_takes_its_own_room_alone() -> None:
    table = pd.DataFrame({"group": [*map(str, range(20_000)), "x" * 10_000], "grade": 0, "predicted_grade": 0})
    tracemalloc.start()
    assert len(arrange_groups([table]).sizes) == 20_001
    assert tracemalloc.get_traced_memory()[1] < 100e6  # every name in the room of the longest: 800 MB
    tracemalloc.stop()


def test_blocks_make_up_the_resamples() -> None:
    for photos in (3, 50_000, 10 * BLOCK):
        sizes = block_sizes(Groups(np.arange(photos), np.ones(photos, np.intp), (photos,)), 2001)
        assert sum(sizes) == 2001
        assert min(sizes) > 0
        assert max(sizes) * photos <= max(BLOCK, 8 * photos)

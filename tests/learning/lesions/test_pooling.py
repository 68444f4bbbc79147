"""What a photo's maps of lesions are summed up to, against the same sums written out."""

import numpy as np
import pytest
import torch

from biranet.learning.lesion_branch.pooling import (
    GLOBAL,
    HIGHEST_CELLS,
    MARKED_FROM,
    VALUES,
    pool_lesions,
    without_kind,
)
from biranet.lesion_kinds import DISC, KINDS, LESIONS

HE, OD = KINDS.index("HE"), KINDS.index(DISC)
PLACES = ((8, 8), (8, 40), (40, 8), (14, 14))


@pytest.fixture
def maps():
    """Four haemorrhages: two in the first quadrant, one each in two others."""
    maps = torch.zeros(1, 5, 64, 64)
    for row, column in PLACES:
        maps[0, HE, row, column] = 0.9
    return maps


def test_a_vector_counts_what_is_drawn(maps):
    vector = pool_lesions(maps)[0]
    assert vector.shape == (VALUES,)
    by_name = vector[:GLOBAL].reshape(3 + len(MARKED_FROM), len(LESIONS))
    assert by_name[:, [kind for kind in range(len(LESIONS)) if kind != HE]].abs().max() == 0
    area, highest, top, *counts = by_name[:, HE].tolist()
    assert area == pytest.approx(np.log1p(4 * 0.9 / 64**2 * 1e4), rel=1e-4)
    assert highest == pytest.approx(0.9) and top == pytest.approx(4 * 0.9 / HIGHEST_CELLS)
    assert counts == pytest.approx([np.log(5)] * 3)
    assert vector[GLOBAL:].reshape(len(LESIONS), 4)[HE].tolist() == pytest.approx([0, np.log(2), np.log(2), np.log(3)])


def test_a_spot_of_any_size_within_the_square_is_one_and_larger_ones_are_more(maps):
    maps.zero_()
    for side, spots in ((1, 1), (2, 1), (3, 1), (40, 64)):
        maps[0, HE, 10 : 10 + side, 10 : 10 + side] = 0.9
        counted = pool_lesions(maps)[0, 3 * len(LESIONS) + HE].expm1().item()
        assert counted == pytest.approx(spots, rel=1e-5 if spots == 1 else 0.25)


def test_cells_as_high_as_each_other_make_no_difference(maps):
    maps[0, HE, 20:30, 20:30] = 0.7
    equal = pool_lesions(maps)
    maps[0, HE, 20:30, 20:30] += 1e-6 * torch.rand(10, 10, generator=torch.Generator().manual_seed(1))
    assert (pool_lesions(maps) - equal).abs().max() < 1e-5


def test_what_lies_on_the_disc_is_nothing(maps):
    alone = pool_lesions(maps)
    maps[0, HE, 50, 50], maps[0, OD, 48:53, 48:53] = 0.9, 1.0
    assert torch.equal(pool_lesions(maps), alone)


@pytest.mark.parametrize("share", MARKED_FROM)
def test_no_value_jumps_where_a_cell_crosses_a_share(maps, share):
    """Engines differ in the last digits; so the vector may hardly differ where a map does."""
    for value in np.linspace(share / 2 - 1e-3, share * 3 / 2 + 1e-3, 200):
        for row, column in PLACES:
            maps[0, HE, row, column] = value
        near = pool_lesions(maps)
        maps *= 1 + 1e-6 * torch.rand(64, 64, generator=torch.Generator().manual_seed(1))
        assert (pool_lesions(maps) - near).abs().max() < 1e-5
        maps.zero_()


def test_without_a_kind_all_is_as_if_it_were_not_there():
    shares = torch.rand(3, 5, 32, 32, generator=torch.Generator().manual_seed(2))
    for kind in range(len(LESIONS)):
        none = shares.clone()
        none[:, kind] = 0
        assert torch.equal(without_kind(pool_lesions(shares), kind), pool_lesions(none))

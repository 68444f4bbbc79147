"""Which photos are copies of each other, by fingerprint, in a time that grows little faster than their number."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_matrix, csgraph

from biranet.errors import InputError
from biranet.photos.fingerprint import FINGERPRINT_BYTES, QUANTIZATION_STEPS

MAX_DISTANCE = 0.28
"""Largest distance between the fingerprints of near-identical photos; docs/audit.md says how it was chosen."""

_BRUTE_FORCE_LIMIT = 2048
_TREES, _LEAF_SIZE, _AXES = 96, 64, 24
_MAX_LINKS = 32


def near_identical_pairs(fingerprints: Sequence[str]) -> npt.NDArray[np.int64]:
    """Find the photos that are copies of each other, in a time that grows little faster than their number.

    Up to 2,048 different fingerprints are all compared. More are divided by 96 random trees, and compared within the
    leaves; benchmarks/audit.py measures which share of the pairs is found so, and docs/audit.md tells it.

    Args:
        fingerprints: From `fingerprint`; an empty one is like no other.

    Returns:
        Positions (m, 2), int64, the smaller first, sorted: pairs whose distance is at most `MAX_DISTANCE`. Where very
        many are alike, not all pairs are listed, but enough to link them: equal fingerprints each with the first of
        them, and no photo with more than 32 others at a time.

    Raises:
        InputError: If one is not what `fingerprint` gives.

    Source:
        Randomised k-d trees on principal axes: Silpa-Anan and Hartley, CVPR 2008, doi 10.1109/CVPR.2008.4587638. They
        search one nearest neighbour through a queue; we compare all that meet in a leaf.

    Example:
        >>> near_identical_pairs(["00ff" * 60, "", "ff00" * 60, "00ff" * 60]).tolist()
        [[0, 3]]
    """
    printed = np.array([index for index, text in enumerate(fingerprints) if text], dtype=np.int64)
    if len(printed) < 2:
        return np.empty((0, 2), np.int64)
    rows = np.stack([_parse(fingerprints[index]) for index in printed])
    distinct, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    copies = np.flatnonzero(first[which] != np.arange(len(rows)))
    close = first[_close_pairs(distinct)]
    pairs = np.concatenate([np.column_stack([first[which[copies]], copies]), close])
    return np.unique(np.sort(printed[pairs], axis=1), axis=0)


def connected_components(count: int, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number what pairs connect, directly or through others.

    Args:
        count: How many things there are.
        pairs: Positions (m, 2) of things that belong together.

    Returns:
        Numbers (count,), int64, from 0 in the order in which they first occur.

    Example:
        >>> connected_components(4, np.array([[0, 2]])).tolist()
        [0, 1, 0, 2]
    """
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return pd.factorize(csgraph.connected_components(graph, directed=False)[1])[0].astype(np.int64)


def _parse(text: str) -> npt.NDArray[np.uint8]:
    try:
        row = np.frombuffer(bytes.fromhex(text), np.uint8)
    except ValueError:
        row = np.empty(0, np.uint8)
    if len(row) != FINGERPRINT_BYTES:
        raise InputError(f"{text[:40]!r} is not the fingerprint of a photo; prepare the photos again")
    return row


def _close_pairs(distinct: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Pairs (m, 2) of rows no further apart than `MAX_DISTANCE`, sorted."""
    count = len(distinct)
    if count <= _BRUTE_FORCE_LIMIT:
        return _pairs_within(distinct, np.arange(count)[None])
    codes = np.empty(0, np.int64)
    for leaves in _leaves(distinct):
        ends = np.stack([codes // count, codes % count])
        links = np.bincount(ends.ravel(), minlength=count)
        sets = connected_components(count, ends.T)
        one, other = _pairs_within(distinct, leaves).T
        needed = (np.minimum(links[one], links[other]) < _MAX_LINKS) | (sets[one] != sets[other])
        codes = np.union1d(codes, (one * count + other)[needed])
    return np.column_stack([codes // count, codes % count])


def _leaves(distinct: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.int64]]:
    """Divide the rows in half again and again, differently for every tree; rows of the leaves, padded with `count`."""
    count = len(distinct)
    centered = distinct - distinct.mean(axis=0)
    axes = np.linalg.eigh(centered.T @ centered)[1][:, -_AXES:]
    depth = int(np.ceil(np.log2(count / _LEAF_SIZE)))
    padding = -count % 2**depth
    turned = np.concatenate([centered @ axes, np.full((padding, _AXES), np.inf)])
    random = np.random.default_rng(0)
    for _ in range(_TREES):
        leaves = np.arange(len(turned))[None]
        for axis in random.choice(_AXES, depth, replace=depth > _AXES):
            order = np.argpartition(turned[leaves, axis], leaves.shape[1] // 2, axis=1)
            leaves = np.take_along_axis(leaves, order, axis=1).reshape(2 * len(leaves), -1)
        yield np.sort(leaves, axis=1).clip(max=count)


def _pairs_within(distinct: npt.NDArray[np.uint8], leaves: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Pairs (m, 2) of rows in the same leaf no further apart than `MAX_DISTANCE`, the smaller first."""
    size = leaves.shape[1]
    later = np.triu(np.ones((size, size), np.bool_), 1)
    pairs = []
    for some in np.array_split(leaves, max(1, leaves.size * size // 4_000_000)):
        # Sums of products of bytes are whole numbers below 2^24, which float32 holds exactly, in any order of adding.
        points = distinct[some.clip(max=len(distinct) - 1)].astype(np.float32)
        products = points @ points.transpose(0, 2, 1)
        squares = np.einsum("lii->li", products)
        near = squares[:, :, None] + squares[:, None, :] - 2 * products <= (MAX_DISTANCE * QUANTIZATION_STEPS) ** 2
        near &= later & (some < len(distinct))[:, None, :]
        near &= near.cumsum(axis=2, dtype=np.int32) <= _MAX_LINKS
        leaf, one, other = np.nonzero(near)
        pairs.append(np.column_stack([some[leaf, one], some[leaf, other]]))
    return np.concatenate(pairs)

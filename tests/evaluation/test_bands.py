"""Curves are those of scikit-learn and of written-out sums, and their bands are intervals made like all others."""

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from biranet.config import EvaluationConfig
from biranet.evaluation.bands import FALSE_POSITIVE_RATES, RECALLS, SCORE_BINS, THRESHOLDS, Curves, measure_curves
from biranet.evaluation.groups import arrange_groups, block_sizes, draw_weights
from biranet.evaluation.interval_methods import clopper_pearson, percentile_interval

RESAMPLES = 64


def predictions(photos: int = 90, *, per_group: int = 2, digits: int = 9) -> pd.DataFrame:
    random = np.random.default_rng(3)
    truth = random.integers(0, 5, photos)
    shares = np.round((random.dirichlet(np.ones(5), photos) + np.eye(5)[truth]) / 2, digits)
    table = pd.DataFrame(shares, columns=[f"p{grade}" for grade in range(5)])
    group = [f"g{number // per_group}" for number in range(photos)]
    return table.assign(file=np.arange(photos).astype(str), group=group, grade=truth, predicted_grade=truth)


def measured(table: pd.DataFrame, **config: bool) -> Curves:
    curves = measure_curves(table, EvaluationConfig(**config), resamples=RESAMPLES)
    assert curves is not None
    return curves


def score_of(table: pd.DataFrame, lowest: int) -> np.ndarray:
    return np.asarray(table[[f"p{grade}" for grade in range(lowest, 5)]].sum(axis=1))


@pytest.mark.parametrize("digits", [9, 1])
def test_values_are_those_of_scikit_learn(digits: int) -> None:
    table = predictions(digits=digits)
    curves = measured(table)
    assert curves.referable_roc and curves.any_dr_roc and curves.precision_recall
    for band, lowest in ((curves.referable_roc, 2), (curves.any_dr_roc, 1)):
        x, y, _ = roc_curve(table["grade"] >= lowest, score_of(table, lowest), drop_intermediate=False)
        np.testing.assert_allclose(band.value, np.interp(FALSE_POSITIVE_RATES, x, y), atol=1e-12)
    referable = (table["grade"] >= 2).to_numpy()
    precision, recall, _ = precision_recall_curve(referable, score_of(table, 2))
    # They come by rising threshold: the last of those that reach a recall has the highest.
    expected = [precision[np.flatnonzero(recall >= wanted - 1e-12)[-1]] for wanted in RECALLS]
    np.testing.assert_allclose(curves.precision_recall.value, expected, atol=1e-12)
    score = np.clip(score_of(table, 2), 0, 1)
    if digits > 1:  # on an edge they sort photos to the lower bin
        share, mean = calibration_curve(referable, score, n_bins=SCORE_BINS)
        np.testing.assert_allclose(curves.reliability.band.value, share, atol=1e-12)
        np.testing.assert_allclose(curves.reliability.band.x, mean, atol=1e-12)
    assert curves.reliability.photos.sum() == len(table)


@pytest.mark.parametrize("digits", [9, 1])
def test_net_benefit_is_that_of_the_written_out_sum(digits: int) -> None:
    table = predictions(digits=digits)
    curves, score, referable = measured(table), score_of(table, 2), (table["grade"] >= 2).to_numpy()
    # Scores on a threshold are called: what is compared is the very sum that the program forms.
    from biranet.decisions.columns import probabilities, referable_score

    score = referable_score(probabilities(table))
    for threshold, value, everybody in zip(THRESHOLDS, curves.net_benefit.value, curves.refer_all, strict=True):
        called = score >= threshold
        odds = threshold / (1 - threshold)
        assert value == pytest.approx((called & referable).mean() - (called & ~referable).mean() * odds, abs=1e-12)
        assert everybody == pytest.approx(referable.mean() - (~referable).mean() * odds, abs=1e-12)
    assert curves.prevalence == referable.mean()


def test_bands_are_intervals_of_the_draws() -> None:
    table = predictions()
    curves, place = measured(table), 19
    groups = arrange_groups([table])
    ordered = table.iloc[groups.order]
    score, referable = score_of(ordered, 2), (ordered["grade"] >= 2).to_numpy()
    called, odds = score >= THRESHOLDS[place], THRESHOLDS[place] / (1 - THRESHOLDS[place])
    drawn = []
    for number, width in enumerate(block_sizes(groups, RESAMPLES)):
        of_photos = draw_weights(groups, width, [1, number])[groups.group_of_photo]
        gain = (called & referable) - (called & ~referable) * odds
        drawn += (gain @ of_photos / of_photos.sum(axis=0)).tolist()
    expected = percentile_interval(np.array(drawn), len(groups.sizes))
    found = [curves.net_benefit.low[place], curves.net_benefit.high[place]]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_bin_of_single_photos_has_the_exact_interval() -> None:
    curves = measured(predictions(per_group=1))
    bins = zip(
        *(curves.reliability.band.value, curves.reliability.photos, curves.reliability.band.low),
        curves.reliability.band.high,
        strict=True,
    )
    for value, photos, low, high in bins:
        assert [low, high] == pytest.approx(clopper_pearson(float(value), int(photos)))


@pytest.mark.parametrize("photos", [24, 90, 150])
def test_no_edge_of_a_roc_band_falls_and_it_ends_where_every_curve_does(photos: int) -> None:
    curves = measured(predictions(photos, per_group=1))
    for band in (curves.referable_roc, curves.any_dr_roc):
        assert band is not None
        for edge in (band.low, band.high):
            known = edge[~np.isnan(edge)]
            assert (np.diff(known) >= 0).all() and edge[-1] == 1


@pytest.mark.parametrize("stratify", [False, True])
def test_a_band_holds_its_curve(stratify: bool) -> None:
    curves = measured(predictions(), stratify=stratify)
    assert curves.referable_roc and curves.precision_recall
    for band in (curves.referable_roc, curves.precision_recall, curves.reliability.band, curves.net_benefit):
        known = ~np.isnan(band.low)
        assert known.any()
        assert (band.low <= band.value)[known].all() and (band.value <= band.high)[known].all()


def test_of_very_many_scores_enough_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    table = predictions(400)
    whole = measured(table)
    monkeypatch.setattr("biranet.evaluation.bands.MAX_SCORES", 100)
    some = measured(table)
    assert whole.referable_roc and some.referable_roc
    np.testing.assert_allclose(some.referable_roc.value, whole.referable_roc.value, atol=0.02)
    np.testing.assert_array_equal(some.net_benefit.value, whole.net_benefit.value)


def test_what_is_not_defined_is_none() -> None:
    table = predictions()
    assert measure_curves(table[["file", "group", "grade", "predicted_grade"]]) is None
    healthy = measured(table.assign(grade=0))
    assert healthy.referable_roc is None and healthy.any_dr_roc is None and healthy.precision_recall is None
    ill = measured(table.assign(grade=3))
    assert ill.referable_roc is None and ill.precision_recall is not None
    assert (ill.precision_recall.value == 1).all()
    one = measured(table.head(1))
    assert np.isnan(one.net_benefit.low).all() and one.reliability.photos.tolist() == [1]

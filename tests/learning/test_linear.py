"""The logistic regression of the linear probe, against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from biranet.learning.linear import PENALTIES, choose_penalty, fit_logistic


def _rows(count=120, channels=12, seed=0):
    """Features that tell something of the grades, of different scales, and weights that balance the grades."""
    random = np.random.default_rng(seed)
    grades = random.choice(5, count, p=[0.4, 0.1, 0.2, 0.2, 0.1])
    features = random.normal(size=(count, channels)) * random.uniform(0.1, 30, channels) + random.normal(size=channels)
    features[:, 0] += grades * features[:, 0].std()
    weights = 1 / np.bincount(grades)[grades]
    return features, grades, weights / weights.sum()


def _standardized(features, weights):
    mean = weights @ features
    return (features - mean) / np.sqrt(weights @ (features - mean) ** 2)


def _fit(features, grades, weights, penalty):
    return fit_logistic(
        torch.from_numpy(features), torch.from_numpy(grades), torch.from_numpy(weights), penalty, num_grades=5
    )


@pytest.mark.parametrize("channels", [12, 200])
@pytest.mark.parametrize("penalty", [1.0, 1e-2, 1e-4])
def test_probabilities_are_those_of_scikit_learn(penalty, channels):
    features, grades, weights = _rows(channels=channels)
    layer = _fit(features, grades, weights, penalty)
    reference = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=20_000)
    reference.fit(standardized := _standardized(features, weights), grades, sample_weight=weights)
    found = layer(torch.from_numpy(features)).softmax(dim=1).numpy()
    np.testing.assert_allclose(found, reference.predict_proba(standardized), atol=1e-5)


def test_scale_and_shift_of_the_features_change_no_answer():
    features, grades, weights = _rows()
    there = _fit(features, grades, weights, 0.1)(torch.from_numpy(features))
    moved = features * np.linspace(0.01, 100, features.shape[1]) + 7
    here = _fit(moved, grades, weights, 0.1)(torch.from_numpy(moved))
    torch.testing.assert_close(here.softmax(dim=1), there.softmax(dim=1), atol=1e-5, rtol=0)


def test_a_grade_that_no_photo_has_is_as_good_as_impossible():
    features, grades, weights = _rows()
    rows = grades != 3
    layer = _fit(features[rows], grades[rows], weights[rows], 0.1)
    assert layer(torch.from_numpy(features)).softmax(dim=1)[:, 3].max() < 1e-6


def test_a_feature_that_is_the_same_everywhere_has_no_say():
    features, grades, weights = _rows()
    features[:, 5] = 0.3
    layer = _fit(features, grades, weights, 1e-4)
    assert (layer.weight[:, 5] == 0).all()
    assert layer.weight.isfinite().all()


@pytest.mark.sample
@pytest.mark.parametrize("lonely", [False, True])
def test_chosen_is_the_penalty_with_the_lowest_log_loss_on_folds_kept_back(lonely):
    """A grade that only one fold has counts for none there: the others cannot have learned it."""
    features, grades, weights = _rows(count=150, seed=1)
    folds = np.arange(len(grades)) % 4
    if lonely:
        grades[grades == 4] = 3
        grades[folds == 0] = np.where(np.arange((folds == 0).sum()) < 10, 4, grades[folds == 0])
        features[grades == 4] *= 50  # there the others' answers are the surer, the weaker the penalty
    losses = []
    for penalty in PENALTIES:
        loss = 0.0
        for fold in range(4):
            rest = folds != fold
            mean = weights[rest] @ features[rest] / weights[rest].sum()
            deviation = np.sqrt(weights[rest] @ (features[rest] - mean) ** 2 / weights[rest].sum())
            reference = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=20_000)
            reference.fit((features[rest] - mean) / deviation, grades[rest], weights[rest] / weights[rest].sum())
            answered = ~rest & np.isin(grades, grades[rest])
            logs = reference.predict_log_proba((features[answered] - mean) / deviation)
            places = np.searchsorted(reference.classes_, grades[answered])
            loss -= weights[answered] @ logs[np.arange(len(places)), places]
        losses.append(loss)
    tensors = [torch.from_numpy(values) for values in (features, grades, weights)]
    assert choose_penalty(*tensors, folds, num_grades=5) == PENALTIES[int(np.argmin(losses))]
    assert 0 < np.argmin(losses) < len(PENALTIES) - 1  # a choice, and not an end of the list

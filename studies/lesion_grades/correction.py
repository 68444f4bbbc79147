"""Fit the correction of a network's answers by lesions, on answers for photos that it had not seen.

What is fitted is `biranet.learning.lesion_branch.grader.Correction`: log p / T + W v + b, p being the network's answer
and v the vector of lesions. T is the temperature of the answers; W and b minimize the cross-entropy, plus half of a
penalty times the squares of W on values of mean 0 and variance 1. With the strongest penalty little is left of W. The
penalty, and whether each photo counts as much as any other or each grade does, are chosen on folds that are kept back,
by the log loss of their photos.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from biranet.decisions.calibration import fit_temperature
from biranet.grades import GRADE_COUNT

PENALTIES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""Strengths of the penalty that there are to choose from, the strongest first."""

COUNTED = ("photos", "grades")
"""What counts the same: each photo, as in the fit of temperature and thresholds, or each grade, as in training."""

_SMALLEST_SHARE, _SMALLEST_DEVIATION = 1e-12, 1e-6

Values = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


class Settings(NamedTuple):
    """How a correction is fitted.

    Attributes:
        counted: One of `COUNTED`.
        penalty: One of `PENALTIES`.
    """

    counted: str
    penalty: float


class Fitted(NamedTuple):
    """A correction.

    Attributes:
        sharpness: 1 / T.
        weight: (5, V).
        bias: (5,).
        settings: How it was fitted.
    """

    sharpness: float
    weight: Values
    bias: Values
    settings: Settings

    def __call__(self, shares: Values, vectors: Values) -> Values:
        """Correct probabilities (N, 5) by the vectors (N, V) of their photos."""
        return _softmax(_logits(shares) * self.sharpness + vectors @ self.weight.T + self.bias)


class Learned(NamedTuple):
    """What a correction is fitted on.

    Attributes:
        shares: Probabilities, by networks that had not seen the photo, (N, 5).
        vectors: (N, V).
        grades: (N,).
        balance: How much each photo counts where each grade counts the same, (N,).
        folds: In which each is kept back while the penalty is chosen, (N,).
    """

    shares: Values
    vectors: Values
    grades: Rows
    balance: Values
    folds: Rows

    def rows(self, chosen: npt.NDArray[np.bool_]) -> "Learned":
        """Some of the photos."""
        return Learned(
            self.shares[chosen], self.vectors[chosen], self.grades[chosen], self.balance[chosen], self.folds[chosen]
        )


def fit_correction(learned: Learned) -> Fitted:
    """Choose the settings with the lowest log loss on folds that are kept back, the first of equals, and fit."""
    options = [Settings(*each) for each in product(COUNTED, PENALTIES)]
    losses = np.zeros(len(options))
    for fold in np.unique(learned.folds):
        rest, kept_back = learned.rows(learned.folds != fold), learned.rows(learned.folds == fold)
        for number, settings in enumerate(options):
            shares = fit_with(rest, settings)(kept_back.shares, kept_back.vectors)
            right = shares[np.arange(len(shares)), kept_back.grades].clip(_SMALLEST_SHARE)
            losses[number] -= np.log(right).sum()
    return fit_with(learned, options[int(losses.argmin())])


def fit_with(learned: Learned, settings: Settings) -> Fitted:
    """Fit by settings."""
    sharpness = 1 / fit_temperature(learned.shares, learned.grades)
    offset = _logits(learned.shares) * sharpness
    counts = learned.balance if settings.counted == "grades" else np.ones(len(learned.grades))
    weights = counts[:, None] / counts.sum()
    mean = weights[:, 0] @ learned.vectors
    deviation = np.sqrt(weights[:, 0] @ np.square(learned.vectors - mean))
    scale = np.where(deviation > _SMALLEST_DEVIATION, 1 / deviation.clip(_SMALLEST_DEVIATION), 0)
    standard, truth = (learned.vectors - mean) * scale, np.eye(GRADE_COUNT)[learned.grades]

    def loss_and_gradient(values: Values) -> tuple[float, Values]:
        weight, bias = values[GRADE_COUNT:].reshape(GRADE_COUNT, -1), values[:GRADE_COUNT]
        shares = _softmax(offset + standard @ weight.T + bias)
        excess, entropy = weights * (shares - truth), -(truth * np.log(shares.clip(_SMALLEST_SHARE)))
        loss = settings.penalty / 2 * np.square(weight).sum() + (weights * entropy).sum()
        slope = excess.T @ standard + settings.penalty * weight
        return float(loss), np.concatenate([excess.sum(axis=0), slope.ravel()])

    found = minimize(
        loss_and_gradient,
        np.zeros(GRADE_COUNT * (1 + standard.shape[1])),
        method="L-BFGS-B",
        jac=True,
        options={"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-8},
    ).x
    weight = found[GRADE_COUNT:].reshape(GRADE_COUNT, -1) * scale
    return Fitted(sharpness, weight, found[:GRADE_COUNT] - weight @ mean, settings)


def _logits(shares: Values) -> Values:
    logits: Values = np.log(shares.clip(_SMALLEST_SHARE))
    return logits


def _softmax(logits: Values) -> Values:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Values = raised / raised.sum(axis=1, keepdims=True)
    return shares

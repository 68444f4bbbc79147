"""The ways to grade that are compared. Each chooses its settings on the photos that it learns from."""

import dataclasses
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor
from torch.nn import functional

from biranet.decisions.calibration import fit_temperature
from biranet.decisions.rules import apply_temperature
from biranet.grades import GRADE_COUNT
from biranet.learning.data import sampling_chances
from biranet.learning.lesion_branch.pooling import GLOBAL
from biranet.learning.linear import fit_logistic
from studies.lesion_grades.correction import PENALTIES, Learned, fit_correction
from studies.lesion_grades.look import BIRANET_PX, WHOLE_PX
from studies.lesion_grades.network import Shown, answer, train
from studies.lesion_grades.seen import Task

Shares = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Settings = dict[str, Any]

POOLINGS: Mapping[str, int | None] = {"anywhere": GLOBAL, "and by quadrant": None}
"""How many values of the vector of lesions are used."""

TREES, SMALLEST_LEAF = 500, 3
EPOCHS = 12

GAINS = (1.0, 3.0)
"""How fast the weights of lesions may learn beside the others."""


class Answers(NamedTuple):
    """What a way to grade answers.

    Attributes:
        shares: Probabilities of grades of the photos that were asked about, (n, 5).
        chosen: Its settings.
    """

    shares: Shares
    chosen: Settings


def probe(task: Task) -> Answers:
    """A linear layer on the features of the backbone."""
    return _linear(task, {f"{size_px} px": task.means(size_px) for size_px in (min(WHOLE_PX), task.lesion_px)})


def lesions(task: Task) -> Answers:
    """A linear layer on the vector of lesions."""
    vectors = task.lesions().double()
    return _linear(task, {name: vectors[None, :, :count] for name, count in POOLINGS.items()})


def probe_and_lesions(task: Task, pooling: str) -> Answers:
    """A linear layer on both.

    Args:
        task: The task.
        pooling: What the linear layer on the vector chose.
    """
    vectors = task.lesions().double()[None, :, : POOLINGS[pooling]]
    sizes_px = (min(WHOLE_PX), task.lesion_px)
    return _linear(task, {f"{size_px} px": torch.cat([task.means(size_px), vectors], dim=2) for size_px in sizes_px})


def forest(task: Task) -> Answers:
    """A random forest on the vector of lesions."""
    vectors, taught = task.lesions().numpy(), task.taught
    trees = RandomForestClassifier(TREES, min_samples_leaf=SMALLEST_LEAF, class_weight="balanced", random_state=1)
    trees.fit(vectors[taught], task.grades[taught])
    shares = np.zeros((len(task.asked), GRADE_COUNT))
    shares[:, trees.classes_] = trees.predict_proba(vectors[task.asked])
    return Answers(shares, {})


def biranet(task: Task) -> Answers:
    """BiRA-Net, by the recipe of the model that ships, with fewer epochs on features that were kept."""
    return _network(task, [{}])


def biranet_and_lesions(task: Task, pooling: str) -> Answers:
    """BiRA-Net with the vector of lesions beside the bilinear one.

    Args:
        task: The task.
        pooling: What the linear layer on the vector chose.
    """
    return _network(task, [{"lesions": pooling, "gain": gain} for gain in GAINS])


def biranet_then_lesions(task: Task, alone: Answers) -> Answers:
    """BiRA-Net, its answers corrected by a linear function of the vector of lesions (`correction.py`).

    Args:
        task: The task.
        alone: What BiRA-Net alone answers. For the photos that the correction learns from, BiRA-Nets answer that have
            not seen them.
    """
    taught, inner = task.taught, task.folds[task.taught]
    shares = np.zeros((len(taught), GRADE_COUNT))
    for fold in np.unique(inner):
        shares[inner == fold] = _train_and_answer(task, {}, taught[inner != fold], taught[inner == fold])
    vectors = task.lesions().double().numpy()
    learned = Learned(shares, vectors[taught], task.grades[taught], _weights(task, taught).numpy(), inner)
    fitted = fit_correction(learned)
    return Answers(fitted(alone.shares, vectors[task.asked]), fitted.settings._asdict())


def mean(*answers: Answers) -> Answers:
    """The mean of the probabilities of several."""
    return Answers(np.mean([each.shares for each in answers], axis=0), {})


def grade_all(task: Task, kept: Callable[[str, Callable[[], Answers]], Answers]) -> None:
    """Grade the photos of a fold in all ways.

    Args:
        task: What is to be learned and answered.
        kept: Gives the answers of a way by its name, and asks for them where they are not kept yet.
    """
    simple = [kept(way.__name__, lambda way=way: way(task)) for way in (probe, lesions, forest)]  # type: ignore[misc]
    pooling = simple[1].chosen["features"]
    kept("probe_and_lesions", lambda: probe_and_lesions(task, pooling))
    alone = kept("biranet", lambda: biranet(task))
    kept("biranet_then_lesions", lambda: biranet_then_lesions(task, alone))
    both = kept("biranet_and_lesions", lambda: biranet_and_lesions(task, pooling))
    kept("mean_probe_forest", lambda: mean(simple[0], simple[2]))
    kept("mean_biranet_lesions", lambda: mean(alone, simple[1], simple[2]))
    kept("mean_all", lambda: mean(both, *simple))


def _linear(task: Task, options: Mapping[str, Tensor]) -> Answers:
    """Fit a linear layer to features (views, N, C), and choose features and penalty by the inner folds."""
    taught, inner = task.taught, task.folds[task.taught]
    best, lowest = ("", 0.0), np.inf
    for name, penalty in product(options, PENALTIES):
        held_back = np.zeros((len(taught), GRADE_COUNT))
        for fold in np.unique(inner):
            rest = taught[inner != fold], taught[inner == fold]
            held_back[inner == fold] = _fit_and_answer(task, options[name], penalty, *rest)
        if (loss := _loss(held_back, task.grades[taught])) < lowest:
            best, lowest = (name, penalty), loss
    shares = _fit_and_answer(task, options[best[0]], best[1], taught, task.asked)
    return Answers(shares, {"features": best[0], "penalty": best[1]})


def _weights(task: Task, rows: Rows) -> Tensor:
    return torch.from_numpy(sampling_chances(task.grades[rows], task.config.data))


def _fit_and_answer(task: Task, features: Tensor, penalty: float, rows: Rows, asked: Rows) -> Shares:
    grades = torch.from_numpy(task.grades[rows])
    layer = fit_logistic(features[0][rows], grades, _weights(task, rows), penalty, GRADE_COUNT)
    return torch.stack([functional.softmax(layer(view[asked]), dim=1) for view in features]).mean(dim=0).numpy()


def _loss(shares: Shares, grades: Rows) -> float:
    """The log loss of answers at their best temperature."""
    scaled = apply_temperature(shares, fit_temperature(shares, grades))
    return float(-np.log(scaled[np.arange(len(grades)), grades].clip(1e-12)).mean())


def _network(task: Task, options: list[Settings]) -> Answers:
    """Train BiRA-Net with each option on all inner folds but one, which chooses, and answer by the best."""
    if len(options) == 1:
        return Answers(_train_and_answer(task, options[0], task.taught, task.asked), options[0])
    held_back = np.unique(task.folds[task.taught])[0]
    inner, outer = task.taught[task.folds[task.taught] != held_back], np.flatnonzero(task.folds == held_back)
    losses = [_loss(_train_and_answer(task, option, inner, outer), task.grades[outer]) for option in options]
    best = options[int(np.argmin(losses))]
    return Answers(_train_and_answer(task, best, task.taught, task.asked), best)


def _train_and_answer(task: Task, option: Settings, rows: Rows, asked: Rows) -> Shares:
    vectors = task.lesions()[:, : POOLINGS[option["lesions"]] if "lesions" in option else 0]
    shown = Shown(task.seen.stack(f"maps_{BIRANET_PX}"), vectors, task.grades)
    config = dataclasses.replace(task.config, epochs=EPOCHS)
    return answer(train(shown, rows, config, option.get("gain", 1.0)), shown, asked)

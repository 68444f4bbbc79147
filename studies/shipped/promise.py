"""Ask why the model that ships misses more referable photos than its folds said.

OMP_NUM_THREADS=1 python -m studies.shipped.promise PREPARED --larger PREPARED

PREPARED: the photos that it learned from, as for make.py; `--larger`: larger copies of them, prepared likewise. What
can be asked without the photos that were kept back goes to results/promise.json:

    stretches   of the numbering of the photos, whose visits are in order of time: what the answers out of fold miss of
                each, and the interval when stretches are drawn instead of visits
    folds       whole stretches: a linear layer on its backbone, which grades as well as what ships (docs/log.md), by
                folds of visits and by folds of stretches
    copies      larger than those it learned from: what it says of the same photos in both
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.stats import fisher_exact
from torch import Tensor

from biranet.config import TrainConfig, read_recipe
from biranet.decisions.columns import PROBABILITIES
from biranet.decisions.cross_fit import decide_cross_fitted
from biranet.decisions.predictions import read_predictions
from biranet.evaluation.intervals import measure_with_intervals
from biranet.files import write_json
from biranet.grades import DECISIONS, GRADE_COUNT, REFERABLE_GRADE
from biranet.learning.data import PreparedPhotos, sampling_chances
from biranet.learning.flip import FlipAverage
from biranet.learning.linear import choose_penalty, fit_logistic
from biranet.learning.model import BiraNet
from biranet.learning.normalization import normalize
from biranet.learning.predict import predict_photos
from biranet.learning.shipped_models import find_checkpoint
from biranet.learning.split import allocate
from biranet.learning.torch_predictor import TorchPredictor, load_predictor
from biranet.manifest import graded_photos, read_manifest
from biranet.version import software_version
from studies.commands import command_parser, exit_status_of, run_as_command
from studies.shipped.card import RESULTS
from studies.shipped.outside import read_outside
from studies.shipped.steps import FOLDS, SHIPPED_RECIPE
from studies.stretches import number_of, stretch_of

DIVISIONS = 5
"""So many divisions into folds of either kind; those of stretches begin at another photo each."""

DRAWN_STRETCHES = 25
"""So many stretches are what an interval draws."""

PROMISE_NAME = "promise.json"

_MISSED = ("decisions", "missed_fraction")
_TOLD = {
    "quadratic_weighted_kappa": ("quadratic_weighted_kappa",),
    "referable_auc": ("referable_auc",),
    "missed_fraction": _MISSED,
    "needless_fraction": ("decisions", "needless_fraction"),
    "asked_fraction": ("decisions", "asked_fraction"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = command_parser(__doc__)
    parser.add_argument("prepared", metavar="PREPARED", type=Path)
    parser.add_argument("--larger", metavar="PREPARED", type=Path, required=True)
    parser.add_argument("--results", metavar="FOLDER", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    return exit_status_of(__file__, lambda: ask(given.prepared, given.larger, given.results))


def ask(prepared: Path, larger: Path, results: Path) -> None:
    """Do what this file is for.

    Args:
        prepared: The photos that the model learned from.
        larger: Larger copies of them.
        results: Folder with the answers out of fold, and for what is found.
    """
    config = read_recipe(SHIPPED_RECIPE)
    predictor = load_predictor(find_checkpoint(), "cpu")
    answers = [
        table.reset_index(drop=True) for _, table in read_predictions(results / "out_of_fold.csv").groupby("fold")
    ]
    found: dict[str, Any] = {
        "software": software_version(),
        "stretches": stretches(decide_cross_fitted(answers, config.calibration), results),
        "copies": copies(predictor, prepared, larger),
        "folds": folds(predictor, prepared, config),
    }
    write_json(results / PROMISE_NAME, found)


def stretches(decided: pd.DataFrame, results: Path) -> dict[str, Any]:
    """Tell what the answers out of fold miss of each stretch, and how sure that is for other stretches."""
    referable, missed = decided["grade"] >= REFERABLE_GRADE, _missed(decided)
    visits = decided["file"].map(number_of).groupby(decided["group"]).transform("min")
    each = []
    for number in range(FOLDS):
        its = stretch_of(decided, FOLDS) == number
        grades = decided["grade"][its & referable]
        each.append(
            {
                "first": int(visits[its].min()),
                "last": int(visits[its].max()),
                "photos": int(its.sum()),
                "referable": len(grades),
                "grade_2": int((grades == REFERABLE_GRADE).sum()),
                "missed": int((missed & its).sum()),
            }
        )
    by_stretch = decided.assign(group=stretch_of(decided, DRAWN_STRETCHES).astype(str))
    return {
        "each": each,
        "referable": int(referable.sum()),
        "missed": int(missed.sum()),
        "missed_by_grade": {str(grade): int(missed[decided["grade"] == grade].sum()) for grade in (2, 3, 4)},
        "fraction": float(missed.sum() / referable.sum()),
        "ci_of_visits": _interval(decided),
        "ci_of_stretches": _interval(by_stretch),
        "drawn": DRAWN_STRETCHES,
        "p_of_outside": _chance_of_outside(int(missed.sum()), int(referable.sum()), results),
    }


def _chance_of_outside(missed: int, referable: int, results: Path) -> float | None:
    """How often two such shares would differ as much if they were one (Fisher's exact test)."""
    outside = read_outside(results)
    counts = (
        [told.counts for each in outside.measured for told in each.figures.values() if told.counts] if outside else []
    )
    if not counts:
        return None
    theirs, of = map(int, counts[0].split(" of "))
    return float(fisher_exact(np.array([[theirs, of - theirs], [missed, referable - missed]])).pvalue)


def copies(predictor: TorchPredictor, prepared: Path, larger: Path) -> dict[str, Any]:
    """Tell what the model says of the same photos as copies of two sizes; it has learned from the smaller ones."""
    told = []
    for folder in (prepared, larger):
        photos = graded_photos(read_manifest(folder)).reset_index(drop=True)
        table = predict_photos(predictor, folder, photos, workers=0)
        told.append(table.set_index(table["file"].map(number_of)))
    both = told[0].index.intersection(told[1].index)
    small, large = (table.loc[both] for table in told)
    scores = [table[list(PROBABILITIES[REFERABLE_GRADE:])].sum(axis=1) for table in (small, large)]
    referable = small["grade"] >= REFERABLE_GRADE
    moved = (scores[1] - scores[0])[referable]
    return {
        "photos": len(both),
        "referable": int(referable.sum()),
        "mean_of_moves": float(moved.mean()),
        "mean_of_sizes_of_moves": float(moved.abs().mean()),
        "missed": [int(_missed(table).sum()) for table in (small, large)],
        "other_decisions": int((small["decision"] != large["decision"]).sum()),
    }


class Features(NamedTuple):
    """What the frozen backbone sees of photos.

    Attributes:
        views: Averaged over the feature map, (2, photos, C), float64: of the photo and of its mirror image.
        photos: Rows of the manifest.
    """

    views: Tensor
    photos: pd.DataFrame


def folds(predictor: TorchPredictor, prepared: Path, config: TrainConfig) -> dict[str, Any]:
    """Measure a linear layer on the same backbone by folds of visits and by folds of stretches."""
    photos = graded_photos(read_manifest(prepared)).reset_index(drop=True)
    images = PreparedPhotos(prepared, photos, config.data.image_size)
    features = Features(features_of(predictor, images), photos)
    rows = np.arange(len(photos))
    visits = allocate(photos, [1 / FOLDS] * FOLDS, config.seed)
    # One for all, so that nothing but the folds differs.
    penalty = choose_penalty(*_taught(features, rows, config), visits, GRADE_COUNT)
    measured: dict[str, Any] = {"divisions": DIVISIONS, "penalty": penalty}
    for kind in ("visits", "stretches"):
        each = []
        for number in range(DIVISIONS):
            fold = (
                allocate(photos, [1 / FOLDS] * FOLDS, number)
                if kind == "visits"
                else stretch_of(photos, FOLDS, number / DIVISIONS)
            )
            tables = list(_answers(features, fold, config, penalty))
            metrics = measure_with_intervals(decide_cross_fitted(tables, config.calibration))
            each.append({name: _at(metrics, path) for name, path in _TOLD.items()})
            print(kind, number, each[-1], flush=True)
        measured[kind] = {"each": each, "mean": {name: float(np.mean([one[name] for one in each])) for name in _TOLD}}
    return measured


@torch.inference_mode()
def features_of(predictor: TorchPredictor, images: PreparedPhotos) -> Tensor:
    """Show the frozen backbone each photo and its mirror image: `Features.views`."""
    network = cast(BiraNet, predictor.model.model if isinstance(predictor.model, FlipAverage) else predictor.model)
    kept = []
    for row in range(len(images)):
        pixels = images.photo(row)
        both = torch.from_numpy(np.stack([pixels, pixels[:, ::-1]]))
        kept.append(network.frozen(normalize(both, predictor.info.normalization)).mean(dim=(2, 3)).double())
    return torch.stack(kept, dim=1)


def _taught(features: Features, rows: npt.NDArray[np.int64], config: TrainConfig) -> tuple[Tensor, Tensor, Tensor]:
    """What a layer learns from: features of some photos, their grades, and how much each counts."""
    grades = features.photos["grade"].to_numpy(np.int64)[rows]
    return features.views[0][rows], torch.from_numpy(grades), torch.from_numpy(sampling_chances(grades, config.data))


def _answers(
    features: Features, fold: npt.NDArray[np.int64], config: TrainConfig, penalty: float
) -> Iterator[pd.DataFrame]:
    """Give the answers for each fold of a linear layer that learned from the others."""
    for number in range(FOLDS):
        layer = fit_logistic(*_taught(features, np.flatnonzero(fold != number), config), penalty, GRADE_COUNT)
        rows = np.flatnonzero(fold == number)
        shares = torch.stack([layer(view[rows]).softmax(dim=1) for view in features.views]).mean(dim=0).numpy()
        table = features.photos.iloc[rows][["file", "group", "grade"]].reset_index(drop=True)
        table = table.assign(predicted_grade=shares.argmax(axis=1))
        yield table.assign(**dict(zip(PROBABILITIES, shares.T, strict=True)))


def _missed(decided: pd.DataFrame) -> "pd.Series[bool]":
    return (decided["grade"] >= REFERABLE_GRADE) & (decided["decision"] == DECISIONS[0])


def _interval(decided: pd.DataFrame) -> list[float]:
    section, name = _MISSED
    return list(measure_with_intervals(decided)[section]["ci"][name])


def _at(metrics: dict[str, Any], path: tuple[str, ...]) -> float:
    value: Any = metrics
    for name in path:
        value = value[name]
    return float(value)


if __name__ == "__main__":
    run_as_command(main)

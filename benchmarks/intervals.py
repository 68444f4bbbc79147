"""How much time do the intervals of a large table take, and how much would scikit-learn take for them?

python benchmarks/intervals.py [--photos 50000] [--groups 25000] [--resamples 2000] [--rounds 3] [--out results.json]

Ours: `measure_with_intervals`, every measure, from the table in memory, best of the rounds. Theirs: the same number of
resamples, one by one, by scikit-learn; a few are timed and the time is multiplied. It has no operating points, no
decisions, no sets and no calibration error, so its time is too short if anything. The ratio is of the processors' time,
both in one run, so a busy machine does not bend it; with two free cores ours takes about half of it by the clock.
"""

import argparse
import time

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import metrics as reference

from biranet.evaluation.intervals import RESAMPLES, THREADS, measure_with_intervals
from records import start_record, write_record

GRADES = range(5)


def draw_table(photos: int, groups: int) -> pd.DataFrame:
    """A table with everything that can be measured; both photos of a patient mostly have one grade."""
    random = np.random.default_rng(0)
    group = np.arange(photos) % groups
    usual = random.choice(5, groups, p=[0.45, 0.1, 0.25, 0.12, 0.08])
    truth = np.where(random.random(photos) < 0.7, usual[group], random.integers(0, 5, photos))
    logits = 1.5 * random.normal(0, 1, (photos, 5)) - 1.5 * np.abs(truth[:, None] - np.arange(5))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    score, predicted = shares[:, 2:].sum(axis=1), shares.argmax(axis=1)
    points = {"sensitivity_90": 0.2, "specificity_90": 0.6, "youden": 0.4, "cost_5": 0.15}
    return pd.DataFrame(
        {
            "file": np.arange(photos).astype(str),
            "group": group.astype(str),
            "grade": truth,
            "predicted_grade": predicted,
            **{f"p{grade}": shares[:, grade] for grade in GRADES},
            "temperature": 1.3,
            "decision": np.select([score < 0.2, score > 0.6], ["do not refer", "refer"], "ask a human"),
            "lowest_grade": np.maximum(predicted - 1, 0),
            "highest_grade": np.minimum(predicted + 1, 4),
            **{f"refer_{name}": (score >= threshold).astype(int) for name, threshold in points.items()},
        }
    )


def measure_with_scikit_learn(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], shares: NDArray[np.float64]
) -> None:
    """The measures of one resample that scikit-learn has."""
    reference.confusion_matrix(truth, predicted, labels=GRADES)
    reference.balanced_accuracy_score(truth, predicted)
    reference.accuracy_score(truth, predicted)
    reference.cohen_kappa_score(truth, predicted, labels=GRADES, weights="quadratic")
    reference.mean_absolute_error(truth, predicted)
    reference.precision_recall_fscore_support(truth, predicted, average=None, zero_division=0)
    reference.log_loss(truth, shares, labels=GRADES)
    for grade in GRADES:
        reference.roc_auc_score(truth == grade, shares[:, grade])
        reference.brier_score_loss(truth == grade, shares[:, grade])
    for lowest in (1, 2):
        reference.roc_auc_score(truth >= lowest, shares[:, lowest:].sum(axis=1))
        reference.confusion_matrix(truth >= lowest, predicted >= lowest)


def scikit_learn_seconds(table: pd.DataFrame, resamples: int) -> float:
    """Seconds of the processor for each of a few resamples of the groups."""
    random = np.random.default_rng(1)
    group = pd.factorize(table["group"])[0]
    order, sizes = np.argsort(group, kind="stable"), np.bincount(group)
    starts = np.cumsum(sizes) - sizes
    truth, predicted = (table[name].to_numpy() for name in ("grade", "predicted_grade"))
    shares = table[[f"p{grade}" for grade in GRADES]].to_numpy()
    started = time.process_time()
    for _ in range(resamples):
        drawn = random.integers(len(sizes), size=len(sizes))
        within = np.arange(sizes[drawn].sum()) - np.repeat(np.cumsum(sizes[drawn]) - sizes[drawn], sizes[drawn])
        photos = order[np.repeat(starts[drawn], sizes[drawn]) + within]
        measure_with_scikit_learn(truth[photos], predicted[photos], shares[photos])
    return (time.process_time() - started) / resamples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=50_000)
    parser.add_argument("--groups", type=int, default=25_000)
    parser.add_argument("--resamples", type=int, default=RESAMPLES)
    parser.add_argument("--rounds", type=int, default=3)
    start_record(parser)
    arguments = parser.parse_args()
    table = draw_table(arguments.photos, arguments.groups)
    walls, processors = [], []
    for _ in range(arguments.rounds):
        wall, processor = time.perf_counter(), time.process_time()
        measures = measure_with_intervals(table, resamples=arguments.resamples)
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    peer_seconds = scikit_learn_seconds(table, 5) * arguments.resamples
    report = {
        "threads": THREADS,
        "photos": arguments.photos,
        "groups": measures["groups"],
        "resamples": arguments.resamples,
        "seconds": round(min(walls), 2),
        "processor_seconds": round(min(processors), 2),
        "scikit_learn_processor_seconds_extrapolated": round(peer_seconds),
        "scikit_learn_over_ours": round(peer_seconds / min(processors)),
    }
    write_record(report, arguments.out, ("numpy", "scipy", "scikit-learn"))


if __name__ == "__main__":
    main()

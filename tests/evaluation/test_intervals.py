"""Intervals come from whole groups, agree with a slow loop, and hold the true value as often as they say."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score, f1_score

from biranet.evaluation.intervals import MEASURES, bootstrap_intervals, kinds_of_groups, resample_confusion
from biranet.evaluation.metrics import MATRIX_MEASURES, confusion_matrix, measure

CONFUSION = np.array(
    [
        [0.30, 0.04, 0.03, 0.00, 0.01],
        [0.04, 0.06, 0.04, 0.01, 0.00],
        [0.03, 0.04, 0.15, 0.04, 0.02],
        [0.00, 0.01, 0.03, 0.06, 0.02],
        [0.00, 0.00, 0.01, 0.01, 0.05],
    ]
)
"""Chances of each pair of true and predicted grade, for drawing data sets whose true measures are known."""


def draw(groups: int, photos: int, seed: int) -> pd.DataFrame:
    """Groups whose photos all have the same true and predicted grade: the strongest resemblance there is."""
    cells = np.random.default_rng(seed).choice(25, size=groups, p=CONFUSION.ravel() / CONFUSION.sum())
    truth, predicted = np.divmod(np.repeat(cells, photos), 5)
    names = [f"patient {number}" for number in np.repeat(np.arange(groups), photos)]
    return pd.DataFrame({"group": names, "grade": truth, "predicted_grade": predicted})


def mixed(seed: int = 0) -> pd.DataFrame:
    """Groups of one to four photos with grades of their own."""
    random = np.random.default_rng(seed)
    names = np.repeat(np.arange(60), random.integers(1, 5, size=60))
    truth = random.integers(0, 5, size=len(names))
    predicted = np.clip(truth + random.integers(-1, 2, size=len(names)), 0, 4)
    return pd.DataFrame({"group": names.astype(str), "grade": truth, "predicted_grade": predicted})


def test_kinds_of_groups_hold_every_photo() -> None:
    predictions = mixed()
    kinds, counts = kinds_of_groups(predictions)
    expected = confusion_matrix(predictions["grade"], predictions["predicted_grade"])
    np.testing.assert_array_equal((kinds * counts[:, None, None]).sum(0), expected)
    assert counts.sum() == 60
    assert len(np.unique(kinds.reshape(len(kinds), -1), axis=0)) == len(kinds)


def test_agrees_with_a_slow_loop_over_the_same_draws() -> None:
    predictions, resamples, seed = mixed(), 30, 7
    kinds, counts = kinds_of_groups(predictions)
    drawn = np.random.default_rng(seed).multinomial(counts.sum(), counts / counts.sum(), size=resamples)
    slow: dict[str, list[float]] = {"quadratic_weighted_kappa": [], "aca": [], "accuracy": [], "macro_f1": []}
    for times in drawn:
        labels = [
            cell
            for kind, often in zip(kinds, times, strict=True)
            for cell in np.ndindex(5, 5)
            for _ in range(kind[cell] * often)
        ]
        truth, predicted = zip(*labels, strict=True)
        slow["quadratic_weighted_kappa"].append(
            cohen_kappa_score(truth, predicted, labels=[0, 1, 2, 3, 4], weights="quadratic")
        )
        slow["aca"].append(balanced_accuracy_score(truth, predicted))
        slow["accuracy"].append(accuracy_score(truth, predicted))
        slow["macro_f1"].append(f1_score(truth, predicted, average="macro"))
    fast = resample_confusion(predictions, resamples, seed)
    intervals = bootstrap_intervals(predictions, resamples=resamples, seed=seed)
    for name, values in slow.items():
        np.testing.assert_allclose(MATRIX_MEASURES[name](fast), values, atol=1e-12, err_msg=name)
        assert intervals[name] == pytest.approx(np.percentile(values, [2.5, 97.5])), name


def test_drawing_kinds_is_drawing_groups() -> None:
    """Compare with an ordinary bootstrap that draws the groups one by one."""
    predictions = mixed()
    rows = [part.index.to_numpy() for _, part in predictions.groupby("group")]
    random = np.random.default_rng(0)
    kappas = []
    for _ in range(3000):
        chosen = predictions.loc[np.concatenate([rows[place] for place in random.integers(60, size=60)])]
        matrix = confusion_matrix(chosen["grade"].to_numpy(), chosen["predicted_grade"].to_numpy())
        kappas.append(float(MATRIX_MEASURES["quadratic_weighted_kappa"](matrix)))
    interval = bootstrap_intervals(predictions, resamples=3000)["quadratic_weighted_kappa"]
    assert interval is not None
    width = interval[1] - interval[0]
    np.testing.assert_allclose(interval, np.percentile(kappas, [2.5, 97.5]), atol=0.08 * width)


@pytest.mark.parametrize("name", ["quadratic_weighted_kappa", "aca", "accuracy"])
def test_covers_the_true_value(name: str) -> None:
    true = float(MATRIX_MEASURES[name](CONFUSION))
    held = 0
    for seed in range(300):
        interval = bootstrap_intervals(draw(groups=150, photos=2, seed=seed), resamples=300)[name]
        assert interval is not None
        held += interval[0] <= true <= interval[1]
    # 95 % of 300 is 285; four standard deviations of such a count are 15, and the bootstrap itself is a little narrow.
    assert 0.89 <= held / 300 <= 0.995


def test_photos_of_one_patient_are_not_taken_for_independent() -> None:
    """Four copies of a photo in one group tell nothing new; as groups of their own they would halve the interval."""
    single, copies = draw(groups=200, photos=1, seed=3), draw(groups=200, photos=4, seed=3)
    apart = copies.assign(group=np.arange(800).astype(str))
    widths = []
    for predictions in (single, copies, apart):
        interval = bootstrap_intervals(predictions)["quadratic_weighted_kappa"]
        assert interval is not None
        widths.append(interval[1] - interval[0])
    assert widths[1] == pytest.approx(widths[0])
    assert widths[2] == pytest.approx(widths[0] / 2, rel=0.15)


def test_the_value_lies_inside_and_the_seed_decides() -> None:
    predictions = mixed()
    intervals, values = bootstrap_intervals(predictions), measure(predictions)
    assert list(intervals) == list(MEASURES)
    for name, interval in intervals.items():
        assert interval is not None
        assert 0 < interval[0] < values[name] < interval[1] < 1, name
    assert bootstrap_intervals(predictions) == intervals
    assert bootstrap_intervals(predictions, seed=2) != intervals


def test_neither_row_order_nor_group_names_matter() -> None:
    predictions = mixed()
    other = predictions.assign(group="z" + predictions["group"]).sample(frac=1, random_state=0)
    assert bootstrap_intervals(other) == bootstrap_intervals(predictions)


@pytest.mark.parametrize(
    "predictions",
    [
        mixed().assign(group="one patient"),
        mixed().assign(predicted_grade=lambda table: table["grade"]),
        pd.DataFrame({"group": ["a", "b"], "grade": [2, 2], "predicted_grade": [2, 2]}),
    ],
    ids=["one group", "no error", "one grade"],
)
def test_no_variation_means_no_interval(predictions: pd.DataFrame) -> None:
    assert set(bootstrap_intervals(predictions, resamples=200).values()) == {None}

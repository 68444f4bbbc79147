"""From photos to patients: the photos of both eyes become one answer, which is measured like any other.

A screening programme refers people, not photographs: a patient is as ill as the worse eye, and a false alarm in one eye
sends both to the ophthalmologist. So measures by patient stand beside those by photo, where groups and eyes are known.
"""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from biranet.config import EvaluationConfig
from biranet.decisions.columns import (
    PREDICTION_COLUMNS,
    PROBABILITIES,
    has_decisions,
    has_probabilities,
    point_columns,
    probabilities,
)
from biranet.decisions.rules import expected_grade
from biranet.evaluation.intervals import measure_with_intervals
from biranet.grades import DECISIONS
from biranet.words import parse_eye

if TYPE_CHECKING:
    import pandas as pd

EyeCombination = Literal["worst_eye", "mean"]


def measure_patients(table: "pd.DataFrame", config: EvaluationConfig | None = None) -> dict[str, Any]:
    """Measure by patient, each way of combining eyes on its own.

    A patient whose photos are all of one eye counts too: in practice an eye is lost, or its photo failed. A patient
    with a photo of an unknown eye does not, as nobody knows how many eyes the answer is made of.

    Args:
        table: A predictions table; a patient is a `group`.
        config: How to measure.

    Returns:
        `n`, the patients measured; `both_eyes`, those of them with photos of both; `left_out`, those with a photo of an
        unknown eye; `worst_eye` and `mean`, each the answer of `measure_with_intervals` for `combine`'s table. Where
        eyes or patients are not known, these two are None and `reason` says why in one clause; else `reason` is None.
    """
    config = config or EvaluationConfig()
    patients = table["group"].nunique()
    nothing = {"n": 0, "both_eyes": 0, "left_out": patients, "worst_eye": None, "mean": None}
    if "eye" not in table:
        return {"reason": "the predictions have no column 'eye'", **nothing}
    eyes = _eyes(table)
    eyes_known = (eyes != "").groupby(table["group"]).transform("all")
    if not eyes_known.any():
        return {"reason": "no group has the eye (left or right) of all its photos in the column 'eye'", **nothing}
    kept = table[eyes_known]
    both_eyes = int((eyes[eyes_known].groupby(kept["group"]).nunique() == 2).sum())
    if not both_eyes:
        return {"reason": "no group has photos of both eyes", **nothing}
    n = kept["group"].nunique()
    return {
        "reason": None,
        "n": n,
        "both_eyes": both_eyes,
        "left_out": patients - n,
        "worst_eye": measure_with_intervals(combine(kept, "worst_eye"), config),
        "mean": measure_with_intervals(combine(kept, "mean"), config),
    }


def combine(table: "pd.DataFrame", how: EyeCombination) -> "pd.DataFrame":
    """Combine the photos of each patient into one row.

    The truth is the grade of the worse eye, both ways. `worst_eye` answers as for a patient whose eyes were looked at
    one by one: the highest predicted grade, the gravest decision, referred at an operating point where one photo is,
    and the probabilities of the photo with the highest expected grade. The worse eye's grade lies between the higher of
    the eyes' lowest and the higher of their highest grades wherever each eye's grade lies in its own set, so that is
    the patient's set; it may hold the truth less often than the sets of photos do.

    `mean` averages the probabilities, within each eye first, so that an eye that was photographed twice counts as much
    as the other. Averaged are the probabilities as they stand in the table, so after the temperature. The predicted
    grade is the most probable one, the lower of equals, where every photo of the table was given one of its most
    probable grades. Where not,
    as with the decoder of the expected grade, or there are no probabilities, the predicted grades are averaged the same
    way and rounded, halves to the graver grade: so a patient with one photo keeps its grade, whatever gave it.
    Operating points and sets were fitted for single photos, and a mean is nearer the middle than a single photo, so
    `mean` decides nothing.

    Args:
        table: A predictions table with a column `eye`; a patient is a `group`.
        how: `worst_eye` or `mean`.

    Returns:
        A predictions table, patients in the order of their names: `file` and `group` are both the patient. It has
        probabilities where `table` does, and with `worst_eye` the answer columns that `table` has.

    Source:
        Our reading: published results by patient mostly use the worse eye, and name no rule for probabilities.

    Example:
        >>> import pandas as pd
        >>> eyes = pd.DataFrame({"group": "ann", "eye": ["left", "right"], "grade": [0, 3], "predicted_grade": [1, 2]})
        >>> combine(eyes, "worst_eye")[["file", "grade", "predicted_grade"]].values.tolist()
        [['ann', 3, 2]]
        >>> combine(eyes, "mean")["predicted_grade"].tolist()
        [2]
    """
    combined = _worst_eye(table) if how == "worst_eye" else _mean(table)
    names = combined.index.to_numpy(dtype=object)
    combined = combined.assign(file=names, group=names, grade=table.groupby("group")["grade"].max())
    fixed = [name for name in PREDICTION_COLUMNS if name in combined]
    return combined[[*fixed, *(name for name in combined.columns if name not in PREDICTION_COLUMNS)]].reset_index(
        drop=True
    )


def _worst_eye(table: "pd.DataFrame") -> "pd.DataFrame":
    patients = table.groupby("group")
    combined = patients[["predicted_grade"]].max()
    expected = expected_grade(probabilities(table)) if has_probabilities(table) else table["predicted_grade"]
    # Of photos with one expected grade, the one with the most on the highest grades, whatever the order of the rows.
    order = ["expected", *(name for name in reversed(PROBABILITIES) if name in table)]
    worst = table.assign(expected=expected).sort_values(order).drop_duplicates("group", keep="last").set_index("group")
    combined = combined.join(worst[[name for name in (*PROBABILITIES, "temperature") if name in table]])
    if has_decisions(table):
        gravest = table["decision"].map(DECISIONS.index).groupby(table["group"]).max()
        highest = patients[["lowest_grade", "highest_grade", *point_columns(table)]].max()
        combined = combined.assign(decision=gravest.map(DECISIONS.__getitem__)).join(highest)
    return combined


def _mean(table: "pd.DataFrame") -> "pd.DataFrame":
    averaged = ["predicted_grade", *(name for name in PROBABILITIES if name in table)]
    by_eye = table[averaged].groupby([table["group"], _eyes(table)]).mean()
    combined = by_eye.groupby(level=0).mean()
    if has_probabilities(table) and _is_most_probable(table).all():
        grades = probabilities(combined).argmax(axis=1)
    else:
        grades = np.floor(combined["predicted_grade"].to_numpy() + 0.5)
    return combined.assign(predicted_grade=grades.astype(np.int64))


def _is_most_probable(table: "pd.DataFrame") -> "npt.NDArray[np.bool_]":
    """Whether each photo was given its most probable grade, or one of several."""
    shares = probabilities(table)
    of_predicted = shares[np.arange(len(table)), table["predicted_grade"].to_numpy(np.int64)]
    return np.asarray(of_predicted >= shares.max(axis=1))


def _eyes(table: "pd.DataFrame") -> "pd.Series":
    """The eye of each photo: left, right, or empty."""
    return table["eye"].fillna("").astype(str).map(parse_eye)

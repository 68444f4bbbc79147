"""The columns of a predictions table, and what is taken from them."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from biranet.grades import GRADES, REFERABLE_GRADE

if TYPE_CHECKING:
    import pandas as pd

PROBABILITIES = tuple(f"p{grade}" for grade in GRADES)
"""The columns with the probability of each grade."""

PREDICTION_COLUMNS = ("file", "group", "grade", "predicted_grade", *PROBABILITIES)
"""The fixed columns, in this order; `grade` is the truth. Further columns follow and are passed through."""

DECISION_COLUMNS = ("temperature", "decision", "lowest_grade", "highest_grade")
"""What our rules answered, all of them or none: the temperature that `p0` to `p4` have been divided by, what is to be
done, and the ends of the prediction set."""

POINT_PREFIX = "refer_"
"""Begins the columns that say, 1 or 0, whether a photo would be referred at an operating point; its name follows."""

SMALLEST_PROBABILITY = 1e-12
"""What stands in a logarithm for a smaller probability, so that one photo cannot make the mean infinite."""


def has_probabilities(table: "pd.DataFrame") -> bool:
    """Say whether a predictions table holds the probabilities of the five grades."""
    return set(PROBABILITIES) <= set(table.columns)


def probabilities(table: "pd.DataFrame") -> npt.NDArray[np.float64]:
    """Take the probabilities out of a predictions table.

    Args:
        table: A predictions table with probabilities.

    Returns:
        (N, 5) float64 in [0, 1]: photos, grades; what rounding has put outside of it is put back.

    Example:
        >>> import pandas as pd
        >>> probabilities(pd.DataFrame({"p0": [0.5], "p1": [0.2], "p2": [0.1], "p3": [0.1], "p4": [0.1]})).shape
        (1, 5)
    """
    return table[list(PROBABILITIES)].to_numpy(np.float64).clip(0, 1)


def referable_score(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Add up the probabilities of the grades to refer: the score that every referral is decided by.

    Args:
        shares: Probabilities of the five grades, (…, 5), summing to 1.

    Returns:
        p2 + p3 + p4, (…) float64, at most 1 but for rounding.
    """
    score: npt.NDArray[np.float64] = shares[..., REFERABLE_GRADE:].sum(axis=-1)
    return score


def any_dr_score(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Add up the probabilities of the grades with any retinopathy.

    Args:
        shares: Probabilities of the five grades, (…, 5), summing to 1.

    Returns:
        p1 + p2 + p3 + p4, (…) float64, at most 1 but for rounding.
    """
    score: npt.NDArray[np.float64] = shares[..., 1:].sum(axis=-1)
    return score


def has_decisions(table: "pd.DataFrame") -> bool:
    """Say whether a predictions table holds what our rules answered, the columns `DECISION_COLUMNS`."""
    return set(DECISION_COLUMNS) <= set(table.columns)


def point_columns(table: "pd.DataFrame") -> list[str]:
    """Name the columns of operating points, in the order of the table.

    Example:
        >>> import pandas as pd
        >>> point_columns(pd.DataFrame(columns=["file", "decision", "refer_youden"]))
        ['refer_youden']
    """
    return [str(name) for name in table.columns if str(name).startswith(POINT_PREFIX)]

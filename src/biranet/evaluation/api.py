"""Measuring from Python: a table or arrays in, the figures of `metrics.json` out."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biranet.config import ReportConfig
from biranet.decisions.columns import PROBABILITIES
from biranet.decisions.predictions import parse_predictions, read_predictions
from biranet.errors import InputError
from biranet.evaluation.intervals import measure_with_intervals
from biranet.evaluation.patients import measure_patients
from biranet.evaluation.subgroups import measure_subgroups
from biranet.scale import Scale
from biranet.words import counted


class SupportsArray(Protocol):
    """What numpy makes an array of: an array, a column of a table, a tensor.

    Example:
        >>> import biranet
        >>> table = pd.DataFrame({"truth": [0, 1, 2, 3, 4], "answer": [0, 1, 2, 3, 3]})
        >>> biranet.measure(table["truth"], table["answer"])["accuracy"]
        0.8
    """

    def __array__(self) -> NDArray[Any]:
        """Return the values as an array."""


_Values = Sequence[Any] | SupportsArray


def measure(  # noqa: PLR0913 - keywords, as scikit-learn has them
    table_or_y_true: pd.DataFrame | Path | str | Sequence[Any] | SupportsArray,
    y_pred: Sequence[Any] | SupportsArray | None = None,
    /,
    *,
    probabilities: Sequence[Any] | SupportsArray | None = None,
    groups: Sequence[Any] | SupportsArray | None = None,
    by: Sequence[str] = (),
    seed: int = 1,
    stratify: bool = False,
    referable_prevalence: float | None = None,
    any_dr_prevalence: float | None = None,
) -> dict[str, Any]:
    """Measure how well grades were predicted, with an interval for each figure.

    `measure(table)` takes a table of predictions, `measure(y_true, y_pred)` arrays, in scikit-learn's order.

    Args:
        table_or_y_true: A DataFrame or a CSV file with a row a photo: `grade`, the truth, and `predicted_grade`; where
            known `file`, `group` (the patient), `eye` (left or right), the probabilities `p0` to `p4`, and what else
            the `predictions.csv` of `biranet evaluate` holds. Or the true grades alone, 0 to 4, (N,).
        y_pred: With true grades: the predicted ones, 0 to 4, (N,); the most probable ones when not given.
        probabilities: With true grades: the probabilities of the five grades, (N, 5), summing to 1.
        groups: With true grades: whose photo each is, (N,). Intervals are over groups, since photos of one patient
            resemble each other; each photo is a group of its own when not given.
        by: Columns of the table whose values make subgroups, which are measured too; `source` and `eye`, where they
            are, when not given.
        seed: Seed of the 2,000 draws of groups behind the intervals.
        stratify: Whether groups are drawn within their worst true grade.
        referable_prevalence: Share of referable photos that PPV and NPV are given for; that of these photos when not
            given.
        any_dr_prevalence: Share of photos with any DR, likewise.

    Returns:
        The figures of `metrics.json` by their keys, such as `quadratic_weighted_kappa`, `aca`, `referable_auc`, and the
        95 % interval of each in `ci` by the same key, `[low, high]`. What is not defined is None, with the reason in
        `undefined`. `patients` and `subgroups` hold the like. See `docs/metrics.md`.

    Raises:
        InputError: If there is nothing to measure or something cannot be measured; the sentence names row and column.

    Example:
        >>> import biranet
        >>> y_true, y_pred = [0, 1, 2, 3, 4] * 6, [0, 1, 2, 3, 3] * 6
        >>> metrics = biranet.measure(y_true, y_pred, groups=[f"patient {n // 5}" for n in range(30)])
        >>> metrics["n"], metrics["groups"], round(metrics["accuracy"], 3)
        (30, 6, 0.8)
        >>> metrics["undefined"]["referable_auc"]
        'the predictions hold no probabilities'
    """
    columns = (by,) if isinstance(by, str) else tuple(by)
    config = ReportConfig(seed, stratify, referable_prevalence, any_dr_prevalence, columns)
    table = _read(table_or_y_true, y_pred, probabilities, groups)
    return {
        **measure_with_intervals(table, config),
        "patients": measure_patients(table, config),
        "subgroups": measure_subgroups(table, config),
    }


def _read(
    table_or_y_true: pd.DataFrame | Path | str | _Values,
    y_pred: _Values | None,
    probabilities: _Values | None,
    groups: _Values | None,
) -> pd.DataFrame:
    """The predictions table, from whatever was given."""
    if not isinstance(table_or_y_true, (pd.DataFrame, Path, str)):
        return _parsed(_from_arrays(table_or_y_true, y_pred, probabilities, groups), "the arrays")
    if y_pred is not None or probabilities is not None or groups is not None:
        raise InputError(
            "a table holds all that is measured in its own columns: predicted_grade, p0 to p4, group; "
            "y_pred, probabilities and groups go with an array of true grades"
        )
    if isinstance(table_or_y_true, pd.DataFrame):
        return _parsed(table_or_y_true, "the table")
    return read_predictions(Path(table_or_y_true), scale=Scale(flags=()))


def _from_arrays(
    y_true: _Values,
    y_pred: _Values | None,
    probabilities: _Values | None,
    groups: _Values | None,
) -> pd.DataFrame:
    truth = _array(y_true, "y_true", ndim=1)
    columns = {"grade": truth}
    if probabilities is not None:
        shares = _array(probabilities, "probabilities", ndim=2)
        if shares.shape != (len(truth), len(PROBABILITIES)):
            raise InputError(f"probabilities must be (N, {len(PROBABILITIES)}), N = {len(truth)}, not {shares.shape}")
        columns |= {"predicted_grade": shares.argmax(axis=1), **dict(zip(PROBABILITIES, shares.T, strict=True))}
    if y_pred is not None:
        columns["predicted_grade"] = _array(y_pred, "y_pred", ndim=1)
    if groups is not None:
        columns["group"] = _array(groups, "groups", ndim=1)
    if "predicted_grade" not in columns:
        raise InputError("give the predicted grades too, measure(y_true, y_pred), or probabilities")
    for name, values in columns.items():
        if len(values) != len(truth):
            raise InputError(
                f"there are {counted(len(truth), 'true grade')} and {counted(len(values), 'value')} of {name}"
            )
    return pd.DataFrame(columns)


def _array(values: _Values, name: str, *, ndim: int) -> NDArray[Any]:
    """An array of what may be a list, a series, a tensor."""
    shape = "(N,)" if ndim == 1 else f"(N, {len(PROBABILITIES)})"
    try:
        # A tensor of torch that has a gradient, or lies on a GPU, refuses to become an array.
        array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    except ValueError:
        raise InputError(f"{name} must be a list or an array {shape}, not a list of lists of several lengths") from None
    if array.ndim != ndim:
        raise InputError(
            f"{name} must be a list or an array {shape}, not {type(values).__name__} {array.shape}; "
            "measure takes a predictions table (a DataFrame, a CSV file), or true and predicted grades"
        )
    return array


def _parsed(table: pd.DataFrame, origin: str) -> pd.DataFrame:
    """Have a table pass the very checks that a file passes, cell by cell."""
    names = [str(name) for name in table.columns]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{origin}: there are two columns {name!r}")
    for name in ("grade", "predicted_grade"):
        if name not in names:
            raise InputError(f"{origin} has no column {name!r}; its columns are: {', '.join(names)}")
    if table.empty:
        raise InputError(f"{origin} has no rows, so there is nothing to measure")
    cells = pd.DataFrame(
        {name: _as_texts(column) for name, (_, column) in zip(names, table.items(), strict=True)}, dtype=object
    )
    if "file" not in cells:
        cells.insert(0, "file", [f"row {row}" for row in cells.index])
    return parse_predictions(cells, origin, Counter(), Scale(flags=())).reset_index(drop=True)


def _as_texts(column: "pd.Series[Any]") -> list[str]:
    """The cells of a column as a file would hold them; floats with all of their digits."""
    missing = column.isna()
    if pd.api.types.is_float_dtype(column):
        column = column.astype("float64")
    return ["" if gone else str(value) for value, gone in zip(column, missing, strict=True)]

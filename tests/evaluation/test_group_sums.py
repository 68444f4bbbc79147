"""Weights of groups mean what they say: a group of weight 3 counts as three groups like it, in every measure."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from biranet.config import EvaluationConfig
from biranet.evaluation.estimates import Key
from biranet.evaluation.group_sums import sum_by_group
from biranet.evaluation.groups import arrange_groups, draw_weights
from measured import measure

Draw = Callable[..., pd.DataFrame]


def repeated(table: pd.DataFrame, times: dict[str, int]) -> pd.DataFrame:
    """The table with each group as often as it is to be counted, under names of their own."""
    parts = [
        rows.assign(group=f"{name}, {copy}", file=rows["file"] + f" {copy}")
        for name, rows in table.groupby("group")
        for copy in range(times[str(name)])
    ]
    return pd.concat(parts)


def by_text(values: dict[Key, npt.NDArray[np.float64]]) -> dict[str, npt.NDArray[np.float64]]:
    return {str(key): value for key, value in values.items()}


def numbers(measures: dict[str, object], prefix: str = "") -> dict[str, float]:
    """Every number of a `metrics.json` under one key each, NaN for null."""
    flat: dict[str, float] = {}
    for key, value in measures.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat |= numbers(value, f"{name}.")
        elif isinstance(value, list) and not isinstance(value[0], list):
            flat |= {f"{name}.{place}": np.nan if each is None else each for place, each in enumerate(value)}
        elif value is None or isinstance(value, float):
            flat[name] = np.nan if value is None else value
    return flat


@pytest.mark.parametrize("rounded", [False, True], ids=["distinct scores", "many equal scores"])
@pytest.mark.parametrize("prevalence", [None, 0.1])
def test_weights_are_repeated_groups(draw_table: Draw, rounded: bool, prevalence: float | None) -> None:
    config = EvaluationConfig(referable_prevalence=prevalence)
    table = draw_table(25, seed=11, rounded=rounded)
    groups = arrange_groups([table])
    names = table["group"].to_numpy()[groups.order][groups.starts]
    weights = draw_weights(groups, 6, [3])
    weighted = sum_by_group(table, groups, config).measure(weights)
    for place, drawn in enumerate(weights.T):
        expected = numbers(measure(repeated(table, dict(zip(names, drawn, strict=True))), config))
        found = {
            str(key._replace(grade=grade) if value.ndim > 1 else key): each
            for key, value in weighted.items()
            for grade, each in enumerate(np.atleast_1d(value[place]))
        }
        assert len(found) > 60
        assert set(expected) - set(found) == {"prevalence.referable", "prevalence.any_dr"}
        for key, value in found.items():
            np.testing.assert_allclose(value, expected[key], atol=1e-12, err_msg=key)


def test_what_is_not_wanted_is_not_computed(draw_table: Draw) -> None:
    table = draw_table(40, seed=13)
    whole = sum_by_group(table, arrange_groups([table]), EvaluationConfig())
    areas = {key for key in by_text(whole.value()) if "auc" in key or "auprc" in key or "risk_coverage" in key}
    for keys, left in (
        ({"aca"}, set()),
        ({"referable_auc"}, {"referable_auc"}),
        ({"mean_one_vs_rest_auc", "area_under_risk_coverage"}, {"one_vs_rest_auc"}),
    ):
        values = whole.select(keys).value()
        assert set(by_text(whole.value())) - set(by_text(values)) == areas - keys - left
        assert set(whole.select(keys).count_groups()) == set(values)
        for key, value in values.items():
            np.testing.assert_array_equal(value, whole.value()[key])


def test_areas_of_one_score_share_one_order(draw_table: Draw) -> None:
    table = draw_table(40, seed=14)
    orders = sum_by_group(table, arrange_groups([table]), EvaluationConfig()).orders.values()
    # Five grades, each against the rest; referable; any DR; confidence: not one for each of six measures.
    assert sorted(map(len, orders)) == [1, 1, 1, 5]


def test_groups_that_a_measure_is_about(draw_table: Draw) -> None:
    table = draw_table(40, seed=12)
    groups = arrange_groups([table])
    counts = by_text(sum_by_group(table, groups, EvaluationConfig()).count_groups())

    def holding(photos: "pd.Series[bool]") -> int:
        return int(table.loc[photos, "group"].nunique())

    grade, predicted, decision = table["grade"], table["predicted_grade"], table["decision"]
    by_grade = [holding(grade == each) for each in range(5)]
    assert counts["recall_per_grade"].tolist() == by_grade
    assert counts["prediction_sets.coverage_per_grade"].tolist() == by_grade
    assert counts["precision_per_grade"].tolist() == [holding(predicted == each) for each in range(5)]
    assert counts["one_vs_rest_auc"].tolist() == [
        min(count, holding(grade != each)) for each, count in enumerate(by_grade)
    ]
    assert counts["any_dr_specificity"] == by_grade[0]
    assert counts["referable_auc"] == min(holding(grade >= 2), holding(grade < 2))
    assert counts["referable_auprc"] == counts["referable_auc"]
    assert counts["referable_ppv"] == holding(predicted >= 2)
    assert counts["operating_points.youden.npv"] == holding(table["refer_youden"] == 0)
    assert counts["decisions.missed_fraction"] == holding(grade >= 2)
    assert counts["decisions.decided_error_fraction"] == holding(decision != "ask a human")
    # Averages over grades are known as well as so many groups make them known: fewer than there are, and more than the
    # rarest grade has.
    counted = np.array(by_grade)
    average = 1 + sum(1 / counted) ** 2 / sum(1 / counted**3)
    assert min(by_grade) < average < 40
    for key in ("aca", "macro_f1", "macro_f1_of_means", "mean_one_vs_rest_auc"):
        assert counts[key] == pytest.approx(average), key
    for key in ("quadratic_weighted_kappa", "brier", "area_under_risk_coverage"):
        assert counts[key] == 40, key
    one_grade = table[table["grade"] == 2]
    whole = arrange_groups([one_grade])
    assert by_text(sum_by_group(one_grade, whole, EvaluationConfig()).count_groups())["aca"] == by_grade[2]
    assert set(counts) == set(by_text(sum_by_group(table, groups, EvaluationConfig()).value()))

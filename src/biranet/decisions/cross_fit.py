"""Rules for answers of several folds: each fold is decided on by rules that were fitted on the answers for the others.

So no photo has a say in the rules that decide on it, and no photo need be kept back for rules. The models behind the
other answers have learned from it, though, so what such rules promise is empirical.
"""

from collections.abc import Sequence

import pandas as pd

from biranet.config import CalibrationConfig
from biranet.decisions.fit import check_disjoint, fit_rules
from biranet.decisions.rules import Rules, apply_rules, decode, raw_probabilities


def decide_cross_fitted(tables: Sequence[pd.DataFrame], config: CalibrationConfig) -> pd.DataFrame:
    """Decide on the photos of each table by rules that are fitted on all other tables together.

    Args:
        tables: Predictions tables, before any rule, of which no two share a photo or a group.
        config: Decoder and cost.

    Returns:
        One table, in their order. Where a fold had too few patients for operating points, there are none of all folds.

    Raises:
        InputError: If there is too little to fit rules on.
        RefusedError: If two tables share a photo or a group.
    """
    return decide_by_fold(tables, fit_by_fold(tables, config))


def fit_by_fold(tables: Sequence[pd.DataFrame], config: CalibrationConfig) -> list[Rules]:
    """Fit rules for the photos of each table on all other tables together, as `decide_cross_fitted` does."""
    fitted = []
    for number, table in enumerate(tables):
        others = pd.concat([*tables[:number], *tables[number + 1 :]], ignore_index=True)
        check_disjoint(others, table)
        fitted.append(fit_rules(others, decoder=config.decoder, cost_of_missed=config.cost_of_missed))
    return fitted


def decide_by_fold(tables: Sequence[pd.DataFrame], rules: Sequence[Rules]) -> pd.DataFrame:
    """Decide on the photos of each table by rules of its own, as `decide_cross_fitted` does."""
    decided = [
        apply_rules(table.assign(predicted_grade=decode(raw_probabilities(table), its)), its)
        for table, its in zip(tables, rules, strict=True)
    ]
    return pd.concat(decided, join="inner", ignore_index=True)

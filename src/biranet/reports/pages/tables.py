"""Which measures stand in the tables of a page, but for the one that shows all; templates loop over these."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from biranet.evaluation.measures import MEANINGS, SECTIONS, SUMMARY_KEYS, TOP_LEVEL


class Column(NamedTuple):
    """A column of a table with a measure in it.

    Attributes:
        head: What stands above it.
        key: The measure's name.
    """

    head: str
    key: str


_SHARES = (
    Column("Sensitivity", "sensitivity"),
    Column("Specificity", "specificity"),
    Column("PPV", "ppv"),
    Column("NPV", "npv"),
)

COLUMNS_OF: Mapping[str, tuple[Column, ...]] = MappingProxyType(
    {
        "grades": (
            Column("Recall", "recall_per_grade"),
            Column("Precision", "precision_per_grade"),
            Column("AUC", "one_vs_rest_auc"),
        ),
        "screenings": (Column("AUC", "auc"), *_SHARES),
        "operating_points": (*_SHARES, Column("Referred, of these photos", "referred_fraction")),
        "subgroups": (
            Column("Kappa", "quadratic_weighted_kappa"),
            Column("ACA", "aca"),
            Column("Referable AUC", "referable_auc"),
            Column("Referable sensitivity", "referable_sensitivity"),
            Column("Referable specificity", "referable_specificity"),
        ),
    }
)
"""Tables with a measure a column. The names of screenings follow that of the screening, as in `referable_auc`."""

_BY_DECISION = ("decisions.asked_fraction", "decisions.missed_fraction", "decisions.needless_fraction")

ROWS_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cards": tuple(key for key in SUMMARY_KEYS if MEANINGS[key].better == "higher"),
        "models": SUMMARY_KEYS,
        "probabilities": tuple(
            each.key for each in TOP_LEVEL.measures if each.heading == "Probabilities" and each.better == "lower"
        ),
        "decisions": tuple(
            f"{section.name}.{each.key}"
            for section in SECTIONS
            if section.name == "decisions"
            for each in section.measures
        ),
        "patients": (
            *(key for key in SUMMARY_KEYS if MEANINGS[key].heading != "Probabilities"),
            *("referable_ppv", "referable_npv"),
            *_BY_DECISION,
            *("operating_points.sensitivity_90.sensitivity", "operating_points.sensitivity_90.specificity"),
        ),
        "referral_by_grade": ("referable_sensitivity", "referable_specificity"),
        "referral_by_decision": _BY_DECISION,
    }
)
"""Tables and lists with a measure a row, by its key."""

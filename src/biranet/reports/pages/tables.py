"""Which measures stand in the tables of pages and papers, but for those that show all; all other lists begin here.

What is shown first derives from the two lists of the registry: `SUMMARY_KEYS` and `HEADLINE_KEYS`. What is chosen here
beside them, and why:

* Subgroups have no accuracy, which says of small parts little but how many photos have grade 0, and nothing of
  probabilities.
* Patients have predictive values, decisions and one operating point in place of probabilities, as it is patients who
  are referred.
* The headline table of a paper has all of both lists, and what reviewers ask for: another coefficient of agreement,
  precision against recall, a proper score, and predictive values.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from biranet.evaluation.measures import HEADLINE_KEYS, MEANINGS, SECTIONS, SUMMARY_KEYS, TOP_LEVEL, Meaning


class Column(NamedTuple):
    """A column of a table with a measure in it.

    Attributes:
        head: What stands above it.
        key: The measure's name.
    """

    head: str
    key: str


def head_of(meaning: Meaning) -> str:
    """Write a head that stands beside others: short, where the word alone says what it is a measure of.

    Example:
        >>> head_of(MEANINGS["quadratic_weighted_kappa"]), head_of(MEANINGS["referable_auc"])
        ('Kappa', 'Referable AUC')
    """
    return meaning.head if meaning.heading == "Grades" else meaning.name


SHARES = ("sensitivity", "specificity", "ppv", "npv")
"""What is said of every way to refer."""

_SHARE_COLUMNS = tuple(Column(MEANINGS[f"operating_points.{key}"].head, key) for key in SHARES)

COLUMNS_OF: Mapping[str, tuple[Column, ...]] = MappingProxyType(
    {
        "grades": tuple(
            Column(MEANINGS[key].head, key) for key in ("recall_per_grade", "precision_per_grade", "one_vs_rest_auc")
        ),
        "screenings": (Column(MEANINGS["referable_auc"].head, "auc"), *_SHARE_COLUMNS),
        "operating_points": (*_SHARE_COLUMNS, Column("Referred, of these photos", "referred_fraction")),
        "subgroups": tuple(
            Column(head_of(MEANINGS[key]), key)
            for key in SUMMARY_KEYS
            if key != "accuracy" and MEANINGS[key].better == "higher"
        ),
    }
)
"""Tables with a measure a column. The names of screenings follow that of the screening, as in `referable_auc`."""

_BY_DECISION = ("decisions.asked_fraction", "decisions.missed_fraction", "decisions.needless_fraction")

_FIRST = tuple(dict.fromkeys((*HEADLINE_KEYS, *SUMMARY_KEYS)))


def _pair(*needs: str) -> tuple[str, ...]:
    """The first measure of grades and the first of referral, of those that need one of these."""
    entries = {each.key: each for each in TOP_LEVEL.measures if each.needs in needs}
    return tuple(
        next(key for key in SUMMARY_KEYS if key in entries and entries[key].heading == heading)
        for heading in ("Grades", "Referral and any retinopathy")
    )


ROWS_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cards": tuple(key for key in SUMMARY_KEYS if MEANINGS[key].better == "higher"),
        "pair": _pair("grades", "probabilities"),
        "pair_of_grades": _pair("grades"),
        "models": SUMMARY_KEYS,
        "differences": _FIRST,
        "headline": (
            *_FIRST,
            *("gwet_ac2", "referable_auprc", "brier"),
            *("referable_ppv", "referable_npv", "any_dr_ppv", "any_dr_npv"),
        ),
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
"""Tables and lists with a measure a row, by its key: `cards` is also what is said of folds and in the methods of a
paper, a pair where there is room for one measure of grades and one of referral."""

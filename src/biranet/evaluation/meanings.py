"""What each number means, in plain words, written once: for the page, for the published schema and for the docs.

A number is named by its *key*, the way to it through `metrics.json` with points between: `aca`, `recall_per_grade.3`,
`operating_points.youden.sensitivity`, `patients.worst_eye.aca`. `docs/metrics.md` has a paragraph on each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from biranet.errors import InputError
from biranet.grades import GRADE_COUNT, GRADE_NAMES, GRADES


@dataclass(frozen=True)
class Meaning:
    """What a number of `metrics.json` is.

    Args:
        name: A few words, as they stand in a table.
        sentence: What it tells, in plain words.
        low: The lowest value it can have, or None where there is no bound.
        high: The highest value, likewise.
        better: Whether the higher or the lower of two values is the better one, or neither.
        shape: Of the list that holds it: () for one number, (5,) for one of each grade, (5, 5) for rows of true and
            columns of predicted grades.
        count: Whether it is a whole number, which is always defined.
    """

    name: str
    sentence: str
    low: float | None = 0
    high: float | None = 1
    better: Literal["higher", "lower", "neither"] = "higher"
    shape: tuple[int, ...] = ()
    count: bool = False


_BY_GRADE = (GRADE_COUNT,)

_PROBABILITIES = {
    "expected_calibration_error": Meaning(
        "Expected calibration error",
        "How far the probability of the likeliest grade is, on average, from how often that grade is right.",
        better="lower",
    ),
    "brier": Meaning(
        "Brier score",
        "Squared distance of the five probabilities from the truth (1 for the true grade, 0 for the others), summed "
        "over the grades and averaged over the photos.",
        high=2,
        better="lower",
    ),
    "negative_log_likelihood": Meaning(
        "Negative log-likelihood",
        "Mean of minus the natural logarithm of the probability given to the true grade: one confident mistake costs "
        "much.",
        high=None,
        better="lower",
    ),
}

_REFERRAL = {
    "sensitivity": Meaning("Sensitivity", "Of the photos to refer (grade 2 and above), the share that is referred."),
    "specificity": Meaning("Specificity", "Of the photos not to refer (grades 0 and 1), the share that is not."),
    "ppv": Meaning(
        "Positive predictive value",
        "Of the photos referred, the share that should be, if as many photos are referable as `prevalence` says.",
    ),
    "npv": Meaning(
        "Negative predictive value",
        "Of the photos not referred, the share that need not be, if as many photos are referable as `prevalence` says.",
    ),
}

MEANINGS: Mapping[str, Meaning] = MappingProxyType(
    {
        "n": Meaning("Photos", "How many photos were measured.", low=1, high=None, better="neither", count=True),
        "groups": Meaning(
            "Groups",
            "How many groups the photos form: patients where they are known, else single photos.",
            low=1,
            high=None,
            better="neither",
            count=True,
        ),
        "quadratic_weighted_kappa": Meaning(
            "Quadratic weighted kappa",
            "Agreement with the true grades beyond chance, in which an error of two grades costs four times an error "
            "of one: 1 is perfect, 0 no better than chance.",
            low=-1,
        ),
        "aca": Meaning(
            "Average classification accuracy",
            "The recall of each grade, averaged over the grades present, so that a rare grade counts as much as a "
            "common one.",
        ),
        "accuracy": Meaning("Accuracy", "Share of photos with exactly the right grade."),
        "micro_f1": Meaning(
            "Micro-F1", "F1 of all photos together; as every photo has one grade, it is the accuracy again."
        ),
        "macro_f1": Meaning(
            "Macro-F1, mean of F1", "F1 balances precision and recall; here that of each grade, averaged."
        ),
        "macro_f1_of_means": Meaning(
            "Macro-F1, F1 of means",
            "The other definition in use: 2PR / (P + R) of the mean precision P and the mean recall R.",
        ),
        "mean_absolute_grade_error": Meaning(
            "Mean grade error",
            "How many grades a predicted grade is off, on average.",
            high=GRADE_COUNT - 1,
            better="lower",
        ),
        "recall_per_grade": Meaning(
            "Recall", "Of the photos of a grade, the share that was given this grade.", shape=_BY_GRADE
        ),
        "precision_per_grade": Meaning(
            "Precision", "Of the photos given a grade, the share that has this grade.", shape=_BY_GRADE
        ),
        "confusion_matrix": Meaning(
            "Confusion matrix",
            "Photos of each true grade (row) that were given each grade (column), 0 to 4.",
            high=None,
            better="neither",
            shape=(GRADE_COUNT, GRADE_COUNT),
            count=True,
        ),
        "referable_auc": Meaning(
            "Referable AUC",
            "Chance that a referable photo has a higher score (p2 + p3 + p4) than one that is not; 0.5 is guessing.",
        ),
        "referable_sensitivity": Meaning(
            "Referable sensitivity",
            "Of the photos to refer (grade 2 and above), the share predicted as grade 2 or above.",
        ),
        "referable_specificity": Meaning(
            "Referable specificity", "Of the photos not to refer (grades 0 and 1), the share predicted as grade 0 or 1."
        ),
        "referable_ppv": Meaning(
            "Referable predictive value, positive",
            "Of the photos predicted as referable, the share that is, if as many photos are referable as `prevalence` "
            "says.",
        ),
        "referable_npv": Meaning(
            "Referable predictive value, negative",
            "Of the photos predicted as not referable, the share that is not, if as many photos are referable as "
            "`prevalence` says.",
        ),
        "any_dr_auc": Meaning(
            "Any-DR AUC",
            "Chance that a photo with any retinopathy has a higher score (p1 + p2 + p3 + p4) than one without; 0.5 is "
            "guessing.",
        ),
        "any_dr_sensitivity": Meaning(
            "Any-DR sensitivity",
            "Of the photos with any retinopathy (grade 1 and above), the share predicted as grade 1 or above.",
        ),
        "any_dr_specificity": Meaning(
            "Any-DR specificity", "Of the photos without retinopathy (grade 0), the share predicted as grade 0."
        ),
        "any_dr_ppv": Meaning(
            "Any-DR predictive value, positive",
            "Of the photos predicted to show any retinopathy, the share that does, if as many photos show it as "
            "`prevalence` says.",
        ),
        "any_dr_npv": Meaning(
            "Any-DR predictive value, negative",
            "Of the photos predicted to show none, the share that shows none, if as many photos show any as "
            "`prevalence` says.",
        ),
        "one_vs_rest_auc": Meaning(
            "One-versus-rest AUC",
            "Chance that a photo of a grade is given a higher probability of this grade than a photo of another grade.",
            shape=_BY_GRADE,
        ),
        "mean_one_vs_rest_auc": Meaning(
            "One-versus-rest AUC, mean", "Mean of the one-versus-rest AUC over the grades in which it is defined."
        ),
        "area_under_risk_coverage": Meaning(
            "Area under the risk-coverage curve",
            "Share of wrong referrals among the surest photos, averaged over every share of photos that could be "
            "decided.",
            better="lower",
        ),
        **_PROBABILITIES,
        "prevalence.referable": Meaning(
            "Prevalence of referable grades",
            "Share of referable photos for which the predictive values hold: as stated, else that of the photos "
            "measured.",
            better="neither",
        ),
        "prevalence.any_dr": Meaning(
            "Prevalence of any DR",
            "Share of photos with any retinopathy for which the predictive values hold: as stated, else that of the "
            "photos measured.",
            better="neither",
        ),
        **{
            f"before_calibration.{key}": replace(
                meaning,
                name=f"{meaning.name}, before calibration",
                sentence=f"Before the temperature was applied: {meaning.sentence[0].lower()}{meaning.sentence[1:]}",
            )
            for key, meaning in _PROBABILITIES.items()
        },
        **{f"operating_points.{key}": meaning for key, meaning in _REFERRAL.items()},
        "operating_points.referred_fraction": Meaning(
            "Referred", "Share of all photos that are referred.", better="neither"
        ),
        "decisions.asked_fraction": Meaning(
            "Asked", "Share of photos that are left to a human: 'ask a human'.", better="lower"
        ),
        "decisions.decided_error_fraction": Meaning(
            "Wrong of those decided",
            "Of the photos that were decided, 'refer' or 'do not refer', the share decided wrongly.",
            better="lower",
        ),
        "decisions.missed_fraction": Meaning(
            "Missed", "Of the photos to refer (grade 2 and above), the share told 'do not refer'.", better="lower"
        ),
        "decisions.needless_fraction": Meaning(
            "Needless", "Of the photos not to refer (grades 0 and 1), the share told 'refer'.", better="lower"
        ),
        "prediction_sets.coverage": Meaning(
            "Coverage", "Share of photos whose true grade lies in their set of grades.", better="neither"
        ),
        "prediction_sets.coverage_per_grade": Meaning(
            "Coverage of a grade",
            "Of the photos of a grade, the share whose set holds this grade.",
            better="neither",
            shape=_BY_GRADE,
        ),
        "prediction_sets.mean_size": Meaning(
            "Mean size of a set", "How many grades a set holds, on average.", low=1, high=GRADE_COUNT, better="lower"
        ),
        "prediction_sets.size_fractions": Meaning(
            "Sizes of the sets",
            "Shares of photos whose set holds one, two, three, four and five grades.",
            better="neither",
            shape=_BY_GRADE,
        ),
        "patients.n": Meaning(
            "Patients",
            "How many patients were measured: those whose eye is known for each of their photos.",
            high=None,
            better="neither",
            count=True,
        ),
        "patients.both_eyes": Meaning(
            "Patients with both eyes",
            "How many of the patients measured have photos of both eyes.",
            high=None,
            better="neither",
            count=True,
        ),
        "patients.left_out": Meaning(
            "Patients left out",
            "How many patients have a photo of an unknown eye, and are not measured.",
            high=None,
            better="neither",
            count=True,
        ),
    }
)
"""Every number of `metrics.json` by its key, in the order of the page; what stands there once for each operating point,
or once for each way of combining a patient's eyes, is here once."""

POINT_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "sensitivity_90": "sensitivity of at least 0.90",
        "specificity_90": "specificity of at least 0.90",
        "youden": "Youden's index",
    }
)
"""Operating points by what they were chosen for on the calibration photos."""


def point_name(point: str) -> str:
    """Write in words what an operating point was chosen for.

    Args:
        point: Its name in `metrics.json`; one of another program stays as it is.

    Example:
        >>> point_name("cost_5"), point_name("sensitivity_90")
        ('cost of 5 for a missed one', 'sensitivity of at least 0.90')
    """
    if point.startswith("cost_"):
        return f"cost of {point.removeprefix('cost_')} for a missed one"
    return POINT_NAMES.get(point, point)


def meaning_of(key: str) -> Meaning:
    """Look up what a number means.

    Args:
        key: The way to it through `metrics.json`, with points between.

    Returns:
        Its meaning; the name also says which grade, which operating point, or which way of combining a patient's eyes.

    Raises:
        InputError: If there is no such number.

    Example:
        >>> meaning_of("recall_per_grade.3").name
        'Recall, grade 3 (severe)'
        >>> meaning_of("operating_points.youden.ppv").name
        "Positive predictive value, at Youden's index"
    """
    plain, *details = _plain_key(key)
    if plain not in MEANINGS:
        raise InputError(f"metrics.json has no number {key!r}")
    meaning = MEANINGS[plain]
    return replace(meaning, name=", ".join([meaning.name, *details]))


_PATIENTS = {"patients.worst_eye.": "worst eye of a patient", "patients.mean.": "mean over a patient's eyes"}


def _plain_key(key: str) -> list[str]:
    """Part a key into that of `MEANINGS` and words for what was left out of it."""
    details: list[str] = []
    for prefix, words in _PATIENTS.items():
        if key.startswith(prefix):
            key = key.removeprefix(prefix)
            details.append(words)
    parts = key.split(".")
    if parts[0] == "operating_points" and len(parts) > 2:
        # A point that somebody else named may have points in its name, as in cost_2.5.
        details.insert(0, f"at {point_name('.'.join(parts[1:-1]))}")
        parts = ["operating_points", parts[-1]]
    if parts[-1].isdecimal() and len(parts) > 1 and int(parts[-1]) < GRADE_COUNT:
        number = int(parts.pop())
        sizes = parts[-1] == "size_fractions"
        details.insert(
            0, f"{number + 1} of {GRADE_COUNT} grades" if sizes else f"grade {GRADES[number]} ({GRADE_NAMES[number]})"
        )
    return [".".join(parts), *details]

"""Measures of the five grades: what the confusion matrix determines."""

from collections.abc import Callable

from biranet import confusion
from biranet.evaluation.measures.measure import BY_GRADE, GradeCounts, Measure, Values, WeightedSums, constant_reason
from biranet.grades import GRADE_COUNT


def of_matrix(function: Callable[[Values], Values]) -> Callable[[WeightedSums], Values]:
    """Measure the confusion matrix by a function."""
    return lambda sums: function(sums.matrix)


def no_photo_of_grade(grade_counts: GradeCounts, grade: int | None) -> str:
    """Say which grade nobody has."""
    return f"no photo has grade {'{}' if grade is None else grade}"


GRADE_MEASURES = (
    Measure(
        key="aca",
        name="Average classification accuracy",
        short="ACA",
        sentence="The recall of each grade, averaged over the grades present, so that a rare grade counts as much as a "
        "common one.",
        value=of_matrix(confusion.average_classification_accuracy),
        interval="average",
        groups_counted="grades",
    ),
    Measure(
        key="accuracy",
        name="Accuracy",
        sentence="Share of photos with exactly the right grade.",
        value=of_matrix(confusion.accuracy),
        interval="share",
    ),
    Measure(
        key="micro_f1",
        name="Micro-F1",
        sentence="F1 of all photos together; as every photo has one grade, it is the accuracy again.",
        value=of_matrix(confusion.accuracy),
        interval="share",
    ),
    Measure(
        key="macro_f1",
        name="Macro-F1, mean of F1",
        sentence="F1 balances precision and recall; here that of each grade, averaged.",
        value=of_matrix(confusion.macro_f1),
        interval="average",
        groups_counted="grades",
    ),
    Measure(
        key="macro_f1_of_means",
        name="Macro-F1, F1 of means",
        sentence="The other definition in use: 2PR / (P + R) of the mean precision P and the mean recall R.",
        value=of_matrix(confusion.macro_f1_of_means),
        interval="average",
        groups_counted="grades",
    ),
    Measure(
        key="quadratic_weighted_kappa",
        name="Quadratic weighted kappa",
        short="Kappa",
        sentence="Agreement with the true grades beyond chance, in which an error of two grades costs four times an "
        "error of one: 1 is perfect, 0 no better than chance.",
        low=-1,
        value=of_matrix(confusion.quadratic_weighted_kappa),
        interval="percentile",
        groups_counted="all",
        why_undefined=constant_reason("every photo has one and the same grade and was given it"),
    ),
    Measure(
        key="linear_weighted_kappa",
        name="Linear weighted kappa",
        sentence="Agreement with the true grades beyond chance, in which an error of two grades costs twice an error "
        "of one: 1 is perfect, 0 no better than chance.",
        low=-1,
        value=of_matrix(confusion.linear_weighted_kappa),
        interval="percentile",
        groups_counted="all",
        why_undefined=constant_reason("every photo has one and the same grade and was given it"),
    ),
    Measure(
        key="gwet_ac2",
        name="Gwet's AC2, quadratic weights",
        sentence="Agreement with the true grades beyond chance, which is taken to be rarer the more one grade "
        "prevails: 1 is perfect; unlike kappa, it does not fall where nearly all photos have one grade.",
        low=-1.4,
        value=of_matrix(confusion.gwet_ac2),
        interval="percentile",
        groups_counted="all",
    ),
    Measure(
        key="mean_absolute_grade_error",
        name="Mean grade error",
        sentence="How many grades a predicted grade is off, on average.",
        high=GRADE_COUNT - 1,
        better="lower",
        value=of_matrix(confusion.mean_absolute_grade_error),
        interval="percentile",
    ),
    Measure(
        key="recall_per_grade",
        name="Recall",
        sentence="Of the photos of a grade, the share that was given this grade.",
        shape=BY_GRADE,
        value=of_matrix(confusion.recall_per_grade),
        interval="share",
        why_undefined=no_photo_of_grade,
    ),
    Measure(
        key="precision_per_grade",
        name="Precision",
        sentence="Of the photos given a grade, the share that has this grade.",
        shape=BY_GRADE,
        value=of_matrix(confusion.precision_per_grade),
        interval="share",
        why_undefined=constant_reason("no photo was given grade {}"),
    ),
)
"""In the order of `metrics.json`."""

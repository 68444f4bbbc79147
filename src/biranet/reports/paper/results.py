"""The results of a report, in sentences to take over: every number with its interval."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from biranet.evaluation.interval_methods import LEVEL
from biranet.grades import REFERABLE_GRADE
from biranet.reports.fact_kinds import LeftOutFact
from biranet.reports.facts import FOLDS_FACT, LEFT_OUT_FACT, Fact
from biranet.reports.figures.words import in_text
from biranet.reports.fold_facts import FoldFigure
from biranet.reports.pages.differences import Difference
from biranet.reports.pages.listing import Number, Numbers
from biranet.reports.pages.page import decimal, percent
from biranet.reports.pages.tables import ROWS_OF
from biranet.reports.paper.patients import patients_of, photos_and_patients
from biranet.reports.paper.rules import describe_aim
from biranet.reports.paper.wording import as_markdown, capitalized, enumerate_words, number_word

_CLAUSES = {
    "quadratic_weighted_kappa": "quadratic weighted kappa",
    "aca": "average classification accuracy",
    "accuracy": "accuracy",
    "referable_auc": "AUC for referable retinopathy",
    "referable_sensitivity": "the sensitivity of the predicted grade for referable retinopathy",
    "referable_specificity": "the specificity of the predicted grade for referable retinopathy",
}
"""What the main measures are called within a sentence."""

_FOLD_COLUMN = "fold"


def describe_results(
    metrics: Mapping[str, Any], facts: Mapping[str, Fact], beside_probe: Sequence[Difference]
) -> Iterator[str]:
    """Say what was found, sentence by sentence.

    Args:
        metrics: The content of `metrics.json`.
        facts: What is known of the answers.
        beside_probe: The model beside its linear probe, `first` being the probe; nothing where there is none.
    """
    numbers = Numbers(metrics)
    yield _describe_photos(metrics, facts)
    yield from _describe_agreement(numbers)
    yield from _describe_referral(metrics, numbers)
    yield from _describe_calibration(numbers)
    yield from _describe_sets(numbers)
    yield from _describe_folds(facts)
    yield from _describe_subgroups(metrics)
    yield from _describe_beside_probe(beside_probe)
    for key in sorted(set(metrics["undefined"]) & set(_CLAUSES)):
        name = numbers(key).meaning.name
        yield f"{name} was not defined, as {as_markdown(metrics['undefined'][key])}."


def _describe_photos(metrics: Mapping[str, Any], facts: Mapping[str, Fact]) -> str:
    counts = [sum(row) for row in metrics["confusion_matrix"]]
    by_grade = enumerate_words([f"{count:,}" for count in counts])
    left_out = facts.get(LEFT_OUT_FACT)
    gradable = ""
    if isinstance(left_out, LeftOutFact):
        kept = left_out.listed - sum(left_out.reasons.get(why, 0) for why in ("ungradable", "unreadable", "no_field"))
        gradable = f"Of {left_out.listed:,} photographs, {kept:,} ({percent(kept / left_out.listed)}) were gradable. "
    return (
        f"{gradable}In total, {photos_and_patients(metrics, patients_of(facts))} were graded, of which {by_grade} had "
        "the reference grades 0 to 4."
    )


def _describe_agreement(numbers: Numbers) -> Iterator[str]:
    clauses = _clauses(numbers, "quadratic_weighted_kappa", "aca", "accuracy")
    if clauses:
        first, *others = clauses
        rest = f", {enumerate_words(others)}" if others else ""
        yield f"{capitalized(first)}{rest} (in brackets: {100 * LEVEL:.0f} % CI)."


def _clauses(numbers: Numbers, *keys: str) -> list[str]:
    """Each measure that is defined with its number; the first with a verb, which holds for the others."""
    defined = [(key, number) for key in keys if (number := _defined(numbers.get(key)))]
    return [
        f"{_CLAUSES[key]}{' was' if index == 0 else ''} {in_text(number)}"
        for index, (key, number) in enumerate(defined)
    ]


def _defined(number: Number | None) -> Number | None:
    return number if number is not None and number.value is not None else None


def _describe_referral(metrics: Mapping[str, Any], numbers: Numbers) -> Iterator[str]:
    if auc := _clauses(numbers, "referable_auc"):
        yield f"The {auc[0]}."
    defined = {name: _defined(numbers.get(f"referable_{name}")) for name in ("sensitivity", "specificity")}
    if shares := [f"the {name} was {in_text(number)}" for name, number in defined.items() if number]:
        yield (
            f"Where photographs were referred from a predicted grade {REFERABLE_GRADE} on, {enumerate_words(shares)}."
        )
    yield from _describe_points(metrics, numbers)
    yield from _describe_decisions(metrics, numbers)


def _describe_points(metrics: Mapping[str, Any], numbers: Numbers) -> Iterator[str]:
    clauses: list[str] = []
    for point in metrics["operating_points"] or {}:
        sensitivity, specificity = (
            _defined(numbers(name, section="operating_points", point=point)) for name in ("sensitivity", "specificity")
        )
        if sensitivity and specificity:
            subject = "that" if clauses else "the operating point"
            clauses.append(
                f"{in_text(sensitivity)} and {in_text(specificity)} at {subject} for {describe_aim(point, cite=False)}"
            )
    if clauses:
        yield f"Sensitivity and specificity were {'; '.join(clauses)}."


def _describe_decisions(metrics: Mapping[str, Any], numbers: Numbers) -> Iterator[str]:
    if not metrics["decisions"]:
        return
    phrases = {
        "asked": "of all photographs were left to a human reader",
        "missed": "of the referable ones were missed",
        "needless": "of the others were referred needlessly",
    }
    shares = {name: _defined(numbers(f"{name}_fraction", section="decisions")) for name in phrases}
    if parts := [f"{_in_percent(share)} {phrases[name]}" for name, share in shares.items() if share]:
        yield f"By the decision rule, {enumerate_words(parts)}."


def _in_percent(share: Number) -> str:
    """A share in per cent, with its interval."""
    value = f"{100 * share.value:.0f} %"
    return f"{value} ({100 * share.interval[0]:.0f}–{100 * share.interval[1]:.0f} %)" if share.interval else value


def _describe_calibration(numbers: Numbers) -> Iterator[str]:
    error = _defined(numbers.get("expected_calibration_error"))
    if error is None:
        return
    before = _defined(numbers.get("before_calibration.expected_calibration_error"))
    raw = f", and {in_text(before)} before temperature scaling" if before else ""
    yield f"The expected calibration error was {in_text(error)}{raw}."


def _describe_sets(numbers: Numbers) -> Iterator[str]:
    coverage, size = (_defined(numbers.get(f"prediction_sets.{name}")) for name in ("coverage", "mean_size"))
    if coverage and size:
        yield (
            f"The prediction sets held the reference grade of {_in_percent(coverage)} of the photographs, and had "
            f"{in_text(size)} grades on average."
        )


def _describe_folds(facts: Mapping[str, Fact]) -> Iterator[str]:
    folds = facts.get(FOLDS_FACT)
    figures = [each for each in folds if isinstance(each, FoldFigure)] if isinstance(folds, list | tuple) else []
    clauses = [
        f"{_CLAUSES[each.key]} {'ranged ' if index == 0 else ''}from {decimal(each.low, 2)} to {decimal(each.high, 2)}"
        for index, each in enumerate(each for each in figures if each.key in ROWS_OF["pair"])
    ]
    if clauses:
        yield f"Over the {number_word(figures[0].of)} folds, {enumerate_words(clauses)}."


def _describe_subgroups(metrics: Mapping[str, Any]) -> Iterator[str]:
    columns = dict.fromkeys(part["column"] for part in metrics["subgroups"] if part["column"] != _FOLD_COLUMN)
    for column in columns:
        parts = [part for part in metrics["subgroups"] if part["column"] == column]
        clauses = []
        for part in parts:
            if kappa := _defined(Numbers(part).get("quadratic_weighted_kappa")):
                value = as_markdown(str(part["value"]))
                clauses.append(f"{in_text(kappa)} for {value} (n = {part['n']:,})")
        if clauses:
            yield f"By {as_markdown(column)}, quadratic weighted kappa was {enumerate_words(clauses)}."


def _describe_beside_probe(beside_probe: Sequence[Difference]) -> Iterator[str]:
    rows = [row for row in beside_probe if row.key in ROWS_OF["pair"]]
    if rows:
        had = enumerate_words([f"{_a(_CLAUSES[row.key])} of {decimal(row.first, 2)}" for row in rows])
        differences = enumerate_words([_signed(row) for row in rows])
        are = "difference, model less probe, was" if len(rows) == 1 else "differences, model less probe, were"
        yield f"The linear probe had {had}; the {are} {differences}."


def _a(words: str) -> str:
    return f"{'an' if words[0] in 'aeiouA' else 'a'} {words}"


def _signed(row: Difference) -> str:
    """A difference with its sign and its interval."""
    value = decimal(row.difference, 2)
    sign = "+" if row.difference is not None and row.difference > 0 and float(f"{row.difference:.2f}") else ""
    ends = f" ({decimal(row.ci[0], 2)} to {decimal(row.ci[1], 2)})" if row.ci else ""
    return f"{sign}{value}{ends}"


def describe_differences(first: str, other: str, differences: Sequence[Difference]) -> Iterator[str]:
    """Say how a model differs from another, sentence by sentence.

    Args:
        first: Name of the model that it is compared with.
        other: Its own.
        differences: The main measures of both; those of them that are told are chosen here.
    """
    ours, theirs = as_markdown(other), as_markdown(first)
    main = [row for row in differences if row.key in ROWS_OF["cards"]]
    for row in main:
        yield (
            f"{capitalized(_CLAUSES[row.key])} was {decimal(row.other, 2)} for {ours} and "
            f"{decimal(row.first, 2)} for {theirs}, a difference of {_signed(row)}."
        )
    if main:
        yield (
            f"Differences were computed as {ours} less {theirs}, with {100 * LEVEL:.0f} % CI in brackets; where one is "
            f"above zero, {ours} had the higher value, which is the better one for each of these measures."
        )

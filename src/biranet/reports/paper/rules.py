"""The methods of a report: how probabilities became grades, referrals and sets of grades."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from biranet.decisions.fit import COVERAGE
from biranet.reports.fact_kinds import DecoderFact, RulesFact
from biranet.reports.facts import DECODER_FACT, RULES_FACT, Fact, Thresholds, threshold_text
from biranet.reports.fold_facts import FoldDecoderFact, FoldRulesFact
from biranet.reports.pages.page import percent
from biranet.reports.paper.wording import as_markdown, enumerate_words, span
from biranet.words import counted

_AIMS = {
    "sensitivity_90": "a sensitivity of at least 0.90",
    "specificity_90": "a specificity of at least 0.90",
    "youden": "the highest Youden index",
}


def describe_aim(point: str, *, cite: bool = True) -> str:
    """Write what an operating point was chosen for, with its article; one of another program goes by its name.

    Args:
        point: Its name in `metrics.json`.
        cite: Whether to cite what it goes back to.

    Example:
        >>> describe_aim("cost_5")
        'the lowest cost, that of a missed referable photograph being 5 needless referrals'
    """
    if point.startswith("cost_"):
        cost = as_markdown(point.removeprefix("cost_"))
        return f"the lowest cost, that of a missed referable photograph being {cost} needless referrals"
    cited = " [@youden1950index]" if cite and point == "youden" else ""
    return f"{_AIMS.get(point, as_markdown(point))}{cited}"


def describe_rules(metrics: Mapping[str, Any], facts: Mapping[str, Fact], thresholds: Thresholds) -> Iterator[str]:
    """Say by which rules was decided, sentence by sentence.

    Args:
        metrics: The content of `metrics.json`.
        facts: What is known of the answers.
        thresholds: Those of the operating points, where they are known.
    """
    yield from _describe_decoder(facts.get(DECODER_FACT))
    yield from _describe_fit(metrics, facts.get(RULES_FACT))
    yield from _describe_points(metrics, thresholds)


def _describe_fit(metrics: Mapping[str, Any], rules: Fact | None) -> Iterator[str]:
    """Say what temperature, operating points and sets were fitted on."""
    scaling = "temperature scaling [@guo2017calibration]"
    if isinstance(rules, FoldRulesFact):
        temperatures = span(rules.temperatures, "{:.2f}")
        yield (
            f"The probabilities of each fold were calibrated by {scaling} on the answers for the other folds "
            f"(temperatures {temperatures}){_fitted_too(metrics, 'answers')}."
        )
    elif isinstance(rules, RulesFact) and rules.fitted_on is None:
        yield "The probabilities were not calibrated, and no operating points or prediction sets were fitted."
    elif isinstance(rules, RulesFact):
        photos = "other photographs" if rules.photos is None else counted(rules.photos, "photograph")
        part = " of the calibration part" if rules.calibration_part else ""
        yield (
            f"The probabilities were calibrated by {scaling} on {photos}{part} (temperature {rules.temperature:.2f})"
            f"{_fitted_too(metrics, 'photographs')}."
        )


def _fitted_too(metrics: Mapping[str, Any], on: str) -> str:
    """What else was fitted on the same photographs or answers, as the end of a sentence."""
    parts = ["the operating points"] if metrics["operating_points"] else []
    if metrics["prediction_sets"]:
        sets = "conformal prediction sets of neighbouring grades [@lu2022ordinal; @lee2023hierarchical]"
        parts.append(f"{sets} for a coverage of {percent(COVERAGE)}")
    return f"; {enumerate_words(parts)} were fitted on the same {on}" if parts else ""


def _describe_decoder(decoder: Fact | None) -> Iterator[str]:
    if not isinstance(decoder, DecoderFact | FoldDecoderFact):
        return
    if decoder.decoder == "argmax":
        yield "The predicted grade was the most probable one."
        return
    if isinstance(decoder, FoldDecoderFact):
        others, over = " on the answers for the other folds", ", over the folds"
        ends = [span(each, "{:.2f}") for each in zip(*decoder.fold_thresholds, strict=True)]
    else:
        others, over, ends = "", "", [f"{end:.2f}" for end in decoder.thresholds]
    where = f" ({enumerate_words(ends)} for grades 1 to 4{over})" if ends else ""
    yield (
        "The predicted grade was the mean of the grades, weighted by their probabilities, cut at thresholds that were "
        f"fitted for agreement with the reference grades{others}{where}."
    )


def _at(threshold: float | Sequence[float]) -> str:
    text = threshold_text(threshold, 2)
    return f" (thresholds {text} over the folds)" if isinstance(threshold, Sequence) else f" (threshold {text})"


def _describe_points(metrics: Mapping[str, Any], thresholds: Thresholds) -> Iterator[str]:
    points = metrics["operating_points"] or {}
    if not points:
        return
    named = []
    for point in points:
        named.append(f"{describe_aim(point)}{_at(thresholds[point]) if point in thresholds else ''}")
    yield f"The operating points of the score for referral were chosen for {'; '.join(named)}."
    if {"sensitivity_90", "specificity_90"} <= set(points) and metrics["decisions"]:
        yield (
            "Photographs were not referred below the threshold of the first and referred from that of the second on, "
            "both being replaced by their mean where the first was the higher; those in between, and those whose "
            "predicted grade contradicted, were left to a human reader."
        )

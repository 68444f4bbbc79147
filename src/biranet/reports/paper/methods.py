"""The methods of a report in sentences to take over: only what its facts say, with citations as pandoc writes them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from biranet.config import MEAN_OF_MIRRORED
from biranet.console import escape_control
from biranet.evaluation.interval_methods import LEVEL
from biranet.evaluation.measures import point_name
from biranet.grades import DISCLAIMER, GRADES, REFERABLE_GRADE
from biranet.reports.facts import (
    AUDIT_FACT,
    CHECKPOINT_FACT,
    DECODER_FACT,
    EPOCH_FACT,
    GRADES_FACT,
    MODEL_FACT,
    PHOTOS_FACT,
    RULES_FACT,
    SPLIT_FACT,
    TABLE_FACT,
    THRESHOLDS_FACT,
    TRAINED_ON_FACT,
    TRAINED_WITH_FACT,
    Fact,
    Facts,
    ModelFact,
    RulesFact,
    SourceTable,
    TrainedOnFact,
    fact_lines,
)
from biranet.reports.figures.drawing import Figure
from biranet.reports.figures.words import in_text
from biranet.reports.pages.listing import Number, Numbers
from biranet.reports.pages.page import percent, thousands
from biranet.reports.pages.tables import ROWS_OF
from biranet.reports.paper.references import DATA_SETS, backbone_reference
from biranet.reports.paper.tables import Table
from biranet.reports.table_provenance import Provenance
from biranet.version import COMMAND_FACT, DATE_FACT, MEASURED_WITH_FACT

FILE_MARKER = "<!-- the methods of a report of biranet's -->"
"""Begins the file."""

_NETWORKS = {
    "biranet": "BiRA-Net [@zhao2019biranet], a bilinear network of two attention streams,",
    "ranet": "RA-Net, BiRA-Net [@zhao2019biranet] with one attention stream,",
    "plain": "a network with average pooling",
}
_CLAUSES = {
    "quadratic_weighted_kappa": "kappa with quadratic weights was",
    "aca": "ACA",
    "accuracy": "accuracy",
    "referable_auc": "the area under the curve for referable retinopathy",
    "referable_sensitivity": "the sensitivity of the predicted grade for it",
    "referable_specificity": "the specificity",
}
"""How the sentence with the main figures goes on, measure by measure: a name alone would be no sentence."""
_TOLD = frozenset(
    {
        *(MODEL_FACT, TRAINED_ON_FACT, EPOCH_FACT, CHECKPOINT_FACT, PHOTOS_FACT, SPLIT_FACT, AUDIT_FACT, DECODER_FACT),
        *(RULES_FACT, GRADES_FACT, THRESHOLDS_FACT, TABLE_FACT, TRAINED_WITH_FACT),
        *(MEASURED_WITH_FACT, DATE_FACT, COMMAND_FACT),
    }
)
"""Facts that have sentences of their own, or are no part of methods."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|@$~^&])")


def as_markdown(text: str) -> str:
    r"""Write a text so that Markdown shows it as it is.

    Example:
        >>> print(as_markdown("a_b [@c]"))
        a\_b \[\@c\]
    """
    return _SPECIAL.sub(r"\\\1", " ".join(escape_control(text).split()))


def known_facts(provenance: Provenance) -> Mapping[str, Fact]:
    """Collect what is known of the answers: the facts of the report, or those of the tables that it measures again.

    Returns:
        The facts by name; of several tables those that all of them share.
    """
    sources = list(_sources(provenance.facts, provenance.tables))
    first, *others = sources
    return {name: fact for name, fact in first.items() if all(each.get(name) == fact for each in others)}


def known_thresholds(provenance: Provenance) -> Mapping[str, float]:
    """The thresholds of operating points, where they are known and one for all photos."""
    here = provenance.facts.get(THRESHOLDS_FACT, known_facts(provenance).get(THRESHOLDS_FACT))
    return here if isinstance(here, Mapping) else {}


def _sources(facts: Facts, tables: Sequence[SourceTable]) -> Iterator[Facts]:
    """The facts of each report that an answer comes from; those of a report win over those of its tables."""
    if MODEL_FACT in facts or not tables:
        yield facts
        return
    for table in tables:
        for inner in _sources(table.facts, table.tables):
            yield {**inner, **facts}


def write_methods(
    title: str,
    table: pd.DataFrame,
    metrics: Mapping[str, Any],
    provenance: Provenance,
    figures: Mapping[str, Figure],
    tables: Sequence[Table],
) -> str:
    """Write the methods of a report, a sentence with its main figures, and the legends of its figures and tables.

    Args:
        title: Title of the report.
        table: A predictions table.
        metrics: The content of its `metrics.json`.
        provenance: Where its figures come from.
        figures: Those that were drawn.
        tables: Those that were made.

    Returns:
        Markdown.
    """
    facts = known_facts(provenance)
    said = {name: " ".join(fact_lines(fact)) for name, fact in facts.items()}
    paragraphs = {
        "Data": _describe_data(table, metrics, said),
        "Model": _describe_model(facts, said, len(list(_sources(provenance.facts, provenance.tables)))),
        "Answers": _describe_answers(metrics, facts.get(RULES_FACT), said),
        "Measures": _describe_measures(metrics, curves=True),
        "Intervals": _describe_intervals(metrics),
        "Software": _describe_software(said),
        "Results": _describe_results(metrics),
    }
    parts = [FILE_MARKER, f"# {as_markdown(title)}", DISCLAIMER]
    for heading, sentences in paragraphs.items():
        if text := " ".join(sentences):
            parts += [f"## {heading}", text]
    if provenance.notes:
        parts += ["## To be said with the figures"]
        parts.append("\n".join(f"* {as_markdown(note.sentence)}" for note in provenance.notes))
    parts += ["## Legends", *_list_legends(figures.values(), tables)]
    return "\n\n".join(parts) + "\n"


def write_comparison_methods(
    title: str, comparison: Mapping[str, Any], figures: Sequence[Figure], tables: Sequence[Table]
) -> str:
    """Write the methods of a comparison, a sentence with its main differences, and the legends.

    Args:
        title: Title of the comparison.
        comparison: The content of `comparison.json`.
        figures: Those that were drawn.
        tables: Those that were made.

    Returns:
        Markdown.
    """
    first, *others = (as_markdown(name) for name in comparison["names"])
    measured = comparison["measures"][comparison["names"][0]]
    groups = f" of {thousands(comparison['groups'])} patients" if comparison["groups"] < comparison["n"] else ""
    models = (
        f"Models were compared on the same {thousands(comparison['n'])} photographs{groups}: {', '.join(others)} with "
        f"{first}."
    )
    differences = (
        f"Differences, each model less {first}, are of the same resamples for both models, with Student's interval by "
        "their spread [@hesterberg2014bootstrap]."
    )
    of_kappa = {
        name: Number.of_difference("quadratic_weighted_kappa", differences_of)
        for name, differences_of in comparison["differences"].items()
    }
    results = [
        f"{as_markdown(name)}: kappa with quadratic weights {in_text(number)} from {first}."
        for name, number in of_kappa.items()
    ]
    parts = [FILE_MARKER, f"# {as_markdown(title)}", DISCLAIMER, "## Models", models]
    parts += ["## Measures", " ".join(_describe_measures(measured, curves=False))]
    parts += ["## Intervals", " ".join([*_describe_intervals(measured), differences])]
    parts += ["## Results", " ".join(results), "## Legends", *_list_legends(figures, tables)]
    return "\n\n".join(parts) + "\n"


def _list_legends(figures: Iterable[Figure], tables: Iterable[Table]) -> Iterator[str]:
    for figure in figures:
        yield f"**figures/{figure.name}.** {as_markdown(f'{figure.title}.')} {as_markdown(figure.caption)}"
    for table in tables:
        yield f"**tables/{table.name}.** {as_markdown(table.caption)}"


def _describe_data(table: pd.DataFrame, metrics: Mapping[str, Any], said: Mapping[str, str]) -> Iterator[str]:
    counts = [sum(row) for row in metrics["confusion_matrix"]]
    photos, groups = metrics["n"], metrics["groups"]
    of_groups = f" of {thousands(groups)} patients" if groups < photos else ""
    sources = sorted(set(table["source"].astype(str))) if "source" in table else []
    named = [f"{DATA_SETS[source][0]} [@{DATA_SETS[source][1]}]" for source in sources if source in DATA_SETS]
    origin = f" from {' and '.join(named)}" if named and len(named) == len(sources) else ""
    yield f"The model was measured on {thousands(photos)} photographs{of_groups}{origin}."
    first, *others = (f"{thousands(counts[grade])}{{}} grade {grade}" for grade in GRADES)
    by_grade = ", ".join([first.format(" had"), *(other.format("") for other in others)])
    referable = percent(sum(counts[REFERABLE_GRADE:]) / photos)
    yield (
        f"On the international scale [@wilkinson2003scale], {by_grade}; grade {REFERABLE_GRADE} and above counted as "
        f"referable ({referable})."
    )
    if groups == photos:
        yield "Each photograph counted as a patient of its own."
    if PHOTOS_FACT in said:
        yield (
            f"They are: {as_markdown(said[PHOTOS_FACT])}; of each, the square around the lit field was cut out and "
            "scaled."
        )
    if SPLIT_FACT in said:
        yield f"Split: {as_markdown(said[SPLIT_FACT])}."
    if AUDIT_FACT in said:
        yield f"Search for leaks and copies: {as_markdown(said[AUDIT_FACT]).rstrip('.')}."


def _describe_model(facts: Facts, said: Mapping[str, str], models: int) -> Iterator[str]:
    if models > 1:
        yield f"The answers are those of {models} tables, pooled; what follows holds for all of them."
    model = facts.get(MODEL_FACT)
    if isinstance(model, ModelFact) and model.model in _NETWORKS:
        family = backbone_reference(model.backbone)
        cited = f" [@{family}; @wightman2019timm]" if family else " [@wightman2019timm]"
        yield (
            f"The model was {_NETWORKS[model.model]} on the backbone {as_markdown(model.backbone)} of timm{cited}, "
            f"which looks at images of {model.image_size} × {model.image_size} pixels."
        )
        if model.test_time_flip:
            yield f"{MEAN_OF_MIRRORED[0].upper()}{MEAN_OF_MIRRORED[1:]}."
    elif model is not None:
        yield f"The model was {as_markdown(said[MODEL_FACT])}."
    yield from _describe_training(facts.get(TRAINED_ON_FACT), said)
    for name, text in said.items():
        if name not in _TOLD:
            yield f"{as_markdown(name)}: {as_markdown(text).rstrip('.')}."


def _describe_training(trained_on: Fact | None, said: Mapping[str, str]) -> Iterator[str]:
    if isinstance(trained_on, TrainedOnFact) and not trained_on.other_folds:
        name, reference = DATA_SETS.get(trained_on.source, (as_markdown(trained_on.source), ""))
        cited = f" [@{reference}]" if reference else ""
        yield f"It was trained on {name}{cited} with the seed {trained_on.seed}."
    elif trained_on is not None:
        yield f"It was trained on {as_markdown(said[TRAINED_ON_FACT])}."
    if EPOCH_FACT in said:
        yield f"Epochs of training: {as_markdown(said[EPOCH_FACT])}."
    if CHECKPOINT_FACT in said:
        yield f"Its checkpoint is {as_markdown(said[CHECKPOINT_FACT])}."


def _describe_answers(metrics: Mapping[str, Any], rules: Fact | None, said: Mapping[str, str]) -> Iterator[str]:
    if DECODER_FACT in said:
        yield f"Grades were decoded by: {as_markdown(said[DECODER_FACT])}."
    if isinstance(rules, RulesFact) and rules.fitted_on is None:
        yield "Probabilities were not calibrated, and no thresholds were fitted."
    elif isinstance(rules, RulesFact):
        yield (
            "A temperature for the probabilities [@guo2017calibration], thresholds of operating points and conformal "
            "prediction sets [@lu2022ordinal; @lee2023hierarchical], as far as there were patients enough for them, "
            f"were {as_markdown(str(rules))}."
        )
    elif rules is not None:
        yield f"Rules: {as_markdown(said[RULES_FACT])}."
    points = ", ".join(point_name(point) for point in metrics["operating_points"] or ())
    if points:
        known = f" ({as_markdown(said[THRESHOLDS_FACT])})" if THRESHOLDS_FACT in said else ""
        yield f"Operating points of referral: {as_markdown(points)}{known}."
    if GRADES_FACT in said:
        yield f"The grades of the table were read {as_markdown(said[GRADES_FACT])}."


def _describe_measures(metrics: Mapping[str, Any], *, curves: bool) -> Iterator[str]:
    yield (
        "Agreement was measured by kappa with quadratic weights [@cohen1968kappa], Gwet's AC2 with the same weights "
        "[@gwet2008agreement], accuracy, and average classification accuracy (ACA), the mean of the recalls of all "
        "grades."
    )
    if "referable_auc" in metrics:
        yield (
            "The score for referral is the sum of the probabilities of grades 2 to 4, that for any retinopathy the sum "
            "of grades 1 to 4; areas are those under the receiver operating characteristic."
        )
        if curves:
            yield (
                "Net benefit was measured by decision curve analysis [@vickers2006decision], and the share of wrong "
                "referrals against the share of photographs that are decided [@elyaniv2010selective]."
            )
    for kind, is_stated in metrics["prevalence"]["stated"].items():
        if is_stated:
            words = "referable photographs" if kind == "referable" else "photographs with any retinopathy"
            yield f"Predictive values are for a stated share of {metrics['prevalence'][kind]:g} of {words}."


def _describe_intervals(metrics: Mapping[str, Any]) -> Iterator[str]:
    drawn = metrics["bootstrap"]
    strata = ", drawn within the worst true grade of a patient [@rao1988resampling]" if drawn["stratify"] else ""
    yield (
        f"Intervals are {100 * LEVEL:.0f} % intervals from a bootstrap over patients, all photographs of one together "
        f"[@efron1993bootstrap], with {thousands(drawn['resamples'])} resamples (seed {drawn['seed']}){strata}."
    )
    yield (
        "Shares of photographs have the exact interval [@clopper1934limits] of a share with the variance of the "
        "resamples [@korn1998proportions]; areas and averages of shares the same by their spread alone; all else "
        "percentiles, widened for few patients [@hesterberg2014bootstrap], which are reflected for the expected "
        "calibration error. Bands about curves are such intervals at each place, not for the whole curve at once."
    )


def _describe_software(said: Mapping[str, str]) -> Iterator[str]:
    if TRAINED_WITH_FACT in said:
        yield f"The model was trained with {as_markdown(said[TRAINED_WITH_FACT])}."
    if MEASURED_WITH_FACT in said:
        yield f"All was measured with {as_markdown(said[MEASURED_WITH_FACT])}."


def _describe_results(metrics: Mapping[str, Any]) -> Iterator[str]:
    numbers = Numbers(metrics)
    clauses = []
    for key in ROWS_OF["cards"]:
        number = numbers.get(key)
        if number is not None and number.value is not None:
            clauses.append(f"{_CLAUSES[key]} {in_text(number)}")
    text = ", ".join(clauses)
    yield f"{text[0].upper()}{text[1:]} (in brackets {100 * LEVEL:.0f} % intervals)."
    undefined = sorted(set(metrics["undefined"]) & set(_CLAUSES))
    for key in undefined:
        yield f"{numbers(key).meaning.name} is not defined: {as_markdown(metrics['undefined'][key])}."

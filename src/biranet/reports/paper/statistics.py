"""The methods of a report: measures, intervals and software."""

from collections.abc import Iterator, Mapping
from typing import Any

from biranet.evaluation.interval_methods import LEVEL
from biranet.reports.fact_kinds import PatientsFact
from biranet.reports.facts import TRAINED_WITH_FACT, Fact
from biranet.reports.paper.patients import doubt_of
from biranet.reports.paper.wording import as_markdown
from biranet.version import MEASURED_WITH_FACT


def describe_measures(metrics: Mapping[str, Any], *, curves: bool) -> Iterator[str]:
    """Say what was measured."""
    yield (
        "Agreement with the reference grades was measured by kappa with quadratic weights [@cohen1968kappa], Gwet's "
        "AC2 with the same weights [@gwet2008agreement], accuracy, and average classification accuracy (ACA), the mean "
        "of the recalls of all grades."
    )
    if "referable_auc" in metrics:
        yield (
            "The score for referral was the sum of the probabilities of grades 2 to 4, and that for any retinopathy "
            "the sum of those of grades 1 to 4; both were judged by the area under the receiver operating "
            "characteristic (AUC)."
        )
        if curves:
            yield (
                "Net benefit was measured by decision curve analysis [@vickers2006decision], and the share of wrong "
                "referrals against the share of photographs decided [@elyaniv2010selective]."
            )
    for kind, is_stated in metrics["prevalence"]["stated"].items():
        if is_stated:
            words = "referable photographs" if kind == "referable" else "photographs with any retinopathy"
            yield f"Predictive values were computed for a stated share of {metrics['prevalence'][kind]:g} of {words}."


def describe_intervals(metrics: Mapping[str, Any], patients: PatientsFact) -> Iterator[str]:
    """Say how the intervals were made, and over what."""
    drawn = metrics["bootstrap"]
    if patients.all_unknown:
        over, worst, unit = "photographs, as patients were not known", "the true grade", "photographs"
    else:
        over = f"patients{doubt_of(patients)}, all photographs of one together"
        worst, unit = "the worst true grade of a patient", "patients"
    strata = f", drawn within {worst} [@rao1988resampling]" if drawn["stratify"] else ""
    yield (
        f"Confidence intervals (CI) were {100 * LEVEL:.0f} % intervals from a bootstrap over {over} "
        f"[@efron1993bootstrap], with {drawn['resamples']:,} resamples (random seed {drawn['seed']})"
        f"{strata}."
    )
    yield (
        "Shares of photographs were given the exact interval [@clopper1934limits] of a share with the variance of the "
        "resamples [@korn1998proportions], and areas and averages of shares the same by their spread alone; all other "
        f"intervals were percentiles, widened for few {unit} [@hesterberg2014bootstrap] and, for the expected "
        "calibration error, reflected. Bands about curves were such intervals at each place, not for the whole curve "
        "at once."
    )


def describe_paired() -> str:
    """Say how the intervals of differences were made."""
    return (
        "Differences between two models were computed on the same resamples for both, with Student's interval by their "
        "spread [@hesterberg2014bootstrap]."
    )


def describe_software(facts: Mapping[str, Fact]) -> Iterator[str]:
    """Name the software and its versions."""
    trained, measured = (facts.get(name) for name in (TRAINED_WITH_FACT, MEASURED_WITH_FACT))
    if isinstance(trained, str) and trained:
        yield (
            "Training was done with PyTorch [@paszke2019pytorch] and timm [@wightman2019timm]; the versions were "
            f"{as_markdown(trained)}."
        )
    if isinstance(measured, str):
        yield f"All measures were computed with {as_markdown(measured)}."

"""Write what others measured of the model that ships, and why it is worse, into docs/model.md, from the tables alone.

python -m studies.shipped.page [RESULTS]

Everything between the two marks in the page is replaced; what stands around it is written by people.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from biranet.evaluation.estimates import Key, from_json, meaning_of
from biranet.files import read_json
from biranet.learning.shipped_models import DEFAULT
from studies.commands import ROOT, run_as_command
from studies.lesion_grades.bound import LEVEL, TARGET
from studies.pages import FiguresPage, bullet, head, prose, row, with_ci
from studies.shipped.card import RESULTS
from studies.shipped.measured import FROM_VISITS_NAME, STRETCHES_NAME
from studies.shipped.outside import MeasuredOutside, Told, read_outside
from studies.shipped.promise import PROMISE_NAME
from studies.shipped.stretches import MISSED_NAME

COLUMNS = {
    "quadratic_weighted_kappa": "kappa",
    "referable_auc": "referable AUC",
    "aca": "ACA",
    "accuracy": "accuracy",
    "decisions.missed_fraction": "referable photos it does not refer",
}

BY_STRETCH = f"{STRETCHES_NAME}/cross_validated"

OURS = {
    "cross_validated": "*ours:* 353 of IDRiD, out of fold",
    BY_STRETCH: "*ours:* the same by stretches of the numbering",
    "external": "*ours:* 418 of the other clinic",
}


def _outside(results: Path) -> Iterator[str]:
    yield from head(["photographs", *COLUMNS.values()])
    for measured in _measured(results):
        if measured.model == DEFAULT:
            yield row([measured.on, *(_told(measured.figures.get(key)) for key in COLUMNS)])
    for name, what in OURS.items():
        yield row([what, *(_told(_ours(results, name, key)) for key in COLUMNS)])
    for measured in _measured(results):
        if measured.model != DEFAULT:
            figures = ", ".join(f"{meaning_of(key).name} {_told(told)}" for key, told in measured.figures.items())
            yield from ("", *prose(f"Of another model, by `{measured.model}`: {measured.on}: {figures}."))


def _why(results: Path) -> Iterator[str]:
    promise = read_json(results / PROMISE_NAME)
    parts, copies, folds = (promise[name] for name in ("stretches", "copies", "folds"))
    missed, kappa = "decisions.missed_fraction", "quadratic_weighted_kappa"
    told = _measured(results)[0].figures[missed]
    yield from prose(
        "So the promise of missed photos did not hold: out of fold "
        f"{_told(_ours(results, 'cross_validated', missed))} of the referable photos are not referred, where it was "
        f"{_told(told)}. Why, as far as it can be told with the photographs that are here (`python -m "
        "studies.shipped.promise`):"
    )
    yield ""
    visits, stretches = (folds[kind]["mean"] for kind in ("visits", "stretches"))

    from_visits = read_json(results / STRETCHES_NAME / FROM_VISITS_NAME)["differences"]

    def instead(key: str) -> str:
        """What was measured by stretches instead of visits, and the difference, paired by photo."""
        both = " instead of ".join(f"{_ours(results, name, key).value:.3f}" for name in (BY_STRETCH, "cross_validated"))
        return f"{both} ({with_ci(from_visits[key]['difference'], from_visits[key]['ci'], 3, '+')})"

    for text in (
        f"**Not by chance alone**: {told.counts} and {parts['missed']} of {parts['referable']} differ as much in "
        f"{100 * parts['p_of_outside']:.1f} of 100 such pairs (Fisher's exact test).",
        "**Not by choosing loss, smoothing, mirror image and decoder**, which cost nothing that is seen: chosen inside "
        f"the folds {_told(_ours(results, 'nested', missed))}. Image size, rate, length and backbone were chosen on "
        "all photographs, by a sketch with some 25 settings, and not chosen again: what that is worth is not known.",
        f"**Not by larger copies**: of {copies['photos']} photographs that it learned from, copies of 1152 px instead "
        f"of 512 change {copies['other_decisions']} decisions; of {copies['referable']} referable ones "
        f"{copies['missed'][0]} and {copies['missed'][1]} are missed.",
        "**In part by folds of visits**: trained anew without whole stretches of the numbering, whose visits are in "
        f"order of time, BiRA-Net misses {instead(missed)}, and has a kappa of {instead(kappa)} (one division each, "
        "`python -m studies.shipped.stretches`). A linear layer on the same backbone loses less: it misses "
        f"{stretches['missed_fraction']:.3f} instead of {visits['missed_fraction']:.3f}, and has "
        f"{stretches['quadratic_weighted_kappa']:.3f} instead of {visits['quadratic_weighted_kappa']:.3f} (means of "
        f"{folds['divisions']} divisions each).",
        f"**Grade 2 is much harder in some visits than in others**: {parts['missed_by_grade']['2']} of the "
        f"{parts['missed']} photos that are missed have it, and it is hard in whole stretches:",
    ):
        yield from bullet(text)
    yield from ("", *head(["visits that begin at photograph", "referable", "of them grade 2", "not referred"]))
    for each in parts["each"]:
        share = f"{each['missed']} = {each['missed'] / each['referable']:.3f}"
        yield row([f"{each['first']} to {each['last']}", each["referable"], each["grade_2"], share])
    low, high = parts["ci_of_stretches"]
    yield from (
        "",
        *prose(
            "So the interval above, which draws visits as if each could stand for any other, is too narrow: one that "
            f"draws {parts['drawn']} stretches is {low:.3f} to {high:.3f}, and does not reach what was measured either."
        ),
    )


def _promised(results: Path) -> Iterator[str]:
    missed = read_json(results / STRETCHES_NAME / MISSED_NAME)
    shares = missed["shares"]
    yield from prose(
        "**What can be promised.** Stretches differ by more than chance, so whole ones are what is observed, each "
        "answered for by a network that had not seen it; rules were fitted on the answers for the others, whose "
        f"networks had. Of {len(shares)} stretches, two of each fifth that was answered for, {min(shares):.2f} to "
        f"{max(shares):.2f} of the referable photos are missed. By a bound that should hold with a probability of "
        f"{100 * LEVEL:g} %, at most {missed['next']:.2f} of those of the next stretch are missed, and "
        f"{missed['mean']:.2f} on average over many. What the others say of a stretch held for {missed['held']} of "
        f"{len(shares)}. A rule that promises at most {TARGET:.2f} of the next one would refer "
        f"{missed['bounded']['needless']:.2f} of the photos that need no referral."
    )


def _measured(results: Path) -> tuple[MeasuredOutside, ...]:
    outside = read_outside(results)
    return outside.measured if outside else ()


def _ours(results: Path, name: str, key: str) -> Told:
    estimate = from_json(read_json(results / f"{name}.json"))[Key.parse(key)]
    return Told(estimate.value, estimate.interval and tuple(estimate.interval))


def _told(told: Told | None) -> str:
    if told is None:
        return "-"
    ends = f" [{told.ci[0]:.3f}, {told.ci[1]:.3f}]" if told.ci else ""
    return (f"{told.counts} = " if told.counts else "") + f"{told.value:.3f}{ends}"


def _figures(results: Path) -> Iterator[str]:
    yield from _outside(results)
    yield ""
    yield from _why(results)
    yield ""
    yield from _promised(results)


PAGE = FiguresPage(ROOT / "docs" / "model.md", __file__, RESULTS, _figures)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return PAGE.run(__doc__, arguments)


if __name__ == "__main__":
    run_as_command(main)

"""Every number has a name, a sentence, bounds that hold, and a paragraph in the docs whose example is computed here."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from biranet.config import EvaluationConfig
from biranet.errors import InputError
from biranet.evaluation.estimates import meaning_of
from biranet.evaluation.measures import MEANINGS, Meaning, point_name
from biranet.grades import DECISIONS
from measured import measure

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
KEY_LINE = re.compile(r"`([a-z0-9_.]+)` · (.+?)(?:<br>)?")
BETTER = {"higher": " · higher is better", "lower": " · lower is better", "neither": ""}


def paragraphs() -> dict[str, tuple[str, str, str]]:
    """By key: its heading, what its line says of it, and the text below."""
    found = {}
    for part in DOCS.read_text(encoding="utf-8").split("\n### ")[1:]:
        heading, _, rest = part.split("\n## ")[0].partition("\n")
        lines = rest.split("\n")
        matches = [matched for line in lines if (matched := KEY_LINE.fullmatch(line))]
        text = "\n".join(lines[len(matches) :])
        found |= {matched[1]: (heading, matched[2], text) for matched in matches}
    return found


def bounds(meaning: Meaning) -> str:
    return f"{meaning.low:g} to {meaning.high:g}" if meaning.high is not None else f"{meaning.low:g} and above"


def test_every_number_has_its_paragraph_and_no_paragraph_is_of_another() -> None:
    assert list(paragraphs()) and set(paragraphs()) == set(MEANINGS)


@pytest.mark.parametrize("key", MEANINGS)
def test_paragraphs_say_what_the_meanings_say(key: str) -> None:
    heading, says, text = paragraphs()[key]
    meaning = MEANINGS[key]
    assert says == bounds(meaning) + BETTER[meaning.better]
    assert heading == ("Before calibration" if key.startswith("before_calibration.") else meaning.name)
    assert len(text.split()) > 30


@pytest.mark.parametrize("key", MEANINGS)
def test_meanings_are_plain_sentences(key: str) -> None:
    meaning = MEANINGS[key]
    assert meaning.sentence[0].isupper() and meaning.sentence.endswith(".") and "\n" not in meaning.sentence
    assert len(meaning.sentence) < 200 and len(meaning.name) < 70
    assert meaning.low is not None and (meaning.high is None or meaning.low < meaning.high)


def documented_matrix() -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    rows = re.findall(r"^\| [0-4] [a-z A-Z]+ \|((?: \d+ \|){6})$", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    counts = np.array([[int(cell) for cell in row.split("|")[:-1]] for row in rows])
    assert counts.shape == (5, 6)
    np.testing.assert_array_equal(counts[:, :5].sum(axis=1), counts[:, 5])
    return counts[:, :5]


def example() -> pd.DataFrame:
    """The 100 photos of the docs, with the answers that the paragraphs on decisions and sets count."""
    truth, predicted = (np.repeat(axis.ravel(), documented_matrix().ravel()) for axis in np.indices((5, 5)))
    referable = truth >= 2
    no, ask, refer = DECISIONS
    decision = np.where(referable, refer, no).astype(object)
    decision[np.flatnonzero(referable)[:6]] = [no, ask, ask, ask, ask, ask]
    decision[np.flatnonzero(~referable)[:15]] = [refer] * 3 + [ask] * 12
    referred = referable.astype(np.int64)
    referred[np.flatnonzero(referable)[:2]] = 0
    referred[np.flatnonzero(~referable)[:14]] = 1
    # As many photos of each grade as the docs say are not covered, by a set of another grade alone.
    missed = np.concatenate([np.flatnonzero(truth == grade)[:count] for grade, count in enumerate([1, 2, 2, 1, 2])])
    sizes = np.empty(100, np.int64)
    sizes[np.argsort(~np.isin(np.arange(100), missed), kind="stable")] = np.repeat([1, 2, 3, 4], [55, 33, 10, 2])
    lowest = np.clip(truth, 0, 5 - sizes)
    lowest[missed] = (truth[missed] + 1) % 5
    return pd.DataFrame(
        {
            "file": np.arange(100).astype(str),
            "group": np.arange(100).astype(str),
            "grade": truth,
            "predicted_grade": predicted,
            "temperature": 1.0,
            "decision": decision,
            "lowest_grade": lowest,
            "highest_grade": lowest + sizes - 1,
            "refer_sensitivity_90": referred,
        }
    )


def in_example(measures: dict[str, object], key: str) -> object:
    value: object = measures
    for step in key.replace("operating_points.", "operating_points.sensitivity_90.").split("."):
        assert isinstance(value, dict)
        value = value[step]
    return value


WITH_EXAMPLE = [
    key
    for key, meaning in MEANINGS.items()
    if not meaning.count
    and "auc" not in key
    and "auprc" not in key
    and "risk_coverage" not in key
    and not key.startswith("before_calibration.")
    and key not in ("expected_calibration_error", "brier", "negative_log_likelihood")
]
"""What the example of the docs determines: all that needs no probabilities."""


@pytest.mark.parametrize("key", WITH_EXAMPLE)
def test_the_docs_compute_their_example(key: str) -> None:
    value = in_example(measure(example()), key)
    text = paragraphs()[key][2]
    for number in value if isinstance(value, list) else [value]:
        assert re.search(rf"(?<![\d.]){number:.3f}(?!\d)", text), f"{number:.3f}"


@pytest.mark.parametrize(
    ("prevalences", "expected"),
    [
        ({"referable_prevalence": 0.05}, {"referable_ppv": "0.39", "referable_npv": "0.992"}),
        ({"any_dr_prevalence": 0.25}, {"any_dr_ppv": "0.739", "any_dr_npv": "0.947"}),
    ],
)
def test_the_docs_carry_the_predictive_values_over(prevalences: dict[str, float], expected: dict[str, str]) -> None:
    measures = measure(example(), EvaluationConfig(**prevalences))
    for key, text in expected.items():
        digits = len(text) - 2
        assert f"{measures[key]:.{digits}f}" == text
        assert text in paragraphs()[key][2]


def test_the_docs_compute_the_losses_of_a_photo() -> None:
    photo = pd.DataFrame({"file": ["a"], "group": ["a"], "grade": [2], "predicted_grade": [2]})
    unsure = photo.assign(p0=0.1, p1=0.2, p2=0.4, p3=0.2, p4=0.1)
    ignorant = photo.assign(p0=0.2, p1=0.2, p2=0.2, p3=0.2, p4=0.2)
    brier, likelihood = (paragraphs()[key][2] for key in ("brier", "negative_log_likelihood"))
    for table in (unsure, ignorant):
        measures = measure(table)
        assert f"{measures['brier']:.2f}" in brier
        assert f"{measures['negative_log_likelihood']:.3f}" in likelihood
    assert f"{-np.log(0.9):.3f}" in likelihood and f"{-np.log(0.01):.3f}" in likelihood


def test_keys_of_places_inside_are_looked_up() -> None:
    assert meaning_of("aca") == MEANINGS["aca"]
    assert meaning_of("operating_points.youden.ppv").sentence == MEANINGS["operating_points.ppv"].sentence
    assert meaning_of("operating_points.cost_2.5.npv").name == (
        "Negative predictive value, at cost of 2.5 for a missed one"
    )
    assert meaning_of("one_vs_rest_auc.0").name == "One-versus-rest AUC, grade 0 (no DR)"
    assert meaning_of("prediction_sets.coverage_per_grade.4").name == "Coverage of a grade, grade 4 (proliferative)"
    assert meaning_of("prediction_sets.size_fractions.0").name == "Sizes of the sets, 1 of 5 grades"
    assert meaning_of("patients.mean.recall_per_grade.1").name == "Recall, grade 1 (mild), mean over a patient's eyes"
    assert meaning_of("patients.worst_eye.n").name == "Photos, worst eye of a patient"
    assert meaning_of("patients.n").name == "Patients"


@pytest.mark.parametrize("key", ["acca", "", "recall_per_grade.5", "operating_points", "patients.worst_eye", "ci.aca"])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(InputError, match=f"no number '{key}'"):
        meaning_of(key)


def test_points_of_others_keep_their_names() -> None:
    assert point_name("my point") == "my point"
    assert point_name("cost_2.5") == "cost of 2.5 for a missed one"

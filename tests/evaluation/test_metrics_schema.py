"""The published schema is the one that the code makes, and real reports are as it says, down to the last key."""

import functools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from jsonschema import Draft202012Validator
from metrics_schema import metrics_schema

from biranet.cli import main
from biranet.decisions.columns import PROBABILITIES
from biranet.decisions.predictions import write_predictions
from biranet.evaluation.estimates import meaning_of
from biranet.evaluation.measures import MEANINGS
from biranet.grades import DECISIONS

PUBLISHED = Path(__file__).parents[2] / "docs" / "metrics.schema.json"
MEASURES = {"$ref": "#/$defs/measures"}


def closed(schema: Any, name: str = "") -> Any:
    """The schema without its room for further keys, so that a key that is described nowhere is found."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {key: closed(part, key) for key, part in schema.items()}
    if name != "measures" and ("properties" in schema or schema.get("$ref") == MEASURES["$ref"]):
        parts.setdefault("unevaluatedProperties", False)
    return parts


def full(seed: int = 0) -> pd.DataFrame:
    """Photos of both eyes of 40 patients with all that a table can hold; every grade and decision occurs."""
    random = np.random.default_rng(seed)
    truth = np.repeat(np.arange(40) % 5, 2)
    shares = random.dirichlet(np.ones(5), size=80) + 0.4 * np.eye(5)[truth]
    shares /= shares.sum(axis=1, keepdims=True)
    predicted = shares.argmax(axis=1)
    score = shares[:, 2:].sum(axis=1)
    return pd.DataFrame(
        {
            "file": [f"{photo}.jpg" for photo in range(80)],
            "group": np.repeat([f"patient {patient}" for patient in range(40)], 2),
            "grade": truth,
            "predicted_grade": predicted,
            **{name: shares[:, grade] for grade, name in enumerate(PROBABILITIES)},
            "temperature": np.where(np.arange(80) < 40, 1.4, 0.9),
            "decision": np.select([score < 0.3, score < 0.7], DECISIONS[:2], DECISIONS[2]).astype(object),
            "lowest_grade": np.maximum(predicted - random.integers(0, 2, 80), 0),
            "highest_grade": np.minimum(predicted + random.integers(0, 2, 80), 4),
            "refer_youden": (score > 0.5).astype(int),
            "refer_cost_2.5": (score > 0.25).astype(int),
            "eye": ["left", "right"] * 40,
            "source": np.repeat(["clinic", "van"], [70, 10]),
            "sharpness_ratio": random.uniform(0.5, 1.1, 80).round(4),
        }
    )


def graded(truth: list[int], predicted: list[int]) -> pd.DataFrame:
    names = [str(photo) for photo in range(len(truth))]
    return pd.DataFrame({"file": names, "group": names, "grade": truth, "predicted_grade": predicted})


ANSWERED = [name for name in full() if name in ("temperature", "decision") or "_grade" in name or "refer_" in name]
TABLES: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    # what is measured, and the flags
    "everything": (full, ""),
    "stated": (full, "--referable-prevalence 0.05 --any-dr-prevalence 0.2 --stratify --by source sharpness_ratio"),
    "probabilities": (lambda: full().drop(columns=set(ANSWERED) - {"predicted_grade"}), ""),
    "temperature of 1": (lambda: full().assign(temperature=1.0), ""),
    "answers alone": (lambda: full().drop(columns=list(PROBABILITIES)), ""),
    "grades alone": (lambda: graded([0, 1, 2, 3, 4, 4], [0, 0, 2, 2, 4, 3]), ""),
    "one grade": (lambda: graded([2, 2, 2], [2, 2, 2]), ""),
    "nobody is ill": (lambda: full().assign(grade=0), ""),
    "everybody is ill, all asked": (lambda: full().assign(grade=4, decision=DECISIONS[1]), ""),
    "one photo": (lambda: full().head(1), ""),
    "no referral": (lambda: full().assign(refer_youden=0, predicted_grade=1), ""),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Function from the name of a table to the metrics.json that the command line writes; each is made once."""

    @functools.cache
    def write(name: str) -> str:
        folder = tmp_path_factory.mktemp("report")
        make, flags = TABLES[name]
        write_predictions(folder / "p.csv", make())
        with pytest.raises(SystemExit, match="0"):
            main(["evaluate", "--predictions", str(folder / "p.csv"), "--out", str(folder / "report"), *flags.split()])
        return (folder / "report" / "metrics.json").read_text(encoding="utf-8")

    return write


@pytest.fixture
def report(written: Callable[[str], str], request: pytest.FixtureRequest) -> dict[str, Any]:
    """The content of one metrics.json, to be changed at will."""
    metrics: dict[str, Any] = json.loads(written(request.param))
    return metrics


def test_the_published_schema_is_the_one_of_the_code() -> None:
    """To publish a change: python docs/metrics_schema.py."""
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == metrics_schema()


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(metrics_schema())
    Draft202012Validator.check_schema(closed(metrics_schema()))


@pytest.mark.parametrize("report", TABLES, indirect=True)
def test_reports_are_as_the_schema_says(report: dict[str, Any]) -> None:
    for schema in (metrics_schema(), closed(metrics_schema())):
        faults = [f"{fault.json_path}: {fault.message}" for fault in Draft202012Validator(schema).iter_errors(report)]
        assert faults == []


def test_the_report_on_a_model_is_as_the_schema_says(checkpoint: Path, split_folder: Path, tmp_path: Path) -> None:
    prepared, out = tmp_path / "prepared", tmp_path / "report"
    shutil.copytree(split_folder, prepared)
    with pytest.raises(SystemExit, match="0"):
        main(["evaluate", str(checkpoint), str(prepared), "--out", str(out), "--workers", "0", "--no-cuda"])
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    Draft202012Validator(closed(metrics_schema())).validate(metrics)
    assert metrics["facts"] and metrics["notes"]


def numbers(measures: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The numbers of `measure`, by key; a section that is missing counts as one."""
    for key, value in measures.items():
        if key in ("ci", "ci_method", "bootstrap", "undefined", "disclaimer", "stated"):
            continue
        if isinstance(value, dict):
            yield from numbers(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def measured_parts(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every part of a report that has measures and reasons of its own."""
    photos = {
        key: value
        for key, value in report.items()
        if key not in ("patients", "subgroups", "notes", "facts", "provenance")
    }
    patients = [report["patients"][how] for how in ("worst_eye", "mean") if report["patients"][how]]
    texts = ("column", "value", "few")
    subgroups = [{key: value for key, value in part.items() if key not in texts} for part in report["subgroups"]]
    yield from (photos, *patients, *subgroups)


@pytest.mark.parametrize("report", TABLES, indirect=True)
def test_what_is_null_has_a_reason_and_nothing_else_has(report: dict[str, Any]) -> None:
    """What the schema cannot say."""
    for part in measured_parts(report):
        holes = {key for key, value in numbers(part) if value is None or (isinstance(value, list) and None in value)}
        assert holes == set(part["undefined"])
        assert all(reason and not reason.endswith(".") for reason in part["undefined"].values())
    nothing = report["patients"]["worst_eye"] is None
    assert nothing == (report["patients"]["mean"] is None) == bool(report["patients"]["reason"])


@pytest.mark.parametrize("report", ["everything"], indirect=True)
def test_every_number_is_there_and_has_its_meaning(report: dict[str, Any]) -> None:
    (photos, *_), patients = measured_parts(report), report["patients"]
    found = dict(numbers(photos)) | {f"patients.{key}": patients[key] for key in ("n", "both_eyes", "left_out")}
    assert None not in found.values()
    plain = {key.replace("youden.", "").replace("cost_2.5.", "") for key in found}
    assert plain == set(MEANINGS)
    for key, value in found.items():
        meaning = meaning_of(key)
        assert np.shape(value) == meaning.shape
        assert isinstance(np.ravel(value)[0], np.integer) == meaning.count
        assert meaning.low is not None and np.min(value) >= meaning.low
        assert meaning.high is None or np.max(value) <= meaning.high


@pytest.mark.parametrize("report", ["everything"], indirect=True)
@pytest.mark.parametrize(
    "change",
    [
        lambda report: report.pop("aca"),
        lambda report: report.update(aca=1.2),
        lambda report: report.update(aca="0.5"),
        lambda report: report.update(n=80.5),
        lambda report: report.update(confusion_matrix=report["confusion_matrix"][:4]),
        lambda report: report["recall_per_grade"].pop(),
        lambda report: report["ci"].update(aca=[0.1, 0.2, 0.3]),
        lambda report: report["operating_points"]["youden"].pop("ppv"),
        lambda report: report["operating_points"].update(youden=None),
        lambda report: report["decisions"].update(asked_fraction=-0.1),
        lambda report: report["bootstrap"].pop("seed"),
        lambda report: report["bootstrap"].update(stratify="no"),
        lambda report: report["patients"].pop("reason"),
        lambda report: report["patients"]["mean"].update(aca=7),
        lambda report: report["subgroups"][0].pop("few"),
        lambda report: report["subgroups"][0].update(aca=7),
        lambda report: report["undefined"].update(aca=None),
        lambda report: report["facts"].update(Command=3),
        lambda report: report["provenance"]["notes"][0].pop("kind"),
        lambda report: report["provenance"]["facts"].update(Table={"file": "predictions.csv"}),
        lambda report: report["provenance"]["tables"].append({"file": "a.csv"}),
    ],
)
def test_other_content_is_refused(report: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> None:
    validator = Draft202012Validator(metrics_schema())
    assert validator.is_valid(report)
    change(report)
    assert not validator.is_valid(report)


@pytest.mark.parametrize("report", ["everything"], indirect=True)
def test_a_key_more_is_allowed_but_found_by_these_tests(report: dict[str, Any]) -> None:
    report["patients"]["mean"]["ac"] = 1
    assert Draft202012Validator(metrics_schema()).is_valid(report)
    assert not Draft202012Validator(closed(metrics_schema())).is_valid(report)

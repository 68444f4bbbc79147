"""The report is whole: files that agree, and a page that needs nothing else and escapes what it is given."""

import base64
import dataclasses
import hashlib
import io
import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from biranet.config import ReportConfig
from biranet.decisions.predictions import read_predictions
from biranet.decisions.rules import OperatingPoint, Rules, apply_rules
from biranet.errors import InputError
from biranet.evaluation.intervals import measure_with_intervals
from biranet.evaluation.patients import measure_patients
from biranet.evaluation.subgroups import measure_subgroups
from biranet.grades import DISCLAIMER
from biranet.reports.facts import Facts, SourceTable
from biranet.reports.notes import Note
from biranet.reports.pages.page import PICTURE_SIZE_PX
from biranet.reports.report import Overlay, Panel, ReportExtras, worst_mistakes, write_report
from biranet.reports.table_provenance import Provenance
from html_page import Page

NASTY = "<img src=x onerror=alert(1)>\"'&.png"


def predictions(rows: int = 120) -> pd.DataFrame:
    random = np.random.default_rng(5)
    truth = random.integers(0, 5, rows)
    drawn = (random.dirichlet(np.ones(5), rows) + 2 * np.eye(5)[truth]) / 3
    table = pd.DataFrame(drawn.astype(np.float32), columns=[f"p{grade}" for grade in range(5)])
    return table.assign(
        file=[f"{number}.png" for number in range(rows)],
        group=[f"patient {number // 2}" for number in range(rows)],
        grade=truth,
        predicted_grade=np.clip(truth + random.choice([-1, 0, 0, 2], rows), 0, 4),
    )


RULES = Rules(
    temperature=1.4,
    operating_points=(OperatingPoint("sensitivity_90", 0.3), OperatingPoint("specificity_90", 0.7)),
    set_threshold=0.6,
)
HISTORY = [
    {"epoch": epoch, "train_loss": 1 / epoch, "train_kappa": 1 - 1 / epoch, "validation_kappa": 0.5} for epoch in (1, 2)
]


def whole() -> pd.DataFrame:
    """A table with everything that the page can show."""
    table = predictions().assign(eye=["left", "right"] * 60, camera=["new"] * 110 + ["old"] * 10)
    return apply_rules(table, RULES)


def panel(caption: str = "a.png", truth: int | None = 2, predicted: int = 3, streams: int = 2) -> Panel:
    random = np.random.default_rng(1)
    pictures = [random.integers(0, 256, (60, 90, 3)).astype(np.uint8) for _ in range(1 + streams)]
    maps = [Overlay(f"stream {number}, 0 to 1", picture) for number, picture in enumerate(pictures[1:], 1)]
    return Panel(caption, pictures[0], maps, truth, predicted)


def written(
    out: Path,
    table: pd.DataFrame,
    *,
    notes: Sequence[Note] = (),
    facts: Facts | None = None,
    tables: tuple[SourceTable, ...] = (),
    title: str = "Evaluation",
    config: ReportConfig | None = None,
    **extras: Any,
) -> tuple[dict[str, Any], Page]:
    provenance = Provenance(tuple(notes), facts or {}, tables)
    metrics = write_report(out, table, title=title, config=config, provenance=provenance, extras=ReportExtras(**extras))
    return metrics, Page((out / "report.html").read_text(encoding="utf-8"))


def test_three_files_that_agree(tmp_path: Path) -> None:
    out, config = tmp_path / "new" / "report", ReportConfig(seed=7, by=("camera",))
    note = "The test part was read once before."
    notes, facts = (
        [Note("method", note)],
        {"Seed": "1", "Split": ["train 3", "test 4"]},
    )
    metrics, _ = written(out, whole(), config=config, notes=notes, facts=facts, history=HISTORY)
    assert sorted(path.name for path in out.iterdir()) == [
        *("figures", "methods.md", "metrics.json", "predictions.csv", "references.bib", "report.html", "tables"),
    ]
    assert json.loads((out / "metrics.json").read_text()) == metrics
    again = read_predictions(out / "predictions.csv")
    sha256 = hashlib.sha256((out / "predictions.csv").read_bytes()).hexdigest()
    assert metrics == {
        **measure_with_intervals(again, config),
        "patients": measure_patients(again, config),
        "subgroups": measure_subgroups(again, config),
        "notes": [note],
        "facts": {**facts, "Table": f"predictions.csv, sha256 {sha256}"},
        "provenance": {
            "notes": [{"kind": "method", "text": note, "files": []}],
            "facts": {**facts, "Table": {"file": "predictions.csv", "sha256": sha256}},
            "tables": [],
        },
    }


def test_the_same_input_makes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(tmp_path / name, predictions(), panels=[panel()])
    files = [path.relative_to(tmp_path / "a") for path in sorted((tmp_path / "a").rglob("*.*"))]
    assert len(files) == 5 + 2 * 7 + 2 * 4
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    _, page = written(tmp_path, whole(), panels=[panel()], facts={"Software": "biranet"}, history=HISTORY)
    source = (tmp_path / "report.html").read_text()
    assert not re.search(r"https?:|url\(|@import|<script|<link|<iframe", source)
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes), tag
        assert (attributes.get("src") or "data:").startswith("data:")
        assert (attributes.get("href") or "#").startswith("#")
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    for link in page.all("a"):
        assert (link["href"] or "")[1:] in targets


def test_the_page_is_well_made(tmp_path: Path) -> None:
    _, page = written(tmp_path, whole(), panels=[panel(), panel(streams=1, truth=None)], history=HISTORY)
    assert len(list(page.all("h1"))) == 1
    assert next(page.all("html"))["lang"] == "en"
    images = list(page.all("img"))
    assert len(images) == 3 + 2
    assert all(image["alt"] and image["width"] == "90" and image["height"] == "60" for image in images)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert page.text.count(DISCLAIMER) == 2


def test_tables_and_charts_can_be_read_aloud(tmp_path: Path) -> None:
    _, page = written(tmp_path, whole(), config=ReportConfig(by=("camera",)), history=HISTORY)
    assert {attributes.get("scope") for attributes in page.all("th")} <= {"row", "col", "rowgroup"}
    charts = [attributes for attributes in page.all("svg") if attributes.get("role") == "img"]
    assert len(charts) == 12
    for chart in charts:
        named = (chart["aria-labelledby"] or "").split()
        assert [tag for tag, attributes in page.tags if attributes.get("id") in named] == ["title", "desc"]
    assert all("aria-hidden" in attributes for attributes in page.all("svg") if attributes not in charts)
    descriptions = [words.strip() for tags, words in page.within if tags[-2:] == ("svg", "desc")]
    assert len(descriptions) == 12 and all(len(words) > 40 for words in descriptions)
    # What can be scrolled can be reached by keyboard and has a name; the first link leads past the contents.
    regions = [attributes for _, attributes in page.tags if attributes.get("role") == "region"]
    assert regions and all(region["tabindex"] == "0" and region["aria-label"] for region in regions)
    assert next(page.all("a"))["href"] == "#main"
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_what_must_be_known_stands_first(tmp_path: Path) -> None:
    sentences = ["The test part was read 2 times before.", "Validation chose the epoch."]
    notes = [Note("method", sentence) for sentence in sentences]
    facts = {"Decoder": "argmax", "Split": ["train 30 photos", "test 10 photos"]}
    _, page = written(tmp_path, predictions(), notes=notes, facts=facts, panels=[panel()])
    places = [page.text.index(words) for words in (*sentences, "Quadratic weighted kappa", "argmax", "test 10 photos")]
    assert places == sorted(places)
    assert "True 2 moderate, predicted 3 severe 1 grade off" in page.text
    assert "Decoder argmax" in page.text
    assert "To know before reading" not in written(tmp_path, predictions())[1].text


def test_pictures_are_small_jpegs_of_the_photo(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:800, 0:1000]
    photo = np.stack([rows / 4, columns / 4, np.full_like(rows, 90)], axis=-1).astype(np.uint8)
    _, page = written(tmp_path, predictions(), panels=[Panel("big.png", photo, [Overlay("x", photo[::-1])], 0, 0)])
    decoded = []
    for image in page.all("img"):
        header, data = (image["src"] or "").split(",")
        assert header == "data:image/jpeg;base64"
        decoded.append(Image.open(io.BytesIO(base64.b64decode(data))))
    assert [picture.size for picture in decoded] == [(PICTURE_SIZE_PX, 256)] * 2
    expected = Image.fromarray(photo).resize((PICTURE_SIZE_PX, 256))
    assert np.abs(np.asarray(decoded[0], int) - np.asarray(expected, int)).mean() < 3
    np.testing.assert_allclose(np.asarray(decoded[1], int)[::-1], np.asarray(decoded[0], int), atol=12)


def test_everything_is_escaped(tmp_path: Path) -> None:
    table = predictions().assign(file=lambda rows: [NASTY, *rows["file"][1:]])
    _, page = written(tmp_path, table, title=NASTY, panels=[panel(NASTY)], facts={NASTY: NASTY})
    assert len(list(page.all("img"))) == 3
    grades = "true 2 moderate, predicted 3 severe"
    assert [image["alt"] for image in page.all("img")] == [
        f"Photo {NASTY}, {grades}",
        *(f"Stream {stream}, 0 to 1, over photo {NASTY}, {grades}" for stream in (1, 2)),
    ]
    assert "onerror" not in {name for _, attributes in page.tags for name in attributes}
    assert page.text.count(NASTY) == 5
    assert read_predictions(tmp_path / "predictions.csv")["file"].iloc[0] == NASTY


def test_everything_has_its_place(tmp_path: Path) -> None:
    config = ReportConfig(by=("camera",))
    metrics, page = written(tmp_path, whole(), config=config, history=HISTORY, panels=[panel()])
    assert "missing" not in {attributes.get("class") for _, attributes in page.tags}
    assert "Some subgroups have fewer than 20 photos" in page.text
    assert "old few 10" in page.text
    assert not re.search("None|nan", page.text.replace(metrics["ci_method"].rstrip("."), ""))


GRADES_ONLY = ["file", "group", "grade", "predicted_grade"]
MISSING = {
    "no probabilities": (
        lambda table: table[GRADES_ONLY],
        "There is no ROC curve: the predictions hold no probabilities. Give the columns p0 to p4",
        "There is no curve of risk against coverage: the predictions hold no probabilities.",
        "Nothing can be said of probabilities: the predictions hold no probabilities.",
        "There are no operating points",
    ),
    "no answers": (
        lambda table: table.drop(columns=[name for name in table if name.startswith("refer_")]).drop(
            columns=["temperature", "decision", "lowest_grade", "highest_grade"]
        ),
        "There are no operating points: the predictions hold no operating points. Their thresholds",
        "There are no decisions: the predictions hold no decisions.",
        "There are no sets of grades: the predictions hold no prediction sets.",
        "There is no before and after: no temperature was applied to the probabilities.",
    ),
    "answers without probabilities": (
        lambda table: table.drop(columns=[f"p{grade}" for grade in range(5)]),
        "There is no ROC curve: the predictions hold no probabilities.",
        "sensitivity of at least 0.90",
        "Photos by decision",
        "How large the sets are",
    ),
    "no groups": (
        lambda table: table.assign(group=table["file"]),
        "Of 120 photos, ",
        "There are no measures by patient: no group has photos of both eyes.",
    ),
    "no eye column": (
        lambda table: table.drop(columns="eye"),
        "There are no measures by patient: the predictions have no column 'eye'. Give the columns group",
        "No subgroups were asked for",
    ),
    "one grade missing": (lambda table: table[table["grade"] != 3], "3 severe 0 ", "– no photo has grade 3"),
    "everything right": (
        lambda table: table.assign(predicted_grade=table["grade"]),
        "There are no mistakes: every photo was given its true grade.",
        "Quadratic weighted kappa 1.00 ",
    ),
    "one class": (
        lambda table: table[table["grade"] == 1].assign(predicted_grade=1),
        "Quadratic weighted kappa not defined every photo has one and the same grade",
        "Referable sensitivity not defined no photo is referable",
        "no photo is referable",
    ),
    "only referable photos": (
        lambda table: table[table["grade"] >= 2],
        "Referable specificity not defined every photo is referable",
        "There is no ROC curve: every photo is referable.",
    ),
    "one photo": (lambda table: table.head(1), "Of 1 photo, "),
    "three photos": (lambda table: table.head(3), "Of 3 photos in 2 groups (patients), "),
}


@pytest.mark.parametrize("case", MISSING)
def test_what_is_missing_is_said(tmp_path: Path, case: str) -> None:
    change, *sentences = MISSING[case]
    metrics, page = written(tmp_path, change(whole()))
    for sentence in (*sentences, "There is no history of a training", "metrics.json every number"):
        assert sentence in page.text, sentence
    assert not re.search("None|nan", page.text.replace(metrics["ci_method"].rstrip("."), ""))
    assert metrics["n"] == len(change(whole()))
    sections = {"before_calibration", "operating_points", "prediction_sets", "decisions"}
    undefined = {key for key, value in metrics.items() if value is None} - sections
    assert undefined <= set(metrics["undefined"])
    counts = np.array(metrics["confusion_matrix"]).sum(axis=1)
    for key, reason in metrics["undefined"].items():
        listed = re.search(r"grade (\d(?: or \d)*)$", reason)
        assert listed or reason in page.text
        # Each row names its own grade alone, and says whether none or all photos have it.
        for grade in listed[1].split(" or ") if listed else ():
            words = reason.replace(
                "either no photo or every photo", "every photo" if counts[int(grade)] else "no photo"
            )
            words = re.sub("grade .*", f"grade {grade}", words)
            assert re.search(rf" {key}\.{grade} [^–]*– {words} ", page.text), (key, grade)


def test_the_contents_name_what_is_there_alone(tmp_path: Path) -> None:
    config = ReportConfig(by=("camera",))
    _, page = written(tmp_path / "all", whole(), config=config, history=HISTORY)
    linked = [link["href"] for link in page.all("a")]
    assert {f"#{name}" for name in ("probabilities", "patients", "subgroups", "training")} < set(linked)
    _, page = written(tmp_path / "few", predictions()[GRADES_ONLY])
    linked = [link["href"] for link in page.all("a")]
    assert linked == ["#main", "#errors", "#referral", "#photos", "#measures", "#facts"]
    # What is not there is said in two places alone: for referral, and for all else.
    classes = [attributes.get("class") or "" for _, attributes in page.tags]
    assert sum("missing" in name for name in classes) == 2


def test_facts_of_files_and_thresholds_can_be_read(tmp_path: Path) -> None:
    ours = {"Model": "biranet", "Audit": ["one: two", "three"], "Thresholds": {"cost_5": 0.15949}}
    tables = (SourceTable("a.csv", "0a1b", ours), SourceTable("b.csv", "2c3d", {}))
    facts = {"Thresholds": {"sensitivity_90": 0.234, "mine": 0.5}, "Date": "x"}
    notes = [
        Note("method", "The test part had been read before.", ("a.csv", "b.csv")),
        Note("method", "Another one.", ("a.csv",)),
        Note("method", "Attention: all."),
    ]
    metrics, page = written(tmp_path, whole(), facts=facts, notes=notes, tables=tables)
    del metrics["facts"]["Table"]
    assert metrics["facts"] == {
        "a.csv": ["sha256 0a1b", "Model: biranet", "Audit: one: two", "Audit: three", "Thresholds: cost_5: 0.1595"],
        "b.csv": ["sha256 2c3d"],
        "Thresholds": ["sensitivity_90: 0.2340", "mine: 0.5000"],
        "Date": "x",
    }
    assert metrics["notes"] == [
        "a.csv, b.csv: The test part had been read before.",
        "a.csv: Another one.",
        "Attention: all.",
    ]
    assert (
        "The test part had been read before. About a.csv, b.csv Another one. About a.csv Attention: all. " in page.text
    )
    parted = (
        "a.csv sha256 0a1b Model biranet Audit one: two three Thresholds cost of 5 for a missed one (cost_5): 0.1595"
    )
    assert f" {parted} b.csv " in page.text
    assert "b.csv sha256 2c3d " in page.text
    assert "Thresholds sensitivity of at least 0.90 (sensitivity_90): 0.2340 mine: 0.5000 Date x " in page.text
    # The section on operating points leads there, where there are any.
    assert [link["href"] for link in page.all("a")].count("#facts") == 2
    assert [link["href"] for link in written(tmp_path, whole())[1].all("a")].count("#facts") == 1


def test_cells_of_tables_that_stack_tell_their_heads(tmp_path: Path) -> None:
    written(tmp_path, whole(), config=ReportConfig(by=("camera",)))
    tables = re.findall(r'<table class="[^"]*stacked.*?</table>', (tmp_path / "report.html").read_text(), re.DOTALL)
    assert len(tables) == 6
    for table in tables:
        cells = re.findall(r"<td[^>]*>", table)
        assert cells and all("data-head=" in cell for cell in cells)


def test_what_was_said_of_a_photo_stands_below_it(tmp_path: Path) -> None:
    said = dataclasses.replace(panel(), answer="probability 0.61, decision: refer, set of grades: 2 to 3")
    _, page = written(tmp_path, predictions(), panels=[said, panel(truth=None)])
    assert "1 grade off Probability 0.61, decision: refer, set of grades: 2 to 3 a.png" in page.text
    alts = [image["alt"] for image in page.all("img")]
    assert alts[0] == "Photo a.png, true 2 moderate, predicted 3 severe"
    assert alts[3] == "Photo a.png, predicted 3 severe"


def test_one_photo_is_no_photos(tmp_path: Path) -> None:
    metrics, page = written(tmp_path, whole().head(1))
    assert not re.search(r"\b1 (photos|groups|patients)\b", page.text.replace(metrics["ci_method"].rstrip("."), ""))


def test_the_worst_mistakes_are_named(tmp_path: Path) -> None:
    table = predictions()
    _, page = written(tmp_path, table)
    off = (table["grade"] - table["predicted_grade"]).abs()
    sure = table[[f"p{grade}" for grade in range(5)]].to_numpy()[np.arange(120), table["predicted_grade"]]
    order = np.lexsort([-sure, -off])[:10]
    worst = worst_mistakes(table)
    assert worst["file"].tolist() == table["file"].iloc[order].tolist()
    places = [page.text.index(f" {name} {grade} ") for name, grade in zip(worst["file"], worst["grade"], strict=True)]
    assert places == sorted(places)
    assert len(worst_mistakes(table.head(4))) < 10


def test_a_refused_table_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stands there twice"):
        write_report(tmp_path / "out", predictions().assign(file="one.png"), title="x")
    assert not (tmp_path / "out").exists()


def test_outlines_of_lesions_are_large_and_have_a_legend(tmp_path: Path) -> None:
    pixels = np.zeros((700, 600, 3), np.uint8)
    lesions = Overlay("lesions, shares of 0.3", pixels, "green: haemorrhages 3", [("#00e678", "haemorrhages 3")])
    _, page = written(tmp_path, predictions(), panels=[dataclasses.replace(panel(), lesions=lesions), panel("b.png")])
    assert page.text.count("haemorrhages 3") == 1 and "drawn by a program, not by an ophthalmologist" in page.text
    [drawn] = [image for image in page.all("img") if image["alt"].startswith("Lesions")]
    assert drawn["alt"] == (
        "Lesions, shares of 0.3, on photo a.png, true 2 moderate, predicted 3 severe; green: haemorrhages 3"
    )
    data = base64.b64decode((drawn["src"] or "").split(",")[1])
    assert Image.open(io.BytesIO(data)).size == (600, 700)
    assert "#00e678" in {attributes.get("fill") for _, attributes in page.tags}
    _, page = written(tmp_path, predictions(), panels=[panel()])
    assert "lesions were drawn" not in page.text


def test_panels_hold_pixels_of_one_shape() -> None:
    photo = np.zeros((8, 8, 3), np.uint8)
    for wrong in (photo[:4], photo.astype(float), photo[..., 0]):
        with pytest.raises(ValueError, match="one shape"):
            Panel("a", photo, [Overlay("x", wrong)], 0, 0)
    with pytest.raises(ValueError, match="one shape"):
        Panel("a", photo[..., 0], [], 0, 0)

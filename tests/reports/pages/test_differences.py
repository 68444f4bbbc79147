"""The page of a comparison: every number of it is that of the file, and every line lies where its numbers are."""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from biranet.decisions.columns import DECISION_COLUMNS, PROBABILITIES
from biranet.decisions.predictions import write_predictions
from biranet.evaluation.estimates import meaning_of
from biranet.evaluation.measures import HEADLINE_KEYS
from biranet.grades import DISCLAIMER
from biranet.reports.compare import compare, read_tables, write_comparison
from biranet.reports.pages.differences import MIN_REACH, Difference, chart_differences, list_differences
from biranet.reports.pages.page import decimal
from html_page import Page

NASTY = "<img src=x onerror=alert(1)>\"'&"

Draw = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def first(draw_table: Draw) -> pd.DataFrame:
    """Predictions for 120 patients."""
    return draw_table(120, 5)


def improved(table: pd.DataFrame, every: int = 4) -> pd.DataFrame:
    """Predictions that are right and surer at every so many photos, and otherwise the same."""
    chosen = np.arange(len(table)) % every == 0
    truth = np.eye(5)[table["grade"]]
    chances = table[list(PROBABILITIES)].to_numpy()
    chances = np.where(chosen[:, None], (chances + truth) / 2, chances)
    columns = dict(zip(PROBABILITIES, chances.T, strict=True))
    return table.assign(predicted_grade=table["grade"].where(chosen, table["predicted_grade"]), **columns)


def signed(number: float | None) -> str:
    assert number is not None
    return decimal(number) if float(f"{number:.3f}") <= 0 else f"+{decimal(number)}"


def written(folder: Path, **tables: pd.DataFrame) -> list[Path]:
    paths = [folder / f"{name}.csv" for name in tables]
    for path, table in zip(paths, tables.values(), strict=True):
        write_predictions(path, table)
    return paths


@pytest.mark.parametrize(
    ("key", "ci", "verdict"),
    [
        ("accuracy", (0.01, 0.2), "better"),
        ("accuracy", (-0.2, -0.01), "worse"),
        ("accuracy", (-0.2, 0.01), "unclear"),
        ("accuracy", (0.0, 0.01), "unclear"),
        ("accuracy", None, "none"),
        ("brier", (0.01, 0.2), "worse"),
        ("brier", (-0.2, -0.01), "better"),
        ("prediction_sets.coverage", (0.01, 0.2), "changed"),
    ],
)
def test_what_an_interval_says(key: str, ci: tuple[float, float] | None, verdict: str) -> None:
    assert Difference(key, meaning_of(key), 0.5, 0.6, 0.1, ci).verdict == verdict


def test_all_that_is_charted_is_better_higher() -> None:
    for key in HEADLINE_KEYS:
        assert meaning_of(key).better == "higher"
        assert meaning_of(key).high == 1


def test_two_files_that_agree(tmp_path: Path, first: pd.DataFrame) -> None:
    paths = written(tmp_path, baseline=first, new=improved(first).sample(frac=1, random_state=2))
    comparison = write_comparison(tmp_path / "out", paths, facts={"Command": "biranet compare"})
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("comparison.html", "comparison.json", "figures", "methods.md", "references.bib", "tables"),
    ]
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == comparison
    again = compare(read_tables(paths))
    assert {key: comparison[key] for key in again} == again
    assert comparison["facts"] == {
        "Predictions of baseline": paths[0].name,
        "Predictions of new": paths[1].name,
        "Command": "biranet compare",
    }
    assert comparison["disclaimer"] == DISCLAIMER
    text = Page((tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")).text
    assert "new compared with baseline" in text
    assert f"Two models on the same {len(first)} photos of 120 groups (patients)." in text
    rows = list_differences(
        comparison["differences"]["new"], comparison["measures"]["baseline"], comparison["measures"]["new"]
    )
    assert {row.verdict for row in rows} >= {"better", "unclear", "same"}
    assert sorted(row.key for row in rows) == sorted(comparison["differences"]["new"])
    reading = {"better": "new better", "worse": "baseline better", "changed": "differs", "unclear": "not told apart"}
    alike = [row for row in rows if row.verdict == "same"]
    many = "measure is" if len(alike) == 1 else "measures are"
    folded = " ".join(f"{row.meaning.name}: {decimal(row.first)}" for row in alike)
    assert f"{len(alike)} {many} the same for both, whichever of these photos are drawn {folded} " in text
    for row in rows:
        if row.verdict == "same":
            assert (row.first, row.difference) == (row.other, 0)
            assert f"{row.meaning.name} {decimal(row.first)}, " not in text
            continue
        lower = "; lower is better" if row.meaning.better == "lower" else ""
        assert f"{row.meaning.name} {decimal(row.first)}, {decimal(row.other)}{lower} {signed(row.difference)} " in text
        if row.ci:
            assert f"{signed(row.ci[0])} to {signed(row.ci[1])} {reading[row.verdict]}" in text
    both, only_first, only_new, none = comparison["referral"]["new"]["predicted_grade"]
    words = {"both right": both, "only baseline right": only_first, "only new right": only_new, "both wrong": none}
    for name, item in words.items():
        counts = (item["referable"], item["not_referable"], item["referable"] + item["not_referable"])
        assert f"{name} {' '.join(map(str, counts))}" in text
    for item in comparison["referral"]["new"]["decision"]:
        assert f" {item['first']} {item['other']} {item['referable']} {item['not_referable']} " in text
    for row in comparison["original_table"]:
        assert f"{row['model']} {row['source']}" in text
        assert decimal(row["aca"], 4) in text


def test_no_difference_in_any_draw_is_the_same() -> None:
    for ci in (None, (0.0, 0.0)):
        assert Difference("accuracy", meaning_of("accuracy"), 0.5, 0.5, 0.0, ci).verdict == "same"
    assert Difference("accuracy", meaning_of("accuracy"), None, 0.5, None, None).verdict == "none"


def test_equal_predictions_are_the_same(tmp_path: Path, first: pd.DataFrame) -> None:
    write_comparison(tmp_path, written(tmp_path, first=first, other=first))
    page = Page((tmp_path / "comparison.html").read_text(encoding="utf-8"))
    kappa = decimal(cohen_kappa_score(first["grade"], first["predicted_grade"], weights="quadratic"))
    assert f"other and first agree equally well with the true grades: quadratic weighted kappa {kappa}." in page.text
    assert "There is nothing to draw: each of the main measures is the same for both." in page.text
    assert "no interval" not in page.text and "not told apart" not in page.text
    assert page.text.count("the same for both, whichever of these photos are drawn") == 1


def test_the_same_input_makes_the_same_bytes(tmp_path: Path, first: pd.DataFrame) -> None:
    paths = written(tmp_path, first=first, other=improved(first))
    for name in ("a", "b"):
        write_comparison(tmp_path / name, paths)
    for file in ("comparison.json", "comparison.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("others", [1, 3])
def test_the_page_is_well_made_and_needs_nothing_else(tmp_path: Path, first: pd.DataFrame, others: int) -> None:
    tables = {"model 0": first, **{f"model {every}": improved(first, every) for every in range(1, 1 + others)}}
    if others > 1:
        tables["model 2"] = tables["model 2"].drop(columns=[*DECISION_COLUMNS, "refer_youden", "refer_cost_2.5"])
    method = write_comparison(tmp_path, written(tmp_path, **tables))["ci_method"]
    source = (tmp_path / "comparison.html").read_text()
    assert not re.search(r"https?:|url\(|@import|<script|<link|<iframe", source)
    page = Page((tmp_path / "comparison.html").read_text(encoding="utf-8"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes), tag
        assert (attributes.get("href") or "#")[1:] in {"", *ids}
        assert set((attributes.get("aria-labelledby") or "").split()) <= set(ids)
        if tag == "th":
            assert attributes["scope"] in ("col", "row", "colgroup")
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for table in re.findall(r'<table class="[^"]*stacked.*?</table>', source, re.DOTALL):
        assert all("data-head=" in cell for cell in re.findall(r"<td[^>]*>", table))
    assert sum(attributes.get("role") == "img" for tag, attributes in page.tags if tag == "svg") == 1 + others
    assert page.text.count("Decisions are not compared") == (others > 1)
    assert page.text.count(DISCLAIMER) == 2
    assert not re.search(r"\bNone\b|\bnan\b", page.text.replace(method, ""))


def test_names_are_escaped(tmp_path: Path, first: pd.DataFrame) -> None:
    write_comparison(tmp_path, written(tmp_path, **{NASTY: first, "b": improved(first)}), facts={NASTY: NASTY})
    page = Page((tmp_path / "comparison.html").read_text(encoding="utf-8"))
    assert "img" not in {tag for tag, _ in page.tags}
    assert f"b compared with {NASTY}" in page.text


def test_what_is_missing_says_so(tmp_path: Path) -> None:
    grades = pd.DataFrame({"file": ["a", "b"], "group": ["a", "b"], "grade": [1, 1], "predicted_grade": [1, 1]})
    comparison = write_comparison(tmp_path, written(tmp_path, first=grades, other=grades))
    method = comparison["ci_method"]
    text = Page((tmp_path / "comparison.html").read_text(encoding="utf-8")).text
    assert "The kappa of other cannot be compared with that of first: every photo has one and the same grade" in text
    assert "the predictions hold no probabilities" in text
    assert "Two models on the same 2 photos." in text
    assert "no photo is referable" in text
    assert not re.search(r"\bNone\b|\bnan\b", text.replace(method, ""))


def test_lines_lie_where_the_numbers_are(tmp_path: Path, first: pd.DataFrame) -> None:
    # One grade higher: more sensitive, less specific; so that all kinds of marks are drawn.
    higher = improved(first, 30).assign(predicted_grade=(first["predicted_grade"] + 1).clip(upper=4))
    comparison = write_comparison(tmp_path, written(tmp_path, first=first, other=higher))
    source = (tmp_path / "comparison.html").read_text()
    _, chart = re.findall(r'<svg class="chart".*?</svg>', source, re.DOTALL)
    # The marked ticks give the scale.
    ticks = re.findall(r'x="([\d.]+)" y="[\d.]+" text-anchor="middle">([+−]?[\d.]+)<', chart)
    places, values = zip(*((float(x), float(value.replace("−", "-"))) for x, value in ticks), strict=True)
    slope, offset = np.polyfit(places, values, 1)
    assert all(20 <= x <= 412 - 20 for x in places)
    lines = re.findall(r'<path class="line (\w+)" d="M([\d.]+) ([\d.]+)H([\d.]+)"', chart)
    shown = {key: comparison["differences"]["other"][key] for key in HEADLINE_KEYS}
    assert len(lines) == len(HEADLINE_KEYS)
    assert {kind for kind, *_ in lines} == {"better", "worse", "unclear"}
    heights = [float(y) for _, _, y, _ in lines]
    assert heights == sorted(set(heights))
    for found, (_, left, _, right) in zip(shown.values(), lines, strict=True):
        np.testing.assert_allclose(slope * np.array([left, right], float) + offset, found["ci"], atol=0.002)
    drawn = [float(x) for pair in re.findall(r'cx="([\d.]+)"|class="dot worse" d="M([\d.]+)', chart) for x in pair if x]
    expected = [found["difference"] for found in shown.values()]
    np.testing.assert_allclose(slope * np.array(drawn) + offset, expected, atol=0.002)


def test_the_chart_reaches_to_both_sides_alike_and_never_enlarges_a_trifle() -> None:
    def chart(difference: float) -> tuple[float, float]:
        item = Difference("accuracy", meaning_of("accuracy"), 0.5, 0.5 + difference, difference, None)
        laid_out = chart_differences([item])
        assert laid_out is not None
        return laid_out.axes.x_range

    assert chart(0.0001) == (-MIN_REACH, MIN_REACH)
    low, high = chart(-0.4)
    assert low == -high < -0.4
    assert chart_differences([]) is None

"""Figures show the table: marks lie where scikit-learn and written-out sums put them, and stay on the sheet."""

import io
import itertools
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from pypdf import PdfReader
from sklearn.metrics import roc_curve

import answered_table
from answered_table import GRADES, THRESHOLDS
from biranet.config import ReportConfig
from biranet.console import escape_control
from biranet.evaluation.bands import measure_curves
from biranet.evaluation.intervals import measure_with_intervals
from biranet.evaluation.subgroups import measure_subgroups
from biranet.reports.curves import FEW_IN_BIN
from biranet.reports.figures import font, pdf, svg
from biranet.reports.figures.all import draw_figures
from biranet.reports.figures.drawing import WIDTH, Area, Dot, Figure, Stroke, Text
from biranet.reports.figures.font import text_width
from biranet.reports.figures.grades import draw_confusion
from biranet.reports.figures.referral import MIN_COVERED_PHOTOS
from biranet.reports.figures.scores import draw_scores

STRANGE = ["眼科", "مستشفى", "<b>&\"'", "a_50%\\", "\x1b[31m", "very long name of a camera and of its maker in full"]


def answered(photos: int = 150) -> pd.DataFrame:
    names = [STRANGE[number % len(STRANGE)] for number in range(photos)]
    return answered_table.answered(photos).assign(source=names)


def drawn(table: pd.DataFrame, **config: Any) -> dict[str, Figure]:
    settings = ReportConfig(**config)
    metrics = measure_with_intervals(table, settings, resamples=32)
    metrics["subgroups"] = measure_subgroups(table, settings)
    return draw_figures(table, metrics, measure_curves(table, settings, resamples=32), THRESHOLDS)


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    return drawn(answered())


def curve(figure: Figure, color: str) -> npt.NDArray[np.float64]:
    """The corners of the longest line of a colour, as values on axes from 0 to 1 that end where the frame does."""
    frame = next(mark for mark in figure.marks if isinstance(mark, Stroke) and len(mark.points) == 3)
    (left, top), _, (right, bottom) = frame.points
    lines = [mark.points for mark in figure.marks if isinstance(mark, Stroke) and mark.color == color]
    points = np.array(max(lines, key=len))
    return (points - [left, bottom]) / [right - left, top - bottom]


def far(points: npt.NDArray[np.float64], line: npt.NDArray[np.float64]) -> float:
    start, step = line[:-1], np.diff(line, axis=0)
    along = np.clip(((points[:, None] - start) * step).sum(axis=2) / np.maximum((step**2).sum(axis=1), 1e-12), 0, 1)
    return float(np.hypot(*(points[:, None] - start - along[..., None] * step).T).min(axis=0).max())


def test_all_are_drawn(figures: dict[str, Figure]) -> None:
    assert list(figures) == [
        *("confusion_matrix", "roc", "precision_recall", "reliability", "scores_by_grade", "decision_curve"),
        *("risk_coverage", "subgroups_source"),
    ]
    bare = drawn(answered()[["file", "group", "grade", "predicted_grade"]])
    assert list(bare) == ["confusion_matrix"]
    healthy = drawn(answered().assign(grade=0).drop(columns="source"))
    assert "roc" not in healthy and "precision_recall" not in healthy and "decision_curve" in healthy


def test_roc_is_that_of_scikit_learn_and_its_dots_lie_on_it(figures: dict[str, Figure]) -> None:
    table, roc = answered(), figures["roc"]
    p = table[[f"p{grade}" for grade in GRADES]].to_numpy()
    for color, lowest in (("blue", 2), ("amber", 1)):
        x, y, _ = roc_curve(table["grade"] >= lowest, p[:, lowest:].sum(axis=1), drop_intermediate=False)
        expected = np.stack([x, y], axis=1)
        assert far(expected, curve(roc, color)) < 1.5e-3
        assert far(curve(roc, color), expected) < 1.5e-3
    said, truth = table["predicted_grade"] >= 2, table["grade"] >= 2
    place = f"sensitivity {said[truth].mean():.3f} at 1 − specificity {said[~truth].mean():.3f}"
    assert f"Referred by the predicted grade: {place}." in roc.alt_text
    dots = [mark for mark in roc.marks if isinstance(mark, Dot)]
    assert len(dots) == 2 * 4  # on the curve, and in the key
    assert len({dot.shape for dot in dots}) == 4
    mild = drawn(answered().assign(grade=lambda table: table["grade"].clip(upper=1)))["roc"]
    assert not [mark for mark in mild.marks if isinstance(mark, Dot)]


def test_dots_at_one_place_lie_inside_each_other() -> None:
    said = answered()["predicted_grade"] >= 2
    roc = drawn(answered().assign(refer_youden=said.astype(int), refer_cost_5=said.astype(int)))["roc"]
    dots = [mark for mark in roc.marks if isinstance(mark, Dot)]
    place = next((dot.x, dot.y) for dot in dots if sum((dot.x, dot.y) == (each.x, each.y) for each in dots) > 1)
    here = [dot for dot in dots if (dot.x, dot.y) == place]
    assert 3 <= len(here) == len({dot.shape for dot in here})
    sizes = [dot.size for dot in here]
    # Drawn later is above, so it must leave something of the one below to be seen: half of a line and more.
    assert all(wider - narrower > 0.5 for wider, narrower in itertools.pairwise(sizes))


def test_forest_has_the_values_in_words_and_the_table_of_photos(figures: dict[str, Figure]) -> None:
    table = answered()
    parts = measure_subgroups(table, ReportConfig())
    words = [mark.text for mark in figures["subgroups_source"].marks if isinstance(mark, Text)]
    for part in parts:
        for key in ("quadratic_weighted_kappa", "referable_auc"):
            (low, high), value = part["ci"][key] or (None, None), part[key]
            assert low < 0 or f"{value:.2f} ({low:.2f}\N{EN DASH}{high:.2f})" in words
    assert (
        words.count("all photos") == 2 and "Kappa (95 % interval)" in words and "Referable AUC (95 % interval)" in words
    )


def test_no_line_goes_through_a_bin_of_few_photos() -> None:
    table = answered()
    score = table[["p2", "p3", "p4"]].sum(axis=1).to_numpy()
    counts = np.bincount(np.minimum(score * 10, 9).astype(int), minlength=10)
    assert (counts < FEW_IN_BIN).any() and (counts >= FEW_IN_BIN).any()
    marks = drawn(table)["reliability"].marks
    dots = [mark for mark in marks if isinstance(mark, Dot) and mark.shape == "circle"][: np.count_nonzero(counts)]
    assert [dot.fill == "paper" for dot in dots] == [count < FEW_IN_BIN for count in counts if count]
    sizes = [dot.size for dot in dots]
    assert np.array_equal(np.argsort(sizes, kind="stable"), np.argsort(counts[counts > 0], kind="stable"))
    few = {(dot.x, dot.y) for dot in dots if dot.fill == "paper"}
    joined = [mark.points for mark in marks if isinstance(mark, Stroke) and mark.width == 0.7]
    assert joined and few.isdisjoint(itertools.chain.from_iterable(joined))


def test_risk_against_coverage(figures: dict[str, Figure]) -> None:
    table, figure = answered(), figures["risk_coverage"]
    score = table[["p2", "p3", "p4"]].sum(axis=1).to_numpy()
    sure, truth = np.maximum(score, 1 - score), (table["grade"] >= 2).to_numpy()
    wrong = (table["predicted_grade"] >= 2).to_numpy() != truth
    levels = [level for level in np.sort(sure)[::-1] if np.sum(sure >= level) >= MIN_COVERED_PHOTOS]
    expected = np.array([[np.mean(sure >= level), np.mean(wrong[sure >= level])] for level in levels])
    found = curve(figure, "blue")
    found[:, 1] *= expected[-1, 1] / found[-1, 1]  # at the right end stand all photos
    assert far(expected, found) < 2e-3 and far(found, expected) < 2e-3
    decided = (table["decision"] != "ask a human").to_numpy()
    risk = ((table["decision"] == "refer").to_numpy() != truth)[decided].mean()
    assert f"The decisions of the rule: {100 * decided.mean():.0f} % of the photos decided" in figure.alt_text.replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert f"{100 * risk:.1f} % of these wrongly" in figure.alt_text
    nothing = drawn(answered().assign(decision="ask a human"))["risk_coverage"]
    assert "The decisions of the rule" not in nothing.alt_text
    assert "risk_coverage" in drawn(answered(1))


def test_the_shade_of_a_cell_is_its_share_of_the_row(figures: dict[str, Figure]) -> None:
    matrix = pd.crosstab(answered()["grade"], answered()["predicted_grade"]).reindex(columns=GRADES, fill_value=0)
    shares = (matrix.T / matrix.sum(axis=1)).T.to_numpy()
    shades = [mark.opacity for mark in figures["confusion_matrix"].marks if isinstance(mark, Area)]
    np.testing.assert_allclose(shades, 0.05 + 0.95 * shares.ravel(), atol=6e-4)


@pytest.mark.parametrize("count", [7, 12_000, 1_234_567])
def test_large_counts_stay_in_their_cells(count: int) -> None:
    figure = draw_confusion([[count, 0, 0, 0, 0]] + [[0] * 5] * 4)
    cell = next(mark for mark in figure.marks if isinstance(mark, Area))
    (words,) = (mark for mark in figure.marks if isinstance(mark, Text) and mark.text == str(count))
    assert text_width(words.text, words.size) < cell.points[1][0] - cell.points[0][0]


def test_thresholds_lie_at_their_scores(figures: dict[str, Figure]) -> None:
    figure = figures["scores_by_grade"]
    frame = next(mark for mark in figure.marks if isinstance(mark, Stroke) and len(mark.points) == 3)
    (_, top), (_, bottom), _ = frame.points
    lines = {
        round((bottom - mark.points[0][1]) / (bottom - top), 3)
        for mark in figure.marks
        if isinstance(mark, Stroke) and mark.color == "blue" and mark.points[0][0] == frame.points[0][0]
    }
    assert sorted(lines) == pytest.approx(sorted(THRESHOLDS.values()), abs=2e-3)
    words = [mark.text for mark in figure.marks if isinstance(mark, Text)]
    assert "sensitivity of at least 0.90: 0.30" in words
    assert [f"n = {count}" for count in np.bincount(answered()["grade"])] == [w for w in words if w.startswith("n =")]


def test_lines_of_thresholds_differ_in_more_than_the_lengths_of_their_dashes() -> None:
    points = ("sensitivity_90", "specificity_90", "youden", "cost_5")
    figure = draw_scores(answered(), dict(zip(points, (0.2, 0.8, 0.4, 0.6), strict=True)))
    solid, dashed, dotted, mixed = (
        mark.dash for mark in figure.marks if isinstance(mark, Stroke) and mark.color == "blue" and mark.width == 0.9
    )
    assert solid == () and len(dashed) == len(dotted) == 2 and len(mixed) == 4
    assert dashed[0] > 5 * dotted[0] and mixed[0] > 5 * mixed[2]


@pytest.mark.parametrize("photos", [150, 7, 1])
def test_everything_stays_on_the_sheet_and_words_stay_apart(photos: int) -> None:
    crowded = answered(photos).assign(**{f"refer_{number}": number % 2 for number in range(9)})
    for figure in drawn(crowded).values():
        boxes = []
        for mark in figure.marks:
            if isinstance(mark, Text):
                length = text_width(mark.text, mark.size)
                if mark.rotated:
                    assert mark.y - length / 2 > 0 and mark.y + length / 2 < figure.height, mark.text
                    continue
                start = mark.x - {"start": 0, "middle": length / 2, "end": length}[mark.anchor]
                assert start >= 0 and start + length <= WIDTH and 0 < mark.y < figure.height, (figure.name, mark.text)
                boxes.append((start, start + length, mark.y - 0.7 * mark.size, mark.y, mark.text))
            else:
                places = [(mark.x, mark.y)] if isinstance(mark, Dot) else mark.points
                assert all(0 <= x <= WIDTH and 0 <= y <= figure.height for x, y in places), figure.name
        for number, (left, right, top, bottom, text) in enumerate(boxes):
            for other_left, other_right, other_top, other_bottom, other in boxes[number + 1 :]:
                beside = right <= other_left or other_right <= left
                assert beside or bottom <= other_top or other_bottom <= top, (figure.name, text, other)


def test_svg_is_well_formed_and_its_text_is_text(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        data = svg.as_svg_file(figure)
        assert data == svg.as_svg_file(figure) and svg.FILE_MARKER.encode() in data[:200]
        root = ElementTree.fromstring(data)
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        words = [mark.text for mark in figure.marks if isinstance(mark, Text)]
        assert len(texts) == len(words) and root.attrib["width"] == "88.90mm"
        if name == "subgroups_source":
            assert {"眼科", "مستشفى", "<b>&\"'", "a_50%\\"} <= set(texts)
            assert b"\x1b" not in data


def pdf_words(data: bytes) -> str:
    """The words of a PDF, read back by another program, as those who copy text do."""
    (page,) = PdfReader(io.BytesIO(data)).pages
    return str(page.extract_text())


def test_pdf_says_the_same_and_holds_its_font(figures: dict[str, Figure]) -> None:
    for figure in figures.values():
        data = pdf.as_pdf_file(figure)
        assert data == pdf.as_pdf_file(figure)
        assert pdf.CREATOR.encode() in data and b"/FontFile2" in data
        assert PdfReader(io.BytesIO(data)).metadata.title == figure.title
        said = pdf_words(data)
        for mark in figure.marks:
            if isinstance(mark, Text) and not mark.rotated:
                assert font.with_fallback(escape_control(mark.text), mark.fallback) in said
    said = pdf_words(pdf.as_pdf_file(figures["subgroups_source"]))
    # What the font has no letters for goes by its number, in the order of the table of subgroups.
    assert "<b>&\"'" in said and "a_50%\\" in said and said.count("value ") == 2 * 2


def test_words_are_as_wide_as_those_of_arial() -> None:
    assert text_width("AVA 0", 10) == pytest.approx(10 * (667 * 3 + 278 + 556) / 1000, abs=0.02)

"""The photos that the report shows."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biranet.inference.worst_photos import choose_rows, draw_panels
from biranet.learning.data import PreparedPhotos
from biranet.learning.predict import predict_photos
from biranet.learning.torch_predictor import load_predictor
from biranet.manifest import read_manifest
from biranet.reports.report import MAX_MISTAKES, Overlay


def predictions(rows):
    """A predictions table from (grade, predicted grade, probability of the predicted grade)."""
    table = pd.DataFrame(rows, columns=["grade", "predicted_grade", "sure"])
    shares = np.repeat(((1 - table["sure"]) / 4).to_numpy()[:, None], 5, axis=1)
    shares[np.arange(len(table)), table["predicted_grade"]] = table["sure"]
    table["file"] = [f"{row}.jpg" for row in range(len(table))]
    return table.assign(**{f"p{grade}": shares[:, grade] for grade in range(5)})


def test_worst_mistakes_come_first_then_the_surest_of_each_grade():
    table = predictions(
        [(0, 0, 0.5), (0, 4, 0.6), (4, 3, 0.9), (0, 0, 0.8), (2, 2, 0.4), (1, 4, 0.7), (4, 1, 0.95), (3, 2, 0.99)]
    )
    assert choose_rows(table) == [1, 6, 5, 7, 2, 3, 4]


def test_positions_do_not_depend_on_the_index():
    table = predictions([(0, 0, 0.5), (1, 3, 0.5), (1, 1, 0.5)])
    assert choose_rows(table.set_index(pd.Index([7, 7, 3]))) == choose_rows(table) == [1, 0, 2]


grades = st.integers(0, 4)


@settings(deadline=None)
@given(st.lists(st.tuples(grades, grades, st.floats(0.25, 1)), min_size=1, max_size=40))
def test_choice_has_no_repetition_and_nothing_worse_is_left_out(rows):
    table = predictions(rows)
    chosen = choose_rows(table)
    off = (table["grade"] - table["predicted_grade"]).abs().to_numpy()
    wrong = [row for row in chosen if off[row]]
    right = [row for row in chosen if not off[row]]
    assert len(set(chosen)) == len(chosen) and chosen == wrong + right
    assert len(wrong) == min(MAX_MISTAKES, (off > 0).sum())
    assert sorted(off[wrong], reverse=True) == sorted(off, reverse=True)[: len(wrong)]
    assert table["grade"].iloc[right].tolist() == sorted(set(table["grade"][off == 0]))
    for row in right:
        rivals = table[(off == 0) & (table["grade"] == table["grade"].iloc[row])]
        assert table["sure"].iloc[row] == rivals["sure"].max()


@pytest.fixture(scope="module")
def panels(checkpoint, prepared):
    predictor = load_predictor(checkpoint, "cpu")
    table = read_manifest(prepared)
    photos = PreparedPhotos(prepared, table, 64)
    answers = predict_photos(predictor, prepared, table, workers=0)
    drawn = list(draw_panels(predictor, prepared, answers))
    return answers, [photos.photo(row) for row in range(len(table))], drawn


def test_panels_belong_to_the_chosen_photos(panels):
    answers, photos, drawn = panels
    rows = choose_rows(answers)
    assert 5 < len(rows) == len(drawn)
    for row, panel in zip(rows, drawn, strict=True):
        assert panel.caption == answers["file"].iloc[row]
        assert (panel.truth, panel.predicted) == (answers["grade"].iloc[row], answers["predicted_grade"].iloc[row])
        np.testing.assert_array_equal(panel.photo, photos[row])


def test_panels_show_each_stream_and_the_evidence_with_their_scales(panels):
    for panel in panels[2]:
        assert [each.label for each in panel.maps] == [
            "attention of stream A, 0 to 1",
            "attention of stream B, 0 to 1",
            "evidence (red: refer, blue: do not), -0.3 to 0.3",
        ]
        assert all(each.pixels.shape == panel.photo.shape == (64, 64, 3) for each in panel.maps)
        assert not any(np.array_equal(*(each.pixels for each in two)) for two in itertools.combinations(panel.maps, 2))
        assert all(re.fullmatch(r"its values go from -?[\d.]+ to -?[\d.]+", each.told) for each in panel.maps)
        assert panel.lesions is None


def test_lesions_are_drawn_of_the_same_photos(checkpoint, prepared, panels):
    answers = panels[0].iloc[choose_rows(panels[0])[:2]].reset_index(drop=True)

    def draw(row):
        return Overlay(f"lesions of {row['file']}, {row['sha256']}", np.zeros((9, 9, 3), np.uint8))

    predictor = load_predictor(checkpoint, "cpu")
    drawn = draw_panels(predictor, prepared, answers, draw)
    digests = answers.set_index("file")["sha256"]
    assert [panel.lesions.label for panel in drawn] == [
        f"lesions of {panel.caption}, {digests[panel.caption]}" for panel in draw_panels(predictor, prepared, answers)
    ]


def test_panels_tell_the_score_that_decides(panels):
    answers, _, drawn = panels
    for row, panel in zip(choose_rows(answers), drawn, strict=True):
        score = answers[["p2", "p3", "p4"]].iloc[row].sum()
        assert panel.answer.startswith(f"referral score {score:.2f}, probability ")

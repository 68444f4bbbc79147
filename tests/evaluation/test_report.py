"""The report is whole: three files that agree, and a page that needs nothing else and escapes what it is given."""

import base64
import io
import itertools
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from biranet.errors import InputError
from biranet.evaluation.intervals import bootstrap_intervals
from biranet.evaluation.metrics import measure
from biranet.evaluation.predictions import read_predictions
from biranet.evaluation.report import PANEL_SIZE_PX, Panel, write_report
from biranet.grades import DISCLAIMER, GRADE_NAMES

VOID = {"meta", "img", "br", "link", "input", "hr"}
NASTY = "<img src=x onerror=alert(1)>\"'&.png"


class Page(HTMLParser):
    """The tags of a page with their attributes, its text, and whether every tag is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.tags if name == tag)


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


def panel(caption: str = "a.png", truth: int | None = 2, predicted: int = 3, streams: int = 2) -> Panel:
    random = np.random.default_rng(1)
    pictures = [random.integers(0, 256, (60, 90, 3)).astype(np.uint8) for _ in range(1 + streams)]
    return Panel(caption, pictures[0], pictures[1:], truth, predicted)


def written(out: Path, table: pd.DataFrame, **more: Any) -> tuple[dict[str, Any], Page]:
    metrics = write_report(out, table, **{"title": "Evaluation", **more})
    return metrics, Page((out / "report.html").read_text(encoding="utf-8"))


def test_three_files_that_agree(tmp_path: Path) -> None:
    out = tmp_path / "new" / "report"
    metrics, _ = written(out, predictions())
    assert sorted(path.name for path in out.iterdir()) == ["metrics.json", "predictions.csv", "report.html"]
    assert json.loads((out / "metrics.json").read_text()) == metrics
    again = read_predictions(out / "predictions.csv")
    assert {key: metrics[key] for key in measure(again)} == measure(again)
    assert metrics["ci"] == bootstrap_intervals(again)
    assert metrics["ci_method"].startswith("95 % percentile bootstrap over 60 groups")


def test_the_same_input_makes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(tmp_path / name, predictions(), panels=[panel()])
    for file in ("metrics.json", "predictions.csv", "report.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    _, page = written(tmp_path, predictions(), panels=[panel()], facts={"Software": "biranet"})
    source = (tmp_path / "report.html").read_text()
    assert not re.search(r"https?:|url\(|@import|<script|<link|<iframe", source)
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes), tag
        assert (attributes.get("src") or "data:").startswith("data:")
        assert (attributes.get("href") or "#").startswith("#")
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    for link in page.all("a"):
        assert (link["href"] or "")[1:] in targets
    for picture in page.all("svg"):
        assert set((picture["aria-labelledby"] or "").split()) <= targets


def test_the_page_is_well_made(tmp_path: Path) -> None:
    _, page = written(tmp_path, predictions(), panels=[panel(), panel(streams=1, truth=None)])
    assert len(list(page.all("h1"))) == 1
    assert next(page.all("html"))["lang"] == "en"
    images = list(page.all("img"))
    assert len(images) == 3 + 2
    assert all(image["alt"] and image["width"] == "90" and image["height"] == "60" for image in images)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert page.text.count(DISCLAIMER) == 2


def test_the_page_shows_the_numbers(tmp_path: Path) -> None:
    metrics, page = written(tmp_path, predictions(), panels=[panel()], facts={"Decoder": "argmax"})
    for key in ("quadratic_weighted_kappa", "aca", "accuracy", "macro_f1", "macro_f1_of_means"):
        low, high = metrics["ci"][key]
        assert f"{metrics[key]:.3f} {low:.3f} to {high:.3f}" in page.text, key
    assert f"{metrics['referable_auc']:.3f}" in page.text
    matrix = np.array(metrics["confusion_matrix"])
    assert f"Of 120 photos in 60 groups, {matrix.trace()} (" in page.text
    assert f"{matrix[2:, 2:].sum()} of {matrix[2:].sum()} photos" in page.text
    assert f"{matrix[:2, :2].sum()} of {matrix[:2].sum()} photos" in page.text
    for grade, name in enumerate(GRADE_NAMES):
        row = f"{grade} {name} {matrix[grade].sum()} {matrix[grade, grade]} {metrics['recall_per_grade'][grade]:.2f}"
        assert row in page.text
        assert f"Grade {grade}: {matrix[grade].sum()} true, {matrix[:, grade].sum()} predicted." in page.text
        cells = ", ".join(f"{count} predicted as {place}" for place, count in enumerate(matrix[grade]))
        assert f"Of {matrix[grade].sum()} photos with true grade {grade}: {cells}" in page.text
    assert "True 2 moderate, predicted 3 severe 1 grade off" in page.text
    assert "Decoder argmax" in page.text


def svg_cells(source: str) -> list[float]:
    return [float(value) for value in re.findall(r"fill-opacity:([\d.]+)", source)]


def test_the_shade_of_a_cell_is_its_share_of_the_row(tmp_path: Path) -> None:
    metrics, _ = written(tmp_path, predictions())
    matrix = np.array(metrics["confusion_matrix"], dtype=float)
    shares: npt.NDArray[np.float64] = matrix / matrix.sum(axis=1, keepdims=True)
    shades = svg_cells((tmp_path / "report.html").read_text())
    np.testing.assert_allclose(shades, 0.05 + 0.95 * shares.ravel(), atol=6e-4)


def test_pictures_are_small_jpegs_of_the_photo(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:800, 0:1000]
    photo = np.stack([rows / 4, columns / 4, np.full_like(rows, 90)], axis=-1).astype(np.uint8)
    _, page = written(tmp_path, predictions(), panels=[Panel("big.png", photo, [photo[::-1]], 0, 0)])
    decoded = []
    for image in page.all("img"):
        header, data = (image["src"] or "").split(",")
        assert header == "data:image/jpeg;base64"
        decoded.append(Image.open(io.BytesIO(base64.b64decode(data))))
    assert [picture.size for picture in decoded] == [(PANEL_SIZE_PX, 256)] * 2
    expected = Image.fromarray(photo).resize((PANEL_SIZE_PX, 256))
    assert np.abs(np.asarray(decoded[0], int) - np.asarray(expected, int)).mean() < 3
    np.testing.assert_allclose(np.asarray(decoded[1], int)[::-1], np.asarray(decoded[0], int), atol=12)


def test_everything_is_escaped(tmp_path: Path) -> None:
    table = predictions().assign(file=lambda rows: [NASTY, *rows["file"][1:]])
    _, page = written(tmp_path, table, title=NASTY, panels=[panel(NASTY)], facts={NASTY: NASTY})
    assert len(list(page.all("img"))) == 3
    assert [image["alt"] for image in page.all("img")] == [
        f"Photo {NASTY}",
        *(f"Where stream {stream} looked on photo {NASTY}" for stream in (1, 2)),
    ]
    assert "onerror" not in {name for _, attributes in page.tags for name in attributes}
    assert page.text.count(NASTY) == 5
    assert read_predictions(tmp_path / "predictions.csv")["file"].iloc[0] == NASTY


def test_what_is_not_defined_says_why(tmp_path: Path) -> None:
    table = pd.DataFrame({"file": ["a", "b"], "group": ["a", "b"], "grade": [1, 1], "predicted_grade": [1, 1]})
    metrics, page = written(tmp_path, table)
    assert metrics["ci"]["accuracy"] is None
    assert "Quadratic weighted kappa not defined every photo has one and the same grade" in page.text
    assert "Referable sensitivity not defined no photo is referable" in page.text
    assert "not defined the predictions hold no probabilities" in page.text
    assert "no interval: resampling changes nothing" in page.text
    assert "None" not in page.text
    assert "nan" not in page.text
    assert "in 2 groups" not in page.text


@pytest.mark.parametrize("rows", [1, 3])
def test_few_photos_make_a_page(tmp_path: Path, rows: int) -> None:
    metrics, page = written(tmp_path, predictions().head(rows))
    assert metrics["n"] == rows
    assert "None" not in page.text


def test_large_counts_stay_in_their_cells(tmp_path: Path) -> None:
    """At 0.65 em a bold digit, a count must fit into its cell of 62 units."""
    grade = np.zeros(120_000, int)
    table = pd.DataFrame({"file": np.arange(120_000).astype(str), "grade": grade, "predicted_grade": grade})
    _, page = written(tmp_path, table.assign(group=table["file"].str[:4]))
    assert re.search(r"Of 120,000 photos in [\d,]+ groups, 120,000 \(", page.text)
    source = (tmp_path / "report.html").read_text()
    sizes = re.findall(r'class="count"[^>]*font-size:([\d.]+)px">(\d+)<', source)
    assert [count for _, count in sizes] == ["120000"]
    assert float(sizes[0][0]) * 0.65 * 6 < 62


def test_a_refused_table_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stands there twice"):
        write_report(tmp_path / "out", predictions().assign(file="one.png"), title="x")
    assert not (tmp_path / "out").exists()


def test_panels_hold_pixels_of_one_shape() -> None:
    photo = np.zeros((8, 8, 3), np.uint8)
    for wrong in (photo[:4], photo.astype(float), photo[..., 0]):
        with pytest.raises(ValueError, match="one shape"):
            Panel("a", photo, [wrong], 0, 0)
    with pytest.raises(ValueError, match="one shape"):
        Panel("a", photo[..., 0], [], 0, 0)

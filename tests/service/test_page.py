"""The page of `biranet serve` in a real browser, as a nurse uses it: drop, read, look, print, take away."""

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pypdf
import pytest
from PIL import Image
from playwright.sync_api import expect

from page_driver import (
    NEEDS_BROWSER,
    drop,
    graded,
    pixels,
    position_of,
    read_csv,
    select,
    texts_outside,
    violations,
    watching,
)

pytestmark = NEEDS_BROWSER

NAMES = {
    "clinic/P1_OD.jpg": ("P1", "right"), "clinic/north/P1_OS.jpg": ("north/P1", "left"),
    "clinic/P1/left.jpg": ("P1", "left"), "P1/OD.png": ("P1", "right"), "10_macula_left.jpeg": ("10", "left"),
    "7_Retina_OD_20260101_101010.jpg": ("7", "right"), "001_20260101_OS.jpg": ("001", "left"),
    "víctor_od.jpg": ("víctor", "right"), "macula_left.jpg": ("", "left"), "clinic/IMG_0001_L.jpg": ("", "left"),
    "IDRiD_190.jpg": ("", ""), "model.jpg": ("", ""),
    "clinic/OD_001.jpg": ("", "right"), "2026-11-30/right_12.png": ("", "right"), "2026-11-30/OD.png": ("", "right"),
    "30.11.2026/left.jpg": ("", "left"), "clinic/P1/disc_left.jpg": ("P1", "left"),
}  # fmt: skip
"""What paths tell of patient and eye."""

PLACED = [
    (["monday/001_OD.jpg", "tuesday/001_OD.jpg tuesday/001_OS.jpg"], ["001", "tuesday/001"]),
    (["right/001_OD.jpg left/001_OS.jpg", "001_OD.jpg"], ["001"]),
    (["w/left.jpg w/right.jpg"], ["w"]),
    (["w/left.jpg w/OS.jpg w/right.jpg"], ["", "", ""]),
    (["w/P1/left.jpg w/P1/right.jpg", "w/P1/OS.jpg"], ["", "", ""]),
]
"""Files that are dropped one after another, and the patients that come of it."""


@pytest.fixture(scope="module")
def ward(browser, served, photos):
    """The page with the answers for all photos; each test chooses the patient that it looks at."""
    with watching(browser) as open_one:
        page = open_one(served.url)
        drop(page, photos)
        graded(page, 6)
        yield page


def test_one_photo_gets_the_answer_of_the_command_line(open_page, photos, tables):
    row = tables[0]["P1_OD.jpg"]
    page = open_page()
    expect(page.locator(".disclaimer").first).to_contain_text("not a medical device")
    drop(page, photos / "P1_OD.jpg")
    graded(page, 1)
    answers = page.locator(".eye .answers")
    expect(answers.locator(".eye-verdict")).to_have_text(row["decision"].capitalize())
    expect(answers.locator(".grade")).to_contain_text(f"Grade {row['predicted_grade']}")
    for end in ("lowest_grade", "highest_grade"):
        expect(answers.locator(".set")).to_contain_text(row[end])
    shares = answers.locator("tbody .share").all_inner_texts()
    assert shares == [f"{float(row[f'p{grade}']):.2f}" for grade in range(5)]
    widths = [box.bounding_box()["width"] for box in answers.locator("tbody .bar").all()]
    assert np.argmax(widths) == np.argmax([float(row[f"p{grade}"]) for grade in range(5)])
    expect(answers).to_contain_text("Calibrated on")
    expect(page.locator("#model-line")).to_contain_text("idrid_lite0")
    expect(page.locator("#model-line .digest")).to_have_text(re.compile("^[0-9a-f]{64}$"))
    # The other eye is missing, so the patient is not done.
    expect(page.locator(".actions")).to_contain_text("photograph the left eye")

    page.locator("#reader-right").select_option("2")
    page.once("dialog", lambda dialog: dialog.accept())
    page.reload()  # which asks first, since the reader's grade is kept nowhere else
    expect(page.locator("#case h2")).to_have_text("No photograph yet")
    expect(page.locator("#cases button")).to_have_count(0)


def test_a_dropped_folder_with_a_text_file_gets_a_row_a_file(ward, tables):
    page = ward
    expect(page.locator("#progress")).to_contain_text("1 not a usable file")
    for name, patient in tables[1].items():
        item = page.locator("#cases button", has_text=name)
        expect(item.locator(".decision")).to_have_text(patient["decision"].capitalize())
    select(page, "P2")
    right, left = (page.locator(f"#stage-{eye}").bounding_box() for eye in ("right", "left"))
    assert right["x"] + right["width"] <= left["x"] and right["y"] == left["y"]
    expect(page.locator("#case")).to_contain_text("too dark (more light, or a wider pupil)")
    page.locator("#cases button", has_text="notes.txt").click()
    expect(page.locator("#case h2")).to_have_text("Not a usable file")


def test_the_reader_s_grade_stands_beside_the_program_s(ward, tables):
    page, (by_name, patients) = ward, tables
    page.locator("#cases button", has_text="P1").click()
    page.locator("#reader-right").select_option("2")
    expect(page.locator("#reader-words-right")).to_contain_text("Grade 2")
    expect(page.locator("#case .verdict-box h2")).to_have_text(patients["P1"]["decision"].capitalize())
    with page.expect_download() as saved:
        page.locator("#csv-photos").click()
    rows = {Path(row["file"]).name: row for row in read_csv(Path(saved.value.path()).read_text())}
    assert set(rows) == {*by_name, "notes.txt"}
    for name, row in by_name.items():
        exported = rows[name]
        assert list(exported) == [*row, "reader_grade"]
        for column in set(row) - {"file", "group_from", "eye_from"}:
            if re.fullmatch(r"p\d|expected_grade|temperature", column) and row[column]:
                assert float(exported[column]) == pytest.approx(float(row[column]), abs=1e-6), column
            else:
                assert exported[column] == row[column], column
        assert (exported["group_from"], exported["eye_from"]) == ("name", "name")
    assert [rows[name]["reader_grade"] for name in ("P1_OD.jpg", "P1_OS.jpg")] == ["2", ""]
    with page.expect_download() as saved:
        page.locator("#json").click()
    document = json.loads(Path(saved.value.path()).read_text())
    decided = {row["patient"]: (row["decision"], row["right_reader_grade"]) for row in document["patients"]}
    assert decided["P1"] == (patients["P1"]["decision"], "2")
    assert len(document["eyes"]) == 6 and document["sha256"] and "not a medical device" in document["disclaimer"]


def test_a_cell_that_a_spreadsheet_would_compute_is_text(open_page, photos, tmp_path):
    named = tmp_path / "=1+1<b>_OD.jpg"
    shutil.copy(photos / "P1_OD.jpg", named)
    page = open_page()
    page.locator("#photo-input").set_input_files(named)
    graded(page, 1)
    with page.expect_download() as saved:
        page.locator("#csv-patients").click()
    [row] = read_csv(Path(saved.value.path()).read_text())
    assert row["patient"] == "'=1+1<b>" and row["left_status"] == "missing"


def test_names_tell_no_more_than_they_do(open_page):
    read = "async (path) => { const { patient, eye } = (await import('/page/cases.js')).readName(path);"
    page = open_page()
    assert {path: tuple(page.evaluate(read + " return [patient, eye]; }", path)) for path in NAMES} == NAMES
    place = """async (drops) => {
      const { Cases, Photo } = await import("/page/cases.js");
      const cases = new Cases();
      for (const drop of drops) cases.add(drop.map((path) => new Photo(new File([], "a.jpg"), path)));
      return cases.all.map((each) => each.patient);
    }"""
    for drops, patients in PLACED:
        assert page.evaluate(place, [drop.split() for drop in drops]) == patients


def test_patient_and_eye_are_corrected_where_names_tell_nothing(open_page, photos, tables, tmp_path):
    shutil.copy(photos / "P1_OD.jpg", tmp_path / "IMG_0007.jpg")
    page = open_page()
    drop(page, tmp_path / "IMG_0007.jpg", photos / "P1_OS.jpg")
    graded(page, 2)
    page.locator("#cases button", has_text="IMG_0007.jpg").click()
    expect(page.locator("#report .report-head")).to_contain_text("Patient not known")
    expect(page.locator("#report .report-head")).not_to_contain_text("IMG_0007.jpg")
    expect(page.locator("#case .verdict-box")).to_contain_text("Name the patient. Nothing says which eye it shows.")
    page.locator("#patient-name").fill("P1")
    # What is typed stays, though the answer draws the case anew.
    page.locator("#which-unknown").select_option("right")
    expect(page.locator("#case .eye h3")).to_have_text(["Right eye (OD)"])
    graded(page, 2)
    expect(page.locator("#case .verdict-box")).to_contain_text("Name the patient.")
    expect(page.locator("#case .verdict-box")).not_to_contain_text("which eye")
    expect(page.locator("#patient-name")).to_have_value("P1")
    page.locator("#patient-name").press("Enter")
    expect(page.locator("#case .eye h3")).to_have_text(["Right eye (OD)", "Left eye (OS)"])
    expect(page.locator("#cases button")).to_have_count(1)
    expect(page.locator("#case .verdict-box h2")).to_have_text(tables[1]["P1"]["decision"].capitalize())
    with page.expect_download() as saved:
        page.locator("#csv-photos").click()
    rows = {row["file"]: row for row in read_csv(Path(saved.value.path()).read_text())}
    assert {name: (row["group"], row["group_from"], row["eye"], row["eye_from"]) for name, row in rows.items()} == {
        "IMG_0007.jpg": ("P1", "entered", "right", "entered"),
        "P1_OS.jpg": ("P1", "name", "left", "name"),
    }


def test_what_somebody_enters_counts_more_than_names(open_page, photos):
    """Which the service reads as well, by a pattern."""
    page = open_page()
    drop(page, photos / "P1_OD.jpg")
    graded(page, 1)
    expect(page.locator(".case-head .origin")).to_have_text("guessed from its name")
    page.locator("#patient-name").fill("Q9")
    page.locator("#rename").click()
    expect(page.locator(".case-head .origin")).to_have_text("as entered here, in place of P1")
    page.locator("#which-right").select_option("left")
    expect(page.locator(".which .origin")).to_have_text("as entered here, in place of OD")
    graded(page, 1)
    page.locator("#patient-name").fill("P1")
    page.locator("#rename").click()
    expect(page.locator(".case-head .origin")).to_have_text("as entered here")
    page.locator("#patient-name").fill("Q9")
    page.locator("#rename").click()
    graded(page, 1)
    expect(page.locator(".eye .answers .grade")).to_contain_text("Grade")
    with page.expect_download() as saved:
        page.locator("#csv-photos").click()
    [row] = read_csv(Path(saved.value.path()).read_text())
    assert (row["group"], row["group_from"], row["eye"], row["eye_from"]) == ("Q9", "entered", "left", "entered")


def test_both_eyes_zoom_move_and_change_together(ward):
    page = ward
    select(page, "P1")
    expect(page.locator("#stage-left .photo")).to_be_visible()
    fit = position_of(page, "left")
    box = page.locator("#stage-right").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -100)
    assert position_of(page, "right") == fit  # the page scrolls, until somebody turns to the photo
    page.mouse.wheel(0, 100)
    page.locator("#stage-right").focus()
    page.mouse.wheel(0, -100)
    page.mouse.wheel(0, -100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2 + 10)
    page.mouse.up()
    assert position_of(page, "right") == position_of(page, "left") != fit
    page.locator("#actual").click()
    assert page.locator("#stage-left .photo").bounding_box()["width"] == pytest.approx(640, abs=1)
    page.locator("#fit").click()
    assert position_of(page, "left") == fit

    plain = pixels(page, "right")
    page.locator("#redfree").click()
    red, green, _ = pixels(page, "right").transpose(2, 0, 1)
    assert np.abs(red - green).max() <= 2 and np.abs(green - plain[..., 1]).mean() < 3
    page.locator("#redfree").click()
    page.locator("#inverse").click()
    assert pixels(page, "right").mean() > plain.mean()
    page.locator("#inverse").click()
    page.locator("#contrast").click()
    assert pixels(page, "right").std() > plain.std()
    page.locator("#contrast").click()

    note = "not where lesions are"
    expect(page.locator("#case")).not_to_contain_text(note)  # there is no map yet
    page.locator("#map").select_option("0")
    expect(page.locator("#under-right")).to_contain_text(note)
    faint = pixels(page, "right")
    page.locator("#opacity").fill("100")
    strong = pixels(page, "right")
    assert np.abs(strong - plain).mean() > np.abs(faint - plain).mean() > 1
    page.locator("#map").select_option("-1")


def test_a_photo_is_shown_in_its_own_pixels(open_page, photos, tmp_path):
    with Image.open(photos / "P3_OD.jpg") as photo:
        photo.resize((2560, 2048)).save(tmp_path / "large.jpg")
    page = open_page()
    drop(page, tmp_path / "large.jpg")
    graded(page, 1)
    width = "photo => photo.decode().then(() => photo.naturalWidth)"
    assert page.locator(".layer .photo").evaluate(width) == 2048  # as the service sends it
    page.locator("#actual").click()
    expect(page.locator(".layer .photo")).to_have_attribute("src", re.compile("^blob:"))
    assert page.locator(".layer .photo").evaluate(width) == 2560
    assert page.locator(".layer .photo").bounding_box()["width"] == pytest.approx(2560, abs=1)
    expect(page.locator(".under")).to_contain_text("2560 × 2048 px")


def test_the_keyboard_alone_does_everything(ward):
    page = ward
    page.locator("#dark").focus()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "case":
            break
    for key in ("Home", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    expect(page.locator("#cases [aria-current]")).to_contain_text("P2")
    expect(page.locator("#stage-right .photo")).to_be_visible()
    for _ in range(40):
        if page.evaluate("document.activeElement.id") == "stage-right":
            break
        page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    fit = position_of(page, "right")
    page.keyboard.press("+")
    page.keyboard.press("+")
    zoomed = position_of(page, "right")
    page.keyboard.press("ArrowRight")
    moved = position_of(page, "right")
    assert zoomed[2] > fit[2] and moved[0] < zoomed[0] and moved == position_of(page, "left")
    page.keyboard.press("-")
    assert position_of(page, "right")[2] < zoomed[2]
    page.keyboard.press("0")
    assert position_of(page, "right") == fit
    page.keyboard.press("r")
    expect(page.locator("#redfree")).to_have_attribute("aria-pressed", "true")
    before = pixels(page, "right")
    page.keyboard.press("a")
    assert np.abs(pixels(page, "right") - before).mean() > 1
    page.keyboard.press("a")
    page.keyboard.press("r")


def test_the_answer_of_another_photo_of_the_eye_says_so(open_page, photos, tmp_path):
    (tmp_path / "again").mkdir()
    shutil.copy(photos / "P2_OD.jpg", tmp_path / "again" / "P1_OD.jpg")
    page = open_page()
    drop(page, photos / "P1_OD.jpg", tmp_path / "again")
    graded(page, 2)
    for position in (1, 0):
        page.locator(".strip button").nth(position).click()
        expect(page.locator(".eye .answers .hint", has_text="By another photograph")).to_have_count(position)


def test_a_photo_on_the_stage_stays_however_fast_others_are_passed_by(open_page, photos, tmp_path):
    for number in range(18):
        shutil.copy(photos / "P1_OD.jpg", tmp_path / f"Q{number:02}_OD.jpg")
    page, asked = open_page(), []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/v1/view") else None)
    page.locator("#photo-input").set_input_files(sorted(tmp_path.iterdir()))
    graded(page, 18)
    page.locator("#cases button").first.focus()
    for _ in range(17):
        page.keyboard.press("ArrowDown")
    expect(page.locator("#stage-right .photo")).to_be_visible()
    page.wait_for_load_state("networkidle")
    fit = position_of(page, "right")
    page.locator("#zoom_in").click()
    assert position_of(page, "right") != fit
    page.locator("#redfree").click()
    expect(page.locator("#redfree")).to_have_attribute("aria-pressed", "true")
    assert len(asked) < 18


def test_a_patient_is_printed_on_one_page(ward, tables):
    page = ward
    select(page, "P2")
    expect(page.locator("#report img")).to_have_count(2)
    page.locator("#map").select_option("5")  # whose note takes most room
    page.locator("#reader-right").select_option("3")
    pdf = pypdf.PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))
    page.locator("#map").select_option("-1")
    assert len(pdf.pages) == 1
    width_pt, height_pt = (float(side) for side in pdf.pages[0].mediabox[2:])
    assert (width_pt, height_pt) == (pytest.approx(595, abs=1), pytest.approx(842, abs=1))
    text = re.sub(r"\s+", " ", pdf.pages[0].extract_text())
    for words in (
        "P2",
        tables[1]["P2"]["decision"].capitalize(),
        "too dark",
        "Grade 3 (severe)",
        "idrid_lite0",
        "not a medical",
    ):
        assert words in text
    assert "P1" not in text and len(pdf.pages[0].images) >= 2


def test_a_grade_that_is_not_the_most_probable_says_so(open_page):
    read = "async (row) => (await import('/page/answer.js')).gradeLines(row).map((line) => line.textContent)"
    row = {"predicted_grade": 1, "lowest_grade": None, "expected_grade": 1.74}
    shares = dict(zip(("p0", "p1", "p2", "p3", "p4"), (0.18, 0.21, 0.52, 0.05, 0.04), strict=True))
    page = open_page()
    assert page.evaluate(read, row | shares) == [
        "Grade 1 (mild)",
        "It follows the mean of the grades, 1.7, and is not the most probable one.",
    ]
    assert page.evaluate(read, row | shares | {"p1": 0.52, "p2": 0.21}) == ["Grade 1 (mild)"]


def test_a_report_waits_for_its_photographs(open_page, photos):
    page, held = open_page(), []
    page.evaluate("void (window.print = () => { window.printed = document.querySelectorAll('#report img').length; })")
    page.route("**/v1/view", lambda route: held.append(route))
    drop(page, photos / "P1_OD.jpg", photos / "P1_OS.jpg")
    graded(page, 2)
    page.locator("#print").click()
    expect(page.locator("#report")).to_contain_text("Loading the photograph")
    assert page.evaluate("window.printed") is None
    while len(held) < 2:
        page.wait_for_timeout(20)
    for route in held:
        route.continue_()
    while (printed := page.evaluate("window.printed ?? null")) is None:
        page.wait_for_timeout(20)
    assert printed == 2


def test_nothing_stands_in_the_way_of_anybody(ward, open_page):
    assert violations(open_page(color_scheme="dark")) == []
    page = ward
    select(page, "P2")
    page.locator("#map").select_option("0")
    page.locator("#about summary").first.click()
    page.locator(".keys summary").click()
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("html")).to_have_attribute("data-theme", scheme)
        for width in (1280, 320):
            page.set_viewport_size({"width": width, "height": 800})
            assert violations(page) == [], (scheme, width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_no_text_stands_outside_of_the_table(open_page, photos):
    page = open_page(locale="es")

    def strange(route):
        source = route.fetch().text()
        texts = re.sub(r'(:\s+)"((?:[^"\\]|\\.)*)",$', r'\1"⟦\2⟧",', source, flags=re.MULTILINE)
        route.fulfill(body=texts, content_type="text/javascript")

    page.route("**/texts.js", strange)
    page.reload()
    drop(page, photos)
    expect(page.locator("#progress")).to_contain_text("6 de 6", timeout=30_000)
    select(page, "P2")
    assert texts_outside(page) == []


def test_the_other_language_says_the_same(open_page, photos):
    page = open_page(locale="es-CL")
    drop(page, photos / "P2_OS.jpg")
    expect(page.locator("#progress")).to_contain_text("1 de 1", timeout=30_000)
    expect(page.locator("#case")).to_contain_text("demasiado oscura (más luz, o una pupila más dilatada)")
    assert page.evaluate("document.documentElement.lang") == "es"
    page.locator("#language").select_option("en")
    expect(page.locator("#case")).to_contain_text("too dark (more light, or a wider pupil)")
